//! A classifier in training.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use fourfold::Gpu;
use fourfold::data::{Checkpoint, Dataset, permutation};
use fourfold::gpu::BufferView;
use fourfold::graph::{Graph, Plan, Session, Values};
use fourfold::models::Classifier;
use fourfold::optim::{Optimiser, Sam, Schedule};
use fourfold::shaders::{Data, Element};

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use super::own_chunks::OwnChunks;
use super::step::{self, Setup, shard_name};
use super::variant::{Ascent, Augmentation};
use crate::failure::Failure;
use crate::ranks::Ranks;
use crate::run::{entry, set_entry};

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
    /// Batch norm normalises each chunk by the statistics of the whole batch.
    pub synchronised: bool,
    /// The augmentation of the images.
    pub augmentation: Option<Augmentation>,
    /// The chunks of a batch whose gradients are averaged; SAM has the same.
    pub chunks: usize,
    /// The ascent where it is not SAM's.
    pub ascent: Ascent,
}

impl Recipe {
    /// Returns true for SAM.
    pub fn is_sharpness_aware(&self) -> bool {
        matches!(self.method, Method::SharpnessAware { .. })
    }
}

/// The passes of a sharpness-aware step whose statistics move the running ones of batch norm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunningFrom {
    /// The pass at w, as in the authors' code
    First,
    /// The pass at w, then the one at w + eps, the last of several ascent steps
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
    /// A whole step, or its second half where ranks share the chunks, or chunks exchange statistics.
    session: Session,
    /// The first half.
    own: Option<OwnChunks>,
    rows: usize,
    batch: usize,
    seed: u64,
    epoch: usize,
    sharpened: bool,
}

impl Trainer {
    /// A training of `classifier` from the initial weights of `seed` on, whose chunks are shared out to ranks.
    ///
    /// # Errors
    /// The batch is larger than the set or does not fall into the chunks that the method asks for; no memory.
    pub fn new(
        gpu: &Gpu,
        ranks: &Ranks,
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
        if recipe.chunks == 0 || !batch.is_multiple_of(recipe.chunks) {
            return Err(Failure::Input(format!(
                "--chunks takes a number that divides the batch of {batch}, got {}",
                recipe.chunks
            )));
        }
        let shard = shard_rows(gpu, data);
        let setup = Setup { classifier, data, recipe, shard };
        let planned = |build: fn(&Graph, Setup<'_>)| {
            let graph = Graph::new();
            build(&graph, setup);
            Ok::<_, Failure>(Arc::new(Plan::new(&graph, &gpu.target())?))
        };
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
        if recipe.is_sharpness_aware() {
            let masks = recipe.ascent.masks(classifier).into_iter();
            initial.extend(masks.map(|(name, mask)| (name.to_owned(), Data::F32(mask))));
        }
        for (index, images) in data.images().chunks(shard * data.features()).enumerate() {
            initial.insert(shard_name(index), Data::F32(images.to_vec()));
        }
        let sharpened = recipe.is_sharpness_aware();
        let (session, own) = if ranks.are_several() || setup.is_synchronised() {
            let plan = planned(step::update)?;
            let halves = initial.into_iter().partition::<Values, _>(|(name, _)| plan.states.contains_key(name));
            let session = Session::new(gpu, plan, &halves.0)?;
            let own = OwnChunks::new(ranks, setup, halves.1, &session)?;
            (session, Some(own))
        } else {
            (Session::new(gpu, planned(step::whole)?, &initial)?, None)
        };
        Ok(Self { session, own, rows, batch, seed, epoch: 0, sharpened })
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
        self.own.as_mut().map_or(&mut self.session, OwnChunks::session).write("order", &Data::F32(order))?;
        Ok(self.session.write("position", &Data::F32(vec![0.0]))?)
    }

    /// One pass over the data. Submissions hold up to `burst` steps.
    pub fn run_epoch(&mut self, burst: usize) -> Result<EpochLosses, Failure> {
        self.shuffle()?;
        let mut left = self.steps();
        while left > 0 {
            let steps = left.min(burst.max(1));
            self.submit(steps)?;
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

    /// Queues steps of the epoch's order, in one submission where nothing is exchanged in each.
    pub fn submit(&mut self, steps: usize) -> Result<(), Failure> {
        let Some(own) = &mut self.own else { return Ok(self.session.submit(steps)?) };
        for _ in 0..steps {
            self.session.write(step::TOLD, &own.step()?)?;
            self.session.submit(1)?;
        }
        Ok(())
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
        set_entry(checkpoint, &format!("{prefix}epoch"), &self.epoch)
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
        self.epoch = entry(checkpoint, &format!("{prefix}epoch"))?;
        Ok(())
    }
}

/// Rows of the image table that one storage binding of this device holds.
fn shard_rows(gpu: &Gpu, data: &Dataset) -> usize {
    let limit = gpu.limits().max_storage_buffer_binding_size;
    let rows = limit / (data.features() * Element::BYTES) as u64;
    usize::try_from(rows).unwrap_or(usize::MAX).clamp(1, data.len())
}
