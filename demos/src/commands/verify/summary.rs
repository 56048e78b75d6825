//! The rows of each kernel in one.

use serde_json::{Value, json};

use super::row::{Kind, Row};
use crate::table::table;

/// The outcome of one kernel.
#[derive(Debug, Clone)]
pub struct Summary {
    pub kernel: String,
    pub cases: u32,
    pub failed: u32,
    /// The row with the worst outcome, or with the largest error among equals.
    pub worst: Row,
    /// The failure is in the list of those that are known.
    pub known: bool,
    /// The number after that of the last case.
    pub next: u32,
    /// No case after the last one is run.
    pub is_over: bool,
}

/// Sums up rows by kernel, in the order in which kernels first occur.
pub fn summarise(rows: &[Row]) -> Vec<Summary> {
    let mut summaries = Vec::new();
    rows.iter().for_each(|row| record(&mut summaries, row));
    summaries
}

/// Adds a row to the summary of its kernel.
pub fn record(summaries: &mut Vec<Summary>, row: &Row) {
    match summaries.iter_mut().rev().find(|summary| summary.kernel == row.kernel) {
        Some(summary) => summary.add(row),
        None => {
            let (kernel, worst) = (row.kernel.clone(), row.clone());
            let mut summary = Summary { kernel, cases: 0, failed: 0, worst, known: false, next: 0, is_over: false };
            summary.add(row);
            summaries.push(summary);
        }
    }
}

impl Summary {
    fn add(&mut self, row: &Row) {
        self.cases += 1;
        self.failed += u32::from(row.outcome.failed());
        self.next = row.case + 1;
        self.is_over = row.outcome.ends_the_kernel() || row.outcome == Kind::Skipped;
        let ((kind, error), (worst, largest)) = (row.severity(), self.worst.severity());
        if kind > worst || kind == worst && error > largest {
            self.worst = row.clone();
        }
    }

    /// The outcome of the kernel in a word or two.
    pub fn verdict(&self) -> String {
        let verdict = match self.worst.outcome {
            Kind::Right => "right".to_owned(),
            Kind::Skipped => format!("not run: {}", self.worst.message.as_deref().unwrap_or_default()),
            Kind::Wrong | Kind::Refused => {
                format!("{} in {}", self.worst.outcome.to_string().to_uppercase(), self.failed)
            }
            kind => kind.to_string().to_uppercase(),
        };
        if self.known { format!("{verdict}, as known") } else { verdict }
    }

    fn cells(&self) -> [String; 8] {
        let mut row = [const { String::new() }; 8];
        row[0] = self.kernel.clone();
        row[1] = self.cases.to_string();
        if let Some(comparison) = &self.worst.comparison {
            row[2] = format!("{:.3}", comparison.error_over_bound.0);
            row[3] = match comparison.bound.0 {
                0.0 => "same bits".to_owned(),
                bound => format!("{bound:.1e}"),
            };
            row[4] = format!("{:.5e}", comparison.expected.0);
            row[5] = format!("{:.5e}", comparison.got.0);
        }
        row[6] = self.worst.case.to_string();
        row[7] = self.verdict();
        row
    }

    /// The summary as JSON. The wall time of its worst case is left out: the rest is the same in every run.
    pub fn json(&self) -> Value {
        json!({
            "kernel": self.kernel,
            "cases": self.cases,
            "failed": self.failed,
            "outcome": self.worst.outcome,
            "known": self.known,
            "verdict": self.verdict(),
            "worst": Row { seconds: None, ..self.worst.clone() },
        })
    }
}

/// The table for the terminal.
pub fn print(summaries: &[Summary]) -> String {
    let header = ["kernel", "cases", "error / bound", "bound", "twin", "kernel's", "in case", "verdict"];
    table(header, summaries.iter().map(Summary::cells))
}

#[cfg(test)]
mod tests {
    use super::super::row::{Comparison, Number};
    use super::*;

    fn row(case: u32, error: f64) -> Row {
        let outcome = if error <= 1.0 { Kind::Right } else { Kind::Wrong };
        let comparison = Comparison {
            error_over_bound: Number(error),
            bound: Number(1e-6),
            binding: "y".into(),
            index: 0,
            expected: Number(1.0),
            got: Number(1.0),
            wrong: 0,
            of: 1,
            pattern: String::new(),
            coordinates: Vec::new(),
            wrote_outside: None,
            unstable: None,
        };
        Row { comparison: Some(comparison), message: None, ..Row::of("k", case, outcome, "") }
    }

    #[test]
    fn the_worst_case_is_kept_and_failures_are_counted() {
        let summary = &summarise(&[row(0, 0.2), row(1, 3.0), row(2, 0.9)])[0];
        assert_eq!((summary.cases, summary.failed, summary.worst.case), (3, 1, 1));
        assert_eq!(summary.verdict(), "WRONG in 1");
        assert_eq!(summary.json()["worst"]["comparison"]["error_over_bound"], 3.0);
    }

    #[test]
    fn a_crash_is_worse_than_any_wrong_number_and_infinity_is_no_null() {
        let rows = [row(0, f64::INFINITY), Row::of("k", 1, Kind::Crashed, "signal")];
        assert_eq!(summarise(&rows[..1])[0].json()["worst"]["comparison"]["error_over_bound"], "inf");
        assert_eq!(summarise(&rows)[0].verdict(), "CRASHED");
    }
}
