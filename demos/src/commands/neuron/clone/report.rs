//! The table, the pictures and the files of a finished cloning.

use fourfold::Gpu;
use serde::Serialize;
use serde_json::json;

use super::{Pass, Row, Settings};
use crate::failure::Failure;
use crate::picture::plot::{Axis, Line, LinePlot};
use crate::run::folder::{RunFolder, adapter_json};
use crate::table::table;

/// Writes `metrics.jsonl`, `results.json`, `report.md`, `loss.png` and `score.png`; returns the table for the terminal.
pub(super) fn write(
    folder: &RunFolder,
    settings: &Settings,
    passes: &[Pass],
    rows: &[Row],
    gpu: &Gpu,
) -> Result<String, Failure> {
    let summaries: Vec<Summary> = rows.iter().map(Summary::new).collect();
    let cells = summaries.iter().map(|row| {
        [
            row.policy.to_owned(),
            format!("{:.0}", row.mean),
            format!("{:.0}", row.deviation),
            format!("{:.1}", row.standard_error),
            format!("{:.1}", 100.0 * row.above_600),
            format!("{:.0}", row.mean_steps),
        ]
    });
    let header = ["policy", "mean score", "deviation", "standard error", "% above 600", "mean steps"];
    let Settings { episodes, trajectories, steps, window, .. } = settings;
    let summary = format!(
        "Cart-pole swing-up from hard starts, {episodes} episodes each\n\n{}\n\nThe student learnt from {trajectories} \
         episodes of {steps} steps in each of {} passes, by Adam through windows of {window} steps, on {}.\nIts actions differ \
         from the teacher's by {:.4} in mean square over the last pass.",
        table(header, cells),
        passes.len(),
        gpu.info().name,
        passes.last().map_or(f64::NAN, |pass| pass.loss),
    );
    let lines = passes.iter().map(serde_json::to_value).collect::<Result<Vec<_>, _>>().map_err(Failure::run)?;
    folder.write_json_lines("metrics.jsonl", &lines)?;
    let results = json!({
        "settings": settings, "scores": summaries, "passes": passes, "adapter": adapter_json(gpu.info()),
    });
    folder.write_json("results.json", &results)?;
    folder.write("loss.png", &losses(passes).png(900, 520)?)?;
    folder.write("score.png", &scores(passes, &summaries).png(900, 520)?)?;
    let text = format!(
        "# An attention neuron cloned from a perceptron\n\n```text\n{summary}\n```\n\n![loss](loss.png)\n\n![score](score.png)\n"
    );
    folder.write("report.md", text.as_bytes())?;
    Ok(format!("{summary}\n\n{}", folder.path().display()))
}

/// One row of the table.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Summary {
    policy: &'static str,
    mean: f64,
    deviation: f64,
    standard_error: f64,
    /// The share of episodes with a score above 600.
    above_600: f64,
    mean_steps: f64,
}

impl Summary {
    fn new(Row { policy, scores }: &Row) -> Self {
        Self {
            policy,
            mean: scores.mean(),
            deviation: scores.deviation(),
            standard_error: scores.error(),
            above_600: scores.above(600.0),
            mean_steps: scores.length(),
        }
    }
}

fn losses(passes: &[Pass]) -> LinePlot {
    let points = passes.iter().map(|pass| (pass.pass as f64, pass.loss)).collect();
    LinePlot {
        title: "Mean squared difference from the teacher's actions".into(),
        x: Axis::new("pass"),
        y: Axis { logarithmic: true, ..Axis::new("loss") },
        lines: vec![Line { points, ..Line::default() }],
        ..LinePlot::default()
    }
}

/// The student's score as it learns, beside those of the teacher.
fn scores(passes: &[Pass], rows: &[Summary]) -> LinePlot {
    let last = passes.len().max(2) as f64;
    let level = |policy: &str| {
        let mean = rows.iter().find(|row| row.policy == policy).map_or(f64::NAN, |row| row.mean);
        Line { name: policy.into(), points: vec![(1.0, mean), (last, mean)], ..Line::default() }
    };
    let points = passes.iter().map(|pass| (pass.pass as f64, pass.score)).collect();
    LinePlot {
        title: "Mean score from hard starts".into(),
        x: Axis::new("pass"),
        y: Axis::new("score"),
        lines: vec![
            Line { name: "student, inputs shuffled".into(), points, ..Line::default() },
            level("teacher"),
            level("teacher, inputs shuffled"),
        ],
        ..LinePlot::default()
    }
}
