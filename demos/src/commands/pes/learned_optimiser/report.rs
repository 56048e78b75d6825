//! The tables, the pictures and the files of a run with a learned optimiser.

use std::fmt::Write;

use fourfold::Gpu;
use serde_json::json;

use super::{Curve, Results};
use crate::failure::Failure;
use crate::pes::learned_optimiser::{Competitor, Grid, Outcome, Settings};
use crate::picture::plot::{Axis, Line, LinePlot};
use crate::run::folder::{RunFolder, adapter_json};
use crate::statistics::{median, quantile};
use crate::table::wide_table;

/// Steps of the moving average in plots: a single minibatch is mostly noise.
const WINDOW: usize = 25;

/// Writes `results.json`, `report.md` and the plots; returns the table for the terminal.
pub fn write(folder: &RunFolder, settings: &Settings, results: &Results, gpu: &Gpu) -> Result<String, Failure> {
    let mut pictures = Vec::new();
    if results.curves.iter().any(|curve| !curve.points.is_empty()) {
        folder.write("meta-training.png", &meta_training(settings, &results.curves).png(1_000, 600)?)?;
        pictures.push("meta-training.png".to_owned());
    }
    for outcome in &results.outcomes {
        let name = format!("{}.png", outcome.contest);
        folder.write(&name, &race(outcome).png(1_000, 600)?)?;
        pictures.push(name);
    }
    let curves: Vec<_> = results
        .curves
        .iter()
        .map(|curve| json!({ "estimator": curve.name, "inner_steps_per_iteration": curve.inner_steps, "points": curve.points }))
        .collect();
    let contests: Vec<_> = results.outcomes.iter().map(summary).collect();
    folder.write_json(
        "results.json",
        &json!({
            "meta_training": curves, "contests": contests,
            "training_seconds": results.seconds[0], "contests_seconds": results.seconds[1],
            "adapter": adapter_json(gpu.info()),
        }),
    )?;
    folder.write("report.md", markdown(settings, results, &pictures, gpu).as_bytes())?;
    let (header, rows) = table(results);
    Ok(format!(
        "Mean loss of a training step, median (least .. most) over seeds\n\n{}\n\nThe run is in {}",
        wide_table(&header, rows),
        folder.path().display()
    ))
}

/// Mean losses of the seeds: over all steps, and over the last tenth.
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
            "median_curve": smooth(competitor).into_iter().map(|(_, [_, median, _])| median).step_by(WINDOW).collect::<Vec<_>>(),
        })
    };
    let competitors: Vec<_> = outcome.competitors.iter().map(competitor).collect();
    json!({ "contest": outcome.contest, "about": outcome.about, "competitors": competitors })
}

/// Least, median and most over the seeds of the moving average, with the step.
fn smooth(competitor: &Competitor) -> Vec<(usize, [f64; 3])> {
    let steps = competitor.curves.first().map_or(0, Vec::len);
    let at = |step: usize| {
        let window = step.saturating_sub(WINDOW - 1)..step + 1;
        let count = window.len() as f64;
        let values: Vec<f64> =
            competitor.curves.iter().map(|curve| curve[window.clone()].iter().sum::<f64>() / count).collect();
        (step + 1, [0.0, 0.5, 1.0].map(|part| quantile(&values, part)))
    };
    (0..steps).map(at).collect()
}

fn meta_training(settings: &Settings, curves: &[Curve]) -> LinePlot {
    let line = |curve: &Curve| Line {
        name: curve.name.clone(),
        points: curve.points.iter().map(|point| (point.iteration as f64, point.loss)).collect(),
        ..Line::default()
    };
    LinePlot {
        title: format!("a learned optimiser on {} held-out episodes, theta unperturbed", settings.episodes),
        x: Axis::new("outer iterations"),
        y: Axis::new("mean loss of an inner step"),
        lines: curves.iter().map(line).collect(),
        ..LinePlot::default()
    }
}

fn race(outcome: &Outcome) -> LinePlot {
    let line = |competitor: &Competitor| {
        let smooth = smooth(competitor);
        Line {
            name: label(competitor),
            points: smooth.iter().map(|&(step, [_, median, _])| (step as f64, median)).collect(),
            extremes: smooth.iter().map(|&(_, [least, _, most])| (least, most)).collect(),
            ..Line::default()
        }
    };
    LinePlot {
        title: outcome.about.clone(),
        x: Axis::new(&format!("inner steps (loss: moving average of {WINDOW})")),
        y: Axis { logarithmic: true, ..Axis::new("loss of a training minibatch") },
        lines: outcome.competitors.iter().map(line).collect(),
        ..LinePlot::default()
    }
}

fn label(competitor: &Competitor) -> String {
    match &competitor.tuned {
        Some((rate, _)) => format!("{}, rate {rate}", competitor.name),
        None => competitor.name.clone(),
    }
}

fn table(results: &Results) -> (Vec<&'static str>, Vec<Vec<String>>) {
    let spread = |values: &[f64]| {
        let [least, most] = [0.0, 1.0].map(|part| quantile(values, part));
        format!("{:.3} ({least:.3} .. {most:.3})", median(values))
    };
    let mut rows = Vec::new();
    for outcome in &results.outcomes {
        for competitor in &outcome.competitors {
            let [all, last] = means(competitor);
            rows.push(vec![outcome.contest.clone(), label(competitor), spread(&all), spread(&last)]);
        }
    }
    (vec!["contest", "optimiser", "all steps", "last tenth"], rows)
}

fn markdown(settings: &Settings, results: &Results, pictures: &[String], gpu: &Gpu) -> String {
    let mut text = String::from("# A learned optimiser: PES against truncated ES, beside tuned SGD and Adam\n\n");
    let Settings { hidden, direction, horizon, truncation, particles, chunks, sigma, rate, beta1, iterations, .. } =
        settings;
    let count = settings.optimiser().parameters();
    let _ = writeln!(
        text,
        "A perceptron with {hidden} hidden units ({count} outer parameters) turns gradient, weight, averages of gradients and \
         the step into the next step of each weight: `w -= {direction} d exp(1e-3 a)`. It begins with an output of 0, so \
         that it does nothing, and is trained on perceptrons {} by minibatches of {} images: T {horizon}, K {truncation}, \
         {particles} particles{}, sigma {sigma}, Adam at {rate} with beta1 {beta1}, {iterations} outer \
         iterations of either estimator, seed {}. The loss of a step is the cross-entropy of its minibatch before the \
         step, cut off at 3 ln 10.\n",
        if settings.digits_alone {
            "64-32-10 on the embedded digits"
        } else {
            "64-32-10 on Fashion-MNIST, averaged to 8x8"
        },
        settings.batch,
        if *chunks > 1 { format!(" in {chunks} chunks at different inner times") } else { String::new() },
        settings.seed,
    );
    if !results.curves.is_empty() {
        let _ = writeln!(
            text,
            "## Meta-training\n\nMean loss of an inner step over {} held-out episodes of {horizon} steps, theta unperturbed.\n\n\
             | outer iterations | {} |\n| --- | {} |",
            settings.episodes,
            results.curves.iter().map(|curve| curve.name.as_str()).collect::<Vec<_>>().join(" | "),
            vec!["---"; results.curves.len()].join(" | "),
        );
        let points = results.curves.iter().map(|curve| curve.points.len()).min().unwrap_or(0);
        let shown = (0..points).filter(|index| index.is_multiple_of(5) || index + 1 == points);
        for index in shown {
            let losses: Vec<_> =
                results.curves.iter().map(|curve| format!("{:.3}", curve.points[index].loss)).collect();
            let _ = writeln!(text, "| {} | {} |", results.curves[0].points[index].iteration, losses.join(" | "));
        }
        text += "\n";
    }
    let _ = writeln!(
        text,
        "## Contests\n\nMean loss over all steps and over the last tenth of them: median (least .. most) over {} seeds, the same \
         initial weights and minibatches for all. SGD and Adam have the rate with the least mean loss over all steps in \
         two further episodes; the learned optimisers are as they were trained.\n",
        settings.seeds
    );
    for outcome in &results.outcomes {
        let _ = writeln!(text, "* {}: {}", outcome.contest, outcome.about);
    }
    let (header, rows) = table(results);
    let _ = writeln!(text, "\n| {} |\n| {} |", header.join(" | "), vec!["---"; header.len()].join(" | "));
    for row in rows {
        let _ = writeln!(text, "| {} |", row.join(" | "));
    }
    text += "\n";
    for Grid { name, rates, .. } in Grid::ALL {
        let rates: Vec<_> = rates.iter().map(f64::to_string).collect();
        let _ = writeln!(text, "Rates of {name}: {}.\n", rates.join(", "));
    }
    for picture in pictures {
        let _ = writeln!(text, "![{}]({picture})\n", picture.trim_end_matches(".png"));
    }
    let info = gpu.info();
    let [trained, competed] = results.seconds;
    let _ = writeln!(
        text,
        "Training took {trained:.0} s for both estimators together, evaluations included, and the contests {competed:.0} s. \
         Adapter: {} ({}, {}).",
        info.name, info.backend, info.driver_info
    );
    text
}
