//! The forms that wait for the device.

use super::{OuterLoop, Progress};
use crate::data::Checkpoint;
use crate::evolution::{Error, Source, Tell};

impl<S: Source + ?Sized> OuterLoop<S> {
    /// Blocks, as [`OuterLoop::run_async`].
    ///
    /// # Errors
    /// As [`OuterLoop::run_async`].
    pub fn run(&mut self, iterations: usize) -> Result<Progress, Error> {
        self.program.gpu().clone().block_on(self.run_async(iterations))
    }

    /// Blocks, as [`OuterLoop::run_part_async`].
    ///
    /// # Errors
    /// As [`OuterLoop::run_part_async`].
    pub fn run_part<E: From<Error>>(&mut self, iterations: usize, tell: &mut Tell<'_, E>) -> Result<Progress, E> {
        self.program.gpu().clone().block_on(self.run_part_async(iterations, tell))
    }

    /// Blocks, as [`OuterLoop::complete_async`].
    ///
    /// # Errors
    /// As [`OuterLoop::complete_async`].
    pub fn complete<E: From<Error>>(&self, tell: &mut Tell<'_, E>) -> Result<(), E> {
        self.program.gpu().block_on(self.complete_async(tell))
    }

    /// Blocks, as [`OuterLoop::parameters_async`].
    ///
    /// # Errors
    /// As [`OuterLoop::parameters_async`].
    pub fn parameters(&self) -> Result<Vec<f32>, Error> {
        self.program.gpu().block_on(self.parameters_async())
    }

    /// Blocks, as [`OuterLoop::gradient_async`].
    ///
    /// # Errors
    /// As [`OuterLoop::gradient_async`].
    pub fn gradient(&self) -> Result<Vec<f32>, Error> {
        self.program.gpu().block_on(self.gradient_async())
    }

    /// Blocks, as [`OuterLoop::save_async`].
    ///
    /// # Errors
    /// As [`OuterLoop::save_async`].
    pub fn save(&self, checkpoint: &mut Checkpoint) -> Result<(), Error> {
        self.program.gpu().block_on(self.save_async(checkpoint))
    }
}
