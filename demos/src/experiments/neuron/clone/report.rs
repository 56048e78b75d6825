//! The report of finished clonings.

use serde::Serialize;
use serde_json::json;

use super::{Cloned, Pass, Row, Settings};
use crate::failure::Failure;
use crate::picture::axis::Axis;
use crate::picture::plot::{Level, Line, LinePlot};
use crate::run::report::Report;

/// Describes the clonings.
pub(super) fn report(settings: &Settings, cloned: &[Cloned]) -> Result<Report, Failure> {
    let summaries: Vec<Vec<Summary>> = cloned.iter().map(Cloned::summaries).collect();
    let Settings { episodes, trajectories, steps, window, passes, .. } = settings;
    let mut report = Report::new("An attention neuron cloned from a perceptron");
    report.paragraph(format!(
        "Cart-pole swing-up from hard starts: mean score and its standard error over {episodes} episodes each, the share \
         above 600, and the mean steps of an episode."
    ));
    for (cloned, summaries) in cloned.iter().zip(&summaries) {
        report.heading(format!("Seed {}", cloned.seed));
        report.table(
            &["policy", "score", "above 600", "steps"],
            summaries.iter().map(|row| {
                [
                    row.policy.to_owned(),
                    format!("{:.0} ± {:.0}", row.mean, row.standard_error),
                    format!("{:.1} %", 100.0 * row.above_600),
                    format!("{:.0}", row.mean_steps),
                ]
            }),
        );
        report.paragraph(format!(
            "The student's actions differ from the teacher's by {:.4} in mean square over the last pass.",
            cloned.passes.last().map_or(f64::NAN, |pass| pass.loss)
        ));
    }
    report.paragraph(format!(
        "The student learnt from {trajectories} episodes of {steps} steps in each of {passes} passes, by Adam through \
         windows of {window} steps."
    ));
    report.picture("loss.png", "loss", losses(cloned).png(900, 520)?);
    report.picture("score.png", "score", scores(cloned, &summaries[0]).png(900, 520)?);
    report.result("scores", json!(summaries.concat()));
    let passes: Vec<_> = cloned.iter().map(|cloned| json!({ "seed": cloned.seed, "passes": cloned.passes })).collect();
    report.result("passes", json!(passes));
    Ok(report)
}

/// One row of the table.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Summary {
    seed: u32,
    policy: &'static str,
    mean: f64,
    deviation: f64,
    standard_error: f64,
    /// The share of episodes with a score above 600.
    above_600: f64,
    mean_steps: f64,
}

impl Cloned {
    fn summaries(&self) -> Vec<Summary> {
        let summary = |Row { policy, scores }: &Row| Summary {
            seed: self.seed,
            policy,
            mean: scores.mean(),
            deviation: scores.deviation(),
            standard_error: scores.error(),
            above_600: scores.above(600.0),
            mean_steps: scores.length(),
        };
        self.rows.iter().map(summary).collect()
    }

    /// A line of the learning curve.
    fn line(&self, name: &str, value: impl Fn(&Pass) -> f64) -> Line {
        let points = self.passes.iter().map(|pass| (pass.pass as f64, value(pass)));
        Line::new(format!("{name}, seed {}", self.seed), points)
    }
}

fn losses(cloned: &[Cloned]) -> LinePlot {
    LinePlot::new(
        "Mean squared difference from the teacher's actions",
        "pass",
        Axis::logarithmic("loss"),
        cloned.iter().map(|cloned| cloned.line("student", |pass| pass.loss)),
    )
}

/// The students' scores as they learn, beside those of the first teacher.
fn scores(cloned: &[Cloned], rows: &[Summary]) -> LinePlot {
    let level = |policy: &str| rows.iter().find(|row| row.policy == policy).map(|row| Level::across(policy, row.mean));
    let students = cloned.iter().map(|cloned| cloned.line("student, inputs shuffled", |pass| pass.score));
    LinePlot {
        levels: ["teacher", "teacher, inputs shuffled"].into_iter().filter_map(level).collect(),
        ..LinePlot::new("Mean score from hard starts", "pass", "score", students)
    }
}
