//! OpenAI-ES and PGPE over the episodes of networks that see: weights of all members, episodes, fitness, ranks and gradient of
//! a generation are recorded together.

use std::sync::Arc;

use fourfold_shaders::Element;
use fourfold_shaders::evolution::mirrored;
use fourfold_shaders::layout::copy;
use fourfold_shaders::vision::VisionNetwork;

use super::strategy::{Estimate, EstimatePlan, Generation};
use super::{Error, EvolutionStrategy, OuterTensors, Source};
use crate::gpu::program::{Allocation, CheckpointTensor, Program, ProgramPlan, RecordingId};
use crate::gpu::{BufferView, Gpu};
use crate::rollout::{Environment, PatchWiring, VectorSettings, VisionRollout};

/// A population of networks that see, and what each of them plays.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct VisionGradientSettings {
    /// The estimator.
    pub strategy: EvolutionStrategy,
    /// Members, in mirrored pairs.
    pub members: usize,
    /// Episodes of each member: the same for all, and others in each generation.
    pub episodes: usize,
    /// Steps of an episode at most.
    pub horizon: usize,
    /// The place that draws, see [`threefry`](fourfold_shaders::random::threefry); the next three are taken too.
    pub stream: u32,
}

/// The gradient of the loss of a network that sees, from episodes of a population on a device. The loss is the negative rank of
/// the fitness, and the [`metrics`](Source::metrics) of a generation are a [`Summary`](super::Summary) of its fitness.
///
/// A generation is as many steps as the [horizon](VisionGradientSettings::horizon) says, each of some dispatches, also where all
/// episodes end before.
///
/// ```
/// use std::sync::Arc;
///
/// use fourfold::evolution::*;
/// use fourfold::models::TrainedVision;
/// use fourfold::rollout::environments::CarRacing;
/// use fourfold::shaders::vision::ReactiveNetwork;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let gpu = fourfold::Gpu::open()?;
/// let network = ReactiveNetwork::car_student();
/// let start = vec![0.01; network.parameters()];
/// let mut world = CarRacing::new(1, 0, 4);
/// world.picture = TrainedVision::race_picture(&network.clone().into());
/// let strategy = EvolutionStrategy::Pgpe { deviation: 0.02, rate: 0.1, fraction: 0.2 };
/// let settings = VisionGradientSettings { strategy, members: 4, episodes: 1, horizon: 3, stream: 0 };
/// let outer = OuterTensors::new(&gpu, &start, 42)?;
/// let source = VisionGradient::new(&gpu, Arc::new(world), network.into(), &settings, &outer)?;
/// let descent = OuterSettings { descent: Descent::adam(0.9), rate: 0.01, clip: None, ring: 1 };
/// let progress = OuterLoop::new(&gpu, outer, Box::new(source), descent)?.run(1)?;
/// // Four members took three steps each.
/// assert_eq!(RolloutGradient::summaries(&progress)[0].steps, 12);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct VisionGradient {
    settings: VisionGradientSettings,
    rollout: VisionRollout,
    members: Program,
    mirror: RecordingId,
    collect: RecordingId,
    estimate: Estimate,
    bytes: u64,
}

impl VisionGradient {
    /// Creates buffers and pipelines; neither submits nor polls. Patches come in order: to networks that do not know where a
    /// patch is, all orders are alike.
    ///
    /// # Errors
    /// An odd number of members, settings out of range, theta of another number of parameters than the network's, and as
    /// [`VisionRollout::new`].
    pub fn new(
        gpu: &Gpu,
        environment: Arc<dyn Environment>,
        network: VisionNetwork,
        settings: &VisionGradientSettings,
        outer: &OuterTensors,
    ) -> Result<Self, Error> {
        let VisionGradientSettings { strategy, members, episodes, horizon, stream } = *settings;
        if members == 0 || !members.is_multiple_of(2) {
            return Error::settings(format!("mirrored members come in twos, but the population has {members}"));
        }
        let (parameters, patches, states) = (network.parameters(), network.patches(), environment.states());
        let Some(lanes) = members.checked_mul(episodes).filter(|&lanes| lanes > 0 && lanes <= 1 << 28) else {
            return Error::settings(format!(
                "{members} members with {episodes} episodes each: expected between 1 and 2^28 episodes in all"
            ));
        };
        let (target, file) = (gpu.target(), environment.file().to_owned());
        let generation = Generation { parameters, members, episodes, stream };
        let plan = EstimatePlan::new(strategy, generation, &target)?;
        let deviation = plan.deviation(gpu)?;

        let theta = gpu.zeros("theta", members.saturating_mul(parameters))?;
        let vector = VectorSettings { members, stream, ..VectorSettings::new(lanes, horizon, outer.key()) };
        let wiring = PatchWiring::plain(lanes, patches);
        let seed = Some(outer.seed.clone());
        let rollout = VisionRollout::on_weights(gpu, environment, &vector, network, theta.clone(), wiring, seed)?;

        let returns = gpu.zeros("returns", lanes)?;
        let lengths = rollout.environment().lengths();
        let estimate = plan.on_device(gpu, &file, outer, &deviation, [&returns, &lengths])?;

        let mut program = ProgramPlan::default();
        let [center, spread] =
            ["center", "deviation"].map(|name| program.buffer(Allocation::f32(name, parameters).given()));
        let seed = program.buffer(Allocation::u32("seed", 2).given());
        let weights = program.buffer(Allocation::f32("theta", theta.elements()).given());
        let saved = program.buffer(Allocation::f32("saved", (states + 1) * lanes).given());
        let earned = program.buffer(Allocation::f32("returns", lanes).given());
        let [mirror, collect] = [(); 2].map(|()| program.recording());
        let problem = mirrored::Problem { parameters, directions: members / 2, stream };
        program.sequence(mirror, problem.sequence(&target), &[center, spread, seed, weights]);
        // Returns follow the states.
        let row = copy::Problem::slice(Element::F32, &[states + 1, lanes], &[states, 0], &[1, lanes]);
        program.sequence(collect, row.and_then(|row| row.sequence(&target)), &[saved, earned]);
        let state = rollout.environment().state();
        let given = [
            (center, &outer.center),
            (spread, &deviation),
            (seed, &outer.seed),
            (weights, &theta),
            (saved, state),
            (earned, &returns),
        ];
        let members = Program::new(gpu, "members that see", program, &given)?;
        let bytes = plan.bytes() + theta.size + returns.size + members.bytes() + rollout.bytes();
        Ok(Self { settings: *settings, rollout, members, mirror, collect, estimate, bytes })
    }

    /// The settings.
    pub fn settings(&self) -> &VisionGradientSettings {
        &self.settings
    }

    /// Waits for the standard deviation of each parameter.
    ///
    /// # Errors
    /// The device was lost.
    pub async fn deviation_async(&self) -> Result<Vec<f32>, Error> {
        self.estimate.deviation_async().await
    }
}

impl Source for VisionGradient {
    fn record(&self, pass: &mut wgpu::ComputePass<'_>, _: u32) {
        self.members.record(self.mirror, pass);
        self.rollout.record_reset(pass);
        (0..self.settings.horizon).for_each(|_| self.rollout.record(pass));
        self.members.record(self.collect, pass);
        self.estimate.record(pass);
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

    /// See [`Summary::COLUMNS`](super::Summary::COLUMNS).
    fn columns(&self) -> &'static [&'static str] {
        &super::Summary::COLUMNS
    }

    fn faults(&self) -> Option<BufferView> {
        Some(self.rollout.environment().counters().clone())
    }

    fn check(&self, faults: &[u32]) -> Result<(), Error> {
        Ok(self.rollout.environment().check(faults)?)
    }

    fn bytes(&self) -> u64 {
        self.bytes
    }
}
