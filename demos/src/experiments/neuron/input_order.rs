//! Orders in which a network meets its inputs, and the scores with each.

use serde_json::{Value, json};

use super::evaluation::Scores;
use crate::statistics::{extremes, median};

/// The order of inputs, or of the patches of a picture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum InputOrder {
    Plain,
    /// Another one in each episode.
    Shuffled,
    /// Another one every so many steps.
    Reshuffled(usize),
    /// Shuffled, and this share of them absent.
    Missing(f64),
}

impl InputOrder {
    /// Its name in a table.
    pub fn name(self) -> String {
        match self {
            Self::Plain => "in order".into(),
            Self::Shuffled => "shuffled".into(),
            Self::Reshuffled(interval) => format!("shuffled every {interval} steps"),
            Self::Missing(share) => format!("shuffled, {:.0} % missing", 100.0 * share),
        }
    }

    /// Steps between two shuffles within an episode.
    pub fn interval(self) -> Option<usize> {
        match self {
            Self::Reshuffled(interval) => Some(interval),
            _ => None,
        }
    }

    /// The row of a table: its name, the score, its median and range, the steps, and what the paper has.
    pub fn row(self, scores: &Scores, decimals: usize, paper: &str) -> [String; 6] {
        let (least, most) = extremes(&scores.returns);
        [
            self.name(),
            format!("{:.decimals$} ± {:.decimals$}", scores.mean(), scores.deviation()),
            format!("{:.decimals$}", median(&scores.returns)),
            format!("{least:.0} to {most:.0}"),
            format!("{:.0}", scores.length()),
            paper.to_owned(),
        ]
    }

    /// The entry of `results.json`, in which `inputs` names what is ordered.
    pub fn result(self, inputs: &str, scores: &Scores) -> Value {
        json!({
            inputs: self.name(), "mean": scores.mean(), "deviation": scores.deviation(),
            "median": median(&scores.returns), "returns": scores.returns, "steps": scores.lengths,
        })
    }
}
