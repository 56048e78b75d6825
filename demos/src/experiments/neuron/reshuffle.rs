//! `fourfold neuron reshuffle`: the effect of shuffling the inputs in the middle of an episode.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::evaluation::{Order, Protocol, Scores};
use super::network::{File, Network};
use crate::experiment::Experiment;
use crate::failure::Failure;
use crate::limits;
use crate::picture::axis::Axis;
use crate::picture::plot::{Level, Line, LinePlot};
use crate::run::Run;
use crate::run::report::Report;

/// Score the attention neuron while its inputs are shuffled again and again within an episode, with its memory kept and
/// with the memory of its channels cleared at each shuffle
#[derive(Debug, Clone, PartialEq, Args, Serialize, Deserialize)]
pub struct Settings {
    #[command(flatten)]
    #[serde(flatten)]
    pub file: File,
    #[command(flatten)]
    #[serde(flatten)]
    pub network: Network,
    /// Steps between two shuffles
    #[arg(long, value_name = "STEPS", value_delimiter = ',', default_values_t = [25, 50, 100, 200, 500])]
    pub intervals: Vec<usize>,
    /// Episodes of each row
    #[arg(long, value_name = "COUNT", default_value_t = 1000)]
    pub episodes: usize,
}

impl Experiment for Settings {
    const NAME: &'static str = "neuron reshuffle";
    const SEEDS: Option<&'static str> = None;
    const QUICK: &'static [(&'static str, &'static str)] = &[("episodes", "50")];

    fn inputs(&self) -> Vec<PathBuf> {
        self.file.weights.iter().cloned().collect()
    }

    fn check(&self) -> Result<(), Failure> {
        limits::counts([("--episodes", self.episodes, 2..=10_000_000)])?;
        if let Some(interval) = self.intervals.iter().find(|interval| !(1..=1_000).contains(*interval)) {
            return Err(Failure::Input(format!("--intervals: expected 1 to 1000 steps, got {interval}")));
        }
        self.file.load(&self.network.description()?).map(drop)
    }

    fn run(&self, run: &mut Run) -> Result<Report, Failure> {
        let network = self.network.description()?;
        let weights = self.file.load(&network)?;
        let gpu = run.gpu();
        run.progress("reshuffle", 2 * self.intervals.len() as u64 + 1);
        let protocol = Protocol::plain(self.episodes, run.seed() as u32);
        let mut score = |name: String, order| {
            run.stage(&name, 1, |_| Protocol { order, ..protocol }.scores(&gpu, Arc::new(network), &weights))
        };
        let never = score("never".into(), Order::Plain)?;
        let mut rows: Vec<(usize, [Scores; 2])> = Vec::new();
        for (row, &interval) in self.intervals.iter().enumerate() {
            let kept = score(format!("{row} kept"), Order::Reshuffled { interval, forget: false })?;
            let cleared = score(format!("{row} cleared"), Order::Reshuffled { interval, forget: true })?;
            rows.push((interval, [kept, cleared]));
        }

        self.report(&never, &rows)
    }
}

impl Settings {
    fn report(&self, never: &Scores, rows: &[(usize, [Scores; 2])]) -> Result<Report, Failure> {
        let shown = |scores: &Scores| format!("{:.0} ± {:.0}", scores.mean(), scores.deviation());
        let mut cells: Vec<[String; 4]> = rows
            .iter()
            .map(|(interval, [kept, cleared])| {
                let gain = cleared.mean() - kept.mean();
                [interval.to_string(), shown(kept), shown(cleared), format!("{gain:+.0}")]
            })
            .collect();
        cells.push(["never".into(), shown(never), String::new(), String::new()]);
        let error = never.error().max(rows.iter().flat_map(|(_, row)| row).map(Scores::error).fold(0.0, f64::max));
        let line = |name: &str, which: usize| Line {
            band: rows
                .iter()
                .map(|(_, row)| (row[which].mean() - row[which].error(), row[which].mean() + row[which].error()))
                .collect(),
            ..Line::new(name, rows.iter().map(|(interval, row)| (*interval as f64, row[which].mean())))
        };
        let plot = LinePlot {
            levels: vec![Level::across("never shuffled", never.mean())],
            ..LinePlot::new(
                "Score while the inputs are shuffled within the episode",
                Axis::logarithmic("steps between shuffles"),
                Axis::within("mean score, with its standard error", 0.0..never.mean()),
                [line("memory kept", 0), line("memory cleared", 1)],
            )
        };
        let results: Vec<_> = rows
            .iter()
            .flat_map(|(interval, row)| {
                row.iter().zip([false, true]).map(move |(scores, cleared)| (interval, scores, cleared))
            })
            .map(|(interval, scores, cleared)| {
                json!({
                    "interval": interval, "memory_cleared": cleared, "mean": scores.mean(),
                    "deviation": scores.deviation(), "error": scores.error(), "steps": scores.length(),
                })
            })
            .collect();

        let mut report = Report::new("Reshuffled inputs");
        report.table(&["shuffled every", "memory kept", "memory cleared", "gain"], cells);
        report.paragraph(format!(
            "Mean score and standard deviation over {} episodes of the cart-pole swing-up, hard resets; the same starts in \
             every row, the standard error of a mean is up to {error:.0}.",
            self.episodes
        ));
        report.picture("reshuffle.png", "score by interval", plot.png(900, 520)?);
        report.result("never", json!(never.mean()));
        report.result("rows", json!(results));
        Ok(report)
    }
}
