//! OpenAI-ES and PGPE over the rollouts of policies in one kernel. Rollouts, fitness, ranks and gradient of a generation are
//! recorded together, and many generations go into one submission without a readback.

use fourfold_shaders::Target;
use fourfold_shaders::evolution::fitness::Summary;
use fourfold_shaders::rollout::unroll::{Composition, WeightSource};

use super::strategy::{Estimate, EstimatePlan, Generation};
use super::{Divided, Error, EvolutionStrategy, OuterTensors, Part, Progress, Source};
use crate::gpu::program::CheckpointTensor;
use crate::gpu::{BufferView, Gpu};
use crate::rollout::{self, Operands, Rollout, Weights};

/// The plan of a gradient from rollouts, as pure data.
#[derive(Debug, Clone)]
pub struct RolloutGradientPlan {
    /// The plan of the rollouts of a generation.
    pub rollout: rollout::Plan,
    estimate: EstimatePlan,
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
        let generation = Generation { parameters: composition.parameters(), members, episodes, stream };
        Ok(Self { estimate: EstimatePlan::new(strategy, generation, target)?, rollout })
    }

    /// Bytes of all buffers: everything beyond theta and the optimiser's moments.
    pub fn bytes(&self) -> u64 {
        self.estimate.bytes() + self.rollout.bytes()
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
    estimate: Estimate,
}

impl RolloutGradient {
    /// Creates buffers and pipelines; neither submits nor polls.
    ///
    /// # Errors
    /// Theta has another number of parameters than the policy, out of memory, or a shader that the driver refuses.
    pub fn new(gpu: &Gpu, plan: RolloutGradientPlan, outer: &OuterTensors) -> Result<Self, Error> {
        let deviation = plan.estimate.deviation(gpu)?;
        let weights = Weights::Perturbed { center: outer.center.clone(), deviation: deviation.clone() };
        let operands = Operands { seed: outer.seed.clone(), weights, wiring: None };
        let rollout = Rollout::new(gpu, plan.rollout.clone(), operands)?;
        let estimate = prepare(gpu, &plan, outer, &deviation, &rollout)?;
        Ok(Self { plan, outer: outer.clone(), deviation, rollout, estimate })
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
        self.rollout.dispatches() + self.estimate.dispatches()
    }
}

fn prepare(
    gpu: &Gpu,
    plan: &RolloutGradientPlan,
    outer: &OuterTensors,
    deviation: &BufferView,
    rollout: &Rollout,
) -> Result<Estimate, Error> {
    let policy = plan.rollout.composition.policy.file();
    plan.estimate.on_device(gpu, policy, outer, deviation, [rollout.returns(), rollout.lengths()])
}

#[cfg(not(target_arch = "wasm32"))]
impl RolloutGradient {
    /// Chooses the length of a rollout's dispatches, see [`Rollout::pace`]. Changes no result.
    ///
    /// # Errors
    /// As [`Rollout::pace`].
    pub fn paced(mut self, time: std::time::Duration) -> Result<Self, Error> {
        self.rollout.pace(time)?;
        let gpu = self.estimate.gpu().clone();
        self.estimate = prepare(&gpu, &self.plan, &self.outer, &self.deviation, &self.rollout)?;
        Ok(self)
    }

    /// Blocks, as [`RolloutGradient::deviation_async`].
    ///
    /// # Errors
    /// As [`RolloutGradient::deviation_async`].
    pub fn deviation(&self) -> Result<Vec<f32>, Error> {
        self.estimate.gpu().block_on(self.deviation_async())
    }
}

impl RolloutGradient {
    /// Waits for the standard deviation of each parameter.
    ///
    /// # Errors
    /// The device was lost.
    pub async fn deviation_async(&self) -> Result<Vec<f32>, Error> {
        self.estimate.deviation_async().await
    }
}

impl Source for RolloutGradient {
    fn record(&self, pass: &mut wgpu::ComputePass<'_>, _: u32) {
        self.rollout.record(pass);
        self.estimate.record(pass);
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
        vec![divided(self.estimate.fitness(), 1), divided(self.rollout.lengths(), plan.settings.episodes)]
    }

    fn record_part(&self, pass: &mut wgpu::ComputePass<'_>, _: u32) {
        self.rollout.record(pass);
        self.estimate.record_fitness(pass);
    }

    fn record_rest(&self, pass: &mut wgpu::ComputePass<'_>) {
        self.estimate.record_rest(pass);
    }

    fn record_metrics(&self, pass: &mut wgpu::ComputePass<'_>) {
        self.estimate.record_metrics(pass);
    }

    fn kept(&self) -> Vec<CheckpointTensor> {
        self.estimate.kept()
    }

    fn metrics(&self) -> Option<BufferView> {
        Some(self.estimate.metrics())
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
