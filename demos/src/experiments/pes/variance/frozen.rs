//! The gradient of one inner problem after another at a theta that stays.

use std::sync::Arc;

use fourfold::evolution::{InnerProblem, OuterTensors, Source, UnrollSettings, UnrolledGradient};
use fourfold::shaders::{Data, Element, optimiser::advance_step, optimiser::sgd};
use fourfold::{BufferView, Gpu, Launch, Recording, wgpu};

use crate::failure::Failure;

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
        let added = [total.clone(), outer.gradient.clone(), rate];
        let add = add.call(&target);
        let (seed, next) = ([outer.seed.clone()], advance_step::Problem::SEED.call(&target));
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
