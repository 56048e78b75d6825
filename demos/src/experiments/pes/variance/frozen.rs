//! The gradient of one inner problem after another at a theta that stays.

use std::sync::Arc;

use fourfold::data::Checkpoint;
use fourfold::evolution::{CheckpointTensor, InnerProblem, OuterTensors, Source, UnrollSettings, UnrolledGradient};
use fourfold::shaders::{Data, Element, optimiser::advance_step, optimiser::sgd};
use fourfold::{BufferView, Gpu, Launch, Recording, wgpu};

use crate::failure::Failure;
use crate::run::{Run, entry, set_entry};

/// An estimator at a theta that does not move: the gradients of the unrolls of an inner problem are added up on the GPU.
#[derive(Debug)]
pub struct FrozenTheta {
    gpu: Gpu,
    outer: OuterTensors,
    source: UnrolledGradient,
    unrolls: usize,
    /// (parameters): the sum of the gradients so far.
    total: BufferView,
    /// Adds the gradient to the sum and advances the iteration, so that the next unroll draws anew.
    after: Recording,
    iteration: u32,
}

/// Unrolls of one submission: short ones would queue up without bound.
const UNROLLS_OF_A_SUBMISSION: usize = 128;

impl FrozenTheta {
    /// Creates an estimator of the gradient of the sum of all losses at `theta`; all its noise is drawn by `key`. Neither
    /// submits nor polls.
    ///
    /// # Errors
    /// A truncation that does not divide the horizon, settings out of range, or out of memory.
    pub fn new(
        gpu: &Gpu,
        problem: Arc<dyn InnerProblem>,
        theta: &[f32],
        key: u32,
        settings: UnrollSettings,
    ) -> Result<Self, Failure> {
        let (horizon, truncation) = (problem.horizon().unwrap_or(0), settings.truncation);
        if horizon == 0 || truncation == 0 || !horizon.is_multiple_of(truncation) {
            let message = format!("unrolls of {truncation} steps do not divide an inner problem of {horizon} steps");
            return Err(Failure::Input(message));
        }
        let outer = OuterTensors::new(gpu, theta, key)?;
        let source = UnrolledGradient::new(gpu, problem, &settings, &outer)?;

        let (target, total) = (gpu.target(), gpu.zeros("total", theta.len())?);
        // A step of SGD with the rate -1 is an addition.
        let add = sgd::Problem { count: theta.len(), momentum: 0.0, nesterov: false, weight_decay: 0.0, decayed: 0 };
        let rate = gpu.upload("rate", &Data::F32(vec![-1.0]))?;
        // Without momentum nothing reads a velocity.
        let added = [total.clone(), total.clone(), outer.gradient.clone(), rate];
        let add = add.sequence(&target).map_err(fourfold::Error::from)?;
        let next = advance_step::Problem::SEED.sequence(&target).map_err(fourfold::Error::from)?;
        let seed = [outer.seed.clone()];
        let after = gpu.prepare(&[Launch::new(&add, &added), Launch::new(&next, &seed)])?;
        Ok(Self { gpu: gpu.clone(), outer, source, unrolls: horizon / truncation, total, after, iteration: 0 })
    }

    /// Returns the estimator.
    pub fn source(&self) -> &UnrolledGradient {
        &self.source
    }

    /// Returns the unrolls of an inner problem.
    pub fn unrolls(&self) -> usize {
        self.unrolls
    }

    /// Runs the next inner problem and waits for the sum of the gradients of its unrolls.
    ///
    /// # Errors
    /// The loss of the device.
    pub fn next_gradient(&mut self) -> Result<Vec<f64>, Failure> {
        let zeros = vec![0.0_f32; self.outer.center.elements()];
        self.gpu.queue().write_buffer(&self.total.buffer, self.total.offset, bytemuck::cast_slice(&zeros));
        for first in (0..self.unrolls).step_by(UNROLLS_OF_A_SUBMISSION) {
            let label = wgpu::CommandEncoderDescriptor { label: Some("frozen theta") };
            let mut encoder = self.gpu.device().create_command_encoder(&label);
            {
                let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
                for _ in first..self.unrolls.min(first + UNROLLS_OF_A_SUBMISSION) {
                    self.source.record(&mut pass, self.iteration);
                    self.after.record(&mut pass);
                    self.iteration += 1;
                }
            }
            self.gpu.queue().submit([encoder.finish()]);
        }
        let total = read(&self.gpu, &[(self.total.clone(), Element::F32)])?;
        Ok(total[0].f32().iter().map(|&number| f64::from(number)).collect())
    }

    /// Returns the gradients of `count` inner problems, within a stage of the run: an estimator at its beginning goes on
    /// where an earlier process left it.
    ///
    /// # Errors
    /// The loss of the device, or a checkpoint of other sizes.
    pub fn gradients(&mut self, run: &mut Run, count: usize) -> Result<Vec<Vec<f64>>, Failure> {
        let mut gradients = Vec::new();
        if let Some(checkpoint) = run.restored() {
            gradients = self.restore(&checkpoint)?;
            run.skip(gradients.len() as u64);
        }
        while gradients.len() < count {
            gradients.push(self.next_gradient()?);
            run.advance(1);
            run.save_if_due(|checkpoint| self.save(checkpoint, &gradients))?;
        }
        Ok(gradients)
    }

    fn save(&self, checkpoint: &mut Checkpoint, gradients: &[Vec<f64>]) -> Result<(), Failure> {
        let kept = self.kept();
        let views: Vec<_> = kept.iter().map(|tensor| (tensor.view.part(0, tensor.length), tensor.element)).collect();
        for (tensor, values) in kept.iter().zip(read(&self.gpu, &views)?) {
            checkpoint.insert(&tensor.name, &[tensor.length], values);
        }
        set_entry(checkpoint, "gradients", gradients)?;
        Ok(())
    }

    /// Restores the state between two inner problems, and returns the gradients so far.
    fn restore(&mut self, checkpoint: &Checkpoint) -> Result<Vec<Vec<f64>>, Failure> {
        let gradients: Vec<Vec<f64>> = entry(checkpoint, "gradients")?;
        for CheckpointTensor { name, view, element, length } in self.kept() {
            let values = checkpoint.tensor(&name, element, &[length])?;
            self.gpu.queue().write_buffer(&view.buffer, view.offset, values.bytes());
        }
        self.iteration = (gradients.len() * self.unrolls) as u32;
        Ok(gradients)
    }

    /// The tensors of a checkpoint.
    fn kept(&self) -> Vec<CheckpointTensor> {
        let (name, view) = ("seed".to_owned(), self.outer.seed.clone());
        let seed = CheckpointTensor { name, view, element: Element::U32, length: 2 };
        [seed].into_iter().chain(self.source.kept()).collect()
    }
}

/// Waits for the values of tensors.
///
/// # Errors
/// The loss of the device.
pub fn read(gpu: &Gpu, views: &[(BufferView, Element)]) -> Result<Vec<Data>, Failure> {
    let mut encoder = gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    let ticket = gpu.encode_readback(&mut encoder, views)?;
    gpu.queue().submit([encoder.finish()]);
    Ok(ticket.wait()?)
}

#[cfg(test)]
mod tests {
    use fourfold::evolution::Estimator;
    use fourfold::evolution::problems::ToyRegression;

    use super::*;

    #[test]
    fn a_restored_estimator_goes_on_to_the_same_bits() {
        let gpu = Gpu::open().unwrap();
        for estimator in [Estimator::PES, Estimator::NRES, Estimator::TRUNCATED_ES] {
            let new = || {
                let (problem, settings) = (ToyRegression::default(), UnrollSettings::new(estimator, 4, 25, 0.1));
                FrozenTheta::new(&gpu, Arc::new(problem), &ToyRegression::START, 7, settings).unwrap()
            };
            let mut whole = new();
            let first = vec![whole.next_gradient().unwrap(), whole.next_gradient().unwrap()];
            let mut checkpoint = Checkpoint::new();
            whole.save(&mut checkpoint, &first).unwrap();
            let mut resumed = new();
            assert_eq!(resumed.restore(&checkpoint).unwrap(), first);
            assert_eq!(resumed.next_gradient().unwrap(), whole.next_gradient().unwrap(), "{estimator}");
        }
    }
}
