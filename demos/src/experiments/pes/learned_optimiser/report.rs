//! The report of a run with a learned optimiser.

use serde_json::json;

use super::Settings;
use super::contest::{Competitor, Grid, Outcome};
use super::meta_training::Curve;
use crate::failure::Failure;
use crate::picture::axis::Axis;
use crate::picture::plot::{Line, LinePlot, Summary};
use crate::run::report::Report;
use crate::statistics::{median, quantile};

/// Steps of the moving average in plots: a single minibatch is mostly noise.
const WINDOW: usize = 25;

/// Describes what was found over `seeds` seeds of the contests.
pub fn report(
    settings: &Settings,
    seed: u64,
    seeds: usize,
    curves: &[Curve],
    outcomes: &[Outcome],
) -> Result<Report, Failure> {
    let Settings { hidden, direction, horizon, truncation, particles, chunks, sigma, rate, beta1, iterations, .. } =
        settings;
    let count = settings.optimiser().parameters();
    let mut report = Report::new("A learned optimiser: PES against truncated ES, beside tuned SGD and Adam");
    report.explanation(format!(
        "A perceptron with {hidden} hidden units ({count} outer parameters) turns gradient, weight, averages of gradients and \
         the step into the next step of each weight: `w -= {direction} d exp(1e-3 a)`. It begins with an output of 0, so that \
         it does nothing, and is trained on perceptrons {} by minibatches of {} images: T {horizon}, K {truncation}, \
         {particles} particles{}, sigma {sigma}, Adam at {rate} with beta1 {beta1}, {iterations} outer iterations of either \
         estimator, seed {seed}. The loss of a step is the cross-entropy of its minibatch before the step, cut off at 3 ln 10.",
        if settings.digits { "64-32-10 on the embedded digits" } else { "64-32-10 on Fashion-MNIST, averaged to 8x8" },
        settings.batch,
        if *chunks > 1 { format!(" in {chunks} chunks at different inner times") } else { String::new() },
    ));
    if !curves.is_empty() {
        report.heading("Meta-training");
        report.explanation(format!(
            "Mean loss of an inner step over {} held-out episodes of {horizon} steps, theta unperturbed.",
            settings.episodes
        ));
        let mut header = vec!["outer iterations".to_owned()];
        header.extend(curves.iter().map(|curve| curve.name.clone()));
        let points = curves.iter().map(|curve| curve.points.len()).min().unwrap_or(0);
        let shown = (0..points).filter(|index| index.is_multiple_of(5) || index + 1 == points);
        let row = |index: usize| {
            let mut row = vec![curves[0].points[index].iteration.to_string()];
            row.extend(curves.iter().map(|curve| format!("{:.3}", curve.points[index].loss)));
            row
        };
        report.table(&header, shown.map(row));
        report.picture("meta-training.png", "meta-training", meta_training(settings, curves).png(1_000, 600)?);
    }
    report.heading("Contests");
    let spread = if seeds > 1 { format!(", median (least .. most) over {seeds} seeds") } else { String::new() };
    report.paragraph(format!("Mean loss of a training step{spread}."));
    report.explanation(
        "Over all steps and over the last tenth of them, with the same initial weights and minibatches for all. SGD and Adam \
         have the rate with the least mean loss over all steps in two further episodes; the learned optimisers are as they \
         were trained.",
    );
    for outcome in outcomes {
        report.explanation(format!("* {}: {}", outcome.contest, outcome.about));
    }
    report.table(&["contest", "optimiser", "all steps", "last tenth"], rows(outcomes));
    for Grid { name, rates, .. } in Grid::ALL {
        let rates: Vec<_> = rates.iter().map(f64::to_string).collect();
        report.explanation(format!("Rates of {name}: {}.", rates.join(", ")));
    }
    for outcome in outcomes {
        report.picture(format!("{}.png", outcome.contest), outcome.contest.as_str(), race(outcome).png(1_000, 600)?);
    }
    let curve = |curve: &Curve| {
        json!({
            "estimator": curve.name, "inner_steps_per_iteration": curve.inner_steps, "points": curve.points,
        })
    };
    report.result("meta_training", curves.iter().map(curve).collect());
    report.result("contests", outcomes.iter().map(summary).collect());
    Ok(report)
}

/// Returns the mean losses of the seeds: over all steps, and over the last tenth.
fn means(competitor: &Competitor) -> [Vec<f64>; 2] {
    let mean = |losses: &[f64]| losses.iter().sum::<f64>() / losses.len() as f64;
    let curves = &competitor.curves;
    let last = |curve: &Vec<f64>| mean(&curve[curve.len() - curve.len().div_ceil(10)..]);
    [curves.iter().map(|curve| mean(curve)).collect(), curves.iter().map(last).collect()]
}

fn summary(outcome: &Outcome) -> serde_json::Value {
    let competitor = |competitor: &Competitor| {
        let [all, last] = means(competitor);
        json!({
            "name": competitor.name,
            "rate": competitor.tuned.as_ref().map(|(rate, _)| rate),
            "grid": competitor.tuned.as_ref().map(|(_, grid)| grid),
            "mean_loss": all, "mean_loss_of_the_last_tenth": last,
            "median_curve": smooth(competitor).iter().map(|(_, values)| quantile(values, 0.5)).step_by(WINDOW).collect::<Vec<_>>(),
        })
    };
    let competitors: Vec<_> = outcome.competitors.iter().map(competitor).collect();
    json!({ "contest": outcome.contest, "about": outcome.about, "competitors": competitors })
}

/// Returns the moving average of each seed, with the step.
fn smooth(competitor: &Competitor) -> Vec<(usize, Vec<f64>)> {
    let steps = competitor.curves.first().map_or(0, Vec::len);
    let at = |step: usize| {
        let window = step.saturating_sub(WINDOW - 1)..step + 1;
        let count = window.len() as f64;
        let mean = |curve: &Vec<f64>| curve[window.clone()].iter().sum::<f64>() / count;
        (step + 1, competitor.curves.iter().map(mean).collect())
    };
    (0..steps).map(at).collect()
}

fn meta_training(settings: &Settings, curves: &[Curve]) -> LinePlot {
    let line = |curve: &Curve| {
        Line::new(curve.name.clone(), curve.points.iter().map(|point| (point.iteration as f64, point.loss)))
    };
    LinePlot::new(
        format!("a learned optimiser on {} held-out episodes, theta unperturbed", settings.episodes),
        "outer iterations",
        "mean loss of an inner step",
        curves.iter().map(line),
    )
}

fn race(outcome: &Outcome) -> LinePlot {
    let line = |competitor: &Competitor| {
        let values = smooth(competitor).into_iter().map(|(step, values)| (step as f64, values));
        Line::of_seeds(label(competitor), Summary::Median, values)
    };
    LinePlot::new(
        outcome.about.clone(),
        format!("inner steps (loss: moving average of {WINDOW})"),
        Axis::logarithmic("loss of a training minibatch"),
        outcome.competitors.iter().map(line),
    )
}

fn label(competitor: &Competitor) -> String {
    match &competitor.tuned {
        Some((rate, _)) => format!("{}, rate {rate}", competitor.name),
        None => competitor.name.clone(),
    }
}

fn rows(outcomes: &[Outcome]) -> Vec<[String; 4]> {
    let spread = |values: &[f64]| {
        if values.len() == 1 {
            return format!("{:.3}", values[0]);
        }
        let [least, most] = [0.0, 1.0].map(|part| quantile(values, part));
        format!("{:.3} ({least:.3} .. {most:.3})", median(values))
    };
    let mut rows = Vec::new();
    for outcome in outcomes {
        for competitor in &outcome.competitors {
            let [all, last] = means(competitor);
            rows.push([outcome.contest.clone(), label(competitor), spread(&all), spread(&last)]);
        }
    }
    rows
}
