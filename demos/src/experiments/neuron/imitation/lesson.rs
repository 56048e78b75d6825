//! A student on the device: it answers in every lane, and learns from batches of what was recorded.

use std::sync::Arc;

use fourfold::data::Checkpoint;
use fourfold::gpu::BufferView;
use fourfold::graph::{Graph, Plan, Session, Tag, TensorType, Values, gradients};
use fourfold::optim::{AdamW, Optimiser, Schedule, clip_by_global_norm};
use fourfold::rollout::Pictures;
use fourfold::shaders::Data;
use fourfold::shaders::random::threefry::Random;
use fourfold::{Gpu, wgpu};

use super::recordings::{Recordings, STACK};
use super::student::{Model, Network, scenes};
use super::subject::Subject;
use crate::failure::Failure;
use crate::gymnasium::buffer;

/// Everything that decides how a student learns from what was recorded.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Recipe {
    /// Samples of a batch.
    pub batch: usize,
    /// The learning rate of Adam at the beginning; it falls to 0 along half a cosine over `updates`.
    pub rate: f32,
    /// Updates of all rounds.
    pub updates: usize,
    /// The gradient is clipped to this norm.
    pub clip: f32,
    /// The share of patches that each sample lacks.
    pub occlusion: f64,
}

/// The share of the averaged weights that an update keeps.
const KEPT: f32 = 0.995;

/// One graph with the scenes that it sees.
struct Desk {
    session: Session,
    scenes: wgpu::Buffer,
    pictures: Option<Pictures>,
}

/// A student with its weights and its optimiser.
pub struct Lesson {
    gpu: Gpu,
    subject: Arc<dyn Subject>,
    model: Model,
    recipe: Recipe,
    /// Answers in the lanes.
    acting: Desk,
    /// Learns from a batch.
    learning: Desk,
}

impl Lesson {
    /// A student with the initial weights of `seed`, in so many lanes.
    ///
    /// # Errors
    /// Sizes out of range, or the device fails.
    pub fn new(
        gpu: &Gpu,
        subject: Arc<dyn Subject>,
        network: &Network,
        recipe: Recipe,
        [lanes, seed]: [u32; 2],
    ) -> Result<Self, Failure> {
        let model = Model::new(network, subject.world().observations(), subject.answers())?;
        let mut values = model.constants(recipe.batch);
        let initial = model.initial(seed);
        values.insert("average".into(), initial.clone());
        values.insert("weights".into(), initial);
        let learning = Desk::new(gpu, &*subject, &model, recipe.batch, &values, None, |graph, outputs, weights| {
            let taught = graph.input("taught", TensorType::f32([recipe.batch, subject.answers()]));
            let shares = graph.input("shares", TensorType::f32([recipe.batch]));
            let loss = (subject.loss(outputs, taught) * shares).mean_all();
            let gradient = clip_by_global_norm(gradients(loss, &[weights])[0], recipe.clip);
            let step = graph.state("step", Tag::Bookkeeping, TensorType::u32([]));
            let rate = Schedule::Cosine { steps: recipe.updates }.rate(graph, recipe.rate, step);
            // What acts is the average: single weights of a course that goes on jump about.
            let average = model.parameters().state(graph, "average");
            graph.assign(average, average * KEPT + weights * (1.0 - KEPT));
            Optimiser::AdamW(AdamW { weight_decay: 0.0, ..AdamW::default() }).step(weights, gradient, rate, step);
            graph.output("loss", loss);
        })?;
        let shared = learning.session.buffer("average")?;
        let lanes = lanes as usize;
        let values = model.constants(lanes);
        let acting = Desk::new(gpu, &*subject, &model, lanes, &values, Some(shared), |graph, outputs, _| {
            graph.output("answers", subject.answer(outputs));
        })?;
        Ok(Self { gpu: gpu.clone(), subject, model, recipe, acting, learning })
    }

    /// The answers `(lanes, answers)` to stacks of scenes `(lanes, 4, scene)`.
    ///
    /// # Errors
    /// The loss of the device.
    pub fn answer(&mut self, stacks: &[f32]) -> Result<Vec<f32>, Failure> {
        self.acting.submit(&self.gpu, stacks)?;
        Ok(self.acting.session.read("answers")?.f32().to_vec())
    }

    /// One update from a batch of the recordings, which `random` draws: its loss.
    ///
    /// # Errors
    /// The loss of the device, or a loss that is not finite.
    pub fn learn(&mut self, recordings: &Recordings, random: &mut Random) -> Result<f64, Failure> {
        let Recipe { batch, occlusion, .. } = self.recipe;
        let (mut stacks, mut taught, mut shares) = (Vec::new(), Vec::new(), Vec::new());
        for step in recordings.draw(random, batch) {
            recordings.stack(step, &mut stacks);
            taught.extend(recordings.answer(step));
            shares.push(self.subject.weight(recordings.answer(step)));
        }
        self.learning.session.write("taught", &Data::F32(taught))?;
        self.learning.session.write("shares", &Data::F32(shares))?;
        let patches = self.model.patches();
        if patches > 0 && occlusion > 0.0 {
            let mut kept = vec![1.0; batch * patches];
            let absent = (patches as f64 * occlusion) as usize;
            for sample in kept.chunks_exact_mut(patches) {
                sample[..absent].fill(0.0);
                random.shuffle(sample);
            }
            self.learning.session.write("kept", &Data::F32(kept))?;
        }
        self.learning.submit(&self.gpu, &stacks)?;
        let loss = f64::from(self.learning.session.read("loss")?.f32()[0]);
        if loss.is_finite() {
            Ok(loss)
        } else {
            Err(Failure::Run(format!("the loss became {loss}: try a smaller --rate")))
        }
    }

    /// The averaged weights as they are now, the tensors one after the other.
    ///
    /// # Errors
    /// The loss of the device.
    pub fn weights(&mut self) -> Result<Vec<f32>, Failure> {
        Ok(self.model.parameters().to_dense(self.learning.session.read("average")?.f32()))
    }

    /// Goes on with these weights.
    ///
    /// # Errors
    /// Another number of them, or the loss of the device.
    pub fn set_weights(&mut self, dense: &[f32]) -> Result<(), Failure> {
        let flat = self.model.parameters().from_dense(dense).map_err(Failure::run)?;
        self.learning.session.write("average", &flat)?;
        Ok(self.learning.session.write("weights", &flat)?)
    }

    /// The averaged weights as a checkpoint with a tensor for each layer.
    ///
    /// # Errors
    /// The loss of the device.
    pub fn checkpoint(&mut self) -> Result<Checkpoint, Failure> {
        let mut checkpoint = Checkpoint::new();
        let flat = self.learning.session.read("average")?;
        for (name, (shape, values)) in self.model.parameters().unpack(flat.f32()) {
            checkpoint.insert(&name, &shape, Data::F32(values));
        }
        Ok(checkpoint)
    }

    /// Adds weights and optimiser to a checkpoint.
    ///
    /// # Errors
    /// The loss of the device.
    pub fn save(&mut self, checkpoint: &mut Checkpoint) -> Result<(), Failure> {
        for (name, values) in self.learning.session.states()? {
            let shape = self.learning.session.plan().states[&name].shape.to_vec();
            checkpoint.insert(&format!("lesson.{name}"), &shape, values);
        }
        Ok(())
    }

    /// Resumes from a checkpoint of the same recipe.
    ///
    /// # Errors
    /// It is damaged, or of another network.
    pub fn restore(&mut self, checkpoint: &Checkpoint) -> Result<(), Failure> {
        let states = self.learning.session.plan().states.clone();
        for (name, state) in &states {
            let values = checkpoint.tensor(&format!("lesson.{name}"), state.element, &state.shape)?;
            self.learning.session.write(name, values)?;
        }
        Ok(())
    }
}

impl Desk {
    /// A graph that looks at `batch` stacks; `build` adds what follows the outputs.
    fn new(
        gpu: &Gpu,
        subject: &dyn Subject,
        model: &Model,
        batch: usize,
        values: &Values,
        shared: Option<BufferView>,
        build: impl for<'g> FnOnce(&'g Graph, fourfold::graph::Tensor<'g>, fourfold::graph::Tensor<'g>),
    ) -> Result<Self, Failure> {
        let (world, graph) = (subject.world(), Graph::new());
        let width = world.observations();
        let given = buffer(gpu, "scenes", batch * STACK * width);
        let pictures = match model {
            Model::Sees(_) => Some(Pictures::on_buffer(gpu, world, &given)?),
            Model::Reads { .. } => None,
        };
        let words = pictures.as_ref().map(|pictures| pictures.size().words());
        let weights = model.parameters().state(&graph, "weights");
        let learns = shared.is_none();
        let kept =
            (learns && model.patches() > 0).then(|| graph.input("kept", TensorType::f32([batch, model.patches()])));
        let seen = scenes(&graph, batch, width, words);
        build(&graph, model.outputs(weights, seen, kept), weights);
        let mut values = values.clone();
        if kept.is_some() {
            values.insert("kept".into(), Data::F32(vec![1.0; batch * model.patches()]));
        }
        let view = pictures.as_ref().map_or_else(|| BufferView::from(&given), |pictures| pictures.pictures().clone());
        let mut builder =
            Session::builder(gpu, Plan::new(&graph, &gpu.target())?).values(&values).on_buffer("scenes", view);
        if let Some(shared) = shared {
            builder = builder.on_buffer("weights", shared);
        }
        Ok(Self { session: builder.build()?, scenes: given, pictures })
    }

    /// Submits a step on these stacks of scenes.
    fn submit(&mut self, gpu: &Gpu, stacks: &[f32]) -> Result<(), Failure> {
        gpu.queue().write_buffer(&self.scenes, 0, bytemuck::cast_slice(stacks));
        gpu.submit("imitation", |encoder| {
            let mut pass = encoder.begin_compute_pass(&Default::default());
            if let Some(pictures) = &self.pictures {
                pictures.record(&mut pass);
            }
            self.session.record(&mut pass);
            Ok(())
        })?;
        Ok(())
    }
}
