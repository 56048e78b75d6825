//! A network that learns the way to another goal while one watches.

use fourfold::models::offline_training::OfflineTraining;
use fourfold::models::shortest_paths::{DirectedGraph, Walks};
use fourfold::shaders::Element;
use fourfold::shaders::random::threefry::Random;
use fourfold::{BufferView, Gpu};

use super::trained::Trained;
use crate::Error;
use crate::answer::Answer;

/// Random walks that arrive, the data.
const WALKS: usize = 2_000;

/// Windows of a training step.
const BATCH: usize = 16;

/// The highest learning rate.
const RATE: f32 = 0.006;

/// Training steps, in which the rate falls to 0.
pub(super) const STEPS: usize = 240;

/// Lengths of a smaller probability are left aside. After so few steps the softmax leaves more to lengths that cannot be than
/// after the thousand of the experiment.
pub(super) const LEAST: f32 = 0.03;

/// Losses that are averaged: each is of a few windows.
const AVERAGED: usize = 8;

/// A training by random walks to another goal, from weights that know the graph.
#[derive(Debug)]
pub(super) struct Learning {
    gpu: Gpu,
    training: OfflineTraining,
    /// The weights with which all walk.
    weights: BufferView,
    answer: Answer<usize>,
    /// (training steps)
    losses: Vec<f32>,
    /// The training step and the share of shortest paths of each time that all walkers were done.
    shares: Vec<[f64; 2]>,
}

impl Learning {
    /// A training for the goal of `world` that begins with the trained weights and keeps `weights` up to date.
    pub(super) fn new(
        gpu: &Gpu,
        trained: &Trained,
        world: &DirectedGraph,
        weights: BufferView,
        seed: u32,
    ) -> Result<Self, Error> {
        let walks = Walks::arriving(world, WALKS, &mut Random::new(seed, world.goal() as u32));
        let recipe = walks.training(BATCH, RATE, STEPS, seed);
        let mut training = OfflineTraining::new(gpu, &trained.model, &walks.trajectories()?, recipe)?;
        training.set_weights(&trained.weights)?;
        let (losses, shares) = (Vec::new(), Vec::new());
        Ok(Self { gpu: gpu.clone(), training, weights, answer: Answer::none(), losses, shares })
    }

    /// Submits training steps and the readback of their losses, as one submission: some drivers let a second one wait for the
    /// first.
    pub(super) fn submit(&mut self, steps: usize) -> Result<(), Error> {
        let steps = steps.min(STEPS - self.training.steps());
        if steps == 0 {
            return Ok(());
        }
        let (from, to) = (self.training.weights_view()?, &self.weights);
        let losses = [(self.training.session().buffer("losses")?, Element::F32)];
        let (gpu, training) = (&self.gpu, &mut self.training);
        let ticket = gpu.submit("a training", |encoder| {
            {
                let mut pass = encoder.begin_compute_pass(&Default::default());
                (0..steps).for_each(|_| training.record(&mut pass));
            }
            encoder.copy_buffer_to_buffer(&from.buffer, from.offset, &to.buffer, to.offset, from.size.min(to.size));
            gpu.encode_readback(encoder, &losses)
        })?;
        self.answer.expect(ticket, self.training.steps());
        Ok(())
    }

    /// Takes what has come back; returns true if nothing is on its way any more.
    pub(super) fn poll(&mut self) -> Result<bool, Error> {
        if let Some((values, steps)) = self.answer.take()? {
            self.losses = values[0].f32()[..steps].to_vec();
        }
        Ok(!self.answer.is_waiting())
    }

    /// Notes the share of shortest paths when all walkers were done. The first of their steps were taken with earlier weights.
    pub(super) fn judge(&mut self, share: f64) {
        let step = self.training.steps() as f64;
        self.shares.retain(|moment| moment[0] < step);
        self.shares.push([step, share]);
    }

    /// True once all steps are submitted.
    pub(super) fn is_done(&self) -> bool {
        self.training.steps() == STEPS
    }

    /// Steps whose losses have come.
    pub(super) fn steps(&self) -> usize {
        self.losses.len()
    }

    /// The mean of the last losses.
    pub(super) fn loss(&self) -> Option<f64> {
        self.curve().last().map(|point| point[1])
    }

    /// The training steps, and the mean of the last losses at each.
    pub(super) fn curve(&self) -> Vec<[f64; 2]> {
        let mean = |end: usize| {
            let part = &self.losses[end.saturating_sub(AVERAGED)..end];
            part.iter().map(|&loss| f64::from(loss)).sum::<f64>() / part.len() as f64
        };
        (1..=self.losses.len()).map(|end| [end as f64, mean(end)]).collect()
    }

    /// The training step and the share of shortest paths of each time that all walkers were done.
    pub(super) fn shares(&self) -> &[[f64; 2]] {
        &self.shares
    }
}
