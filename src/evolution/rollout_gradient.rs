//! OpenAI-ES and PGPE: gradients of the fitness of whole rollouts. Rollouts, fitness, ranks and gradient of a generation
//! are recorded together, and many generations go into one submission without a readback.

use fourfold_shaders::evolution::fitness::Summary;
use fourfold_shaders::rollout::unroll::{Composition, WeightSource};
use fourfold_shaders::{
    Data, Element, Target, evolution::centred_ranks, evolution::evolution_gradient, evolution::fitness,
    evolution::pgpe_deviation, evolution::pgpe_gradient,
};

use super::source::OuterIds;
use super::{Divided, Error, OuterTensors, Part, Progress, Source};
use crate::gpu::program::{Allocation, BufferId, CheckpointTensor, Program, ProgramPlan, RecordingId};
use crate::gpu::{BufferView, Gpu};
use crate::rollout::{self, Operands, Rollout, Weights};

/// The estimator of the gradient from the ranks of a population.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum EvolutionStrategy {
    /// OpenAI-ES (Salimans et al. 2017): one fixed deviation for all parameters.
    OpenAiEs {
        /// The standard deviation of the perturbations.
        sigma: f32,
    },
    /// PGPE (Sehnke et al. 2010) as in EvoJAX: each parameter has a deviation that adapts.
    Pgpe {
        /// The first standard deviation of the perturbations.
        deviation: f32,
        /// The learning rate of the deviations.
        rate: f32,
        /// The largest change of a deviation in a generation, as a share of it.
        fraction: f32,
    },
}

impl EvolutionStrategy {
    /// The standard deviation at the start.
    fn deviation(&self) -> f32 {
        match *self {
            Self::OpenAiEs { sigma } => sigma,
            Self::Pgpe { deviation, .. } => deviation,
        }
    }
}

/// The plan of a gradient from rollouts, as pure data.
#[derive(Debug, Clone)]
pub struct RolloutGradientPlan {
    /// The plan of the rollouts of a generation.
    pub rollout: rollout::Plan,
    strategy: EvolutionStrategy,
    program: ProgramPlan,
    outer: OuterIds,
    ids: Ids,
}

#[derive(Debug, Clone, Copy)]
struct Ids {
    deviation: BufferId,
    returns: BufferId,
    lengths: BufferId,
    fitness: BufferId,
    metrics: BufferId,
    estimate: RecordingId,
    /// Dispatches of the estimate that compute the fitness of the own members; those after them need that of all.
    judged: usize,
    measure: RecordingId,
}

impl RolloutGradientPlan {
    /// Plans the gradient of a policy's parameters; the members of the composition become [`WeightSource::Perturbed`].
    ///
    /// # Errors
    /// As [`rollout::Plan::new`]; more numbers than a generation can draw, or a deviation out of range.
    pub fn new(
        composition: &Composition,
        strategy: EvolutionStrategy,
        settings: &rollout::Settings,
        target: &Target,
    ) -> Result<Self, Error> {
        let composition = Composition { weights: WeightSource::Perturbed, ..composition.clone() };
        let rollout = rollout::Plan::new(&composition, settings, target)?;
        let rollout::Settings { members, episodes, stream, .. } = *settings;
        let (parameters, directions) = (composition.parameters(), members / 2);
        if directions as u64 * parameters.div_ceil(2) as u64 > 1 << 32 {
            return Error::settings(format!(
                "{directions} directions of {parameters} parameters exceed the 2^33 numbers that a generation can draw"
            ));
        }
        let deviation = strategy.deviation();
        if !(deviation > 0.0 && deviation.is_finite()) {
            return Error::settings(format!("the deviation must be finite and above 0 but is {deviation}"));
        }
        let columns = Summary::COLUMNS.len();
        let mut program = ProgramPlan::default();
        let outer = OuterIds::new(&mut program, parameters);
        let buffers = [
            Allocation::f32("deviation", parameters).given().kept(),
            Allocation::f32("returns", members * episodes).given(),
            Allocation::u32("lengths", members * episodes).given(),
            Allocation::f32("fitness", members),
            Allocation::f32("utilities", members),
            Allocation::f32("metrics", columns),
        ];
        let [deviation, returns, lengths, fitness, utilities, metrics] =
            buffers.map(|allocation| program.buffer(allocation));
        let [estimate, measure] = [(); 2].map(|()| program.recording());
        let mean = fitness::Problem { members, episodes };
        program.sequence(estimate, mean.sequence(target), &[returns, fitness]);
        let judged = program.dispatches(estimate);
        let ranks = centred_ranks::Problem { members };
        program.sequence(estimate, ranks.sequence(target), &[fitness, utilities]);
        // Fitness is maximised, and the gradient is that of a loss.
        const FACTOR: f32 = -1.0;
        match strategy {
            EvolutionStrategy::OpenAiEs { sigma } => {
                let problem = evolution_gradient::Problem { parameters, directions, stream, sigma, factor: FACTOR };
                program.sequence(estimate, problem.sequence(target), &[utilities, outer.seed, outer.gradient]);
            }
            EvolutionStrategy::Pgpe { rate, fraction, .. } => {
                /// No deviation becomes smaller.
                const FLOOR: f32 = 1e-5;
                let slope = program.buffer(Allocation::f32("deviation_gradient", parameters));
                let rate = program.buffer(Allocation::values("deviation_rate", Data::F32(vec![rate])));
                let problem = pgpe_gradient::Problem { parameters, directions, stream, factor: FACTOR };
                let operands = [utilities, outer.seed, deviation, outer.gradient, slope];
                program.sequence(estimate, problem.sequence(target), &operands);
                let problem = pgpe_deviation::Problem { count: parameters, fraction, floor: FLOOR };
                program.sequence(estimate, problem.sequence(target), &[deviation, slope, rate]);
            }
        }
        program.sequence(measure, mean.summary(target), &[fitness, lengths, metrics]);
        program.check()?;
        let ids = Ids { deviation, returns, lengths, fitness, metrics, estimate, judged, measure };
        Ok(Self { rollout, strategy, program, outer, ids })
    }

    fn parameters(&self) -> usize {
        self.rollout.composition.parameters()
    }

    /// Bytes of all buffers: everything beyond theta and the optimiser's moments.
    pub fn bytes(&self) -> u64 {
        let deviation = (self.parameters() * Element::BYTES) as u64;
        self.program.bytes() + self.rollout.bytes() + deviation
    }
}

/// The gradient of the loss of a policy, from rollouts of a population on a device. The loss is the negative rank of the
/// fitness, and the [`metrics`](Source::metrics) of a generation are a [`Summary`] of its fitness.
#[derive(Debug)]
pub struct RolloutGradient {
    plan: RolloutGradientPlan,
    #[cfg_attr(target_arch = "wasm32", expect(dead_code, reason = "only pacing reads it, which blocks"))]
    outer: OuterTensors,
    #[cfg_attr(target_arch = "wasm32", expect(dead_code, reason = "only pacing reads it, which blocks"))]
    deviation: BufferView,
    rollout: Rollout,
    program: Program,
}

impl RolloutGradient {
    /// Creates buffers and pipelines; neither submits nor polls.
    ///
    /// # Errors
    /// Theta has another number of parameters than the policy, out of memory, or a shader that the driver refuses.
    pub fn new(gpu: &Gpu, plan: RolloutGradientPlan, outer: &OuterTensors) -> Result<Self, Error> {
        let first = vec![plan.strategy.deviation(); plan.parameters()];
        let deviation = gpu.upload("deviation", &Data::F32(first))?;
        let weights = Weights::Perturbed { center: outer.center.clone(), deviation: deviation.clone() };
        let operands = Operands { seed: outer.seed.clone(), weights, wiring: None };
        let rollout = Rollout::new(gpu, plan.rollout.clone(), operands)?;
        let program = prepare(gpu, &plan, outer, &deviation, &rollout)?;
        Ok(Self { plan, outer: outer.clone(), deviation, rollout, program })
    }

    /// The plan.
    pub fn plan(&self) -> &RolloutGradientPlan {
        &self.plan
    }

    /// Returns the summaries of the generations of a progress, oldest first.
    pub fn summaries(progress: &Progress) -> Vec<Summary> {
        let row = |row: &Vec<f32>| Summary::from_row(std::array::from_fn(|column| row[column]));
        progress.metrics.iter().map(row).collect()
    }

    /// Dispatches of one generation.
    pub fn dispatches(&self) -> usize {
        self.rollout.dispatches() + self.program.dispatches(self.plan.ids.estimate)
    }
}

fn prepare(
    gpu: &Gpu,
    plan: &RolloutGradientPlan,
    outer: &OuterTensors,
    deviation: &BufferView,
    rollout: &Rollout,
) -> Result<Program, Error> {
    let policy = plan.rollout.composition.policy.file();
    let mut given = plan.outer.given(outer, policy, plan.parameters())?;
    let Ids { deviation: id, returns, lengths, .. } = plan.ids;
    given.extend([(id, deviation), (returns, rollout.returns()), (lengths, rollout.lengths())]);
    Ok(Program::new(gpu, "evolution strategy", plan.program.clone(), &given)?)
}

#[cfg(not(target_arch = "wasm32"))]
impl RolloutGradient {
    /// Chooses the length of a rollout's dispatches, see [`Rollout::pace`]. Changes no result.
    ///
    /// # Errors
    /// As [`Rollout::pace`].
    pub fn paced(mut self, time: std::time::Duration) -> Result<Self, Error> {
        self.rollout.pace(time)?;
        let gpu = self.program.gpu().clone();
        self.program = prepare(&gpu, &self.plan, &self.outer, &self.deviation, &self.rollout)?;
        Ok(self)
    }

    /// Blocks, as [`RolloutGradient::deviation_async`].
    ///
    /// # Errors
    /// As [`RolloutGradient::deviation_async`].
    pub fn deviation(&self) -> Result<Vec<f32>, Error> {
        self.program.gpu().block_on(self.deviation_async())
    }
}

impl RolloutGradient {
    /// Waits for the standard deviation of each parameter.
    ///
    /// # Errors
    /// The device was lost.
    pub async fn deviation_async(&self) -> Result<Vec<f32>, Error> {
        let [deviation] = self.program.read_async([self.plan.ids.deviation]).await?;
        Ok(deviation.f32().to_vec())
    }
}

impl Source for RolloutGradient {
    fn record(&self, pass: &mut wgpu::ComputePass<'_>, _: u32) {
        self.rollout.record(pass);
        self.program.record(self.plan.ids.estimate, pass);
    }

    fn part(&self) -> Part {
        self.plan.rollout.settings.part
    }

    /// The fitness of the members, and the lengths of their episodes for the metrics.
    fn told(&self) -> Vec<Divided> {
        let (plan, members) = (&self.plan.rollout, self.plan.rollout.members_of_parts());
        let divided = |view: &BufferView, each: usize| {
            let columns = members.iter().map(|members| members.start * each..members.end * each).collect();
            Divided { view: view.clone(), rows: 1, stride: plan.settings.members * each, columns }
        };
        let fitness = self.program.view(self.plan.ids.fitness);
        vec![divided(fitness, 1), divided(self.rollout.lengths(), plan.settings.episodes)]
    }

    fn record_part(&self, pass: &mut wgpu::ComputePass<'_>, _: u32) {
        self.rollout.record(pass);
        self.program.record_range(self.plan.ids.estimate, pass, 0..self.plan.ids.judged);
    }

    fn record_rest(&self, pass: &mut wgpu::ComputePass<'_>) {
        let Ids { estimate, judged, .. } = self.plan.ids;
        self.program.record_range(estimate, pass, judged..self.program.dispatches(estimate));
    }

    fn record_metrics(&self, pass: &mut wgpu::ComputePass<'_>) {
        self.program.record(self.plan.ids.measure, pass);
    }

    fn kept(&self) -> Vec<CheckpointTensor> {
        self.program.kept("strategy.")
    }

    fn metrics(&self) -> Option<BufferView> {
        Some(self.program.view(self.plan.ids.metrics).clone())
    }

    /// See [`Summary::COLUMNS`].
    fn columns(&self) -> &'static [&'static str] {
        &Summary::COLUMNS
    }

    fn faults(&self) -> Option<BufferView> {
        Some(self.rollout.counters().clone())
    }

    fn check(&self, faults: &[u32]) -> Result<(), Error> {
        Ok(self.rollout.check(faults)?)
    }

    fn bytes(&self) -> u64 {
        self.plan.bytes()
    }
}
