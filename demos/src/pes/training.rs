//! One training: an outer loop, and the objective along its way.

use std::rc::Rc;
use std::time::Instant;

use fourfold::Gpu;
use fourfold::data::Checkpoint;
use fourfold::evolution::{OuterLoop, OuterTensors, Source, UnrolledGradient};

use super::trace::Log;
use super::{Entry, Judge, Point, Task, Trace};
use crate::failure::Failure;

/// A training of one entry from one seed.
#[derive(Debug)]
pub struct Training {
    outer: OuterLoop<UnrolledGradient>,
    judge: Rc<dyn Judge>,
    log: Log,
    iterations: usize,
    trace: Trace,
    /// Iterations of the next submission.
    burst: usize,
}

/// Numbers of theta that are remembered on the GPU.
const REMEMBERED: usize = 1 << 18;

/// As many numbers of theta as a trace holds at each point.
const SHORT: usize = 16;

/// Seconds that a submission should take, at most: below what drivers take for a hang, and a bar moves.
const SUBMISSION: f64 = 0.25;

impl Training {
    /// A training at its beginning, with the objective at the start logged.
    ///
    /// # Errors
    /// Settings that make no sense, no memory, or the loss of the device.
    pub fn new(gpu: &Gpu, task: &Task, judge: Rc<dyn Judge>, entry: &Entry, seed: u64) -> Result<Self, Failure> {
        let recipe = &entry.recipe;
        let theta = recipe.theta.as_ref().unwrap_or(&task.theta);
        let outer = OuterTensors::new(gpu, theta, seed as u32)?;
        let gradient = task.backend.gradient(gpu, recipe, &outer)?;
        let inner_steps = gradient.inner_steps();
        let ring = (REMEMBERED / theta.len()).clamp(1, 512);
        let outer = OuterLoop::new(gpu, outer, gradient, recipe.descent(ring))?;
        let trace =
            Trace { entry: entry.name.clone(), seed, inner_steps, points: Vec::new(), diverged: None, seconds: 0.0 };
        let log = Log::new(recipe.iterations, &task.milestones);
        let mut built = Self { outer, judge, log, iterations: recipe.iterations, trace, burst: 8.min(ring) };
        built.log(vec![(0, None, theta.clone())])?;
        Ok(built)
    }

    /// Goes on from where a checkpoint and the trace up to there were left.
    ///
    /// # Errors
    /// A checkpoint of another training.
    pub fn restore(&mut self, checkpoint: &Checkpoint, trace: Trace) -> Result<(), Failure> {
        self.outer.restore(checkpoint)?;
        self.trace = trace;
        Ok(())
    }

    pub fn save(&self, checkpoint: &mut Checkpoint) -> Result<(), Failure> {
        Ok(self.outer.save(checkpoint)?)
    }

    pub fn trace(&self) -> &Trace {
        &self.trace
    }

    pub fn into_trace(self) -> Trace {
        self.trace
    }

    /// Iterations finished.
    pub fn iteration(&self) -> usize {
        self.outer.iteration() as usize
    }

    pub fn finished(&self) -> bool {
        self.trace.diverged.is_some() || self.iteration() >= self.iterations
    }

    /// Waits for theta.
    pub fn theta(&self) -> Result<Vec<f32>, Failure> {
        Ok(self.outer.parameters()?)
    }

    /// Runs some iterations in one submission, and logs those that are to be logged.
    ///
    /// # Errors
    /// The loss of the device.
    pub fn advance(&mut self) -> Result<(), Failure> {
        let begun = Instant::now();
        let ring = self.outer.settings().ring;
        let burst = self.burst.min(self.iterations - self.iteration());
        let progress = self.outer.run(burst)?;
        // At most four times as many, as the first submissions say little.
        let fitting = burst as f64 * SUBMISSION / begun.elapsed().as_secs_f64();
        self.burst = (fitting as usize).clamp(1, (4 * burst).min(ring));

        let first = progress.iteration as usize + 1 - progress.centers.len();
        let mut rows = Vec::new();
        for (index, theta) in progress.centers.into_iter().enumerate().skip_while(|(index, _)| {
            // The ring remembers iterations of earlier submissions too.
            first + index + burst <= progress.iteration as usize
        }) {
            let iteration = first + index;
            if !theta.iter().all(|number| number.is_finite()) {
                self.trace.diverged = Some(iteration);
                break;
            }
            if self.log.holds(iteration) {
                let loss = progress.metrics.get(index).and_then(|row| loss(self.outer.source().columns(), row));
                rows.push((iteration, loss, theta));
            }
        }
        self.log(rows)?;
        self.trace.seconds += begun.elapsed().as_secs_f64();
        Ok(())
    }

    fn log(&mut self, rows: Vec<(usize, Option<f64>, Vec<f32>)>) -> Result<(), Failure> {
        if rows.is_empty() {
            return Ok(());
        }
        let thetas: Vec<f32> = rows.iter().flat_map(|(.., theta)| theta.iter().copied()).collect();
        let objectives = self.judge.judge(&thetas)?;
        for ((iteration, loss, theta), objective) in rows.into_iter().zip(objectives) {
            let objective = if objective.is_finite() { objective } else { f64::NAN };
            let theta = if theta.len() <= SHORT { theta } else { Vec::new() };
            self.trace.points.push(Point { iteration, objective, loss, theta });
        }
        Ok(())
    }
}

/// The mean loss of particles in the metrics of an iteration.
fn loss(columns: &[&str], row: &[f32]) -> Option<f64> {
    let column = |name| Some(f64::from(row[columns.iter().position(|&column| column == name)?]));
    let both = || Some(0.5 * (column("loss_plus")? + column("loss_minus")?));
    column("loss").or_else(both).filter(|loss| loss.is_finite())
}
