//! `fourfold neuron train`: evolution of the attention neuron and of a perceptron, and the table of what shuffled,
//! duplicated and noisy inputs do to them.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use clap::Args;
use fourfold::Gpu;
use fourfold::data::{Checkpoint, file, load_flat_vector};
use fourfold::rollout::Policy;
use fourfold::rollout::environments::CartPoleSwingUp;
use fourfold::shaders::Data;
use fourfold::shaders::rollout::policies::AttentionNeuron;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::weights::Network;
use crate::failure::Failure;
use crate::neuron::evaluation::{OBSERVATIONS, Order, Protocol, Scores};
use crate::neuron::recipe;
use crate::neuron::training::{Recipe, Record, StrategyName, Training};
use crate::options::Common;
use crate::picture::plot::{Axis, Line, LinePlot};
use crate::progress::Progress;
use crate::run::folder::{CONFIGURATION, RunFolder, adapter_json};
use crate::table::table;

/// Train the attention neuron and a perceptron on the cart-pole swing-up, inputs never shuffled; then score both over
/// many episodes with inputs shuffled, duplicated, and among channels of noise
#[derive(Debug, Clone, Args)]
pub struct Arguments {
    /// Train nothing: score these weights, one flat vector in the published order (npz, npy or safetensors)
    #[arg(long, value_name = "FILE", conflicts_with_all = ["resume", "steps", "strategy"])]
    pub weights: Option<PathBuf>,
    /// The name of the tensor in that file, where it holds several
    #[arg(long, value_name = "NAME", requires = "weights")]
    pub tensor: Option<String>,
    #[command(flatten)]
    pub network: Network,
    /// Environment steps of each training, about
    #[arg(long, allow_negative_numbers = true, value_name = "COUNT", default_value_t = 1e9)]
    pub steps: f64,
    /// This strategy instead of the recipe's, CMA-ES
    #[arg(long, value_enum)]
    pub strategy: Option<StrategyName>,
    /// Members of the population, with --strategy
    #[arg(long, value_name = "COUNT", requires = "strategy")]
    pub members: Option<usize>,
    /// Episodes of each member in a generation, with --strategy
    #[arg(long, value_name = "COUNT", requires = "strategy")]
    pub episodes: Option<usize>,
    /// Standard deviation of the perturbations, with --strategy
    #[arg(long, allow_negative_numbers = true, requires = "strategy")]
    pub deviation: Option<f32>,
    /// Rate of Adam on the centre, with --strategy
    #[arg(long, allow_negative_numbers = true, requires = "strategy")]
    pub rate: Option<f32>,
    /// Searches with seeds of their own, of which the best goes on after --trial steps
    #[arg(long, value_name = "COUNT", default_value_t = 4)]
    pub tries: usize,
    /// Environment steps of each try; whether a search gets far shows early
    #[arg(long, allow_negative_numbers = true, value_name = "COUNT", default_value_t = 2.5e8)]
    pub trial: f64,
    /// Train the attention neuron alone
    #[arg(long)]
    pub alone: bool,
    /// Episodes of each cell of the table
    #[arg(long, value_name = "COUNT", default_value_t = 1000)]
    pub test_episodes: usize,
    /// Go on with the run in this folder, to the same bits; its settings are those that it began with
    #[arg(long, value_name = "FOLDER")]
    pub resume: Option<PathBuf>,
}

/// What decides a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Settings {
    rows: usize,
    key_bias: bool,
    seed: u32,
    recipe: Recipe,
    tries: usize,
    trial: f64,
    alone: bool,
    test_episodes: usize,
}

impl Settings {
    fn new(common: &Common, arguments: &Arguments) -> Result<Self, Failure> {
        let steps = if common.quick { arguments.steps.min(3e6) } else { arguments.steps };
        if !(1.0..=1e15).contains(&steps) {
            return Err(Failure::Input(format!("--steps: expected 1 to 1e15 steps, got {steps}")));
        }
        if !(1..=100).contains(&arguments.tries) {
            return Err(Failure::Input(format!("--tries: expected 1 to 100, got {}", arguments.tries)));
        }
        if !(1.0..=1e15).contains(&arguments.trial) {
            return Err(Failure::Input(format!("--trial: expected 1 to 1e15 steps, got {}", arguments.trial)));
        }
        let standard = recipe::recipe(steps);
        let recipe = Recipe {
            strategy: arguments.strategy.unwrap_or(standard.strategy),
            members: arguments.members.unwrap_or(standard.members),
            episodes: arguments.episodes.unwrap_or(standard.episodes),
            deviation: arguments.deviation.unwrap_or(standard.deviation),
            rate: arguments.rate.unwrap_or(standard.rate),
            ..standard
        };
        Ok(Self {
            rows: arguments.network.rows,
            key_bias: arguments.network.key_bias,
            seed: common.seed as u32,
            recipe,
            tries: if common.quick { arguments.tries.min(2) } else { arguments.tries },
            trial: if common.quick { arguments.trial.min(1e6) } else { arguments.trial },
            alone: arguments.alone,
            test_episodes: if common.quick { arguments.test_episodes.min(100) } else { arguments.test_episodes },
        })
    }

    fn network(&self) -> Result<AttentionNeuron, Failure> {
        Network { rows: self.rows, key_bias: self.key_bias }.description()
    }

    /// The policies that are trained, by name, with the first weights of a try.
    fn policies(&self, try_number: usize) -> Result<Vec<Contender>, Failure> {
        let network = self.network()?;
        let neuron: Arc<dyn Policy> = Arc::new(network);
        let mut policies = vec![(NEURON, neuron, recipe::initial(&network, self.seed + try_number as u32))];
        if !self.alone {
            let perceptron = recipe::perceptron();
            let interface = fourfold::rollout::Interface { inputs: OBSERVATIONS, actions: 1 };
            let count = perceptron.weights(interface);
            policies.push((PERCEPTRON, perceptron, (vec![0.0; count], (0..count).collect())));
        }
        Ok(policies)
    }
}

/// A policy by name, with its first weights and the indices of those that CMA-ES searches.
type Contender = (&'static str, Arc<dyn Policy>, (Vec<f32>, Vec<usize>));

const NEURON: &str = "attention neuron";
const PERCEPTRON: &str = "perceptron";

/// Seeds of the episodes of the table: no training and no choice between weights has seen them.
const TEST_SEED: u32 = 0x7E57_0000;

/// A finished training.
#[derive(Debug, Clone)]
struct Finished {
    name: &'static str,
    /// Of every try, the one that went on among them.
    records: Vec<Record>,
    chosen: usize,
    seconds: f64,
    weights: Vec<f32>,
}

impl Finished {
    fn record(&self) -> &Record {
        &self.records[self.chosen]
    }

    /// Environment steps of all tries.
    fn steps(&self) -> u64 {
        self.records.iter().filter_map(|record| Some(record.curve.last()?.steps)).sum()
    }
}

/// Trains and scores, or only scores.
pub fn run(common: &Common, arguments: &Arguments) -> Result<(), Failure> {
    if arguments.test_episodes < 2 {
        let got = arguments.test_episodes;
        return Err(Failure::Input(format!("--test-episodes: expected at least 2, got {got}")));
    }
    let text = match (&arguments.weights, &arguments.resume) {
        (Some(file), _) => score(common, arguments, file)?,
        (None, Some(folder)) => resume(common, folder)?,
        (None, None) => {
            let settings = Settings::new(common, arguments)?;
            settings.network()?;
            let gpu = common.open(false)?;
            let value = serde_json::to_value(&settings).map_err(Failure::run)?;
            // A population that makes no sense is found out before the folder is made.
            for (_, policy, initial) in settings.policies(0)? {
                Training::new(&gpu, policy, settings.recipe, settings.seed, initial)?;
            }
            let folder = RunFolder::create(common, "neuron-train", &gpu, value)?;
            train(common, &gpu, &folder, &settings)?
        }
    };
    println!("{text}");
    Ok(())
}

fn resume(common: &Common, folder: &Path) -> Result<String, Failure> {
    /// What is read of a run's configuration.
    #[derive(Deserialize)]
    struct Configuration {
        settings: Settings,
    }

    let path = folder.join(CONFIGURATION);
    let Configuration { settings } = serde_json::from_slice(&file::read(&path)?).map_err(|error| {
        Failure::Input(format!("{}: expected settings of `fourfold neuron train`, got {error}", path.display()))
    })?;
    let gpu = common.open(false)?;
    train(common, &gpu, &RunFolder::open(folder)?, &settings)
}

/// A training with the file that it is saved in.
struct Saved {
    training: Training,
    file: String,
    seconds: f64,
}

impl Saved {
    /// A try of a policy as it stands in the folder, or at its beginning.
    fn open(gpu: &Gpu, folder: &RunFolder, settings: &Settings, index: usize, number: usize) -> Result<Self, Failure> {
        let (name, policy, initial) = settings.policies(number)?.swap_remove(index);
        let seed = settings.seed + number as u32;
        let mut training = Training::new(gpu, policy, settings.recipe, seed, initial)?;
        let file = format!("{}-{}.safetensors", name.replace(' ', "_"), number + 1);
        let path = folder.path().join(&file);
        let mut seconds = 0.0;
        if path.exists() {
            let checkpoint = Checkpoint::load(&path)?;
            training.restore(&checkpoint)?;
            seconds = checkpoint.get("seconds")?.parse().unwrap_or(0.0);
        }
        Ok(Self { training, file, seconds })
    }

    /// Trains until `enough`, saving after every burst.
    fn run(
        &mut self,
        folder: &RunFolder,
        label: &str,
        quiet: bool,
        enough: impl Fn(&Training) -> f64,
    ) -> Result<(), Failure> {
        const PARTS: f64 = 1_000.0;
        let mut progress = Progress::new(label, PARTS as u64, quiet);
        let mut shown = 0;
        loop {
            let done = (PARTS * enough(&self.training).min(1.0)) as u64;
            progress.advance(done.saturating_sub(shown));
            shown = shown.max(done);
            if self.training.finished() || done >= PARTS as u64 {
                break;
            }
            let begun = Instant::now();
            self.training.burst()?;
            self.seconds += begun.elapsed().as_secs_f64();
            let record = &self.training.record;
            if let Some(last) = record.curve.last() {
                let (steps, best) = (last.steps as f64, record.best.unwrap_or(f64::NAN));
                let rate = steps / self.seconds;
                progress.say(format!(
                    "generation {}, {steps:.2e} steps, {rate:.2e} a second, best centre {best:.0}",
                    last.generation
                ));
            }
            let mut checkpoint = Checkpoint::new();
            checkpoint.set("seconds", self.seconds.to_string());
            self.training.save(&mut checkpoint)?;
            folder.write_checkpoint(&self.file, &checkpoint)?;
        }
        progress.finish();
        Ok(())
    }
}

/// Trains what is left, then scores.
fn train(common: &Common, gpu: &Gpu, folder: &RunFolder, settings: &Settings) -> Result<String, Failure> {
    let mut finished: Vec<Finished> = Vec::new();
    for (index, (name, ..)) in settings.policies(0)?.into_iter().enumerate() {
        let mut tries = Vec::with_capacity(settings.tries);
        for number in 0..settings.tries {
            let mut saved = Saved::open(gpu, folder, settings, index, number)?;
            let label = format!("{name}, try {} of {}", number + 1, settings.tries);
            saved.run(folder, &label, common.quiet, |training| training.steps() as f64 / settings.trial)?;
            tries.push(saved);
        }
        let best = |saved: &Saved| saved.training.record.best.unwrap_or(f64::NEG_INFINITY);
        // The first of equal ones.
        let chosen = (0..tries.len()).rev().max_by(|&a, &b| best(&tries[a]).total_cmp(&best(&tries[b]))).unwrap_or(0);
        tries[chosen].run(folder, name, common.quiet, Training::progress)?;
        finished.push(Finished {
            name,
            chosen,
            seconds: tries.iter().map(|saved| saved.seconds).sum(),
            weights: tries[chosen].training.best.clone(),
            records: tries.into_iter().map(|saved| saved.training.record).collect(),
        });
    }
    for finished in &finished {
        let mut file = Checkpoint::new();
        file.set("policy", finished.name);
        file.insert("params", &[finished.weights.len()], Data::F32(finished.weights.clone()));
        folder.write_checkpoint(&format!("{}.safetensors", finished.name.replace(' ', "_")), &file)?;
    }
    let network = settings.network()?;
    let mut rows = neuron_rows(gpu, network, &finished[0].weights, settings)?;
    if let Some(finished) = finished.get(1) {
        rows.extend(perceptron_rows(gpu, &finished.weights, settings)?);
    }
    let curve = LinePlot {
        title: "Score of the centre while it learns (500 validation episodes)".into(),
        x: Axis { label: "environment steps".into(), ..Axis::default() },
        y: Axis { label: "mean score".into(), logarithmic: false, range: Some(0.0..600.0) },
        lines: finished.iter().flat_map(curves).collect(),
        ..LinePlot::default()
    };
    folder.write("learning.png", &curve.png(900, 520)?)?;
    let mut lines = Vec::new();
    for finished in &finished {
        for (number, record) in finished.records.iter().enumerate() {
            for point in &record.curve {
                lines.push(json!({ "policy": finished.name, "try": number + 1, "point": point }));
            }
        }
    }
    folder.write_json_lines("learning.jsonl", &lines)?;
    let trainings: String = finished
        .iter()
        .map(|finished| {
            let (all, chosen) = (finished.steps() as f64, finished.record().curve.last().map_or(0, |point| point.steps));
            format!(
                "* {}: {} weights; {} tries, {all:.3e} environment steps in all, {:.3e} of them by the one that went on, \
                 in {:.0} s ({:.2e} steps a second); its best centre reached {:.0} on the validation episodes.\n",
                finished.name,
                finished.weights.len(),
                finished.records.len(),
                chosen as f64,
                finished.seconds,
                all / finished.seconds,
                finished.record().best.unwrap_or(f64::NAN)
            )
        })
        .collect();
    report(gpu, folder, settings.test_episodes, &rows, &trainings, true)
}

/// A line for each try of a training.
fn curves(finished: &Finished) -> Vec<Line> {
    let line = |(number, record): (usize, &Record)| Line {
        name: format!("{}, try {}", finished.name, number + 1),
        points: record.curve.iter().filter_map(|point| Some((point.steps as f64, point.validation?))).collect(),
        ..Line::default()
    };
    finished.records.iter().enumerate().map(line).collect()
}

/// Scores a file of weights.
fn score(common: &Common, arguments: &Arguments, file: &Path) -> Result<String, Failure> {
    let settings = Settings::new(common, &Arguments { alone: true, ..arguments.clone() })?;
    let network = settings.network()?;
    let weights = load_flat_vector(file, arguments.tensor.as_deref(), network.parameters())?;
    let gpu = common.open(false)?;
    let value = json!({ "weights": file, "settings": settings });
    let folder = RunFolder::create(common, "neuron-train", &gpu, value)?;
    let rows = neuron_rows(&gpu, network, &weights, &settings)?;
    let what = format!("* attention neuron: {} weights of `{}`.\n", weights.len(), file.display());
    report(&gpu, &folder, settings.test_episodes, &rows, &what, false)
}

/// A row of the table.
struct Row {
    policy: &'static str,
    inputs: &'static str,
    scores: Scores,
}

/// The attention neuron through every protocol: plain, shuffled, ten inputs, five channels of noise, easy resets.
fn neuron_rows(gpu: &Gpu, network: AttentionNeuron, weights: &[f32], settings: &Settings) -> Result<Vec<Row>, Failure> {
    let plain = Protocol::plain(settings.test_episodes, TEST_SEED.wrapping_add(settings.seed));
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
fn perceptron_rows(gpu: &Gpu, weights: &[f32], settings: &Settings) -> Result<Vec<Row>, Failure> {
    let plain = Protocol::plain(settings.test_episodes, TEST_SEED.wrapping_add(settings.seed));
    let protocols = [("5", plain), ("5, shuffled", Protocol { order: Order::Shuffled, ..plain })];
    let row = |(inputs, protocol): (&'static str, Protocol)| {
        let scores = protocol.scores(gpu, recipe::perceptron(), weights)?;
        Ok(Row { policy: PERCEPTRON, inputs, scores })
    };
    protocols.into_iter().map(row).collect()
}

/// Writes the table and returns it for the terminal.
fn report(
    gpu: &Gpu,
    folder: &RunFolder,
    episodes: usize,
    rows: &[Row],
    trainings: &str,
    learning: bool,
) -> Result<String, Failure> {
    let cells: Vec<[String; 6]> = rows
        .iter()
        .map(|Row { policy, inputs, scores }| {
            [
                format!("{policy}, {inputs}"),
                format!("{:.0} ± {:.0}", scores.mean(), scores.deviation()),
                format!("{:.0}", scores.error()),
                format!("{:.0}", crate::statistics::median(&scores.returns)),
                format!("{:.1} %", 100.0 * scores.above(600.0)),
                format!("{:.0}", scores.length()),
            ]
        })
        .collect();
    let header = ["policy and inputs", "score", "error", "median", "above 600", "steps"];
    let note = format!(
        "Mean score, its standard deviation and standard error over {episodes} episodes of the cart-pole swing-up (hard\n\
         resets unless it says easy; the same starts in every row of the same resets), their median, the share above\n\
         600, and the mean steps of an episode. About a third of the hard starts leave the track whatever one does."
    );
    let results: Vec<_> = rows
        .iter()
        .map(|Row { policy, inputs, scores }| {
            json!({
                "policy": policy, "inputs": inputs, "mean": scores.mean(), "deviation": scores.deviation(),
                "error": scores.error(), "above_600": scores.above(600.0), "steps": scores.length(),
            })
        })
        .collect();
    folder.write_json("results.json", &json!({ "rows": results, "adapter": adapter_json(gpu.info()) }))?;
    let markdown: String = cells.iter().map(|row| format!("| {} |\n", row.join(" | "))).collect();
    let picture = if learning { "\n![score while learning](learning.png)\n" } else { "" };
    let text = format!(
        "# The attention neuron on the cart-pole swing-up\n\n{trainings}\n{note}\n\n| {} |\n|---|---|---|---|---|---|\n\
         {markdown}{picture}\nAdapter: {} ({}).\n",
        header.join(" | "),
        gpu.info().name,
        gpu.info().driver_info,
    );
    folder.write("report.md", text.as_bytes())?;
    Ok(format!("{trainings}\n{}\n\n{note}\n\nThe run is in {}", table(header, cells), folder.path().display()))
}
