//! The table, the pictures and the files of a finished run.

use fourfold::Gpu;
use fourfold::data::Checkpoint;
use fourfold::data::{Standardisation, Trajectories};
use fourfold::models::decision_transformer::{DecisionTransformer, HuggingFaceCheckpoint};
use fourfold::models::offline_training::OfflineTraining;
use serde_json::{Value, json};

use super::{Evaluation, Learner, Milestone, Settings, Source};
use crate::failure::Failure;
use crate::picture::plot::{Axis, Line, LinePlot};
use crate::run::folder::{RunFolder, adapter_json};
use crate::table::wide_table;

/// The contents of the report.
pub struct Finished<'a> {
    pub source: &'a Source,
    /// All episodes of the file.
    pub data: &'a Trajectories,
    pub trained_on: &'a Trajectories,
    pub milestones: &'a [Milestone],
    /// (training steps)
    pub losses: &'a [f32],
    /// Of training, without the playing.
    pub seconds: f64,
    /// The platform of the environments.
    pub versions: Option<String>,
}

/// Mean and deviation over the episodes.
fn spread(values: &[f64]) -> (f64, f64) {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    (mean, (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count).sqrt())
}

fn mean_length(evaluation: &Evaluation) -> f64 {
    let lengths = &evaluation.played.lengths;
    lengths.iter().sum::<usize>() as f64 / lengths.len() as f64
}

/// One milestone in a line.
pub fn line(milestone: &Milestone, source: &Source) -> String {
    let mut line = format!("step {}: loss {:.4}", milestone.step, milestone.loss);
    for evaluation in &milestone.evaluations {
        let (mean, deviation) = spread(&evaluation.played.returns);
        line += &format!("; target {}: return {mean:.1} ± {deviation:.1}", evaluation.target);
        if let Some(reference) = &source.reference {
            line += &format!(", score {:.1}", reference.score(mean));
        }
    }
    line
}

/// Writes the weights: `training.safetensors`, from which the training can go on, and, where HuggingFace's network can be
/// as ours, the folder `hugging-face`, which `transformers` loads.
pub fn save(
    folder: &RunFolder,
    settings: &Settings,
    training: &mut OfflineTraining,
    standardisation: &Standardisation,
    finished: &Finished<'_>,
) -> Result<(), Failure> {
    let mut checkpoint = Checkpoint::new();
    training.save(&mut checkpoint, "").map_err(Failure::run)?;
    folder.write_checkpoint("training.safetensors", &checkpoint)?;
    // What a checkpoint of HuggingFace lacks.
    let preparation = json!({
        "observation_mean": standardisation.mean,
        "observation_deviation": standardisation.deviation,
        "return_scale": settings.scale,
        "targets": settings.targets,
        "context": settings.context,
    });
    folder.write_json("preparation.json", &preparation)?;
    if settings.learner == Learner::Transformer {
        let model = DecisionTransformer::new(settings.network(finished.data)).map_err(Failure::input)?;
        let weights = training.weights().map_err(Failure::run)?;
        // Only networks as HuggingFace's can be are written.
        if let Ok(checkpoint) = HuggingFaceCheckpoint::new(model, weights) {
            checkpoint.save(&folder.path().join("hugging-face"))?;
        }
    }
    Ok(())
}

/// Writes `results.json`, `report.md` and the pictures; returns the table for the terminal.
pub fn write(folder: &RunFolder, settings: &Settings, finished: &Finished<'_>, gpu: &Gpu) -> Result<String, Failure> {
    folder.write_json("results.json", &results(settings, finished, gpu))?;
    folder.write("loss.png", &losses(finished.losses).png(900, 420)?)?;
    let played = finished.milestones.iter().any(|milestone| !milestone.evaluations.is_empty());
    if played {
        folder.write("returns.png", &returns(settings, finished).png(900, 420)?)?;
    }
    let (header, rows) = rows(finished);
    folder.write("report.md", markdown(settings, finished, gpu, &header, &rows, played).as_bytes())?;
    Ok(format!("{}\n\nThe run is in {}", wide_table(&header, rows), folder.path().display()))
}

/// A row for each milestone, or for each target of it.
fn rows(finished: &Finished<'_>) -> (Vec<&'static str>, Vec<Vec<String>>) {
    let played = finished.milestones.iter().any(|milestone| !milestone.evaluations.is_empty());
    if !played {
        let row = |milestone: &Milestone| vec![milestone.step.to_string(), format!("{:.4}", milestone.loss)];
        return (vec!["step", "loss"], finished.milestones.iter().map(row).collect());
    }
    let header =
        vec!["step", "loss", "target", "return", "deviation", "least", "most", "score", "length", "terminated"];
    let mut rows = Vec::new();
    for milestone in finished.milestones {
        for evaluation in &milestone.evaluations {
            let played = &evaluation.played;
            let (mean, deviation) = spread(&played.returns);
            let (least, most) = extremes(&played.returns);
            let score = finished.source.reference.as_ref().map(|reference| reference.score(mean));
            let terminated = played.terminated.iter().filter(|&&terminated| terminated).count();
            rows.push(vec![
                milestone.step.to_string(),
                format!("{:.4}", milestone.loss),
                evaluation.target.to_string(),
                format!("{mean:.1}"),
                format!("{deviation:.1}"),
                format!("{least:.1}"),
                format!("{most:.1}"),
                score.map_or_else(|| "-".to_owned(), |score| format!("{score:.2}")),
                format!("{:.1}", mean_length(evaluation)),
                format!("{terminated} of {}", played.returns.len()),
            ]);
        }
    }
    (header, rows)
}

fn extremes(values: &[f64]) -> (f64, f64) {
    values.iter().fold((f64::MAX, f64::MIN), |(least, most), &value| (least.min(value), most.max(value)))
}

fn losses(losses: &[f32]) -> LinePlot {
    // About 200 points.
    let span = losses.len().div_ceil(200).max(1);
    let point = |(index, losses): (usize, &[f32])| ((index * span + losses.len()) as f64, super::mean(losses));
    let points = losses.chunks(span).enumerate().map(point).collect();
    LinePlot {
        title: "Training".into(),
        x: Axis::new("training step"),
        y: Axis::new("loss of the actions"),
        lines: vec![Line { name: "loss".into(), points, ..Line::default() }],
        ..LinePlot::default()
    }
}

/// The achieved returns of each target over the training, from the least to the most episode.
fn returns(settings: &Settings, finished: &Finished<'_>) -> LinePlot {
    let of = |(index, target): (usize, &f32)| {
        let evaluations =
            || finished.milestones.iter().map(|milestone| (milestone.step, &milestone.evaluations[index]));
        Line {
            name: format!("target {target}"),
            points: evaluations().map(|(step, one)| (step as f64, spread(&one.played.returns).0)).collect(),
            extremes: evaluations().map(|(_, one)| extremes(&one.played.returns)).collect(),
            ..Line::default()
        }
    };
    let best = extremes(&finished.data.returns()).1;
    LinePlot {
        title: format!("Returns in {}; dashed: the best of the data", settings.environment.as_deref().unwrap_or("")),
        x: Axis::new("training step"),
        y: Axis::new("return, from the least to the most"),
        lines: settings.targets.iter().enumerate().map(of).collect(),
        marks: vec![best],
        ..LinePlot::default()
    }
}

fn results(settings: &Settings, finished: &Finished<'_>, gpu: &Gpu) -> Value {
    let data = finished.data;
    let evaluation = |evaluation: &Evaluation| {
        let played = &evaluation.played;
        let (mean, deviation) = spread(&played.returns);
        json!({
            "target": evaluation.target,
            "mean": mean,
            "deviation": deviation,
            "score": finished.source.reference.as_ref().map(|reference| reference.score(mean)),
            "returns": played.returns,
            "lengths": played.lengths,
            "terminated": played.terminated,
        })
    };
    let milestone = |milestone: &Milestone| {
        json!({
            "step": milestone.step,
            "loss": milestone.loss,
            "evaluations": milestone.evaluations.iter().map(evaluation).collect::<Vec<_>>(),
        })
    };
    json!({
        "settings": settings,
        "adapter": adapter_json(gpu.info()),
        "environments": finished.versions,
        "data": {
            "name": finished.source.name,
            "format": finished.source.format.to_string(),
            "episodes": data.episodes(),
            "steps": data.steps(),
            "best_return": extremes(&data.returns()).1,
            "mean_return": spread(&data.returns()).0,
            "episodes_trained_on": finished.trained_on.episodes(),
            "steps_trained_on": finished.trained_on.steps(),
        },
        "reference": finished.source.reference.as_ref().map(|one| json!({ "random": one.random, "expert": one.expert })),
        "training_seconds": finished.seconds,
        "milestones": finished.milestones.iter().map(milestone).collect::<Vec<_>>(),
    })
}

fn markdown(
    settings: &Settings,
    finished: &Finished<'_>,
    gpu: &Gpu,
    header: &[&str],
    rows: &[Vec<String>],
    played: bool,
) -> String {
    let data = finished.data;
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let header: Vec<String> = header.iter().map(|&cell| cell.to_owned()).collect();
    let table = line(&header)
        + &line(&vec!["---".to_owned(); header.len()])
        + &rows.iter().map(|row| line(row)).collect::<String>();
    let learner = match settings.learner {
        Learner::Transformer => "A decision transformer",
        Learner::TransformerBc => "A transformer without returns (behaviour cloning)",
        Learner::Bc => "Behaviour cloning by a perceptron",
    };
    let mean_return = spread(&data.returns()).0;
    let mut text = format!(
        "# {}\n\n{learner} of {} layers and width {}, context {}, learnt from {} of {} episodes ({} of {} steps; {}), whose \
        returns are {mean_return:.1} on average and {:.1} at best: {} steps of {} windows, rate {}, dropout {}, returns over \
        {}{}, seed in `config.json`. The training took {:.0} s.\n\n",
        finished.source.name,
        settings.layers,
        settings.width,
        settings.context,
        finished.trained_on.episodes(),
        data.episodes(),
        finished.trained_on.steps(),
        data.steps(),
        finished.source.format,
        extremes(&data.returns()).1,
        settings.training_steps,
        settings.batch,
        settings.rate,
        settings.dropout,
        settings.scale,
        if settings.delayed { ", paid at the end of an episode" } else { "" },
        finished.seconds,
    );
    if let (Some(environment), Some(versions)) = (&settings.environment, &finished.versions) {
        text += &format!(
            "Each row: {} episodes of {environment} as one batch through Gymnasium's worker processes ({versions}), \
            played greedily with dropout off; the deviation is that over the episodes.",
            settings.episodes,
        );
        if let Some(reference) = &finished.source.reference {
            let scored = [mean_return, extremes(&data.returns()).1].map(|total| reference.score(total));
            text += &format!(
                " Scores are D4RL's, 0 for a return of {} and 100 for {}; the data have {:.2} on average and {:.2} at best.",
                reference.random, reference.expert, scored[0], scored[1],
            );
        }
        text += "\n\n";
    }
    text += &format!("{table}\n![loss](loss.png)\n");
    if played {
        text += "\n![returns](returns.png)\n";
    }
    let info = gpu.info();
    text + &format!("\nAdapter: {} ({}, {}).\n", info.name, info.backend.to_str(), info.driver_info)
}
