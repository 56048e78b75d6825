//! The table of scores under shuffled, duplicated and noisy inputs, and the report.

use std::sync::Arc;

use fourfold::Gpu;
use fourfold::rollout::environments::CartPoleSwingUp;
use fourfold::shaders::rollout::policies::AttentionNeuron;
use serde_json::json;

use super::search::{Finished, NEURON, PERCEPTRON};
use crate::experiments::neuron::evaluation::{Order, Protocol, Scores};
use crate::experiments::neuron::recipe;
use crate::experiments::neuron::training::{Point, Record};
use crate::failure::Failure;
use crate::picture::axis::Axis;
use crate::picture::plot::{Line, LinePlot};
use crate::run::report::Report;

/// Seeds of the episodes of the table: no training and no choice between weights has seen them.
const TEST_SEED: u32 = 0x7E57_0000;

/// A row of the table.
pub(super) struct Row {
    policy: &'static str,
    inputs: &'static str,
    scores: Scores,
}

/// The attention neuron through every protocol: plain, shuffled, ten inputs, five channels of noise, easy resets.
pub(super) fn neuron_rows(
    gpu: &Gpu,
    network: AttentionNeuron,
    weights: &[f32],
    episodes: usize,
    seed: u32,
) -> Result<Vec<Row>, Failure> {
    let plain = Protocol::plain(episodes, TEST_SEED.wrapping_add(seed));
    let shuffled = Protocol { order: Order::Shuffled, ..plain };
    // Duplicates double every sum over channels; half of it, before the tanh, is the message of five.
    let halved = AttentionNeuron { factor: 0.5 * network.factor, ..network };
    let easy = Protocol { world: CartPoleSwingUp { easy: true }, ..plain };
    let protocols = [
        ("5", network, plain),
        ("5, shuffled", network, shuffled),
        ("10 (each twice), shuffled", halved, Protocol { copies: 2, ..shuffled }),
        ("5 and 5 of noise, shuffled", network, Protocol { noise_channels: 5, ..shuffled }),
        ("5, easy resets", network, easy),
    ];
    let row = |(inputs, network, protocol): (&'static str, AttentionNeuron, Protocol)| {
        let scores = protocol.scores(gpu, Arc::new(network), weights)?;
        Ok(Row { policy: NEURON, inputs, scores })
    };
    protocols.into_iter().map(row).collect()
}

/// The perceptron through the protocols that it can take at all.
pub(super) fn perceptron_rows(gpu: &Gpu, weights: &[f32], episodes: usize, seed: u32) -> Result<Vec<Row>, Failure> {
    let plain = Protocol::plain(episodes, TEST_SEED.wrapping_add(seed));
    let protocols = [("5", plain), ("5, shuffled", Protocol { order: Order::Shuffled, ..plain })];
    let row = |(inputs, protocol): (&'static str, Protocol)| {
        let scores = protocol.scores(gpu, recipe::perceptron().policy(), weights)?;
        Ok(Row { policy: PERCEPTRON, inputs, scores })
    };
    protocols.into_iter().map(row).collect()
}

/// Describes the trainings and the table.
pub(super) fn report(episodes: usize, rows: &[Row], trainings: &str) -> Report {
    let mut report = Report::new("The attention neuron on the cart-pole swing-up");
    report.paragraph(trainings);
    report.table(
        &["policy and inputs", "score", "above 600", "steps"],
        rows.iter().map(|Row { policy, inputs, scores }| {
            [
                format!("{policy}, {inputs}"),
                format!("{:.0} ± {:.0}", scores.mean(), scores.error()),
                format!("{:.1} %", 100.0 * scores.above(600.0)),
                format!("{:.0}", scores.length()),
            ]
        }),
    );
    report.paragraph(format!(
        "Mean score and its standard error over {episodes} episodes of the cart-pole swing-up (hard resets unless it says \
         easy; the same starts in every row of the same resets), the share above 600, and the mean steps of an episode. About a third of the hard starts leave the track whatever one does."
    ));
    let results: Vec<_> = rows
        .iter()
        .map(|Row { policy, inputs, scores }| {
            json!({
                "policy": policy, "inputs": inputs, "mean": scores.mean(), "deviation": scores.deviation(),
                "error": scores.error(), "above_600": scores.above(600.0), "steps": scores.length(),
            })
        })
        .collect();
    report.result("rows", json!(results));
    report
}

/// Draws the learning curves.
pub(super) fn learning(finished: &[Finished]) -> LinePlot {
    let records = || finished.iter().flat_map(|finished| &finished.records);
    let validations = |record: &Record| record.curve.iter().filter(|point| point.validation.is_some()).count();
    // A short training is validated at its end alone.
    let (title, value): (_, fn(&Point) -> Option<f64>) = match records().any(|record| validations(record) > 1) {
        true => ("Score of the centre while it learns (500 validation episodes)", |point| point.validation),
        false => ("Mean score of the population while it learns", |point| Some(point.population)),
    };
    let lines = finished.iter().flat_map(|finished| curves(finished, value));
    LinePlot::new(title, "environment steps", Axis::within("mean score", 0.0..600.0), lines)
}

/// Returns a line for each try of a training.
fn curves(finished: &Finished, value: fn(&Point) -> Option<f64>) -> Vec<Line> {
    let line = |(number, record): (usize, &Record)| {
        Line::new(
            format!("{}, try {}", finished.name, number + 1),
            record.curve.iter().filter_map(|point| Some((point.steps as f64, value(point)?))),
        )
    };
    finished.records.iter().enumerate().map(line).collect()
}
