//! The outer loop around the learned optimiser.

use fourfold::Gpu;
use fourfold::evolution::{
    Descent, Estimator, Evaluator, EvaluatorSettings, OuterLoop, OuterSettings, OuterTensors, UnrollSettings,
    UnrolledGradient,
};
use fourfold::models::learned_optimiser::{LearnedTraining, TrainedOptimiser};
use serde::{Deserialize, Serialize};

use super::Settings;
use crate::failure::Failure;

/// A point of the curve: the mean loss of a step over held-out episodes, with theta unperturbed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Point {
    pub iteration: usize,
    pub loss: f64,
}

/// One estimator that trains the optimiser.
#[derive(Debug)]
pub struct MetaTraining {
    pub name: String,
    settings: Settings,
    problem: LearnedTraining,
    outer: OuterLoop<UnrolledGradient>,
    evaluator: Evaluator,
    points: Vec<Point>,
    /// Theta at iterations whose points are not yet evaluated.
    waiting: Vec<(usize, Vec<f32>)>,
}

/// Thetas that are evaluated at a time.
const TOGETHER: usize = 8;

/// Points of a curve, besides the first.
const POINTS: usize = 40;

/// The key of held-out episodes.
const HELD_OUT: u32 = 0x0E1D_0047;

impl MetaTraining {
    /// A training at its beginning.
    ///
    /// # Errors
    /// Data that cannot be read, settings that make no sense, no memory.
    pub fn new(gpu: &Gpu, name: &str, estimator: Estimator, settings: &Settings) -> Result<Self, Failure> {
        let problem = LearnedTraining::new(settings.trained_on()?, settings.optimiser());
        let initial = problem.optimiser().initial(settings.seed as u32);
        let outer = OuterTensors::new(gpu, &initial, settings.seed as u32)?;
        let truncation = UnrollSettings {
            chunks: settings.chunks,
            staggered: settings.chunks > 1,
            ..UnrollSettings::new(estimator, settings.particles, settings.truncation, settings.sigma)
        };
        let gradient = UnrolledGradient::new(gpu, &problem, &truncation, &outer)?;
        let (steps, episodes) = (Some(settings.horizon), settings.episodes);
        let evaluated = EvaluatorSettings { points: TOGETHER, episodes, steps, key: HELD_OUT };
        let evaluator = gradient.evaluator(&problem, &evaluated)?;
        let descent = Descent::adam(settings.beta1);
        let outer_settings = OuterSettings { descent, rate: settings.rate, clip: None, ring: 1 };
        let outer = OuterLoop::new(gpu, outer, gradient, outer_settings)?;
        Ok(Self {
            name: name.into(),
            settings: settings.clone(),
            problem,
            outer,
            evaluator,
            points: Vec::new(),
            waiting: vec![(0, initial)],
        })
    }

    pub fn finished(&self) -> bool {
        self.outer.iteration() as usize >= self.settings.iterations
    }

    /// Inner steps of an outer iteration, over all particles.
    pub fn inner_steps(&self) -> usize {
        self.outer.source().inner_steps()
    }

    pub fn points(&self) -> &[Point] {
        &self.points
    }

    /// Trains up to the next point of the curve; returns the iterations done.
    ///
    /// # Errors
    /// Theta is no longer finite, or the device was lost.
    pub fn advance(&mut self) -> Result<usize, Failure> {
        let every = self.settings.iterations.div_ceil(POINTS);
        let count = every.min(self.settings.iterations - self.outer.iteration() as usize);
        // One iteration a submission: K steps of a whole population are work enough for one.
        for _ in 0..count {
            self.outer.run(1)?;
        }
        let theta = self.outer.parameters()?;
        if !theta.iter().all(|number| number.is_finite()) {
            let (name, iteration) = (&self.name, self.outer.iteration());
            return Err(Failure::Run(format!("{name}: theta is not finite after {iteration} iterations")));
        }
        self.waiting.push((self.outer.iteration() as usize, theta));
        if self.waiting.len() == TOGETHER || self.finished() {
            let waiting = std::mem::take(&mut self.waiting);
            let rows: Vec<f32> = waiting.iter().flat_map(|(_, theta)| theta.iter().copied()).collect();
            let sums = self.evaluator.run(&rows)?.into_iter().map(|at| at.sum);
            let steps = self.settings.horizon as f64;
            let points = waiting.iter().zip(sums);
            self.points.extend(points.map(|((iteration, _), sum)| Point { iteration: *iteration, loss: sum / steps }));
        }
        Ok(count)
    }

    /// The optimiser as it is now.
    ///
    /// # Errors
    /// The device was lost.
    pub fn trained(&self) -> Result<TrainedOptimiser, Failure> {
        Ok(TrainedOptimiser { optimiser: *self.problem.optimiser(), theta: self.outer.parameters()? })
    }
}
