//! The settings of a training: an estimator and its outer loop.

use clap::ValueEnum;
use fourfold::evolution::{Descent, Estimator, Objective, OuterSettings};
use serde::{Deserialize, Serialize, Serializer};

use crate::failure::Failure;

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
        Self { estimator, truncation, particles, ..self.clone() }
    }

    /// Checks the settings.
    ///
    /// # Errors
    /// A value out of its range.
    pub fn check(&self, parameters: usize) -> Result<(), Failure> {
        let refuse = |message: String| Err(Failure::Input(message));
        let name = self.estimator;
        if self.truncation == 0 {
            return refuse("--truncation takes a number of steps from 1 on, got 0".into());
        }
        if self.iterations == 0 || self.iterations > 1 << 30 {
            return refuse(format!("--iterations takes a number from 1 to 2^30, got {}", self.iterations));
        }
        if name.is_perturbed() && (self.particles == 0 || !self.particles.is_multiple_of(2)) {
            let particles = self.particles;
            return refuse(format!("--particles takes an even number from 2 on (antithetic pairs), got {particles}"));
        }
        if name.has_particles() && self.particles == 0 {
            return refuse("--particles takes a number from 1 on, got 0".into());
        }
        if name.is_perturbed() && !(self.sigma.is_finite() && self.sigma > 0.0) {
            return refuse(format!("--sigma takes a number above 0, got {}", self.sigma));
        }
        let pairs = self.particles / 2;
        if name.is_perturbed() && (self.chunks == 0 || !pairs.is_multiple_of(self.chunks)) {
            let (particles, chunks) = (self.particles, self.chunks);
            return refuse(format!(
                "--chunks takes a number that divides the {pairs} antithetic pairs of {particles} particles, got {chunks}"
            ));
        }
        if !name.is_perturbed() && (self.chunks != 1 || self.staggered) {
            return refuse(format!(
                "--chunks and --staggered are for estimators of perturbed particles, not for {name}"
            ));
        }
        if name == Estimator::PES_ANALYTIC && self.chunks != 1 {
            return refuse("--chunks must be 1 with --estimator pes-a: all its particles are at one inner time".into());
        }
        if !(self.rate.is_finite() && self.rate >= 0.0) {
            return refuse(format!("--rate takes a finite number from 0 on, got {}", self.rate));
        }
        if !(0.0..1.0).contains(&self.beta1) {
            return refuse(format!("--beta1 takes a number from 0 to less than 1, got {}", self.beta1));
        }
        if let Some(clip) = self.clip.filter(|clip| !(clip.is_finite() && *clip > 0.0)) {
            return refuse(format!("--clip takes a number above 0, got {clip}"));
        }
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
