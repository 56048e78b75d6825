//! `fourfold neuron train`: evolution of the attention neuron and of a perceptron, and the table of what shuffled,
//! duplicated and noisy inputs do to them.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use clap::Args;
use fourfold::Gpu;
use fourfold::data::{Checkpoint, load_flat_vector};
use fourfold::rollout::Policy;
use fourfold::rollout::environments::CartPoleSwingUp;
use fourfold::shaders::Data;
use fourfold::shaders::policies::AttentionNeuron;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::weights::Network;
use crate::Failure;
use crate::arguments::Common;
use crate::neuron::evaluation::{OBSERVATIONS, Order, Protocol, Scores};
use crate::neuron::recipe;
use crate::neuron::training::{Record, Stage, StrategyName, Training};
use crate::plot::{Axis, Line, LinePlot};
use crate::progress::Progress;
use crate::run_folder::{RunFolder, adapter_json};
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
    #[arg(long, value_name = "COUNT", default_value_t = 1e9)]
    pub steps: f64,
    /// One stage of this strategy instead of the recipe's, CMA-ES
    #[arg(long, value_enum)]
    pub strategy: Option<StrategyName>,
    /// Members of the population, with --strategy
    #[arg(long, value_name = "COUNT", requires = "strategy")]
    pub members: Option<usize>,
    /// Episodes of each member in a generation, with --strategy
    #[arg(long, value_name = "COUNT", requires = "strategy")]
    pub episodes: Option<usize>,
    /// Standard deviation of the perturbations, with --strategy
    #[arg(long, requires = "strategy")]
    pub deviation: Option<f32>,
    /// Rate of Adam on the centre, with --strategy
    #[arg(long, requires = "strategy")]
    pub rate: Option<f32>,
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
    stages: Vec<Stage>,
    alone: bool,
    test_episodes: usize,
}

impl Settings {
    fn new(common: &Common, arguments: &Arguments) -> Result<Self, Failure> {
        let steps = if common.quick { arguments.steps.min(3e6) } else { arguments.steps };
        if !(1.0..=1e15).contains(&steps) {
            return Err(Failure::Input(format!("--steps: expected 1 to 1e15 steps, got {steps}")));
        }
        let mut stages = recipe::stages(steps);
        if let Some(strategy) = arguments.strategy {
            let stage = Stage { strategy, steps, ..stages[0] };
            stages = vec![Stage {
                members: arguments.members.unwrap_or(stage.members),
                episodes: arguments.episodes.unwrap_or(stage.episodes),
                deviation: arguments.deviation.unwrap_or(stage.deviation),
                rate: arguments.rate.unwrap_or(stage.rate),
                ..stage
            }];
        }
        Ok(Self {
            rows: arguments.network.rows,
            key_bias: arguments.network.key_bias,
            seed: common.seed as u32,
            stages,
            alone: arguments.alone,
            test_episodes: if common.quick { arguments.test_episodes.min(100) } else { arguments.test_episodes },
        })
    }

    fn network(&self) -> Result<AttentionNeuron, Failure> {
        Network { rows: self.rows, key_bias: self.key_bias }.description()
    }

    /// The policies that are trained, by name, with their first weights.
    fn policies(&self) -> Result<Vec<Contender>, Failure> {
        let network = self.network()?;
        let neuron: Arc<dyn Policy> = Arc::new(network);
        let mut policies = vec![(NEURON, neuron, recipe::initial(&network, self.seed))];
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
const CHECKPOINT: &str = "checkpoint.safetensors";

/// Seeds of the episodes of the table: no training and no choice between weights has seen them.
const TEST_SEED: u32 = 0x7E57_0000;

/// A finished training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Finished {
    name: String,
    record: Record,
    seconds: f64,
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
            for (_, policy, initial) in settings.policies()? {
                Training::new(&gpu, policy, settings.stages.clone(), settings.seed, initial)?;
            }
            let folder = RunFolder::create(common, "neuron-train", &gpu, value)?;
            train(common, &gpu, &folder, &settings, None)?
        }
    };
    println!("{text}");
    Ok(())
}

fn resume(common: &Common, folder: &Path) -> Result<String, Failure> {
    let path = folder.join(CHECKPOINT);
    let checkpoint = Checkpoint::load(&path)?;
    let settings: Settings = serde_json::from_str(checkpoint.get("settings")?).map_err(|error| {
        Failure::Input(format!("{}: expected settings of `fourfold neuron train`, got {error}", path.display()))
    })?;
    let gpu = common.open(false)?;
    train(common, &gpu, &RunFolder::open(folder)?, &settings, Some(checkpoint))
}

/// Trains what is left, then scores.
fn train(
    common: &Common,
    gpu: &Gpu,
    folder: &RunFolder,
    settings: &Settings,
    mut interrupted: Option<Checkpoint>,
) -> Result<String, Failure> {
    let mut finished: Vec<(Finished, Vec<f32>)> = Vec::new();
    let earlier: Vec<Finished> = match &interrupted {
        Some(checkpoint) => serde_json::from_str(checkpoint.get("finished")?).map_err(|error| {
            Failure::Input(format!("{}: expected finished trainings, got {error}", checkpoint.file()))
        })?,
        None => Vec::new(),
    };
    let policies = settings.policies()?;
    for (index, (name, policy, initial)) in policies.iter().enumerate() {
        if let (Some(done), Some(checkpoint)) = (earlier.get(index), &interrupted) {
            let weights = checkpoint.f32(&format!("finished.{name}"), &[initial.0.len()])?.to_vec();
            finished.push((done.clone(), weights));
            continue;
        }
        let mut training = Training::new(gpu, policy.clone(), settings.stages.clone(), settings.seed, initial.clone())?;
        let mut before = 0.0;
        if let Some(checkpoint) = interrupted.take() {
            training.restore(&checkpoint)?;
            before = checkpoint.get("seconds")?.parse().unwrap_or(0.0);
        }
        const PARTS: f64 = 1_000.0;
        let mut progress = Progress::new(name, PARTS as u64, common.quiet);
        let begun = Instant::now();
        let mut shown = 0;
        loop {
            let done = (PARTS * training.progress()) as u64;
            progress.advance(done.saturating_sub(shown));
            shown = shown.max(done);
            if training.finished() {
                break;
            }
            training.burst()?;
            let seconds = before + begun.elapsed().as_secs_f64();
            if let Some(last) = training.record.curve.last() {
                progress.say(format!(
                    "generation {} of stage {}, {:.2e} steps, {:.2e} a second, population {:.0}, best centre {:.0}",
                    last.generation,
                    last.stage + 1,
                    last.steps as f64,
                    last.steps as f64 / seconds,
                    last.population,
                    training.record.best.unwrap_or(f64::NAN)
                ));
            }
            let mut checkpoint = Checkpoint::new();
            checkpoint.set("settings", serde_json::to_string(settings).map_err(Failure::run)?);
            let list: Vec<&Finished> = finished.iter().map(|(finished, _)| finished).collect();
            checkpoint.set("finished", serde_json::to_string(&list).map_err(Failure::run)?);
            checkpoint.set("seconds", seconds.to_string());
            for (finished, weights) in &finished {
                let name = format!("finished.{}", finished.name);
                checkpoint.insert(&name, &[weights.len()], Data::F32(weights.clone()));
            }
            training.save(&mut checkpoint)?;
            folder.write_checkpoint(CHECKPOINT, &checkpoint)?;
        }
        progress.finish();
        let seconds = before + begun.elapsed().as_secs_f64();
        finished.push((Finished { name: (*name).into(), record: training.record, seconds }, training.best));
    }
    for (finished, weights) in &finished {
        let mut file = Checkpoint::new();
        file.set("policy", finished.name.clone());
        file.insert("params", &[weights.len()], Data::F32(weights.clone()));
        folder.write_checkpoint(&format!("{}.safetensors", finished.name.replace(' ', "_")), &file)?;
    }
    let network = settings.network()?;
    let mut rows = neuron_rows(gpu, network, &finished[0].1, settings)?;
    if let Some((_, weights)) = finished.get(1) {
        rows.extend(perceptron_rows(gpu, weights, settings)?);
    }
    let curve = LinePlot {
        title: "Score of the centre while it learns (500 validation episodes)".into(),
        x: Axis { label: "environment steps".into(), ..Axis::default() },
        y: Axis { label: "mean score".into(), logarithmic: false, range: Some(0.0..600.0) },
        lines: finished
            .iter()
            .map(|(finished, _)| Line {
                name: finished.name.clone(),
                points: finished
                    .record
                    .curve
                    .iter()
                    .filter_map(|point| Some((point.steps as f64, point.validation?)))
                    .collect(),
                band: Vec::new(),
            })
            .collect(),
    };
    folder.write("learning.png", &curve.png(900, 520)?)?;
    let mut lines = Vec::new();
    for (finished, _) in &finished {
        for point in &finished.record.curve {
            lines.push(json!({ "policy": finished.name, "point": point }));
        }
    }
    folder.write_json_lines("learning.jsonl", &lines)?;
    let trainings: String = finished
        .iter()
        .map(|(finished, weights)| {
            let steps = finished.record.curve.last().map_or(0, |point| point.steps) as f64;
            format!(
                "* {}: {} weights, {:.3e} environment steps in {:.0} s ({:.2e} a second), best centre {:.0} on the \
                 validation episodes.\n",
                finished.name,
                weights.len(),
                steps,
                finished.seconds,
                steps / finished.seconds,
                finished.record.best.unwrap_or(f64::NAN)
            )
        })
        .collect();
    report(gpu, folder, settings.test_episodes, &rows, &trainings, true)
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
