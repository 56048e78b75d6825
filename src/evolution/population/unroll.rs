//! Persistent evolution strategies and their kin on inner problems given as graphs.

use std::collections::BTreeMap;

use fourfold_shaders::inner_problem::SHARES;
use fourfold_shaders::random::threefry::threefry;
use fourfold_shaders::{Element, evolution::pair_shares, evolution::persistent_gradient, evolution::perturb};

use super::clock::Clock;
use super::{GraphProblem, Population};
use crate::evolution::estimator::Particles;
use crate::evolution::outer::{Kept, Outer, Source};
use crate::evolution::pair_gradient::{COLUMNS, PairGradient, means};
use crate::evolution::truncation::TruncationSettings;
use crate::gpu::{BufferView, Gpu, Launch, Recording};
use crate::rollout::Error;

/// An estimate of the gradient of an inner problem given as a graph, on a device.
///
/// The particles of a chunk are the members of a [`Population`], in lockstep, so whoever records knows the inner time: an
/// episode's end is recorded between the right steps, in the middle of an unroll if it falls there. Where particles
/// share a state, one more member of each chunk goes on unperturbed, and its states become those of all when an unroll
/// begins.
///
/// An iteration is one unroll: theta of all members, steps, what the losses add to the gradient, and the gradient, none
/// of which reads anything back.
#[derive(Debug)]
pub struct PopulationUnroll {
    settings: TruncationSettings,
    chunks: Vec<Chunk>,
    drawn: BufferView,
    previous: BufferView,
    shares: BufferView,
    accumulators: Vec<BufferView>,
    metrics: BufferView,
    /// From shares to gradient, and to metrics.
    gradient: Recording,
    mean: Recording,
    bytes: u64,
}

/// A population whose members are at one inner time.
#[derive(Debug)]
struct Chunk {
    population: Population,
    clock: Clock,
    /// Theta of the members, with the perturbations that they had and with new ones.
    perturb: [Recording; 2],
    /// By the end of an inner problem in the unroll, and whether perturbations are new.
    shares: BTreeMap<(Option<usize>, bool), Recording>,
}

impl PopulationUnroll {
    /// The estimate of a problem's gradient at the theta of `outer`; `key` decides episodes and minibatches, which all
    /// chunks have for themselves. Neither submits nor polls.
    ///
    /// # Errors
    /// Settings that make no sense, another number of outer parameters than the problem has, graphs that the problem
    /// builds wrongly, no memory.
    pub fn new(
        gpu: &Gpu,
        problem: &dyn GraphProblem,
        settings: TruncationSettings,
        outer: &Outer,
        key: u32,
    ) -> Result<Self, Error> {
        check(problem, &settings, outer)?;
        let (parameters, pairs) = (problem.parameters(), settings.particles / 2);
        let target = gpu.target();
        let drawn = gpu.zeros("drawn", pairs)?;
        let previous = gpu.zeros("previous", pairs)?;
        let shares = gpu.zeros("shares", SHARES * pairs)?;
        let own = settings.estimator.particles == Particles::Own;

        let present = pairs / settings.chunks;
        let mut chunks: Vec<Chunk> = Vec::with_capacity(settings.chunks);
        for index in 0..settings.chunks {
            let members = 2 * present + usize::from(!own);
            let key = threefry([key, index as u32], [0, 0])[1];
            let population = match chunks.first() {
                None => Population::new(gpu, problem, members, settings.truncation, key)?,
                Some(first) => first.population.beside(problem, members, settings.truncation, key)?,
            };
            let clock = Clock::new(problem.horizon(), &settings, index);
            let first = index * present;
            let mut perturbations = Vec::with_capacity(2);
            for renewed in [false, true] {
                let TruncationSettings { stream, sigma, .. } = settings;
                let problem = perturb::Problem { parameters, pairs, first, present, members, renewed, stream, sigma };
                let views = [outer.center.clone(), outer.seed.clone(), drawn.clone(), population.theta().clone()];
                perturbations.push(gpu.prepare(&[Launch::new(&problem.call(), &views)])?);
            }
            let [kept, renewed] =
                <[Recording; 2]>::try_from(perturbations).unwrap_or_else(|_| unreachable!("there are two recordings"));
            let mut recordings = BTreeMap::new();
            for (ended, renewed) in clock.kinds() {
                let problem = pair_shares::Problem {
                    steps: settings.truncation,
                    members,
                    pairs,
                    first,
                    present,
                    ended,
                    horizon: problem.horizon(),
                    objective: settings.objective,
                    renewed,
                    own,
                };
                let views = [population.losses().clone(), previous.clone(), shares.clone()];
                recordings.insert((ended, renewed), gpu.prepare(&[Launch::new(&problem.call(), &views)])?);
            }
            chunks.push(Chunk { population, clock, perturb: [kept, renewed], shares: recordings });
        }

        let gradient = persistent_gradient::Problem {
            parameters,
            pairs,
            stream: settings.stream,
            sigma: settings.sigma,
            accumulated: own,
        };
        let mut accumulators = Vec::new();
        for length in gradient.accumulators() {
            accumulators.push(gpu.zeros("accumulators", length)?);
        }
        let sums = gpu.zeros("sums", gradient.sums(&target))?;
        let metrics = gpu.zeros("metrics", SHARES)?;
        let pair_gradient = PairGradient {
            shares: &shares,
            drawn: &drawn,
            seed: &outer.seed,
            accumulators: &accumulators,
            sums: &sums,
            gradient: &outer.gradient,
        };
        let mean = means(gpu, pairs, &shares, &metrics)?;
        let gradient = pair_gradient.prepare(gpu, &gradient)?;

        let views = [&drawn, &previous, &shares, &sums, &metrics];
        let own = views.into_iter().chain(&accumulators).map(|view| view.size).sum::<u64>();
        let populations = chunks.iter().map(|chunk| chunk.population.bytes()).sum::<u64>();
        // Shared tensors stand once, however many chunks read them.
        let repeated = (chunks.len() as u64 - 1) * chunks[0].population.shared_bytes();
        let bytes = own + populations - repeated;
        Ok(Self { settings, chunks, drawn, previous, shares, accumulators, metrics, gradient, mean, bytes })
    }

    pub fn settings(&self) -> &TruncationSettings {
        &self.settings
    }

    /// The members of each chunk.
    pub fn populations(&self) -> impl Iterator<Item = &Population> {
        self.chunks.iter().map(|chunk| &chunk.population)
    }

    /// (6, pairs): a, b, keep, add and both losses of each pair in the last unroll, see
    /// [`persistent_gradient`](fourfold_shaders::evolution::persistent_gradient).
    pub fn shares(&self) -> &BufferView {
        &self.shares
    }

    /// (pairs, parameters rounded up to even), perhaps in several buffers: what each pair has been perturbed by since its
    /// inner problem started, in units of sigma.
    pub fn accumulators(&self) -> &[BufferView] {
        &self.accumulators
    }

    /// Inner steps of one iteration, those of unperturbed members included.
    pub fn inner_steps(&self) -> usize {
        self.populations().map(|population| population.size() * self.settings.truncation).sum()
    }
}

impl Source for PopulationUnroll {
    fn record(&self, pass: &mut wgpu::ComputePass<'_>, iteration: u32) {
        for Chunk { population, clock, perturb, shares } in &self.chunks {
            let unroll = clock.unroll(iteration);
            perturb[usize::from(unroll.renewed)].record(pass);
            if self.settings.estimator.particles == Particles::Shared && !unroll.begins(0) {
                population.record_share(pass);
            }
            for step in 0..self.settings.truncation {
                if unroll.begins(step) {
                    population.record_reset(pass);
                }
                population.record_step(pass);
            }
            let kind = unroll.kind();
            match shares.get(&kind) {
                Some(recording) => recording.record(pass),
                None => unreachable!("unrolls of kind {kind:?} were not foreseen"),
            }
        }
        self.gradient.record(pass);
    }

    fn record_metrics(&self, pass: &mut wgpu::ComputePass<'_>) {
        self.mean.record(pass);
    }

    fn kept(&self) -> Vec<Kept> {
        let pairs = self.settings.particles / 2;
        let own = |name: &str, view: &BufferView, element, length| Kept {
            name: format!("unroll.{name}"),
            view: view.clone(),
            element,
            length,
        };
        let mut kept =
            vec![own("drawn", &self.drawn, Element::U32, pairs), own("previous", &self.previous, Element::F32, pairs)];
        for (index, view) in self.accumulators.iter().enumerate() {
            kept.push(own(&format!("accumulators.{index}"), view, Element::F32, view.elements()));
        }
        for (index, chunk) in self.chunks.iter().enumerate() {
            kept.extend(chunk.population.kept(&format!("chunk.{index}.")));
        }
        kept
    }

    fn metrics(&self) -> Option<BufferView> {
        Some(self.metrics.clone())
    }

    /// Means over the pairs; the mean loss of a particle is that of the last two.
    fn columns(&self) -> &'static [&'static str] {
        COLUMNS
    }

    fn bytes(&self) -> u64 {
        self.bytes
    }
}

fn check(problem: &dyn GraphProblem, settings: &TruncationSettings, outer: &Outer) -> Result<(), Error> {
    outer.check(problem.name(), problem.parameters())?;
    if !settings.alike {
        let message = "the members of a population always draw the same random numbers".into();
        return Err(Error::Settings { message });
    }
    settings.check(problem.name(), problem.parameters(), problem.horizon())
}
