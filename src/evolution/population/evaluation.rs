//! The objective of given outer parameters: whole inner problems, as many side by side as a population has members.

use fourfold_shaders::{Data, Element};

use super::{GraphProblem, Population};
use crate::gpu::Gpu;
use crate::rollout::Error;

/// Whole inner problems at given points, for logs and maps. All points see the same random numbers, those of the key.
#[derive(Debug)]
pub struct PopulationEvaluation {
    population: Population,
    parameters: usize,
    steps: usize,
    episodes: usize,
}

impl PopulationEvaluation {
    /// An evaluation of `points` points at a time, each the mean of `episodes` inner problems of `steps` steps.
    ///
    /// # Errors
    /// As [`Population::new`]; and no episodes.
    pub fn new(
        gpu: &Gpu,
        problem: &dyn GraphProblem,
        points: usize,
        steps: usize,
        episodes: usize,
        key: u32,
    ) -> Result<Self, Error> {
        Self::of(Population::new(gpu, problem, points, steps, key)?, problem, episodes)
    }

    /// As [`new`](Self::new), reading the shared tensors of another population of the problem.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn beside(
        population: &Population,
        problem: &dyn GraphProblem,
        points: usize,
        steps: usize,
        episodes: usize,
        key: u32,
    ) -> Result<Self, Error> {
        Self::of(population.beside(problem, points, steps, key)?, problem, episodes)
    }

    fn of(population: Population, problem: &dyn GraphProblem, episodes: usize) -> Result<Self, Error> {
        if episodes == 0 {
            return Err(Error::Settings { message: "an evaluation takes at least one episode".into() });
        }
        let steps = population.ring();
        Ok(Self { population, parameters: problem.parameters(), steps, episodes })
    }

    /// Points of one pass.
    pub fn points(&self) -> usize {
        self.population.size()
    }

    pub fn population(&self) -> &Population {
        &self.population
    }
}

#[cfg(not(target_arch = "wasm32"))]
impl PopulationEvaluation {
    /// Submissions of this many steps: a command buffer holds all that it records.
    const SUBMISSION: usize = 50;

    /// The losses after each step, at the `(points, parameters)` of `theta`: for each point and step, the mean over the
    /// episodes. `report` is called with the number of points that are done.
    ///
    /// # Errors
    /// A number of values that is no multiple of the parameters; the device was lost.
    pub fn losses(&self, theta: &[f32], mut report: impl FnMut(usize)) -> Result<Vec<Vec<f64>>, Error> {
        if !theta.len().is_multiple_of(self.parameters) {
            let message =
                format!("points have {} numbers each, but {} numbers were given", self.parameters, theta.len());
            return Err(Error::Settings { message });
        }
        let mut curves = Vec::with_capacity(theta.len() / self.parameters);
        let size = self.population.size();
        for points in theta.chunks(size * self.parameters) {
            // Members without a point repeat the last.
            let mut rows = points.to_vec();
            while rows.len() < size * self.parameters {
                rows.extend_from_within(rows.len() - self.parameters..);
            }
            let mut means = vec![vec![0.0; self.steps]; points.len() / self.parameters];
            self.population.rewind();
            let gpu = self.population.gpu();
            let view = self.population.theta();
            gpu.queue().write_buffer(&view.buffer, view.offset, bytemuck::cast_slice(&rows));
            for _ in 0..self.episodes {
                let losses = self.episode()?;
                for (point, mean) in means.iter_mut().enumerate() {
                    for (step, mean) in mean.iter_mut().enumerate() {
                        *mean += f64::from(losses.f32()[step * size + point]) / self.episodes as f64;
                    }
                }
            }
            curves.extend(means);
            report(curves.len());
        }
        Ok(curves)
    }

    /// The sum of the losses over all steps of each point.
    ///
    /// # Errors
    /// As [`losses`](Self::losses).
    pub fn sums(&self, theta: &[f32], report: impl FnMut(usize)) -> Result<Vec<f64>, Error> {
        Ok(self.losses(theta, report)?.iter().map(|losses| losses.iter().sum()).collect())
    }

    /// `(steps, members)`: one inner problem.
    fn episode(&self) -> Result<Data, Error> {
        let gpu = self.population.gpu();
        let mut waited = None;
        for first in (0..self.steps).step_by(Self::SUBMISSION) {
            let mut encoder = gpu.device().create_command_encoder(&Default::default());
            {
                let mut pass = encoder.begin_compute_pass(&Default::default());
                if first == 0 {
                    self.population.record_reset(&mut pass);
                }
                let steps = Self::SUBMISSION.min(self.steps - first);
                (0..steps).for_each(|_| self.population.record_step(&mut pass));
            }
            waited = Some(gpu.readback(&mut encoder, &[(self.population.losses().clone(), Element::F32)])?);
            gpu.queue().submit([encoder.finish()]);
        }
        let mut values = match waited {
            Some(ticket) => ticket.wait()?,
            None => Vec::new(),
        };
        Ok(values.pop().unwrap_or_else(|| Data::zeros(Element::F32, 0)))
    }
}
