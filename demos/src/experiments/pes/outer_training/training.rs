//! One training: an outer loop, and the objective along its way.

use std::time::Instant;

use fourfold::Gpu;
use fourfold::data::Checkpoint;
use fourfold::evolution::{OuterLoop, OuterTensors, Source, UnrolledGradient};
use fourfold::shaders::Data;

use super::judge::Judge;
use super::task::{Entry, Task};
use super::trace::{Log, Outcome, Point, Row};
use crate::failure::Failure;
use crate::ranks::Ranks;
use crate::run::Run;

/// A training of one entry from one seed.
#[derive(Debug)]
pub struct Training<'a> {
    outer: OuterLoop<UnrolledGradient>,
    ranks: Ranks,
    judge: &'a Judge,
    log: Log,
    iterations: usize,
    diverged: Option<usize>,
    /// Iterations of the next submission.
    burst: usize,
}

/// Numbers of theta that are remembered on the GPU.
const REMEMBERED: usize = 1 << 18;

/// As many numbers of theta as a trace holds at each point.
const SHORT: usize = 16;

/// Seconds that a submission should take, at most: below what drivers take for a hang, and a bar moves.
const SUBMISSION: f64 = 0.25;

/// Trains one entry from one seed, in a stage of the run: logs the objective along the way and writes theta to a file.
///
/// # Errors
/// Settings out of range, out of memory, or the loss of the device.
pub fn train(run: &mut Run, task: &Task, judge: &Judge, entry: &Entry, seed: u64) -> Result<Outcome, Failure> {
    let mut training = Training::new(&run.gpu(), run.ranks(), task, judge, entry, seed)?;
    let inner_steps = training.outer.source().inner_steps();
    let log = |run: &mut Run, points: Vec<Point>| {
        if let Some(point) = points.last() {
            let objective = super::report::number(point.objective);
            run.say(format!("{} seed {seed}: {objective} at {}", entry.name, point.iteration));
        }
        points.into_iter().try_for_each(|point| {
            let inner_steps = point.iteration * inner_steps;
            run.log(&Row { estimator: entry.name.clone(), seed, inner_steps, point })
        })
    };
    match run.restored() {
        Some(checkpoint) => {
            training.outer.restore(&checkpoint)?;
            run.skip(training.iteration() as u64);
        }
        None => {
            let theta = entry.recipe.theta.as_ref().unwrap_or(&task.theta);
            log(run, training.points(vec![(0, None, theta.clone())])?)?;
        }
    }
    while training.diverged.is_none() && training.iteration() < training.iterations {
        let before = training.iteration();
        log(run, training.advance()?)?;
        run.advance((training.iteration() - before) as u64);
        if training.diverged.is_none() {
            run.save_if_due(|checkpoint| training.save(checkpoint))?;
        }
    }
    let theta = training.outer.parameters()?;
    let mut file = Checkpoint::new();
    file.set("problem", task.name.as_str());
    file.insert("theta", &[theta.len()], Data::F32(theta));
    let slug: String =
        entry.name.chars().map(|c| if c.is_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect();
    run.write_checkpoint(&format!("theta-{slug}-{seed}.safetensors"), &file)?;
    Ok(Outcome { inner_steps, diverged: training.diverged })
}

impl<'a> Training<'a> {
    /// Creates a training at its beginning.
    ///
    /// # Errors
    /// Settings out of range, or out of memory.
    pub fn new(
        gpu: &Gpu,
        ranks: &Ranks,
        task: &Task,
        judge: &'a Judge,
        entry: &Entry,
        seed: u64,
    ) -> Result<Self, Failure> {
        let recipe = &entry.recipe;
        let theta = recipe.theta.as_ref().unwrap_or(&task.theta);
        let outer = OuterTensors::new(gpu, theta, seed as u32)?;
        let gradient = task.gradient(gpu, recipe, ranks.part(), &outer)?;
        let ring = (REMEMBERED / theta.len()).clamp(1, 512);
        let outer = OuterLoop::new(gpu, outer, Box::new(gradient), recipe.descent(ring))?;
        let log = Log::new(recipe.iterations, &task.milestones);
        let (ranks, iterations) = (ranks.clone(), recipe.iterations);
        Ok(Self { outer, ranks, judge, log, iterations, diverged: None, burst: 8.min(ring) })
    }

    /// Iterations finished.
    fn iteration(&self) -> usize {
        self.outer.iteration() as usize
    }

    /// Runs some iterations in one submission, and returns those that are to be logged.
    fn advance(&mut self) -> Result<Vec<Point>, Failure> {
        let begun = Instant::now();
        let ring = self.outer.settings().ring;
        let burst = self.burst.min(self.iterations - self.iteration());
        let ranks = self.ranks.clone();
        let progress = match ranks.are_several() {
            true => self.outer.run_part(burst, &mut |own, counts| ranks.gather(own, counts))?,
            false => self.outer.run(burst)?,
        };
        // At most four times as many, as the first submissions say little.
        let fitting = burst as f64 * SUBMISSION / begun.elapsed().as_secs_f64();
        let fitting = (fitting as usize).clamp(1, (4 * burst).min(ring));
        self.burst = ranks.of_root(fitting as u32)? as usize;

        let first = progress.iteration as usize + 1 - progress.centers.len();
        let mut rows = Vec::new();
        for (index, theta) in progress.centers.into_iter().enumerate().skip_while(|(index, _)| {
            // The ring remembers iterations of earlier submissions too.
            first + index + burst <= progress.iteration as usize
        }) {
            let iteration = first + index;
            if !theta.iter().all(|number| number.is_finite()) {
                self.diverged = Some(iteration);
                break;
            }
            if self.log.holds(iteration) {
                let loss = progress.metrics.get(index).and_then(|row| loss(self.outer.source().columns(), row));
                rows.push((iteration, loss, theta));
            }
        }
        self.points(rows)
    }

    /// Writes the state of all particles into a checkpoint.
    fn save(&self, checkpoint: &mut Checkpoint) -> Result<(), Failure> {
        self.outer.complete(&mut |own, counts| self.ranks.gather(own, counts))?;
        Ok(self.outer.save(checkpoint)?)
    }

    fn points(&self, rows: Vec<(usize, Option<f64>, Vec<f32>)>) -> Result<Vec<Point>, Failure> {
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let thetas: Vec<f32> = rows.iter().flat_map(|(.., theta)| theta.iter().copied()).collect();
        let objectives = self.judge.judge(&thetas)?;
        let point = |((iteration, loss, theta), objective): ((usize, Option<f64>, Vec<f32>), f64)| {
            let objective = if objective.is_finite() { objective } else { f64::NAN };
            Point { iteration, objective, loss, theta: if theta.len() <= SHORT { theta } else { Vec::new() } }
        };
        Ok(rows.into_iter().zip(objectives).map(point).collect())
    }
}

/// Returns the mean loss of particles in the metrics of an iteration.
fn loss(columns: &[&str], row: &[f32]) -> Option<f64> {
    let column = |name| Some(f64::from(row[columns.iter().position(|&column| column == name)?]));
    let both = || Some(0.5 * (column("loss_plus")? + column("loss_minus")?));
    column("loss").or_else(both).filter(|loss| loss.is_finite())
}
