//! The report of trainings on the user's data.

use serde_json::{Value, json};

use super::setup::Setup;
use super::{Evaluation, Learner, Milestone, Settings, Training};
use crate::failure::Failure;
use crate::picture::plot::{Level, Line, LinePlot};
use crate::run::report::Report;
use crate::statistics::{average, extremes, spread};

/// Returns the mean return of an evaluation and its deviation over the episodes.
fn returned(evaluation: &Evaluation) -> (f64, f64) {
    spread(&evaluation.played.returns, true)
}

/// One milestone in a line.
pub fn line(milestone: &Milestone, setup: &Setup) -> String {
    let mut line = format!("step {}: loss {:.4}", milestone.step, milestone.loss);
    for evaluation in &milestone.evaluations {
        let (mean, deviation) = returned(evaluation);
        line += &format!("; target {}: return {mean:.1} ± {deviation:.1}", evaluation.target);
        if let Some(reference) = &setup.reference {
            line += &format!(", score {:.1}", reference.score(mean));
        }
    }
    line
}

/// Reports the losses, and the returns where there are some.
pub fn report(settings: &Settings, setup: &Setup, trainings: &[Training]) -> Result<Report, Failure> {
    let Setup { data, trained_on, .. } = setup;
    let (mean, best) = (average(&data.returns()), extremes(&data.returns()).1);
    let learner = match settings.model {
        Learner::Transformer => "A decision transformer",
        Learner::TransformerBc => "A transformer without returns (behaviour cloning)",
        Learner::Bc => "Behaviour cloning by a perceptron",
    };
    let mut report = Report::new(data.name());
    report.explanation(format!(
        "{learner} of {} layers and width {}, context {}, learnt from {} of {} episodes ({} of {} steps; {}), whose returns \
         are {mean:.1} on average and {best:.1} at best: {} steps of {} windows, rate {}, dropout {}, returns over {}{}. \
         `metrics.jsonl` has the seconds of training.",
        settings.layers,
        setup.width,
        settings.context,
        trained_on.episodes(),
        data.episodes(),
        trained_on.steps(),
        data.steps(),
        setup.format,
        settings.training_steps,
        settings.batch,
        settings.rate,
        settings.dropout,
        setup.scale,
        if settings.delayed { ", paid at the end of an episode" } else { "" },
    ));
    if let (Some(environment), Some(versions)) = (&setup.environment, &trainings[0].versions) {
        let place = match setup.collected {
            Some(_) => "on the GPU".to_owned(),
            None => format!("through Gymnasium's worker processes ({versions})"),
        };
        let mut text = format!(
            "Each row: {} episodes of {environment} as one batch {place}, played greedily with dropout off; the deviation \
             is that over the episodes.",
            settings.episodes,
        );
        if let Some(reference) = &setup.reference {
            let scored = [mean, best].map(|total| reference.score(total));
            text += &format!(
                " Scores are 0 for a return of {} and 100 for {}; the data have {:.2} on average and {:.2} at best.",
                reference.random, reference.expert, scored[0], scored[1],
            );
        }
        report.explanation(text);
    }
    for training in trainings {
        if trainings.len() > 1 {
            report.heading(format!("Seed {}", training.seed));
        }
        let (header, rows) = rows(setup, training);
        report.table(&header, rows);
    }
    report.picture("loss.png", "loss", losses(trainings).png(900, 420)?);
    if trainings[0].versions.is_some() {
        report.picture("returns.png", "returns", returns(setup, trainings).png(900, 420)?);
    }
    results(&mut report, setup, trainings);
    Ok(report)
}

/// A row for each milestone, or for each target of it.
fn rows(setup: &Setup, training: &Training) -> (Vec<&'static str>, Vec<Vec<String>>) {
    if training.versions.is_none() {
        let row = |milestone: &Milestone| vec![milestone.step.to_string(), format!("{:.4}", milestone.loss)];
        return (vec!["step", "loss"], training.milestones.iter().map(row).collect());
    }
    let header = vec!["step", "loss", "target", "return", "score", "length", "terminated"];
    let mut rows = Vec::new();
    for milestone in &training.milestones {
        for evaluation in &milestone.evaluations {
            let played = &evaluation.played;
            let (mean, deviation) = returned(evaluation);
            let score = setup.reference.as_ref().map(|reference| reference.score(mean));
            let terminated = played.terminated.iter().filter(|&&terminated| terminated).count();
            rows.push(vec![
                milestone.step.to_string(),
                format!("{:.4}", milestone.loss),
                evaluation.target.to_string(),
                format!("{mean:.1} ± {deviation:.1}"),
                score.map_or_else(|| "-".to_owned(), |score| format!("{score:.2}")),
                format!("{:.1}", played.lengths.iter().sum::<usize>() as f64 / played.lengths.len() as f64),
                format!("{terminated} of {}", played.returns.len()),
            ]);
        }
    }
    (header, rows)
}

fn losses(trainings: &[Training]) -> LinePlot {
    let of = |training: &Training| {
        // About 200 points.
        let span = training.losses.len().div_ceil(200).max(1);
        let point = |(index, losses): (usize, &[f32])| ((index * span + losses.len()) as f64, average(losses));
        let points = training.losses.chunks(span).enumerate().map(point);
        let name = if trainings.len() > 1 { format!("loss, seed {}", training.seed) } else { "loss".to_owned() };
        Line::new(name, points)
    };
    LinePlot::new("Training", "training step", "loss of the actions", trainings.iter().map(of))
}

/// The achieved returns of each target over the training, from the least to the most episode.
fn returns(setup: &Setup, trainings: &[Training]) -> LinePlot {
    let of = |training: &Training, index: usize, target: f32| {
        let evaluations =
            || training.milestones.iter().map(move |milestone| (milestone.step, &milestone.evaluations[index]));
        let seed = if trainings.len() > 1 { format!(", seed {}", training.seed) } else { String::new() };
        Line {
            band: evaluations().map(|(_, one)| extremes(&one.played.returns)).collect(),
            ..Line::new(
                format!("target {target}{seed}"),
                evaluations().map(|(step, one)| (step as f64, returned(one).0)),
            )
        }
    };
    let targets = || setup.targets.iter().enumerate();
    let lines =
        trainings.iter().flat_map(|training| targets().map(move |(index, &target)| of(training, index, target)));
    LinePlot {
        levels: vec![Level::across("best of the data", extremes(&setup.data.returns()).1)],
        ..LinePlot::new(
            format!("Returns in {}", setup.environment.as_deref().unwrap_or("")),
            "training step",
            "return, mean and all episodes",
            lines,
        )
    }
}

/// Adds the numbers of `results.json`.
fn results(report: &mut Report, setup: &Setup, trainings: &[Training]) {
    let (data, reference) = (&setup.data, setup.reference.as_ref());
    let evaluation = |evaluation: &Evaluation| {
        let (mean, deviation) = returned(evaluation);
        json!({
            "target": evaluation.target,
            "mean": mean,
            "deviation": deviation,
            "score": reference.map(|reference| reference.score(mean)),
            "returns": evaluation.played.returns,
            "lengths": evaluation.played.lengths,
            "terminated": evaluation.played.terminated,
        })
    };
    let milestone = |milestone: &Milestone| {
        json!({
            "step": milestone.step,
            "loss": milestone.loss,
            "evaluations": milestone.evaluations.iter().map(evaluation).collect::<Vec<_>>(),
        })
    };
    let training = |training: &Training| {
        json!({
            "seed": training.seed,
            "environments": training.versions,
            "milestones": training.milestones.iter().map(milestone).collect::<Vec<_>>(),
        })
    };
    report.result("trainings", trainings.iter().map(training).collect::<Vec<Value>>().into());
    report.result(
        "data",
        json!({
            "name": data.name(),
            "format": setup.format.to_string(),
            "episodes": data.episodes(),
            "steps": data.steps(),
            "best_return": extremes(&data.returns()).1,
            "mean_return": average(&data.returns()),
            "episodes_trained_on": setup.trained_on.episodes(),
            "steps_trained_on": setup.trained_on.steps(),
        }),
    );
    report.result("targets", json!(setup.targets));
    report.result("return_scale", json!(setup.scale));
    report.result("reference", json!(reference.map(|one| json!({ "random": one.random, "expert": one.expert }))));
}
