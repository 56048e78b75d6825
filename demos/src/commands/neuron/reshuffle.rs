//! `fourfold neuron reshuffle`: what a new order of the inputs in the middle of an episode does.

use std::sync::Arc;

use clap::Args;
use serde_json::json;

use super::weights::{File, Network};
use crate::failure::Failure;
use crate::neuron::evaluation::{Order, Protocol, Scores};
use crate::options::Common;
use crate::picture::plot::{Axis, Line, LinePlot};
use crate::progress::Progress;
use crate::run::folder::{RunFolder, adapter_json};
use crate::table::table;

/// Score the attention neuron while its inputs are shuffled again and again within an episode, with its memory kept and
/// with the memory of its channels cleared at each shuffle
#[derive(Debug, Clone, Args)]
pub struct Arguments {
    #[command(flatten)]
    pub file: File,
    #[command(flatten)]
    pub network: Network,
    /// Steps between two shuffles
    #[arg(long, value_name = "STEPS", value_delimiter = ',', default_values_t = [25, 50, 100, 200, 500])]
    pub intervals: Vec<usize>,
    /// Episodes of each row
    #[arg(long, value_name = "COUNT", default_value_t = 1000)]
    pub episodes: usize,
}

/// Scores every interval and writes the report.
pub fn run(common: &Common, arguments: &Arguments) -> Result<(), Failure> {
    if let Some(interval) = arguments.intervals.iter().find(|interval| !(1..=1_000).contains(*interval)) {
        return Err(Failure::Input(format!("--intervals: expected 1 to 1000 steps, got {interval}")));
    }
    let network = arguments.network.description()?;
    let weights = arguments.file.load(&network)?;
    let episodes = if common.quick { arguments.episodes.min(50) } else { arguments.episodes };
    let gpu = common.open(false)?;
    let settings = json!({
        "weights": arguments.file.weights, "intervals": arguments.intervals, "episodes": episodes,
        "rows": network.rows, "key_bias": network.key_bias,
    });
    let folder = RunFolder::create(common, "neuron-reshuffle", &gpu, settings)?;
    let mut progress = Progress::new("reshuffle", 2 * arguments.intervals.len() as u64 + 1, common.quiet);
    let protocol = Protocol::plain(episodes, common.seed as u32);
    let mut score = |order| {
        let scores = Protocol { order, ..protocol }.scores(&gpu, Arc::new(network), &weights);
        progress.advance(1);
        scores
    };
    let never = score(Order::Plain)?;
    let mut rows: Vec<(usize, [Scores; 2])> = Vec::new();
    for &interval in &arguments.intervals {
        let kept = score(Order::Reshuffled { interval, forget: false })?;
        let cleared = score(Order::Reshuffled { interval, forget: true })?;
        rows.push((interval, [kept, cleared]));
    }
    progress.finish();

    let shown = |scores: &Scores| format!("{:.0} ± {:.0}", scores.mean(), scores.deviation());
    let mut cells: Vec<[String; 4]> = rows
        .iter()
        .map(|(interval, [kept, cleared])| {
            let gain = cleared.mean() - kept.mean();
            [interval.to_string(), shown(kept), shown(cleared), format!("{gain:+.0}")]
        })
        .collect();
    cells.push(["never".into(), shown(&never), String::new(), String::new()]);
    let header = ["shuffled every", "memory kept", "memory cleared", "gain"];
    let text = table(header, cells.clone());
    let note = format!(
        "Mean score and standard deviation over {episodes} episodes of the cart-pole swing-up, hard resets; the same\n\
         starts in every row, the standard error of a mean is up to {:.0}.",
        never.error().max(rows.iter().flat_map(|(_, row)| row).map(Scores::error).fold(0.0, f64::max))
    );
    let line = |name: &str, which: usize| Line {
        name: name.into(),
        points: rows.iter().map(|(interval, row)| (*interval as f64, row[which].mean())).collect(),
        band: rows.iter().map(|(_, row)| row[which].error()).collect(),
        ..Line::default()
    };
    let constant = arguments.intervals.iter().map(|&interval| (interval as f64, never.mean())).collect();
    let plot = LinePlot {
        title: "Score while the inputs are shuffled within the episode".into(),
        x: Axis { label: "steps between shuffles".into(), logarithmic: true, range: None },
        y: Axis { label: "mean score".into(), logarithmic: false, range: Some(0.0..never.mean()) },
        lines: vec![
            line("memory kept", 0),
            line("memory of the channels cleared", 1),
            Line { name: "never shuffled".into(), points: constant, ..Line::default() },
        ],
        ..LinePlot::default()
    };
    folder.write("reshuffle.png", &plot.png(900, 520)?)?;
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
    let results = json!({ "never": never.mean(), "rows": results, "adapter": adapter_json(gpu.info()) });
    folder.write_json("results.json", &results)?;
    let markdown: String = cells.iter().map(|row| format!("| {} |\n", row.join(" | "))).collect();
    let report = format!(
        "# Reshuffled inputs\n\n{note}\n\n| {} |\n|---|---|---|---|\n{markdown}\n![score by interval](reshuffle.png)\n\n\
         Adapter: {} ({}).\n",
        header.join(" | "),
        gpu.info().name,
        gpu.info().driver_info,
    );
    folder.write("report.md", report.as_bytes())?;
    println!("{text}\n\n{note}\n\nThe run is in {}", folder.path().display());
    Ok(())
}
