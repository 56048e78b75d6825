//! Sources of gradients, and the tensors that they share with the outer loop.

use std::fmt::Debug;

use fourfold_shaders::{Data, packed};

use super::{Divided, Error, Part, SmallPopulation};
use crate::gpu::program::{Allocation, BufferId, CheckpointTensor, ProgramPlan};
use crate::gpu::{BufferView, Gpu};

/// The tensors that a [`Source`] and its [`OuterLoop`](super::OuterLoop) share.
#[derive(Debug, Clone)]
pub struct OuterTensors {
    /// (parameters): the outer parameters theta.
    pub center: BufferView,
    /// `u32` (2): the key of all random numbers, and the outer iteration, from 0 on.
    pub seed: BufferView,
    /// (parameters): the gradient of the loss, which a source writes.
    pub gradient: BufferView,
    key: u32,
    /// The iterations of an outer loop, from 1 on, behind the seed in one buffer.
    counts: BufferView,
}

/// The lengths of the seed and of the step behind it.
const COUNTS: [usize; 2] = [2, 1];

impl OuterTensors {
    /// Allocates the tensors; theta starts as `initial`, and `key` is the random seed.
    ///
    /// # Errors
    /// No parameters, or out of memory.
    pub fn new(gpu: &Gpu, initial: &[f32], key: u32) -> Result<Self, Error> {
        if initial.is_empty() {
            return Error::settings("there must be at least one outer parameter");
        }
        let (places, length) = packed(&COUNTS);
        let mut values = vec![0; length];
        (values[0], values[places[1]]) = (key, 1);
        let counts = gpu.upload("seed", &Data::U32(values))?;
        Ok(Self {
            center: gpu.upload("center", &Data::F32(initial.to_vec()))?,
            seed: counts.part(0, COUNTS[0]),
            gradient: gpu.zeros("gradient", initial.len())?,
            key,
            counts,
        })
    }

    /// `u32` (1): the iterations of an outer loop, from 1 on.
    pub(super) fn step(&self) -> BufferView {
        self.counts.part(packed(&COUNTS).0[1], COUNTS[1])
    }

    /// The seed and the step in one buffer; `None` where somebody has put another seed here.
    pub(super) fn counts(&self) -> Option<&BufferView> {
        Some(&self.counts).filter(|counts| counts.part(0, COUNTS[0]) == self.seed)
    }

    /// The key of all random numbers.
    pub fn key(&self) -> u32 {
        self.key
    }

    pub(super) fn bytes(&self) -> u64 {
        self.center.size + self.counts.size + self.gradient.size
    }
}

/// The [`OuterTensors`] in the plan of a source's or the loop's program.
#[derive(Debug, Clone, Copy)]
pub(super) struct OuterIds {
    pub center: BufferId,
    pub seed: BufferId,
    pub gradient: BufferId,
}

impl OuterIds {
    pub fn new(program: &mut ProgramPlan, parameters: usize) -> Self {
        Self {
            center: program.buffer(Allocation::f32("center", parameters).given()),
            seed: program.buffer(Allocation::u32("seed", 2).given()),
            gradient: program.buffer(Allocation::f32("gradient", parameters).given()),
        }
    }

    /// The tensors by their ids, for a problem of this name.
    ///
    /// # Errors
    /// Theta has another number of parameters than the problem.
    pub fn given<'t>(
        &self,
        tensors: &'t OuterTensors,
        problem: &str,
        parameters: usize,
    ) -> Result<Vec<(BufferId, &'t BufferView)>, Error> {
        let theta = tensors.center.elements();
        if theta != parameters {
            return Error::settings(format!("{problem} has {parameters} outer parameters, but theta has {theta}"));
        }
        Ok(vec![(self.center, &tensors.center), (self.seed, &tensors.seed), (self.gradient, &tensors.gradient)])
    }
}

/// An estimate of a gradient: an estimator with its problem.
pub trait Source: Debug {
    /// Records the dispatches of an outer iteration, counted from 0, that write the gradient of the loss to the
    /// [`OuterTensors::gradient`] that the source was made with. They change neither theta nor the seed.
    fn record(&self, pass: &mut wgpu::ComputePass<'_>, iteration: u32);

    /// Records the dispatches that the [`metrics`](Self::metrics) need after [`record`](Self::record), only in iterations
    /// whose metrics are read; none if `record` has computed them.
    fn record_metrics(&self, pass: &mut wgpu::ComputePass<'_>);

    /// Returns the part of the population that this source advances.
    fn part(&self) -> Part {
        Part::WHOLE
    }

    /// Returns the tensors whose columns the parts of a population tell each other in each iteration, between
    /// [`record_part`](Self::record_part) and [`record_rest`](Self::record_rest); none where each part computes all.
    fn told(&self) -> Vec<Divided> {
        Vec::new()
    }

    /// Records the dispatches that advance this part.
    fn record_part(&self, pass: &mut wgpu::ComputePass<'_>, iteration: u32) {
        self.record(pass, iteration);
    }

    /// Records the dispatches that write the gradient, from what all parts have told.
    fn record_rest(&self, _pass: &mut wgpu::ComputePass<'_>) {}

    /// Returns the tensors that go on from iteration to iteration of which each part has only its own columns.
    fn divided_state(&self) -> Vec<Divided> {
        Vec::new()
    }

    /// Returns the tensors that go on from iteration to iteration, for a checkpoint.
    fn kept(&self) -> Vec<CheckpointTensor>;

    /// Returns a tensor of [`columns`](Self::columns) numbers about the current iteration, such as the mean loss.
    fn metrics(&self) -> Option<BufferView>;

    /// Returns the names of the [`metrics`](Self::metrics); empty if there are none.
    fn columns(&self) -> &'static [&'static str];

    /// Returns a `u32` tensor that shows whether a number was not finite, for [`check`](Self::check).
    fn faults(&self) -> Option<BufferView> {
        None
    }

    /// Checks the values of [`faults`](Self::faults).
    ///
    /// # Errors
    /// A number that is not finite.
    fn check(&self, _faults: &[u32]) -> Result<(), Error> {
        Ok(())
    }

    /// Returns what one kernel needs to run whole iterations of this source, the update of theta included; `None` where
    /// each kernel is dispatched by itself. An outer loop then calls neither [`record`](Self::record) nor
    /// [`record_metrics`](Self::record_metrics).
    fn small_population(&self) -> Option<SmallPopulation> {
        None
    }

    /// Returns the bytes of the source's buffers.
    fn bytes(&self) -> u64;
}
