//! Perturbed particles of an inner problem given as a graph.
//!
//! The particles of a chunk are the members of a [`Population`], in lockstep, so whoever records knows the inner time: an
//! episode's end is recorded between the right steps, in the middle of an unroll if it falls there. If particles share a
//! state, one more member of each chunk goes on unperturbed, and its states become those of all when an unroll begins.

use std::collections::BTreeMap;

use fourfold_shaders::inner_problem::SHARES;
use fourfold_shaders::random::threefry::threefry;
use fourfold_shaders::{Target, evolution::pair_shares, evolution::persistent_gradient, evolution::perturb};

use super::UnrollSettings;
use super::clock::Clock;
use super::pair_gradient::{PairGradient, mean_shares};
use super::tensors::Tensors;
use crate::evolution::source::OuterIds;
use crate::evolution::{Error, GraphProblem, Particles, Perturbation, Population, PopulationPlan};
use crate::gpu::program::{Allocation, BufferId, Program, ProgramPlan, RecordingId};
use crate::gpu::{BufferView, Gpu};

/// The plan of the members of all chunks.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    population: PopulationPlan,
    chunks: Vec<ChunkPlan>,
    truncation: usize,
    shared_state: bool,
    /// Bytes of the tensors that all chunks read.
    shared_bytes: u64,
}

#[derive(Debug, Clone)]
struct ChunkPlan {
    clock: Clock,
    theta: BufferId,
    losses: BufferId,
    /// Theta of the members, with the perturbations that they had and with new ones.
    perturb: [RecordingId; 2],
    /// The recordings by the end of an inner problem in the unroll, and whether perturbations are new.
    shares: BTreeMap<(Option<usize>, bool), RecordingId>,
}

impl Plan {
    pub fn bytes(&self) -> u64 {
        let chunks = self.chunks.len() as u64;
        chunks * self.population.bytes() as u64 - (chunks - 1) * self.shared_bytes
    }
}

/// Plans the gradient from perturbed members.
pub(super) fn plan(
    program: &mut ProgramPlan,
    problem: &dyn GraphProblem,
    (settings, perturbation): (&UnrollSettings, Perturbation),
    outer: OuterIds,
    target: &Target,
) -> Result<(Tensors, Plan), Error> {
    let UnrollSettings { truncation, sigma, stream, objective, .. } = *settings;
    if !settings.common_random_numbers {
        return Error::settings("the members of a population always draw the same random numbers");
    }
    let (parameters, pairs, horizon) = (problem.parameters(), settings.pairs(), problem.horizon());
    let own = perturbation.particles == Particles::Own;
    let present = pairs / settings.chunks;
    let members = 2 * present + usize::from(!own);
    let population = PopulationPlan::new(problem, members, truncation, target)?;
    let drawn = program.buffer(Allocation::u32("drawn", pairs).zeros().kept());
    let previous = program.buffer(Allocation::f32("previous", pairs).zeros().kept());
    let shares = program.buffer(Allocation::f32("shares", SHARES * pairs).zeros());

    let mut chunks = Vec::with_capacity(settings.chunks);
    for index in 0..settings.chunks {
        let theta = program.buffer(Allocation::f32("theta", members * parameters).given());
        let losses = program.buffer(Allocation::f32("losses", truncation * members).given());
        let clock = Clock::new(horizon, settings, perturbation.interval(), index);
        let first = index * present;
        let perturb = [false, true].map(|renewed| {
            let problem = perturb::Problem { parameters, pairs, first, present, members, renewed, stream, sigma };
            let recording = program.recording();
            program.sequence(recording, problem.sequence(target), &[outer.center, outer.seed, drawn, theta]);
            recording
        });
        let kinds = clock.kinds().into_iter().map(|(ended, renewed)| {
            let problem = pair_shares::Problem {
                steps: truncation,
                members,
                pairs,
                first,
                present,
                ended,
                horizon,
                objective,
                renewed,
                independent_state: own,
            };
            let recording = program.recording();
            program.sequence(recording, problem.sequence(target), &[losses, previous, shares]);
            ((ended, renewed), recording)
        });
        let kinds = kinds.collect();
        chunks.push(ChunkPlan { clock, theta, losses, perturb, shares: kinds });
    }

    let gradient = persistent_gradient::Problem { parameters, pairs, stream, sigma, accumulated: own };
    let estimate = program.recording();
    let pair_gradient = PairGradient { shares, drawn, seed: outer.seed, gradient: outer.gradient };
    let accumulators = pair_gradient.plan(program, estimate, &gradient, target);
    let measure = program.recording();
    let metrics = mean_shares(program, measure, pairs, shares, target);
    let tensors = Tensors {
        estimate,
        measure: Some(measure),
        metrics,
        shares: Some(shares),
        counters: Some(drawn),
        accumulators,
        small: None,
        shared_out: None,
    };
    let shared_bytes = problem.shared().iter().map(|tensor| tensor.data.bytes().len() as u64).sum();
    Ok((tensors, Plan { population, chunks, truncation, shared_state: !own, shared_bytes }))
}

/// The members of all chunks, on a device.
#[derive(Debug)]
pub(super) struct Chunks {
    plan: Plan,
    populations: Vec<Population>,
}

impl Chunks {
    pub fn new(gpu: &Gpu, problem: &dyn GraphProblem, plan: Plan, key: u32) -> Result<Self, Error> {
        let mut populations: Vec<Population> = Vec::with_capacity(plan.chunks.len());
        for index in 0..plan.chunks.len() {
            let key = threefry([key, index as u32], [0, 0])[1];
            let shared = populations.first().map(Population::shared_tensors).unwrap_or_default();
            populations.push(Population::on_plan(gpu, problem, &plan.population, key, shared)?);
        }
        Ok(Self { plan, populations })
    }

    /// The buffers of the members that the program takes.
    pub fn given(&self) -> impl Iterator<Item = (BufferId, &BufferView)> {
        let chunks = self.plan.chunks.iter().zip(&self.populations);
        chunks.flat_map(|(chunk, members)| [(chunk.theta, members.theta()), (chunk.losses, members.losses())])
    }

    pub fn populations(&self) -> &[Population] {
        &self.populations
    }

    /// Records the unroll of an iteration, up to the shares of each pair.
    pub fn record(&self, program: &Program, pass: &mut wgpu::ComputePass<'_>, iteration: u32) {
        for (chunk, population) in self.plan.chunks.iter().zip(&self.populations) {
            let unroll = chunk.clock.unroll(iteration);
            program.record(chunk.perturb[usize::from(unroll.renewed)], pass);
            if self.plan.shared_state && !unroll.begins(0) {
                population.record_share(pass);
            }
            for step in 0..self.plan.truncation {
                if unroll.begins(step) {
                    population.record_reset(pass);
                }
                population.record_step(pass);
            }
            let kind = unroll.kind();
            match chunk.shares.get(&kind) {
                Some(recording) => program.record(*recording, pass),
                None => unreachable!("the plan has all kinds of unrolls, also {kind:?}"),
            }
        }
    }
}
