//! One estimator on its way downhill.

use std::sync::Arc;

use fourfold::Gpu;
use fourfold::evolution::problems::ToyRegression;
use fourfold::evolution::{
    Descent, Error, Estimator, InnerProblem, OuterLoop, OuterSettings, OuterTensors, UnrollSettings, UnrolledGradient,
};

use crate::Colour;
use crate::answer::Answer;

/// Iterations that a submission holds at most: as many as the device remembers.
pub(super) const RING: usize = 64;

/// Steps of the inner problem.
const HORIZON: usize = 100;

/// An estimator as it is shown.
#[derive(Debug, Clone, Copy)]
pub(super) struct Contestant {
    pub(super) name: &'static str,
    pub(super) colour: Colour,
    estimator: Estimator,
}

/// The estimators, each with a colour of its own.
pub(super) const CONTESTANTS: [Contestant; 5] = [
    Contestant { name: "PES", colour: Colour::Vermilion, estimator: Estimator::PES },
    Contestant { name: "NRES", colour: Colour::Purple, estimator: Estimator::NRES },
    Contestant { name: "full ES", colour: Colour::Green, estimator: Estimator::FULL_ES },
    Contestant { name: "truncated ES", colour: Colour::Sky, estimator: Estimator::TRUNCATED_ES },
    Contestant { name: "TBPTT", colour: Colour::Orange, estimator: Estimator::Tbptt },
];

/// The settings that all estimators share.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Settings {
    /// K: inner steps of an unroll.
    pub(super) truncation: usize,
    pub(super) sigma: f32,
    pub(super) particles: usize,
    pub(super) rate: f32,
    pub(super) start: [f32; 2],
    pub(super) seed: u32,
}

/// An estimator from a start on.
#[derive(Debug)]
pub(super) struct Run {
    outer: OuterLoop<UnrolledGradient>,
    answer: Answer<()>,
    /// Theta after each iteration, the start first.
    pub(super) path: Vec<[f32; 2]>,
    /// Iteration and objective, as far as they were evaluated.
    pub(super) curve: Vec<[f64; 2]>,
    /// The sentence about a number that was not finite, where the run ended.
    pub(super) stopped: Option<String>,
}

impl Run {
    pub(super) fn new(gpu: &Gpu, contestant: Contestant, settings: Settings) -> Result<Self, Error> {
        let Settings { truncation, sigma, particles, rate, start, seed } = settings;
        let unrolls = match contestant.estimator {
            Estimator::FULL_ES => UnrollSettings::new(Estimator::FULL_ES, particles, HORIZON, sigma),
            Estimator::Tbptt => UnrollSettings::without_noise(Estimator::Tbptt, 1, truncation),
            estimator => UnrollSettings::new(estimator, particles, truncation, sigma),
        };
        let problem: Arc<dyn InnerProblem> = Arc::new(ToyRegression { horizon: HORIZON });
        let tensors = OuterTensors::new(gpu, &start, seed)?;
        let source = UnrolledGradient::new(gpu, problem, &unrolls, &tensors)?;
        let descent = OuterSettings { descent: Descent::adam(0.9), rate, clip: None, ring: RING };
        let outer = OuterLoop::new(gpu, tensors, Box::new(source), descent)?;
        Ok(Self { outer, answer: Answer::none(), path: vec![start], curve: Vec::new(), stopped: None })
    }

    /// The last theta.
    pub(super) fn theta(&self) -> [f32; 2] {
        self.path.last().copied().unwrap_or([f32::NAN; 2])
    }

    pub(super) fn submit(&mut self, iterations: usize) -> Result<(), Error> {
        if iterations > 0 && self.stopped.is_none() {
            self.answer.expect(self.outer.submit(iterations)?, ());
        }
        Ok(())
    }

    /// Takes the path if it has come.
    pub(super) fn poll(&mut self) -> Result<bool, crate::Error> {
        if let Some((values, ())) = self.answer.take()? {
            match self.outer.progress(&values) {
                Ok(progress) => {
                    let known = self.path.len() as u32 - 1;
                    let fresh = (progress.iteration - known) as usize;
                    let first = progress.centers.len().saturating_sub(fresh);
                    let places = progress.centers[first..].iter().map(|theta| [theta[0], theta[1]]);
                    self.path.extend(places);
                }
                Err(error) => self.stopped = Some(error.to_string()),
            }
        }
        Ok(!self.answer.is_waiting())
    }
}
