//! One training of hyperparameters: an outer loop, and theta along its way.

use std::time::Instant;

use clap::{Arg, Args};
use fourfold::data::Checkpoint;
use fourfold::evolution::{
    Descent, Estimator, GraphProblem, OuterLoop, OuterSettings, OuterTensors, UnrollSettings, UnrolledGradient,
};
use fourfold::shaders::Data;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::failure::Failure;
use crate::limits;
use crate::run::{Run, entry, set_entry};

/// Settings of the outer loop. The experiment sets the defaults.
#[derive(Debug, Clone, PartialEq, Args, Serialize, Deserialize)]
pub struct Training {
    /// Take the sizes of the paper, for GPUs, where no other flag is given
    #[arg(long)]
    pub paper: bool,
    /// Antithetic particles N, an even number
    #[arg(long, value_name = "COUNT")]
    pub particles: usize,
    /// Steps of an unroll, K
    #[arg(long, value_name = "STEPS")]
    pub truncation: usize,
    /// Standard deviation of perturbations
    #[arg(long, allow_negative_numbers = true, value_name = "NUMBER")]
    pub sigma: f32,
    /// Learning rate of Adam
    #[arg(long, allow_negative_numbers = true, value_name = "NUMBER")]
    pub rate: f32,
    /// Outer iterations
    #[arg(long, value_name = "COUNT")]
    pub iterations: usize,
    /// Points along the way at which the objective is measured
    #[arg(long, value_name = "COUNT")]
    pub points: usize,
}

/// The defaults of an experiment's flags, each with the one that `--paper` sets in its place.
pub type Defaults = [(&'static str, [&'static str; 2])];

/// Sets the default of a flag that is listed.
pub fn with_default(flag: Arg, defaults: &Defaults) -> Arg {
    match defaults.iter().find(|(name, _)| flag.get_id() == name) {
        Some((_, [reduced, paper])) => {
            flag.required(false).default_value(*reduced).default_value_if("paper", "true", *paper)
        }
        None => flag,
    }
}

/// Theta along a training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Path {
    pub estimator: String,
    pub seed: u64,
    /// Inner steps of one iteration.
    pub inner_steps: usize,
    /// Iterations finished, and theta after them; the start is that after 0.
    pub thetas: Vec<(usize, Vec<f32>)>,
    /// The objective at each of them, once it is measured.
    pub objectives: Vec<f64>,
}

/// Persistent evolution strategies, by name.
pub const PES: (&str, Estimator) = ("PES", Estimator::PES);
/// Evolution strategies on truncated unrolls, by name.
pub const TRUNCATED_ES: (&str, Estimator) = ("truncated ES", Estimator::TRUNCATED_ES);

/// Seconds that a submission should take, at most: below what drivers take for a hang.
const SUBMISSION: f64 = 0.5;

/// Iterations of a submission, at most.
const RING: usize = 64;

impl Training {
    /// Checks the settings.
    ///
    /// # Errors
    /// A value out of its range.
    pub fn check(&self) -> Result<(), Failure> {
        limits::counts([
            ("--truncation", self.truncation, 1..=limits::STEPS),
            ("--iterations", self.iterations, 1..=limits::STEPS),
            ("--points", self.points, 1..=100_000),
        ])?;
        limits::pairs("--particles", self.particles)?;
        limits::numbers([("--sigma", self.sigma.into(), limits::SIGMA), ("--rate", self.rate.into(), limits::RATE)])
    }

    /// Trains theta from a start, in a stage of its own; everything random follows from the seed.
    ///
    /// # Errors
    /// Settings out of range, out of memory, theta that is not finite, or the loss of the device.
    pub fn train(
        &self,
        run: &mut Run,
        problem: &dyn GraphProblem,
        (name, estimator): (&str, Estimator),
        theta: &[f32],
        seed: u32,
    ) -> Result<Path, Failure> {
        run.stage(&format!("{name}, seed {seed}"), self.iterations as u64, |run| {
            let gpu = run.gpu();
            let outer = OuterTensors::new(&gpu, theta, seed)?;
            let settings = UnrollSettings::new(estimator, self.particles, self.truncation, self.sigma);
            let source = UnrolledGradient::new(&gpu, problem, &settings, &outer)?;
            let inner_steps = source.inner_steps();
            let descent = Descent::adam(0.9);
            let outer_settings = OuterSettings { descent, rate: self.rate, clip: None, ring: RING };
            let outer = OuterLoop::new(&gpu, outer, Box::new(source), outer_settings)?;
            let thetas = self.descend(run, outer, (name, seed), theta)?;
            if let Some((_, last)) = thetas.last() {
                let mut file = Checkpoint::new();
                file.insert("theta", &[last.len()], Data::F32(last.clone()));
                let slug = name.to_lowercase().replace(' ', "-");
                run.write_checkpoint(&format!("theta-{slug}-{seed}.safetensors"), &file)?;
            }
            Ok(Path { estimator: name.to_owned(), seed: seed.into(), inner_steps, thetas, objectives: Vec::new() })
        })
    }

    fn descend(
        &self,
        run: &mut Run,
        mut outer: OuterLoop<UnrolledGradient>,
        (name, seed): (&str, u32),
        theta: &[f32],
    ) -> Result<Vec<(usize, Vec<f32>)>, Failure> {
        let every = self.iterations.div_ceil(self.points);
        let mut thetas = vec![(0, theta.to_vec())];
        if let Some(checkpoint) = run.restored() {
            outer.restore(&checkpoint)?;
            thetas = entry(&checkpoint, "thetas")?;
            run.skip(outer.iteration().into());
        }
        let mut burst = 1;
        while (outer.iteration() as usize) < self.iterations {
            let submitted = Instant::now();
            burst = burst.min(self.iterations - outer.iteration() as usize);
            let finished = outer.run(burst)?;
            let last = finished.iteration as usize;
            for iteration in
                (last + 1 - burst..=last).filter(|iteration| iteration % every == 0 || *iteration == self.iterations)
            {
                let row = finished.centers.len() - 1 - (last - iteration);
                thetas.push((iteration, finished.centers[row].clone()));
                run.log(
                    &json!({ "estimator": name, "seed": seed, "iteration": iteration, "theta": finished.centers[row] }),
                )?;
            }
            let theta = finished.centers.last().map_or(&[][..], Vec::as_slice);
            if !theta.iter().all(|number| number.is_finite()) {
                return Err(Failure::Run(format!("{name}: theta is not finite after {last} iterations")));
            }
            run.say(format!("{name}: theta {theta:.2?}").chars().take(50).collect::<String>());
            run.advance(burst as u64);
            let fitting = burst as f64 * SUBMISSION / submitted.elapsed().as_secs_f64();
            burst = (fitting as usize).clamp(1, (2 * burst).min(RING));
            run.save_if_due(|checkpoint| {
                set_entry(checkpoint, "thetas", &thetas)?;
                Ok(outer.save(checkpoint)?)
            })?;
        }
        Ok(thetas)
    }
}

impl Path {
    /// Returns the best objective up to each measured point, over the inner steps taken.
    pub fn best_so_far(&self) -> Vec<(f64, f64)> {
        let mut best = f64::INFINITY;
        let points = self.thetas.iter().zip(&self.objectives);
        points
            .map(|((iteration, _), &objective)| {
                best = best.min(objective);
                ((iteration * self.inner_steps) as f64, best)
            })
            .collect()
    }
}
