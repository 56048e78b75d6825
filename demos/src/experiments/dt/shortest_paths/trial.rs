//! One graph, its walks, and a transformer that learns from them.

use std::time::Instant;

use fourfold::data::{Checkpoint, Trajectories};
use fourfold::models::SequenceModel;
use fourfold::models::decision_transformer::DecisionTransformer;
use fourfold::models::offline_training::OfflineTraining;
use fourfold::models::shortest_paths::{self, NODES, PathDecoder, Prior, STEPS};
use fourfold::shaders::random::threefry::Random;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Decoded, DirectedGraph, Outcome, Settings, Walk, Walks, ways};
use crate::failure::Failure;
use crate::run::Run;

/// The transformer that predicts the return of a node, and the action for a node and a return.
pub fn model(settings: &Settings) -> Result<DecisionTransformer, Failure> {
    let Settings { context, width, layers, heads, dropout, .. } = *settings;
    let network = shortest_paths::network(context, width, layers, heads, dropout);
    DecisionTransformer::new(network).map_err(Failure::input)
}

/// The graph, the walks and the starts of a seed.
#[derive(Debug)]
pub struct Problem {
    pub seed: u32,
    pub graph: DirectedGraph,
    /// Random graphs that were drawn until one passed the filter.
    pub tries: usize,
    pub walks: Walks,
    data: Trajectories,
    starts: Vec<usize>,
}

/// The result of a trial. All paths begin at the same starts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finished {
    pub shortest: Outcome,
    /// The transformer by the paper's rule, and with unlikely lengths left aside.
    pub transformer: [Outcome; 2],
    /// Walks as those of the data.
    pub random_walk: Outcome,
    /// Actions among all nodes, those without an edge included.
    pub random_actions: Outcome,
    /// The path of each node by the paper's rule.
    pub decoded: Decoded,
    /// (training steps): the sum of both cross-entropies.
    pub losses: Vec<f32>,
}

// The purposes of streams of random numbers; stream 0 draws the graph.
const WALKS: u32 = 1;
const STARTS: u32 = 2;
const RANDOM_PATHS: u32 = 3;

impl Problem {
    /// Draws the graph and the walks of a seed.
    ///
    /// # Errors
    /// No graph passes the filter, or no walk has a step.
    pub fn new(settings: &Settings, seed: u32) -> Result<Self, Failure> {
        let random = |stream| Random::new(seed, stream);
        let (graph, tries) = DirectedGraph::of_seed(seed).ok_or_else(|| {
            Failure::Input(format!("--seed: expected a seed with a graph like the paper's among a million, got {seed}"))
        })?;
        let walks = Walks::random(&graph, settings.walks, STEPS, &mut random(WALKS));
        let mut draw = random(STARTS);
        let starts = (0..settings.starts).map(|_| draw.below(NODES as u32) as usize).collect();
        let data = walks.trajectories()?;
        Ok(Self { seed, graph, tries, walks, data, starts })
    }
}

/// The metadata `environment` of a file of weights.
pub const ENVIRONMENT: &str = "shortest-paths";

/// Training steps between two looks at the loss.
const BURST: usize = 20;

/// Trains a transformer, generates paths with it, and walks at random beside them.
///
/// # Errors
/// Settings that describe no training, a loss that is not finite, no memory, or the loss of the device.
pub fn train(run: &mut Run, settings: &Settings, problem: &Problem) -> Result<Finished, Failure> {
    let begun = Instant::now();
    let (gpu, model, graph, seed) = (run.gpu(), model(settings)?, &problem.graph, problem.seed);
    let recipe = problem.walks.training(settings.batch, settings.rate, settings.training_steps, seed);
    let mut training = OfflineTraining::new(&gpu, &model, &problem.data, recipe)?;
    let prior = Prior { steps: STEPS, power: settings.power };
    let mut decoder = PathDecoder::new(&gpu, &model, graph, prior, training.weights_view()?)?;
    if let Some(checkpoint) = run.restored() {
        training.restore(&checkpoint, "training.")?;
        run.skip(training.steps() as u64);
    }
    while training.steps() < settings.training_steps {
        let steps = BURST.min(settings.training_steps - training.steps());
        training.submit(steps)?;
        let losses = training.losses()?;
        let last = &losses[losses.len().saturating_sub(steps)..];
        let loss = last.iter().map(|&loss| f64::from(loss)).sum::<f64>() / last.len() as f64;
        let step = training.steps();
        if !loss.is_finite() {
            return Err(Failure::Run(format!("the loss became {loss} after {step} steps: try a smaller --rate")));
        }
        run.say(format!("graph {seed}: loss {loss:.3}"));
        run.advance(steps as u64);
        let seconds = begun.elapsed().as_secs_f64();
        run.log(&json!({ "seed": seed, "step": step, "loss": loss, "seconds": seconds }))?;
        run.save_if_due(|checkpoint| Ok(training.save(checkpoint, "training.")?))?;
    }
    let mut file = Checkpoint::new();
    file.set("environment", ENVIRONMENT);
    file.set("seed", seed.to_string());
    file.set("settings", serde_json::to_string(settings).map_err(Failure::run)?);
    file.insert("weights", &[model.parameters().length()], training.weights()?);
    run.write_checkpoint(&format!("transformer-{seed}.safetensors"), &file)?;
    let decoded = Decoded::by(&mut decoder, 0.0)?;
    let sifted = Decoded::by(&mut decoder, settings.least)?;
    let ways = ways(&problem.walks.walks, graph.goal());
    let of = |walks: &[Walk]| Outcome::of(graph, walks, STEPS, &ways);
    let from_starts =
        |decoded: &Decoded| -> Vec<Walk> { problem.starts.iter().map(|&start| decoded.walks[start].clone()).collect() };
    let mut random = Random::new(seed, RANDOM_PATHS);
    let starts = &problem.starts;
    let walks: Vec<Walk> = starts.iter().map(|&start| Walk::random(graph, start, STEPS, &mut random)).collect();
    let actions: Vec<Walk> =
        starts.iter().map(|&start| Walk::of_random_actions(graph, start, STEPS, &mut random)).collect();
    Ok(Finished {
        shortest: Outcome::shortest(graph, starts, STEPS),
        transformer: [of(&from_starts(&decoded)), of(&from_starts(&sifted))],
        random_walk: of(&walks),
        random_actions: of(&actions),
        decoded,
        losses: training.losses()?,
    })
}
