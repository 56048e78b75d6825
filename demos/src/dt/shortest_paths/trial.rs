//! One graph, its walks, and a transformer that learns from them.

use std::time::Instant;

use fourfold::Gpu;
use fourfold::data::Actions;
use fourfold::models::decision_transformer::{
    DecisionTransformer, DropoutRates, Initialisation, Returns, Settings, Tokens,
};
use fourfold::models::offline_training::{OfflineSettings, OfflineTraining, ReturnsToGo, Starts};
use fourfold::optim::{AdamW, Schedule};
use fourfold::shaders::random::threefry::Random;
use serde::Serialize;

use super::{Decoded, Decoder, DirectedGraph, Filter, Outcome, Prior, Walk, Walks};
use crate::failure::Failure;

/// The graph and the walks on it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Task {
    pub nodes: usize,
    /// The probability of each edge.
    pub sparsity: f32,
    pub filter: Filter,
    /// Random walks, the data.
    pub walks: usize,
    /// Steps of a walk and of a generated path, T.
    pub steps: usize,
    /// Starts of paths, drawn uniformly.
    pub starts: usize,
}

/// The transformer, its training, and how it is asked.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Recipe {
    pub layers: usize,
    pub heads: usize,
    pub width: usize,
    pub context: usize,
    pub dropout: f32,
    pub batch: usize,
    pub rate: f32,
    /// AdamW's decay of squares: short trainings gain by a short memory.
    pub beta2: f32,
    pub weight_decay: f32,
    /// The gradient is clipped to this norm.
    pub clip: f32,
    /// Steps of rising rate; half a cosine follows.
    pub warm_up: usize,
    pub training_steps: usize,
    /// The power of the prior for short paths.
    pub prior_power: f32,
    /// Of the second rule of decoding: lengths less likely than this are left aside.
    pub least: f32,
}

impl Recipe {
    /// The transformer that predicts the return of a node, and the action for a node and a return.
    pub fn model(&self, task: &Task) -> Result<DecisionTransformer, Failure> {
        let actions = Actions::Discrete(task.nodes);
        let settings = Settings {
            times: Some(self.context),
            tokens: Tokens::ObservationReturnAction,
            // Lengths from 0 to T, and "never".
            returns: Returns::Classes(task.steps + 2),
            return_loss: 1.0,
            dropout: DropoutRates::all(self.dropout),
            initialisation: Initialisation::Scaled,
            ..Settings::gym(task.nodes, actions, self.context).sized(self.width, self.layers, self.heads)
        };
        DecisionTransformer::new(settings).map_err(Failure::input)
    }

    fn training(&self, walks: &Walks, seed: u32) -> OfflineSettings {
        OfflineSettings {
            batch: self.batch,
            optimiser: AdamW { beta2: self.beta2, weight_decay: self.weight_decay, ..AdamW::default() },
            decays: |_| true,
            rate: self.rate,
            schedule: Schedule::WarmUpCosine { warm_up: self.warm_up, steps: self.training_steps, least: 0.0 },
            clip: Some(self.clip),
            returns: ReturnsToGo::Given(walks.return_classes()),
            return_scale: 1.0,
            standardisation: None,
            starts: Starts::Steps,
            restart_times: true,
            seed,
            losses: self.training_steps,
            steps_per_submission: 4,
        }
    }
}

/// A graph with its walks, a transformer in training, and the decoder that asks it.
#[derive(Debug)]
pub struct Trial {
    pub seed: u64,
    pub graph: DirectedGraph,
    /// Random graphs that were drawn until one passed the filter.
    pub tries: usize,
    pub walks: Walks,
    task: Task,
    starts: Vec<usize>,
    least: f32,
    training: OfflineTraining,
    decoder: Decoder,
    seconds: f64,
}

/// What a trial came to. All paths begin at the same starts.
#[derive(Debug, Clone, PartialEq)]
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
    /// Of training, and of generating all paths by both rules.
    pub seconds: [f64; 2],
}

/// What streams of random numbers are for.
const GRAPH: u32 = 0;
const WALKS: u32 = 1;
const STARTS: u32 = 2;
const RANDOM_PATHS: u32 = 3;

impl Trial {
    /// Draws the graph and the walks of a seed, and begins a training with it.
    ///
    /// # Errors
    /// No graph passes the filter; settings that describe no network or training; no memory.
    pub fn new(gpu: &Gpu, task: &Task, recipe: &Recipe, seed: u64) -> Result<Self, Failure> {
        let random = |stream| Random::new(seed as u32, stream);
        let (graph, tries) = DirectedGraph::filtered(task.nodes, task.sparsity, &task.filter, &mut random(GRAPH))?;
        let walks = Walks::random(&graph, task.walks, task.steps, &mut random(WALKS));
        let mut draw = random(STARTS);
        let starts = (0..task.starts).map(|_| draw.below(task.nodes as u32) as usize).collect();
        let model = recipe.model(task)?;
        let data = walks.trajectories()?;
        let training = OfflineTraining::new(gpu, &model, &data, recipe.training(&walks, seed as u32))?;
        let prior = Prior { steps: task.steps, power: recipe.prior_power };
        let decoder = Decoder::new(gpu, &model, &graph, prior, training.weights_view()?)?;
        Ok(Self {
            seed,
            graph,
            tries,
            walks,
            task: task.clone(),
            starts,
            least: recipe.least,
            training,
            decoder,
            seconds: 0.0,
        })
    }

    /// Runs training steps and waits for them; the mean loss of these steps.
    pub fn train(&mut self, steps: usize) -> Result<f64, Failure> {
        let begun = Instant::now();
        self.training.run(steps)?;
        let losses = self.training.losses()?;
        self.seconds += begun.elapsed().as_secs_f64();
        let last = &losses[losses.len().saturating_sub(steps)..];
        let loss = last.iter().map(|&loss| f64::from(loss)).sum::<f64>() / last.len() as f64;
        if loss.is_finite() {
            return Ok(loss);
        }
        Err(Failure::Run(format!("the loss became {loss} after {} steps: try a smaller --rate", self.training.steps())))
    }

    /// Training steps that were run.
    pub fn trained(&self) -> usize {
        self.training.steps()
    }

    /// Generates paths with the transformer as it is now, and walks at random beside them.
    pub fn finish(&mut self) -> Result<Finished, Failure> {
        let (graph, steps) = (&self.graph, self.task.steps);
        let begun = Instant::now();
        let decoded = self.decoder.decode(0.0)?;
        let sifted = self.decoder.decode(self.least)?;
        let generating = begun.elapsed().as_secs_f64();
        let ways = self.walks.ways();
        let of = |walks: &[Walk]| Outcome::of(graph, walks, steps, &ways);
        let from_starts = |decoded: &Decoded| -> Vec<Walk> {
            self.starts.iter().map(|&start| decoded.walks[start].clone()).collect()
        };
        let mut random = Random::new(self.seed as u32, RANDOM_PATHS);
        let walks: Vec<Walk> =
            self.starts.iter().map(|&start| Walk::random(graph, start, steps, &mut random)).collect();
        let actions: Vec<Walk> =
            self.starts.iter().map(|&start| Walk::of_random_actions(graph, start, steps, &mut random)).collect();
        Ok(Finished {
            shortest: Outcome::shortest(graph, &self.starts, steps),
            transformer: [of(&from_starts(&decoded)), of(&from_starts(&sifted))],
            random_walk: of(&walks),
            random_actions: of(&actions),
            decoded,
            losses: self.training.losses()?,
            seconds: [self.seconds, generating],
        })
    }
}
