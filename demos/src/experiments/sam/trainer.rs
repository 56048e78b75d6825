//! A classifier in training.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use fourfold::Gpu;
use fourfold::data::{Checkpoint, Dataset, permutation};
use fourfold::gpu::BufferView;
use fourfold::graph::{Graph, Plan, Session, Tag, Tensor, TensorType, Values};
use fourfold::models::Classifier;
use fourfold::nn::{BatchNorm2d, Mode, Noise, SeenStatistics, Statistics};
use fourfold::optim::{Optimiser, Sam, Schedule};
use fourfold::shaders::elementwise::Compare;
use fourfold::shaders::{Data, Element};

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use super::variant::{Ascent, Augmentation};
use crate::failure::Failure;

/// The gradient that the base optimiser is given.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Method {
    /// The gradient at the weights.
    Plain,
    /// The gradient at the worst point within `rho`.
    SharpnessAware { sam: Sam, rho: f32 },
}

/// Everything that decides a training besides the network, the data and the seed.
#[derive(Debug, Clone, PartialEq)]
pub struct Recipe {
    pub method: Method,
    pub optimiser: Optimiser,
    pub rate: f32,
    pub schedule: Schedule,
    pub batch: usize,
    pub smoothing: f32,
    /// The gradient is clipped to this norm.
    pub clip: Option<f32>,
    /// The passes whose statistics move the running ones of batch norm.
    pub running_from: RunningFrom,
    /// The augmentation of the images.
    pub augmentation: Option<Augmentation>,
    /// The chunks of a batch that batch norm normalises each by itself in a plain step; those of a sharpness-aware one are SAM's.
    pub chunks: usize,
    /// The ascent where it is not SAM's.
    pub ascent: Ascent,
}

/// The passes of a sharpness-aware step whose statistics move the running ones of batch norm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunningFrom {
    /// The pass at w, as in the authors' code
    First,
    /// The pass at w, then the one at w + eps
    Both,
    /// The pass at w, until they are recalculated over the training set after the last epoch
    Recalculated,
}

/// The mean losses of an epoch's batches, before each step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EpochLosses {
    pub loss: f64,
    /// The loss at w + eps, for sharpness-aware methods.
    pub sharpened: Option<f64>,
}

/// A classifier with its data, weights and optimiser state on the GPU.
#[derive(Debug)]
pub struct Trainer {
    session: Session,
    rows: usize,
    batch: usize,
    seed: u64,
    epoch: usize,
    sharpened: bool,
}

impl Trainer {
    /// A training of `classifier` from the initial weights of `seed` on.
    ///
    /// # Errors
    /// The batch is larger than the set or does not fall into the chunks that the method asks for; no memory.
    pub fn new(
        gpu: &Gpu,
        classifier: &Classifier,
        data: &Dataset,
        recipe: &Recipe,
        seed: u64,
    ) -> Result<Self, Failure> {
        let (rows, batch) = (data.len(), recipe.batch);
        if batch == 0 || batch > rows {
            return Err(Failure::Input(format!(
                "--batch takes a number from 1 to {rows}, the training images, got {batch}"
            )));
        }
        if let Method::SharpnessAware { sam, .. } = &recipe.method
            && (sam.chunks == 0 || batch % sam.chunks != 0)
        {
            return Err(Failure::Input(format!(
                "--chunks takes a number that divides the batch of {batch}, got {}",
                sam.chunks
            )));
        }
        let shard = shard_rows(gpu, data);
        let graph = Graph::new();
        build(&graph, classifier, data, recipe, shard);
        let plan = Arc::new(Plan::new(&graph, &gpu.target())?);
        let labels = data.labels().iter().map(|&label| label as f32).collect();
        let mut initial = Values::from([
            ("labels".into(), Data::F32(labels)),
            ("weights".into(), classifier.parameters().initial(seed as u32)),
            ("seed".into(), Data::U32(vec![seed as u32, 0])),
        ]);
        if classifier.statistics().length() > 0 {
            initial.insert("statistics".into(), classifier.statistics().initial(0));
        }
        let black = recipe.augmentation.as_ref().and_then(|augmentation| augmentation.black().cloned());
        initial.extend(black.map(|black| ("black".to_owned(), Data::F32(black))));
        if let Method::SharpnessAware { .. } = recipe.method {
            let masks = recipe.ascent.masks(classifier).into_iter();
            initial.extend(masks.map(|(name, mask)| (name.to_owned(), Data::F32(mask))));
        }
        for (index, images) in data.images().chunks(shard * data.features()).enumerate() {
            initial.insert(shard_name(index), Data::F32(images.to_vec()));
        }
        let session = Session::new(gpu, plan, &initial)?;
        let sharpened = matches!(recipe.method, Method::SharpnessAware { .. });
        Ok(Self { session, rows, batch, seed, epoch: 0, sharpened })
    }

    /// Begins with other weights and running statistics, which is empty in a network without batch norm.
    pub fn begin_with(&mut self, weights: &Data, statistics: &Data) -> Result<(), Failure> {
        self.session.write("weights", weights)?;
        if !statistics.is_empty() {
            self.session.write("statistics", statistics)?;
        }
        Ok(())
    }

    /// Epochs that are done.
    pub fn epoch(&self) -> usize {
        self.epoch
    }

    /// Steps of an epoch; what is left of the set after whole batches waits for another epoch's order.
    pub fn steps(&self) -> usize {
        self.rows / self.batch
    }

    /// Uploads the order of the next epoch: the only thing that the host sends in an epoch.
    fn shuffle(&mut self) -> Result<(), Failure> {
        let order = permutation(self.rows, self.seed, self.epoch as u64);
        let used = self.steps() * self.batch;
        let order = order[..used].iter().map(|&row| row as f32).collect();
        self.session.write("order", &Data::F32(order))?;
        Ok(self.session.write("position", &Data::F32(vec![0.0]))?)
    }

    /// One pass over the data. Submissions hold up to `burst` steps.
    pub fn run_epoch(&mut self, burst: usize) -> Result<EpochLosses, Failure> {
        self.shuffle()?;
        let mut left = self.steps();
        while left > 0 {
            let steps = left.min(burst.max(1));
            self.session.submit(steps)?;
            left -= steps;
        }
        self.epoch += 1;
        let losses = self.losses()?;
        let loss = losses.loss;
        if !loss.is_finite() {
            return Err(Failure::Run(format!(
                "the loss became {loss} in epoch {}: try a smaller --rate or --rho",
                self.epoch
            )));
        }
        Ok(losses)
    }

    /// Reads the losses of the epoch's steps; those that have not run count with their last values.
    pub fn losses(&mut self) -> Result<EpochLosses, Failure> {
        let mean = |values: Data| {
            let values = values.f32();
            values.iter().map(|&loss| f64::from(loss)).sum::<f64>() / values.len() as f64
        };
        let loss = mean(self.session.read("losses")?);
        let sharpened = if self.sharpened { Some(mean(self.session.read("sharpened_losses")?)) } else { None };
        Ok(EpochLosses { loss, sharpened })
    }

    /// Returns to the first batch of the epoch's order, for steps that are timed and not counted.
    pub fn rewind(&mut self) -> Result<(), Failure> {
        Ok(self.session.write("position", &Data::F32(vec![0.0]))?)
    }

    /// Queues steps of the epoch's order in one submission.
    pub fn submit(&mut self, steps: usize) -> Result<(), Failure> {
        Ok(self.session.submit(steps)?)
    }

    /// Runs steps without counting them, to time them.
    pub fn run_steps(&mut self, steps: usize) -> Result<(), Failure> {
        self.rewind()?;
        self.submit(steps)?;
        Ok(self.session.gpu().wait()?)
    }

    /// Runs a step and returns how long each dispatch took, see [`Session::profile`].
    pub fn profile(&mut self) -> Result<Option<Vec<Duration>>, Failure> {
        Ok(self.session.profile()?)
    }

    /// Returns the plan of a step.
    pub fn plan(&self) -> &Plan {
        self.session.plan()
    }

    /// The buffers of the network: `weights`, and `statistics` where it has batch norm.
    pub fn network(&self) -> Result<BTreeMap<String, BufferView>, Failure> {
        let names = ["weights", "statistics"].into_iter().filter(|name| self.session.plan().states.contains_key(*name));
        names.map(|name| Ok((name.to_owned(), self.session.buffer(name)?))).collect()
    }

    /// The flat tensors of parameters and of running statistics as they are now.
    pub fn weights_and_statistics(&mut self) -> Result<[Data; 2], Failure> {
        let statistics = match self.session.plan().states.contains_key("statistics") {
            true => self.session.read("statistics")?,
            false => Data::F32(Vec::new()),
        };
        Ok([self.session.read("weights")?, statistics])
    }

    /// Recalculates the running statistics of batch norm over the whole batches of `data`, at the weights as they are now.
    pub fn recalculate(&mut self, classifier: &Classifier, data: &Dataset) -> Result<(), Failure> {
        let weights = self.session.read("weights")?;
        let statistics = classifier.recalculated_statistics(self.session.gpu(), &weights, data, self.batch);
        let statistics = statistics.map_err(Failure::run)?;
        match statistics.f32() {
            [] => Ok(()),
            _ => Ok(self.session.write("statistics", &statistics)?),
        }
    }

    /// Adds weights, optimiser state, counters and seeds to a checkpoint, under `prefix`.
    pub fn save(&mut self, checkpoint: &mut Checkpoint, prefix: &str) -> Result<(), Failure> {
        for (name, values) in self.session.states()? {
            let shape = self.session.plan().states[&name].shape.to_vec();
            checkpoint.insert(&format!("{prefix}{name}"), &shape, values);
        }
        checkpoint.set(&format!("{prefix}epoch"), self.epoch.to_string());
        Ok(())
    }

    /// Resumes from a checkpoint, to the same bits as if it had never stopped.
    ///
    /// # Errors
    /// The checkpoint lacks a tensor or has it in another shape: it is of another model.
    pub fn restore(&mut self, checkpoint: &Checkpoint, prefix: &str) -> Result<(), Failure> {
        let states = self.session.plan().states.clone();
        for (name, state) in &states {
            let values = checkpoint.tensor(&format!("{prefix}{name}"), state.element, &state.shape)?;
            self.session.write(name, values)?;
        }
        let epoch = checkpoint.get(&format!("{prefix}epoch"))?;
        self.epoch = epoch.parse().map_err(|_| {
            Failure::Input(format!("the checkpoint's {prefix}epoch is `{epoch}`, expected a whole number"))
        })?;
        Ok(())
    }
}

/// Rows of the image table that one storage binding of this device holds.
fn shard_rows(gpu: &Gpu, data: &Dataset) -> usize {
    let limit = gpu.limits().max_storage_buffer_binding_size;
    let rows = limit / (data.features() * Element::BYTES) as u64;
    usize::try_from(rows).unwrap_or(usize::MAX).clamp(1, data.len())
}

fn shard_name(index: usize) -> String {
    format!("images.{index}")
}

/// The images of the rows `picked` (whole numbers as f32), from a table in shards of `shard` rows.
fn gather_images<'g>(graph: &'g Graph, data: &Dataset, shard: usize, picked: Tensor<'g>) -> Tensor<'g> {
    // Past every table: a gather gives zeros there, so the sum over the shards is the row of the one that has it.
    let nowhere = graph.constant(1e9);
    let parts = (0..data.len()).step_by(shard).enumerate().map(|(index, first)| {
        let rows = shard.min(data.len() - first);
        let table = graph.input(&shard_name(index), TensorType::f32([rows, data.features()]));
        let own = picked - first as f32;
        let own = own.compare(Compare::Ge, graph.constant(0.0)).select(own, nowhere);
        table.gather(own.cast(Element::U32))
    });
    parts.reduce(|a, b| a + b).expect("a set has at least one image")
}

/// One training step: the batch is gathered on the GPU, and nothing is read back.
fn build<'g>(graph: &'g Graph, classifier: &Classifier, data: &Dataset, recipe: &Recipe, shard: usize) {
    let (rows, batch) = (data.len(), recipe.batch);
    let steps = rows / batch;
    let labels = graph.input("labels", TensorType::f32([rows, 1]));
    // Row numbers as f32, which holds whole numbers exactly up to 16 million.
    let order = graph.input("order", TensorType::f32([steps, batch]));
    let position = graph.state("position", Tag::Bookkeeping, TensorType::f32([]));
    let step = graph.state("step", Tag::Bookkeeping, TensorType::u32([]));
    let seed = graph.state("seed", Tag::Bookkeeping, TensorType::u32([2]));
    let weights = classifier.parameters().state(graph, "weights");

    let picked = order.gather(position.cast(Element::U32).reshape([1])).reshape([batch]);
    let x = gather_images(graph, data, shard, picked);
    let x = recipe.augmentation.as_ref().map_or(x, |augmentation| augmentation.apply(graph, data, x, seed));
    let y = labels.gather(picked.cast(Element::U32)).reshape([batch]).cast(Element::U32);
    // Batch norm is the batch's own in both passes of a sharpness-aware step; what is kept of it is another matter.
    let (seen, seen_moved) = (SeenStatistics::new(), SeenStatistics::new());
    let loss = |w: Tensor<'g>, start: usize, count: usize| {
        let (x, y) = (x.narrow(0, start, count), y.narrow(0, start, count));
        let statistics = match recipe.running_from {
            _ if w.value() == weights.value() => Statistics::Kept(&seen),
            RunningFrom::Both => Statistics::Kept(&seen_moved),
            RunningFrom::First | RunningFrom::Recalculated => Statistics::Batch,
        };
        let mode = Mode { noise: Noise::of(seed), statistics };
        classifier.forward(w, x, mode).cross_entropy(y, recipe.smoothing).mean_all()
    };
    let ring = |name| graph.state(name, Tag::Bookkeeping, TensorType::f32([steps, 1]));
    let gradient = match recipe.method {
        Method::Plain => {
            // Without batch norm chunks decide nothing.
            let chunks = if classifier.statistics().length() > 0 { recipe.chunks } else { 1 };
            let size = batch / chunks;
            let losses = (0..chunks).map(|chunk| loss(weights, chunk * size, size));
            let loss = losses.reduce(|a, b| a + b).expect("there is at least one chunk");
            let loss = if chunks == 1 { loss } else { loss * (1.0 / chunks as f32) };
            graph.record(ring("losses"), loss.reshape([1]), step);
            fourfold::graph::gradients(loss, &[weights])[0]
        }
        Method::SharpnessAware { sam, rho } => {
            let size = batch / sam.chunks;
            let variant = recipe.ascent.variant(graph, classifier, seed);
            let outcome =
                sam.variant_gradient(weights, graph.constant(rho), variant, |w, chunk| loss(w, chunk * size, size));
            graph.record(ring("losses"), outcome.loss.reshape([1]), step);
            graph.record(ring("sharpened_losses"), outcome.sharpened_loss.reshape([1]), step);
            outcome.gradient
        }
    };
    let gradient = recipe.clip.map_or(gradient, |norm| fourfold::optim::clip_by_global_norm(gradient, norm));
    let rate = recipe.schedule.rate(graph, recipe.rate, step);
    recipe.optimiser.step(weights, gradient, rate, step);
    if let Some(running) = classifier.running(graph, "statistics") {
        SeenStatistics::update(&[&seen, &seen_moved], classifier.statistics(), running, BatchNorm2d::MOMENTUM);
    }
    graph.assign(position, position + 1.0);
    graph.advance(seed);
}
