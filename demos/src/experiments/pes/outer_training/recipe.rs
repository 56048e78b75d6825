//! The settings of a training: an estimator and its outer loop.

use clap::ValueEnum;
use fourfold::evolution::{Descent, Estimator, Objective, OuterSettings};
use serde::{Deserialize, Serialize, Serializer};

use crate::failure::Failure;
use crate::limits::{self, Span};

/// The objective of an inner problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ObjectiveName {
    /// The losses of all steps, added
    Sum,
    /// The loss of the last step of each unroll
    Last,
    /// Final loss, telescoped: each unroll contributes (loss at its end - loss at its start)
    Final,
}

/// The optimiser of theta.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OptimiserName {
    Sgd,
    Adam,
}

/// An estimator and its settings.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Recipe {
    #[serde(serialize_with = "name_of")]
    pub estimator: Estimator,
    pub objective: ObjectiveName,
    /// Steps of an unroll, K.
    pub truncation: usize,
    /// Antithetic particles N, or replicas of UORO, or directions of DODGE.
    pub particles: usize,
    /// The standard deviation of perturbations.
    pub sigma: f32,
    pub chunks: usize,
    pub staggered: bool,
    pub optimiser: OptimiserName,
    /// The decay of Adam's first moment.
    pub beta1: f64,
    pub rate: f32,
    pub clip: Option<f32>,
    /// Outer iterations.
    pub iterations: usize,
    /// Initial theta, in place of that of the problem.
    pub theta: Option<Vec<f32>>,
}

fn name_of<S: Serializer>(estimator: &Estimator, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(estimator)
}

impl Recipe {
    /// Returns true if the estimator is this one but for a number.
    pub fn is_kin(&self, estimator: Estimator) -> bool {
        let [own, other] = [self.estimator, estimator].map(|estimator| estimator.to_string());
        own.split(':').next() == other.split(':').next()
    }

    /// Returns the settings of the outer loop.
    pub fn descent(&self, ring: usize) -> OuterSettings {
        let descent = match self.optimiser {
            OptimiserName::Sgd => Descent::Sgd,
            OptimiserName::Adam => Descent::adam(self.beta1),
        };
        OuterSettings { descent, rate: self.rate, clip: self.clip, ring }
    }

    /// Returns the objective.
    pub fn objective(&self) -> Objective {
        match self.objective {
            ObjectiveName::Sum => Objective::Sum,
            ObjectiveName::Last => Objective::Last,
            ObjectiveName::Final => Objective::Final,
        }
    }

    /// Changes the estimator, and the truncation to that which it needs: recurrent learning updates after each step as in the
    /// paper, and full evolution strategies take the whole inner problem.
    pub fn with_estimator(&self, estimator: Estimator, horizon: Option<usize>) -> Self {
        let truncation = match estimator {
            Estimator::Rtrl | Estimator::Uoro => 1,
            Estimator::FULL_ES => horizon.unwrap_or(self.truncation),
            _ => self.truncation,
        };
        let particles = match estimator {
            Estimator::Tbptt | Estimator::Rtrl | Estimator::Uoro => 1,
            Estimator::Dodge(_) => (self.particles / 2).max(1),
            _ => self.particles,
        };
        // All particles of PES + Analytic are at one inner time; unperturbed estimators have no particles to cut up.
        let is_cut = estimator.is_perturbed() && estimator != Estimator::PES_ANALYTIC;
        let (chunks, staggered) = if is_cut { (self.chunks, self.staggered) } else { (1, false) };
        Self { estimator, truncation, chunks, staggered, ..self.clone() }.with_particles(particles)
    }

    /// Changes the number of particles, and the chunks to the most that divide its antithetic pairs.
    pub fn with_particles(&self, particles: usize) -> Self {
        let pairs = particles / 2;
        let divides = |chunks: &usize| pairs.is_multiple_of(*chunks);
        let chunks = (1..=self.chunks).rev().find(divides).unwrap_or(1);
        Self { particles, chunks, ..self.clone() }
    }

    /// Checks the settings.
    ///
    /// # Errors
    /// A value out of its range.
    pub fn check(&self, parameters: usize) -> Result<(), Failure> {
        let refuse = |message: String| Err(Failure::Input(message));
        let name = self.estimator;
        limits::counts([
            ("--truncation", self.truncation, 1..=limits::STEPS),
            ("--iterations", self.iterations, 1..=limits::STEPS),
        ])?;
        if name.is_perturbed() {
            limits::pairs("--particles", self.particles)?;
            limits::numbers([("--sigma", self.sigma.into(), limits::SIGMA)])?;
        } else if name.has_particles() {
            limits::counts([("--particles", self.particles, 1..=1 << 24)])?;
        }
        let pairs = self.particles / 2;
        if name.is_perturbed() && (self.chunks == 0 || !pairs.is_multiple_of(self.chunks)) {
            let (particles, chunks) = (self.particles, self.chunks);
            return refuse(format!(
                "--chunks takes a number that divides the {pairs} antithetic pairs of {particles} particles, got {chunks}"
            ));
        }
        if !name.is_perturbed() && (self.chunks != 1 || self.staggered) {
            let flag = if self.chunks == 1 { "--staggered" } else { "--chunks" };
            return refuse(format!(
                "{flag} has no effect with --estimator {name}, which perturbs nothing: leave it out"
            ));
        }
        if name == Estimator::PES_ANALYTIC && self.chunks != 1 {
            return refuse("--chunks must be 1 with --estimator pes-a: all its particles are at one inner time".into());
        }
        limits::numbers([
            // A training that diverges is an outcome of its own, which the report names.
            ("--rate", self.rate.into(), Span::within(0.0, 1e38)),
            ("--beta1", self.beta1, Span::below(0.0, 1.0)),
            ("--clip", self.clip.unwrap_or(1.0).into(), Span::above(0.0, 1e9)),
        ])?;
        match &self.theta {
            Some(theta) if theta.len() != parameters => {
                refuse(format!("--theta takes {parameters} numbers for this problem, got {}", theta.len()))
            }
            Some(theta) if theta.iter().any(|number| !number.is_finite()) => {
                refuse("--theta takes finite numbers".into())
            }
            _ => Ok(()),
        }
    }
}
