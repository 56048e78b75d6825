//! A model in training on recorded trajectories.

use std::collections::BTreeMap;
#[cfg(not(target_arch = "wasm32"))]
use std::time::Duration;

use fourfold_shaders::Data;

use super::tables::Tables;
use super::{OfflineSettings, OfflineTrainingError, Starts};
use crate::data::{Checkpoint, Trajectories};
use crate::gpu::{BufferView, Gpu};
use crate::graph::{Graph, Plan, Session, Tag, Tensor, TensorType, Values, WindowOptions, gradients};
use crate::models::SequenceModel;
use crate::nn::{Noise, Parameters};
use crate::optim::{Optimiser, clip_by_global_norm};

/// A [model of windows](SequenceModel) with the trajectories, its weights and the optimiser's state on the GPU.
///
/// One plan is one training step: windows are drawn, their rows gathered, loss and gradient taken, the gradient clipped,
/// the weights changed and the loss kept. Steps go into submissions of several, and nothing is uploaded or read back
/// within or between them.
///
/// ```
/// use fourfold::Gpu;
/// use fourfold::data::{Actions, Steps, Trajectories};
/// use fourfold::models::behaviour_cloning::{BehaviourCloning, Settings};
/// use fourfold::models::offline_training::{OfflineSettings, OfflineTraining};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// // Two episodes in which somebody did the opposite of what he saw.
/// let steps = Steps {
///     observations: vec![0.5, -0.5, 0.1, 0.9],
///     actions: vec![-0.5, 0.5, -0.1, -0.9],
///     rewards: vec![1.0; 4],
///     ends: vec![3, 4],
///     terminated: vec![true, true],
/// };
/// let data = Trajectories::new("opposites", 1, Actions::Continuous(1), steps)?;
/// let model = BehaviourCloning::new(Settings { width: 8, ..Settings::new(1, data.actions(), 1) })?;
/// let settings = OfflineSettings { batch: 8, rate: 1e-2, ..OfflineSettings::behaviour_cloning(&data) };
/// let mut training = OfflineTraining::new(&Gpu::open()?, &model, &data, settings)?;
/// training.submit(20)?;
/// assert_eq!(training.losses()?.len(), 20);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct OfflineTraining {
    session: Session,
    settings: OfflineSettings,
    parameters: Parameters,
    steps: usize,
}

impl OfflineTraining {
    /// A training of `model` on `data` from the initial weights of the settings' seed on. Uploads the trajectories and
    /// sums their returns, in a submission of its own.
    ///
    /// # Errors
    /// A setting that fits neither the model nor the trajectories; no memory; a device that is lost.
    pub fn new(
        gpu: &Gpu,
        model: &dyn SequenceModel,
        data: &Trajectories,
        settings: OfflineSettings,
    ) -> Result<Self, OfflineTrainingError> {
        settings.check(model, data)?;
        let starts = match &settings.starts {
            Starts::Steps => data.steps(),
            Starts::Episodes => data.episodes(),
            Starts::Given(starts) => starts.len(),
        };
        let tables = Tables::new(data, starts, gpu.limits().max_storage_buffer_binding_size);
        let graph = Graph::new();
        build(&graph, model, &tables, &settings);
        let plan = Plan::new(&graph, &gpu.target())?;
        let parameters = model.parameters().clone();
        let mut initial = Values::from([
            ("weights".into(), parameters.initial(settings.seed)),
            ("seed".into(), Data::U32(vec![settings.seed, 0])),
        ]);
        if let Some(shares) = decay_shares(&parameters, &settings) {
            initial.insert("decays".into(), Data::F32(shares));
        }
        let uploaded: BTreeMap<String, BufferView> = tables.upload(gpu, data, &settings)?.into_iter().collect();
        let session = Session::on_buffers(gpu, plan, &initial, &uploaded)?;
        Ok(Self { session, settings, parameters, steps: 0 })
    }

    /// Returns the settings.
    pub fn settings(&self) -> &OfflineSettings {
        &self.settings
    }

    /// The session of the training step, whose states are `weights`, `first_moment`, `second_moment`, `step`, `seed`
    /// and `losses`.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// Training steps that were submitted or recorded.
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// Submits training steps, and waits for nothing.
    ///
    /// # Errors
    /// The device is lost.
    pub fn submit(&mut self, steps: usize) -> Result<(), OfflineTrainingError> {
        let mut left = steps;
        while left > 0 {
            let burst = left.min(self.settings.steps_per_submission);
            self.session.submit(burst)?;
            self.steps += burst;
            left -= burst;
        }
        Ok(())
    }

    /// Records one training step into a pass of the caller's, who submits it.
    pub fn record(&mut self, pass: &mut wgpu::ComputePass<'_>) {
        self.session.record(pass);
        self.steps += 1;
    }

    /// Returns the buffer of the flat parameters, for a policy that acts with them while they are trained.
    ///
    /// # Errors
    /// None in practice: every training has the state `weights`.
    pub fn weights_view(&self) -> Result<BufferView, OfflineTrainingError> {
        Ok(self.session.buffer("weights")?)
    }

    /// Goes on from other weights, e.g. those of a checkpoint of another library. The optimiser's state stays.
    ///
    /// # Errors
    /// They are not as long as the model's flat tensor of parameters.
    pub fn set_weights(&mut self, weights: &Data) -> Result<(), OfflineTrainingError> {
        Ok(self.session.write("weights", weights)?)
    }
}

impl OfflineTraining {
    /// Waits for the steps and returns the loss of each of the last ones, as many as the settings keep: that at the
    /// weights before the step.
    ///
    /// # Errors
    /// The device is lost.
    pub async fn losses_async(&mut self) -> Result<Vec<f32>, OfflineTrainingError> {
        let ring = self.session.read_async("losses").await?;
        let (ring, length) = (ring.f32(), self.settings.losses);
        let kept = self.steps.min(length);
        Ok((self.steps - kept..self.steps).map(|step| ring[step % length]).collect())
    }

    /// Waits for the steps and returns the flat tensor of parameters.
    ///
    /// # Errors
    /// The device is lost.
    pub async fn weights_async(&mut self) -> Result<Data, OfflineTrainingError> {
        Ok(self.session.read_async("weights").await?)
    }

    /// Adds the parameters under their names, the optimiser's state, counters and seed to a checkpoint, under `prefix`.
    ///
    /// # Errors
    /// The device is lost.
    pub async fn save_async(&mut self, checkpoint: &mut Checkpoint, prefix: &str) -> Result<(), OfflineTrainingError> {
        for (name, values) in self.session.states_async().await? {
            if name == "weights" {
                for (name, (shape, values)) in self.parameters.unpack(values.f32()) {
                    checkpoint.insert(&format!("{prefix}weights.{name}"), &shape, Data::F32(values));
                }
                continue;
            }
            let shape = self.session.plan().states[&name].shape.to_vec();
            checkpoint.insert(&format!("{prefix}{name}"), &shape, values);
        }
        Ok(())
    }

    /// Resumes from a checkpoint, to the same bits as if it had never stopped.
    ///
    /// # Errors
    /// The checkpoint lacks a tensor or has it in another shape: it is of another model. Nothing has changed then.
    pub fn restore(&mut self, checkpoint: &Checkpoint, prefix: &str) -> Result<(), OfflineTrainingError> {
        let mut values = Values::new();
        for (name, state) in self.session.plan().states.iter().filter(|(name, _)| *name != "weights") {
            let tensor = checkpoint.tensor(&format!("{prefix}{name}"), state.element, &state.shape)?;
            values.insert(name.clone(), tensor.clone());
        }
        let mut parameters = BTreeMap::new();
        for parameter in self.parameters.iter() {
            let tensor = checkpoint.f32(&format!("{prefix}weights.{}", parameter.name), &parameter.shape)?;
            parameters.insert(parameter.name.clone(), (parameter.shape.clone(), tensor.to_vec()));
        }
        let weights = self.parameters.pack(&parameters).expect("each tensor was read in its parameter's shape");
        values.insert("weights".into(), weights);
        for (name, tensor) in &values {
            self.session.write(name, tensor)?;
        }
        self.steps = values["step"].u32()[0] as usize;
        Ok(())
    }
}

/// The blocking forms.
#[cfg(not(target_arch = "wasm32"))]
impl OfflineTraining {
    /// Blocks, as [`OfflineTraining::losses_async`].
    ///
    /// # Errors
    /// As [`OfflineTraining::losses_async`].
    pub fn losses(&mut self) -> Result<Vec<f32>, OfflineTrainingError> {
        self.session.gpu().clone().block_on(self.losses_async())
    }

    /// Blocks, as [`OfflineTraining::weights_async`].
    ///
    /// # Errors
    /// As [`OfflineTraining::weights_async`].
    pub fn weights(&mut self) -> Result<Data, OfflineTrainingError> {
        self.session.gpu().clone().block_on(self.weights_async())
    }

    /// Blocks, as [`OfflineTraining::save_async`].
    ///
    /// # Errors
    /// As [`OfflineTraining::save_async`].
    pub fn save(&mut self, checkpoint: &mut Checkpoint, prefix: &str) -> Result<(), OfflineTrainingError> {
        self.session.gpu().clone().block_on(self.save_async(checkpoint, prefix))
    }

    /// Runs one training step and returns how long each dispatch of the plan took by the GPU's own clock, see
    /// [`Session::profile`].
    ///
    /// # Errors
    /// The device is lost.
    pub fn profile(&mut self) -> Result<Option<Vec<Duration>>, OfflineTrainingError> {
        let times = self.session.profile()?;
        self.steps += usize::from(times.is_some());
        Ok(times)
    }
}

/// 1 where weight decay concerns a weight, 0 elsewhere; `None` where it concerns all or is none.
fn decay_shares(parameters: &Parameters, settings: &OfflineSettings) -> Option<Vec<f32>> {
    let spared = parameters.iter().any(|parameter| !(settings.decays)(parameter));
    if !spared || settings.optimiser.weight_decay == 0.0 {
        return None;
    }
    let mut shares = vec![0.0; parameters.length()];
    for parameter in parameters.iter().filter(|parameter| (settings.decays)(parameter)) {
        shares[parameter.offset..][..parameter.shape.elements()].fill(1.0);
    }
    Some(shares)
}

/// One training step.
fn build(graph: &Graph, model: &dyn SequenceModel, tables: &Tables, settings: &OfflineSettings) {
    let step = graph.state("step", Tag::Bookkeeping, TensorType::u32([]));
    let seed = graph.state("seed", Tag::Bookkeeping, TensorType::u32([2]));
    let parameters = model.parameters();
    let weights = parameters.state(graph, "weights");
    // A model clips times to those that it knows.
    let options = WindowOptions {
        batch: settings.batch,
        context: model.context(),
        restart: settings.restart_times,
        largest: u32::MAX,
    };
    let window = tables.window(graph, seed, options);
    let loss = model.loss(&parameters.of(weights), &window, Noise::of(seed));
    let losses = graph.state("losses", Tag::Bookkeeping, TensorType::f32([settings.losses, 1]));
    graph.record(losses, loss.reshape([1]), step);
    let gradient = gradients(loss, &[weights])[0];
    let gradient = settings.clip.map_or(gradient, |norm| clip_by_global_norm(gradient, norm));
    let rate = settings.schedule.rate(graph, settings.rate, step);
    let mut optimiser = settings.optimiser;
    if decay_shares(parameters, settings).is_some() {
        decay(graph, weights, rate * optimiser.weight_decay);
        optimiser.weight_decay = 0.0;
    }
    Optimiser::AdamW(optimiser).step(weights, gradient, rate, step);
    graph.advance(seed);
}

/// `w -= amount w` where weight decay concerns the weight: PyTorch's AdamW does the same before its step.
fn decay<'g>(graph: &'g Graph, weights: Tensor<'g>, amount: Tensor<'g>) {
    let shares = graph.input("decays", TensorType::f32(weights.shape()));
    graph.assign(weights, weights - weights * shares * amount);
}
