//! OpenAI-ES and PGPE: the gradient from what a mirrored population has earned, by the ranks of its members' fitness.

use fourfold_shaders::evolution::fitness::Summary;
use fourfold_shaders::{
    Data, Element, Target, evolution::centred_ranks, evolution::evolution_gradient, evolution::fitness,
    evolution::pgpe_deviation, evolution::pgpe_gradient,
};

use super::source::OuterIds;
use super::{Error, OuterTensors};
use crate::gpu::program::{Allocation, BufferId, CheckpointTensor, Program, ProgramPlan, RecordingId};
use crate::gpu::{BufferView, Gpu};

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

/// A mirrored population and what each of its members plays.
#[derive(Debug, Clone, Copy)]
pub(super) struct Generation {
    pub parameters: usize,
    pub members: usize,
    /// Episodes of each member.
    pub episodes: usize,
    /// The place that draws the perturbations.
    pub stream: u32,
}

/// The plan of a gradient from returns, as pure data.
#[derive(Debug, Clone)]
pub(super) struct EstimatePlan {
    pub parameters: usize,
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

impl EstimatePlan {
    /// Plans the gradient.
    ///
    /// # Errors
    /// More numbers than a generation can draw, or a deviation out of range.
    pub fn new(strategy: EvolutionStrategy, generation: Generation, target: &Target) -> Result<Self, Error> {
        let Generation { parameters, members, episodes, stream } = generation;
        let directions = members / 2;
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
        Ok(Self { parameters, strategy, program, outer, ids })
    }

    /// Bytes of all buffers, the deviations included: everything beyond theta and the optimiser's moments.
    pub fn bytes(&self) -> u64 {
        self.program.bytes() + (self.parameters * Element::BYTES) as u64
    }

    /// Uploads the first deviation of each parameter.
    ///
    /// # Errors
    /// Out of memory.
    pub fn deviation(&self, gpu: &Gpu) -> Result<BufferView, Error> {
        Ok(gpu.upload("deviation", &Data::F32(vec![self.strategy.deviation(); self.parameters]))?)
    }

    /// Creates buffers and pipelines for the episodes of a policy of this name, (members, episodes).
    ///
    /// # Errors
    /// Theta has another number of parameters than the policy, out of memory, or a shader that the driver refuses.
    pub fn on_device(
        &self,
        gpu: &Gpu,
        policy: &str,
        outer: &OuterTensors,
        deviation: &BufferView,
        [returns, lengths]: [&BufferView; 2],
    ) -> Result<Estimate, Error> {
        let mut given = self.outer.given(outer, policy, self.parameters)?;
        let ids = self.ids;
        given.extend([(ids.deviation, deviation), (ids.returns, returns), (ids.lengths, lengths)]);
        Ok(Estimate { program: Program::new(gpu, "evolution strategy", self.program.clone(), &given)?, ids })
    }
}

/// A gradient from returns on a device.
#[derive(Debug)]
pub(super) struct Estimate {
    program: Program,
    ids: Ids,
}

impl Estimate {
    /// The device.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn gpu(&self) -> &Gpu {
        self.program.gpu()
    }

    /// Dispatches of a gradient.
    pub fn dispatches(&self) -> usize {
        self.program.dispatches(self.ids.estimate)
    }

    /// Records the gradient.
    pub fn record(&self, pass: &mut wgpu::ComputePass<'_>) {
        self.program.record(self.ids.estimate, pass);
    }

    /// Records the fitness of the own members.
    pub fn record_fitness(&self, pass: &mut wgpu::ComputePass<'_>) {
        self.program.record_range(self.ids.estimate, pass, 0..self.ids.judged);
    }

    /// Records the gradient from the fitness of all members.
    pub fn record_rest(&self, pass: &mut wgpu::ComputePass<'_>) {
        self.program.record_range(self.ids.estimate, pass, self.ids.judged..self.dispatches());
    }

    /// Records the [metrics](Self::metrics).
    pub fn record_metrics(&self, pass: &mut wgpu::ComputePass<'_>) {
        self.program.record(self.ids.measure, pass);
    }

    /// (members)
    pub fn fitness(&self) -> &BufferView {
        self.program.view(self.ids.fitness)
    }

    /// A [`Summary`] of the generation.
    pub fn metrics(&self) -> BufferView {
        self.program.view(self.ids.metrics).clone()
    }

    /// The tensors that a checkpoint holds.
    pub fn kept(&self) -> Vec<CheckpointTensor> {
        self.program.kept("strategy.")
    }

    /// Waits for the standard deviation of each parameter.
    ///
    /// # Errors
    /// The device was lost.
    pub async fn deviation_async(&self) -> Result<Vec<f32>, Error> {
        let [deviation] = self.program.read_async([self.ids.deviation]).await?;
        Ok(deviation.f32().to_vec())
    }
}
