//! The rounds of a course in a report.

use super::course::Imitated;
use crate::picture::axis::Axis;
use crate::picture::plot::{Line, LinePlot};
use crate::run::report::Report;

/// Adds the rounds as a table.
pub fn table(report: &mut Report, imitated: &Imitated) {
    report.paragraph(
        "The rounds: what the student had learnt from, the loss of its last updates, and its mean score where it drove alone. \
         The network of the best round is kept.",
    );
    let number = |number: Option<f64>, decimals: usize| number.map_or(String::new(), |x| format!("{x:.decimals$}"));
    report.table(
        &["round", "samples", "loss", "score"],
        imitated.rounds.iter().enumerate().map(|(index, row)| {
            let before = index.checked_sub(1).map_or(0, |before| imitated.rounds[before].samples);
            let kept = if row.round == imitated.best && row.score.is_some() { " (kept)" } else { "" };
            [row.round.to_string(), before.to_string(), number(row.loss, 4), number(row.score, 1) + kept]
        }),
    );
}

/// The score by round.
pub fn curve(imitated: &Imitated, score: &str) -> LinePlot {
    let points = imitated.rounds.iter().filter_map(|row| Some((row.round as f64, row.score?)));
    LinePlot {
        title: "The student alone".into(),
        x: Axis::new("round"),
        y: Axis::new(score),
        lines: vec![Line::new("student", points)],
        levels: Vec::new(),
    }
}
