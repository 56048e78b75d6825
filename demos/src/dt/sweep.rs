//! Target returns against achieved returns: a transformer plays for a sweep of target returns (figure 4 of Decision
//! Transformer).

use clap::Args;
use fourfold::Gpu;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::contender::{Contender, PLAYED, Sizes};
use super::control::{EVALUATION, Library, Source};
use super::data_set::DataSet;
use crate::failure::Failure;
use crate::options::Common;
use crate::picture::plot::{Axis, Line, LinePlot};
use crate::progress::Progress;
use crate::run::folder::RunFolder;
use crate::statistics::quantile;
use crate::table::table;

/// The settings of the experiment.
#[derive(Debug, Clone, PartialEq, Args, Serialize, Deserialize)]
pub struct Settings {
    /// The data sets, by the names that `fourfold dt control` has for them [default: pendulum-full-replay and
    /// cart-pole-swing-up-full-replay]
    #[arg(long = "data", value_name = "NAMES", value_delimiter = ',')]
    pub data: Vec<String>,
    /// Targets, evenly from the 5 % quantile of the data's returns to beyond the best of them
    #[arg(long, value_name = "COUNT", default_value_t = 12)]
    pub targets: usize,
    /// How many seeds are trained, from --seed on; the data are those of --seed
    #[arg(long, value_name = "COUNT", default_value_t = 2)]
    pub seeds: u32,
    /// Episodes of each data set of our own
    #[arg(long, value_name = "COUNT", default_value_t = 600)]
    pub episodes: usize,
    /// Episodes that each target is evaluated on, as one batch
    #[arg(long, value_name = "COUNT", default_value_t = 100)]
    pub evaluation: u32,
    #[command(flatten)]
    pub sizes: Sizes,
}

impl Settings {
    fn check(&self) -> Result<(), Failure> {
        self.sizes.check()?;
        Failure::check_counts([
            ("--targets", self.targets, 3..=1_000),
            ("--seeds", self.seeds as usize, 1..=100_000),
            ("--episodes", self.episodes, 1..=100_000),
            ("--evaluation", self.evaluation as usize, 1..=100_000),
        ])
    }

    fn sources(&self) -> Result<Vec<Source>, Failure> {
        let default = ["pendulum-full-replay".to_owned(), "cart-pole-swing-up-full-replay".to_owned()];
        let names = if self.data.is_empty() { &default[..] } else { &self.data[..] };
        names.iter().map(|name| Source::named(name)).collect()
    }

    /// The same with less of all, to see it work.
    fn quick(self) -> Self {
        let sizes = Sizes { width: 16, layers: 1, context: 5, batch: 16, steps: 30, ..self.sizes };
        let data = if self.data.is_empty() { vec!["pendulum-imitation".into()] } else { self.data };
        let (targets, episodes, evaluation) = (self.targets.min(4), self.episodes.min(40), self.evaluation.min(10));
        Self { data, targets, seeds: 1, episodes, evaluation, sizes }
    }
}

/// A sweep over the targets of one data set.
#[derive(Debug, Clone, Serialize)]
pub struct Sweep {
    pub data: String,
    pub targets: Vec<f64>,
    /// (seeds, targets): mean returns.
    pub achieved: Vec<Vec<f64>>,
    /// The highest return of an episode in the data, and its lower end: the 5 % quantile.
    pub best: f64,
    pub low: f64,
    /// The mean return of the expert, the best episode at most. Where starts decide much, as a pendulum's do, the best episode is
    /// one that began upright, and no policy returns as much on average.
    pub expert: f64,
    /// Pearson's correlation of target and achieved return (mean over the seeds), over the targets up to the best policy.
    pub correlation: f64,
    /// The same of each seed.
    pub correlations: Vec<f64>,
    /// Over the targets up to the best episode.
    pub correlation_to_best: f64,
    pub losses: Vec<f64>,
    pub seconds: Vec<f64>,
}

impl Sweep {
    /// Mean over the seeds, for each target.
    fn means(&self) -> Vec<f64> {
        let column =
            |index: usize| self.achieved.iter().map(|own| own[index]).sum::<f64>() / self.achieved.len() as f64;
        (0..self.targets.len()).map(column).collect()
    }

    /// The least and the highest of the seeds, for each target.
    fn extremes(&self) -> Vec<(f64, f64)> {
        let column = |index: usize| {
            let own = self.achieved.iter().map(|own| own[index]);
            (own.clone().fold(f64::INFINITY, f64::min), own.fold(f64::NEG_INFINITY, f64::max))
        };
        (0..self.targets.len()).map(column).collect()
    }
}

/// Pearson's correlation; 0 where either does not vary.
pub fn correlation(pairs: &[(f64, f64)]) -> f64 {
    let count = pairs.len() as f64;
    let (x, y) = pairs.iter().fold((0.0, 0.0), |sums, pair| (sums.0 + pair.0 / count, sums.1 + pair.1 / count));
    let moment = |f: fn(f64, f64) -> f64| pairs.iter().map(|pair| f(pair.0 - x, pair.1 - y)).sum::<f64>();
    let scale = (moment(|x, _| x * x) * moment(|_, y| y * y)).sqrt();
    if scale > 0.0 { moment(|x, y| x * y) / scale } else { 0.0 }
}

/// Targets from `low` to `best`, evenly, and a quarter as many beyond.
fn targets(low: f64, best: f64, count: usize) -> Vec<f64> {
    let within = (count * 4).div_ceil(5).max(2);
    let step = (best - low) / (within - 1) as f64;
    (0..count).map(|index| low + step * index as f64).collect()
}

/// Runs the experiment and writes its report.
///
/// # Errors
/// Settings that make no sense, a folder that cannot be written, or the loss of the device.
pub fn run(common: &Common, settings: &Settings) -> Result<(), Failure> {
    let settings = if common.quick { settings.clone().quick() } else { settings.clone() };
    settings.check()?;
    let sources = settings.sources()?;
    let gpu = common.open(false)?;
    let value = serde_json::to_value(&settings).map_err(Failure::run)?;
    let folder = RunFolder::create(common, "dt-sweep", &gpu, value)?;
    let mut library = Library::new(&gpu, common, settings.episodes);
    let sets = sources.into_iter().map(|source| library.open(source)).collect::<Result<Vec<_>, _>>()?;
    let each = settings.sizes.steps as u64 + PLAYED * settings.targets as u64;
    let total = each * u64::from(settings.seeds) * sets.len() as u64;
    let mut progress = Progress::new("sweep", total, common.quiet);
    let mut sweeps = Vec::new();
    for data in &sets {
        let sweep = sweep(&gpu, data, &settings, common.seed as u32, &mut progress)?;
        folder.write(&format!("{}.png", sweep.data), &picture(&sweep).png(820, 620)?)?;
        sweeps.push(sweep);
        folder.write_json("results.json", &json!(sweeps))?;
    }
    progress.finish();
    let summary = report(&folder, &settings, &sweeps, &gpu)?;
    crate::show!("{summary}\n\nThe run is in {}", folder.path().display());
    Ok(())
}

fn sweep(gpu: &Gpu, data: &DataSet, settings: &Settings, seed: u32, progress: &mut Progress) -> Result<Sweep, Failure> {
    let returns = data.trajectories.returns();
    let (low, best) = (quantile(&returns, 0.05), quantile(&returns, 1.0));
    let mut sweep = Sweep {
        data: data.name().to_owned(),
        targets: targets(low, best, settings.targets),
        achieved: Vec::new(),
        best,
        low,
        expert: data.expert.min(best),
        correlation: 0.0,
        correlations: Vec::new(),
        correlation_to_best: 0.0,
        losses: Vec::new(),
        seconds: Vec::new(),
    };
    let (mut all, mut correlations) = (Vec::new(), Vec::new());
    for number in 0..settings.seeds {
        let seed = seed.wrapping_add(number);
        let transformer = Contender::Transformer { short: false, delayed: false };
        let learner = transformer.train(gpu, data, &settings.sizes, seed, progress)?;
        let starts = [settings.evaluation, EVALUATION.wrapping_add(seed)];
        let played = learner.play(gpu, data, &sweep.targets, starts, progress)?;
        let achieved: Vec<f64> = played.iter().map(|own| own.iter().sum::<f64>() / own.len() as f64).collect();
        correlations.push(correlation(&up_to(&sweep.targets, &achieved, sweep.expert)));
        all.push(achieved);
        sweep.losses.push(learner.loss);
        sweep.seconds.push(learner.seconds);
    }
    sweep.achieved = all;
    sweep.correlations = correlations;
    let means = sweep.means();
    sweep.correlation = correlation(&up_to(&sweep.targets, &means, sweep.expert));
    sweep.correlation_to_best = correlation(&up_to(&sweep.targets, &means, best));
    Ok(sweep)
}

/// Targets that are at most `most`, each with what was achieved.
fn up_to(targets: &[f64], achieved: &[f64], most: f64) -> Vec<(f64, f64)> {
    let pairs = targets.iter().copied().zip(achieved.iter().copied());
    pairs.filter(|(target, _)| *target <= most + 1e-6 * most.abs()).collect()
}

/// Achieved against asked, with the line of equals and the best return of the data.
fn picture(sweep: &Sweep) -> LinePlot {
    let points = |values: Vec<f64>| sweep.targets.iter().copied().zip(values).collect::<Vec<_>>();
    let achieved =
        Line { name: "achieved".into(), points: points(sweep.means()), extremes: sweep.extremes(), ..Line::default() };
    let equal = Line { name: "y = x".into(), points: points(sweep.targets.clone()), ..Line::default() };
    // Upright lines at the best returns of the data, as high as the other two.
    let heights = sweep.targets.iter().copied().chain(sweep.achieved.iter().flatten().copied());
    let (least, most) =
        heights.fold((f64::INFINITY, f64::NEG_INFINITY), |(least, most), value| (least.min(value), most.max(value)));
    let upright =
        |name: &str, at: f64| Line { name: name.into(), points: vec![(at, least), (at, most)], ..Line::default() };
    LinePlot {
        title: format!("{}: return asked and achieved (r = {:.2})", sweep.data, sweep.correlation),
        x: Axis::new("target return"),
        y: Axis::new("mean return achieved"),
        lines: vec![
            achieved,
            equal,
            upright("best episode of the data", sweep.best),
            upright("expert, or best episode", sweep.expert),
        ],
        ..LinePlot::default()
    }
}

fn report(folder: &RunFolder, settings: &Settings, sweeps: &[Sweep], gpu: &Gpu) -> Result<String, Failure> {
    let mut text = String::from("# Return conditioning: what is asked and what is achieved\n\n");
    let mut summary = String::new();
    for sweep in sweeps {
        let rows: Vec<[String; 4]> = sweep
            .targets
            .iter()
            .zip(sweep.means())
            .zip(sweep.extremes())
            .map(|((target, mean), (least, most))| [target, &mean, &least, &most].map(|value| format!("{value:.1}")))
            .collect();
        let header = ["target", "achieved", "least seed", "best seed"];
        let each: Vec<String> = sweep.correlations.iter().map(|own| format!("{own:.3}")).collect();
        let facts = format!(
            "The data's returns reach from {:.1} (5 % quantile) to {:.1} (best episode); the expert's mean, or the best \
             episode where that is lower, is {:.1}. Pearson's r over the targets up to there: **{:.3}** of the mean over seeds, {} of each \
             seed; over the targets up to the best episode {:.3}.",
            sweep.low,
            sweep.best,
            sweep.expert,
            sweep.correlation,
            each.join(", "),
            sweep.correlation_to_best
        );
        let lines: String = rows.iter().map(|row| format!("| {} |\n", row.join(" | "))).collect();
        text += &format!(
            "## {}\n\n{facts}\n\n| {} |\n|---|---|---|---|\n{lines}\n![sweep]({}.png)\n\n",
            sweep.data,
            header.join(" | "),
            sweep.data
        );
        summary += &format!("{}: r = {:.3}\n{}\n\n", sweep.data, sweep.correlation, table(header, rows));
    }
    let sizes = &settings.sizes;
    text += &format!(
        "## Setting\n\n{} episodes for each target, played as one batch from the same starts; {} seeds. Transformer of \
         width {}, {} layers, K = {}, {}; {} steps of batch {} at rate {}. {} episodes of each data set of our own.\n\n\
         Adapter: {} ({}).\n",
        settings.evaluation,
        settings.seeds,
        sizes.width,
        sizes.layers,
        sizes.context,
        sizes.times_in_words(),
        sizes.steps,
        sizes.batch,
        sizes.rate,
        settings.episodes,
        gpu.info().name,
        gpu.info().driver_info
    );
    folder.write("report.md", text.as_bytes())?;
    Ok(summary.trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn correlations_are_those_of_closed_forms() {
        assert!((correlation(&[(0.0, 1.0), (1.0, 3.0), (2.0, 5.0)]) - 1.0).abs() < 1e-12);
        assert!((correlation(&[(0.0, 5.0), (1.0, 3.0), (2.0, 1.0)]) + 1.0).abs() < 1e-12);
        // Deviations (-1, 0, 1) and (-1/3, 2/3, -1/3).
        assert!(correlation(&[(0.0, 0.0), (1.0, 1.0), (2.0, 0.0)]).abs() < 1e-12);
        assert_eq!(correlation(&[(0.0, 1.0), (1.0, 1.0)]), 0.0);
    }

    #[test]
    fn targets_reach_from_the_low_end_of_the_data_to_beyond_its_best() {
        let targets = targets(-100.0, 0.0, 6);
        assert_eq!(targets, [-100.0, -75.0, -50.0, -25.0, 0.0, 25.0]);
    }
}
