//! `fourfold neuron ant`: the published network of the ant, in pybullet's ant through its workers, with its inputs shuffled.

use std::path::PathBuf;

use clap::Args;
use fourfold::data::{Actions, load_flat_vector};
use fourfold::models::{PolicyNetwork, TrainedPolicy};
use fourfold::rollout::{Interface, PolicyBuffers, shuffled};
use fourfold::shaders::rollout::policies::AttentionNeuron;
use serde::{Deserialize, Serialize};

use super::evaluation::Scores;
use super::input_order::InputOrder;
use crate::experiment::Experiment;
use crate::failure::Failure;
use crate::gymnasium::{Environments, Exchange, Program, play_with};
use crate::limits;
use crate::run::Run;
use crate::run::report::Report;

/// Walk with the attention neuron: the published network of the ant, its inputs in order, shuffled, and shuffled again and again
/// within the episode
#[derive(Debug, Clone, PartialEq, Args, Serialize, Deserialize)]
pub struct Settings {
    /// Weights of the published network, 2504 numbers in the published order: npz, npy or safetensors
    #[arg(long, value_name = "FILE")]
    pub weights: PathBuf,
    /// Tensor in that file, where it holds several
    #[arg(long, value_name = "NAME")]
    pub tensor: Option<String>,
    /// Environment, of pybullet or of Gymnasium; the published weights need AntBulletEnv-v0
    #[arg(long, value_name = "NAME", default_value = PUBLISHED)]
    pub environment: String,
    /// Episodes of each row
    #[arg(long, value_name = "COUNT", default_value_t = 6)]
    pub episodes: usize,
    /// Steps of an episode at most
    #[arg(long, value_name = "COUNT", default_value_t = 1000)]
    pub horizon: usize,
    /// Steps between two shuffles within an episode; none with an empty list
    #[arg(long, value_name = "STEPS", value_delimiter = ',', num_args = 0.., default_values_t = [100])]
    pub intervals: Vec<usize>,
    /// Python interpreter with gym 0.19 and pybullet, or with Gymnasium and MuJoCo
    #[arg(long, value_name = "PATH", default_value = "python3")]
    pub python: PathBuf,
}

/// The environment of the paper.
const PUBLISHED: &str = "AntBulletEnv-v0";

/// Mean and deviation of the paper, over 100 episodes.
fn paper(order: InputOrder) -> &'static str {
    match order {
        InputOrder::Shuffled => "2576 ± 75",
        InputOrder::Reshuffled(25) => "2053 ± 225",
        InputOrder::Reshuffled(50) => "2319 ± 188",
        InputOrder::Reshuffled(100) => "2406 ± 178",
        InputOrder::Reshuffled(200) => "2493 ± 105",
        InputOrder::Reshuffled(500) => "2548 ± 87",
        _ => "",
    }
}

impl Experiment for Settings {
    const NAME: &'static str = "neuron ant";
    const SEEDS: Option<&'static str> = None;
    const QUICK: &'static [(&'static str, &'static str)] = &[("episodes", "2"), ("horizon", "200")];

    fn inputs(&self) -> Vec<PathBuf> {
        vec![self.weights.clone()]
    }

    fn check(&self) -> Result<(), Failure> {
        limits::counts([("--episodes", self.episodes, 2..=4_096), ("--horizon", self.horizon, 1..=100_000)])?;
        for &interval in &self.intervals {
            limits::counts([("--intervals", interval, 1..=100_000)])?;
        }
        limits::distinct("--intervals", self.intervals.iter().map(usize::to_string))?;
        self.load().map(drop)
    }

    fn run(&self, run: &mut Run) -> Result<Report, Failure> {
        let weights = self.load()?;
        let reshuffled = self.intervals.iter().map(|&interval| InputOrder::Reshuffled(interval));
        let orders: Vec<InputOrder> = [InputOrder::Plain, InputOrder::Shuffled].into_iter().chain(reshuffled).collect();
        run.progress("walk", (orders.len() * self.horizon) as u64);
        let mut rows = Vec::new();
        for order in orders {
            let steps = self.horizon as u64;
            let walked = run.stage(&order.name(), steps, |run| walk(run, self, weights.clone(), order))?;
            rows.push((order, walked));
        }
        run.end_progress();
        Ok(self.report(&rows))
    }
}

impl Settings {
    fn load(&self) -> Result<Vec<f32>, Failure> {
        Ok(load_flat_vector(&self.weights, self.tensor.as_deref(), AttentionNeuron::ant().parameters())?)
    }

    fn report(&self, rows: &[(InputOrder, Walked)]) -> Report {
        let paper = |order| if self.environment == PUBLISHED { paper(order) } else { "" };
        let cells = rows.iter().map(|(order, walked)| order.row(&walked.scores, 0, paper(*order)));
        let mut report = Report::new(format!("The attention neuron walks: {}", self.environment));
        report.table(&["inputs", "score", "median", "range", "steps", "paper"], cells);
        if let Some((_, Walked { versions, observations, .. })) = rows.first() {
            report.paragraph(format!(
                "Mean score and standard deviation over {} episodes of at most {} steps, from the same starts in every row, with \
                 {observations} inputs; {versions}. The paper's are of 100 episodes.",
                self.episodes, self.horizon
            ));
        }
        if self.environment != PUBLISHED {
            report.paragraph(format!(
                "The published weights need {PUBLISHED}: they have never met the inputs of {}.",
                self.environment
            ));
        }
        report.explanation(
            "An order is drawn for each episode, or for each part of it; the memory of an input's neuron stays where it is, so that \
             after a shuffle it is that of another input.",
        );
        let results = rows.iter().map(|(order, walked)| order.result("inputs", &walked.scores));
        report.result("rows", results.collect());
        report
    }
}

/// A row of the table.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Walked {
    scores: Scores,
    versions: String,
    observations: usize,
}

/// Walks an episode in each lane.
fn walk(run: &mut Run, settings: &Settings, weights: Vec<f32>, order: InputOrder) -> Result<Walked, Failure> {
    let Settings { environment, episodes: lanes, horizon, python, .. } = settings;
    let mut environments = Environments::open(python, Program::ENVIRONMENTS, environment, *lanes, None)?;
    let (network, greeting) = (AttentionNeuron::ant(), environments.greeting().clone());
    if greeting.actions != Actions::Continuous(network.actions) {
        let got = match greeting.actions {
            Actions::Continuous(width) => format!("{width} numbers"),
            Actions::Discrete(choices) => format!("one of {choices} choices"),
        };
        let expected = network.actions;
        return Err(Failure::Input(format!("{environment}: expected an action of {expected} numbers, got {got}")));
    }
    let (inputs, seed) = (greeting.observations, run.seed() as u32);
    let interface = Interface { inputs, actions: network.actions };
    let exchange = Exchange::new(&run.gpu(), lanes * inputs, lanes * network.actions);
    let trained = TrainedPolicy::new(PolicyNetwork::AttentionNeuron(network), interface, weights)?;
    let buffers = PolicyBuffers::new(exchange.observations(), exchange.actions().clone());
    let policy = trained.on_buffers(&run.gpu(), buffers)?;
    let interval = order.interval().unwrap_or(*horizon);
    let phases = horizon.div_ceil(interval);
    let wiring = match order {
        InputOrder::Plain => (0..inputs as u32).collect::<Vec<_>>().repeat(lanes * phases),
        _ => shuffled(seed, *lanes, phases, inputs, false).u32().to_vec(),
    };
    let seeds: Vec<u32> = (0..*lanes as u32).map(|lane| seed.wrapping_add(lane)).collect();
    let seen = environments.reset(&seeds)?;
    let played = play_with(&mut environments, seen, *horizon, |moment| {
        let wired = wired(moment.observations, inputs, &wiring, phases, moment.step / interval);
        let actions = exchange.act(&wired, |pass| policy.record(pass))?;
        run.advance(1);
        Ok(actions)
    })?;
    Ok(Walked { scores: played.into(), versions: greeting.versions, observations: inputs })
}

/// The inputs of each lane in its order of this phase: `wiring` (lanes, phases, inputs).
fn wired(observations: &[f32], inputs: usize, wiring: &[u32], phases: usize, phase: usize) -> Vec<f32> {
    let orders = wiring.chunks_exact(inputs).skip(phase).step_by(phases);
    let lanes = observations.chunks_exact(inputs).zip(orders);
    lanes.flat_map(|(seen, order)| order.iter().map(|&input| seen[input as usize])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_lane_has_an_order_of_its_own_in_each_phase() {
        let wiring = [0, 1, 2, 2, 1, 0, 1, 2, 0, 0, 2, 1];
        let seen = [10.0, 11.0, 12.0, 20.0, 21.0, 22.0];
        assert_eq!(wired(&seen, 3, &wiring, 2, 0), [10.0, 11.0, 12.0, 21.0, 22.0, 20.0]);
        assert_eq!(wired(&seen, 3, &wiring, 2, 1), [12.0, 11.0, 10.0, 20.0, 22.0, 21.0]);
    }

    #[test]
    fn the_published_network_has_2504_weights() {
        assert_eq!(AttentionNeuron::ant().parameters(), 2_504);
    }
}
