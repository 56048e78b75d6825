//! CMA-ES: a normal distribution whose mean, step size and covariance matrix follow the better half of its samples, and
//! whose covariance matrix also shrinks along the worse half (Hansen, "The CMA Evolution Strategy: A Tutorial",
//! [arXiv 1604.00772](https://arxiv.org/abs/1604.00772); the constants are those of pycma).
//!
//! With mean m, step size sigma and covariance C over n parameters, a generation is
//!
//! ```text
//! x_k = m + sigma y_k,   y_k = A z_k,   A A^T = C,   z_k normal,   k = 1 .. members, ranked by fitness
//! y   = sum of w_k y_k over the positive weights;   m += sigma y
//! p_sigma <- (1 - c_sigma) p_sigma + sqrt(c_sigma (2 - c_sigma) mu_eff) A^(-1) y
//! p_c     <- (1 - c_c) p_c + h sqrt(c_c (2 - c_c) mu_eff) y
//! C       <- (1 - c_1 (1 - (1 - h) c_c (2 - c_c)) - c_mu sum w_k) C + c_1 p_c p_c^T + c_mu sum v_k y_k y_k^T
//! sigma   <- sigma exp(c_sigma / d_sigma (|p_sigma| / E|normal| - 1))
//! ```
//!
//! where `v_k = w_k`, but `n w_k / |z_k|^2` for negative weights, and `h` is 0 while `p_sigma` is long, otherwise 1.
//!
//! ```
//! use fourfold::evolution::cma_es::{CmaEs, Settings};
//!
//! // The maximum of -(x - 3)^2 - 100 (y + 1)^2.
//! let mut strategy = CmaEs::new(&[0.0, 0.0], Settings { sigma: 0.5, seed: 7, ..Settings::new(2) })?;
//! for _ in 0..100 {
//!     let fitness: Vec<f32> = strategy
//!         .ask()?
//!         .chunks(2)
//!         .map(|point| -(point[0] - 3.0).powi(2) - 100.0 * (point[1] + 1.0).powi(2))
//!         .collect();
//!     strategy.tell(&fitness)?;
//! }
//! let mean = strategy.mean();
//! assert!((mean[0] - 3.0).abs() < 1e-4 && (mean[1] + 1.0).abs() < 1e-4);
//! # Ok::<(), fourfold::evolution::cma_es::CmaEsError>(())
//! ```

mod constants;
mod covariance;
mod error;
mod full;
mod separable;

use std::cmp::Ordering;
use std::iter::repeat_with;

use fourfold_shaders::Data;
use fourfold_shaders::random::threefry::Random;
use nalgebra::{DMatrix, DVector};

pub use error::CmaEsError;

use crate::data::{Checkpoint, Error};
use constants::Constants;
use covariance::{Covariance, NoRoot};
use full::Full;
use separable::Separable;

/// The stream of the seed that members are drawn from.
const STREAM: u32 = u32::from_be_bytes(*b"CMA ");

/// Above this many parameters a full matrix is learned too slowly to pay for its time.
const FULL_PARAMETERS: usize = 2_000;

/// Above this many parameters three matrices of the full form take more than 6 GB.
const FULL_PARAMETERS_LIMIT: usize = 16_384;

/// The form of the covariance matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Form {
    /// All of it: dependencies between parameters are learned. Memory `3 n^2` numbers, time `n^2` for each member, and
    /// `n^3 / 3` for a Cholesky factor every `1 / (10 n (c_1 + c_mu))` generations.
    Full,
    /// Its diagonal, and that `(n + 2) / 3` times as fast (Ros and Hansen 2008). Time and memory n.
    Separable,
}

/// The settings of a CMA-ES.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// Samples in a generation, at least 2.
    pub members: usize,
    /// The initial standard deviation of every parameter: about a third of the distance to where the optimum may be.
    pub sigma: f64,
    /// The random seed: equal seeds and equal fitness values give equal bits on one machine.
    pub seed: u32,
    /// The form of the covariance matrix.
    pub form: Form,
}

impl Settings {
    /// The defaults for `parameters` numbers: `4 + 3 ln n` members, sigma 0.1, and the full form up to 2,000 parameters.
    pub fn new(parameters: usize) -> Self {
        Self {
            members: 4 + (3.0 * (parameters.max(1) as f64).ln()) as usize,
            sigma: 0.1,
            seed: 0,
            form: if parameters <= FULL_PARAMETERS { Form::Full } else { Form::Separable },
        }
    }
}

/// A search by CMA-ES, advanced by [`CmaEs::ask`] and [`CmaEs::tell`]. Fitness is maximised.
#[derive(Debug)]
pub struct CmaEs {
    settings: Settings,
    constants: Constants,
    mean: DVector<f64>,
    sigma: f64,
    /// p_sigma.
    sigma_path: DVector<f64>,
    /// p_c.
    covariance_path: DVector<f64>,
    covariance: Box<dyn Covariance>,
    generation: u32,
    /// The members of this generation, once they were asked for.
    population: Option<Population>,
}

/// The members of a generation, a column each.
#[derive(Debug)]
struct Population {
    /// z.
    normals: DMatrix<f64>,
    /// y.
    steps: DMatrix<f64>,
    /// x as the caller sees it: (members, parameters).
    points: Vec<f32>,
}

impl CmaEs {
    /// A search that starts at `initial`, with the covariance matrix `sigma^2 I`.
    ///
    /// # Errors
    /// `initial` is empty or not finite; fewer than 2 members; sigma is not positive and finite; the full form of more
    /// than 16,384 parameters.
    pub fn new(initial: &[f32], settings: Settings) -> Result<Self, CmaEsError> {
        let check = |holds: bool, setting, expected: &str, got: String| match holds {
            true => Ok(()),
            false => Err(CmaEsError::Setting { setting, expected: expected.to_owned(), got }),
        };
        let Settings { members, sigma, form, .. } = settings;
        let parameters = initial.len();
        check(parameters > 0, "an initial mean", "at least 1 parameter", "none".to_owned())?;
        let wrong = initial.iter().enumerate().find(|(_, value)| !value.is_finite());
        let got = wrong.map(|(index, value)| format!("{value} for parameter {index}")).unwrap_or_default();
        check(wrong.is_none(), "an initial mean", "finite numbers", got)?;
        check(members >= 2, "a population", "at least 2 members", members.to_string())?;
        check(sigma > 0.0 && sigma.is_finite(), "a sigma", "a positive finite number", sigma.to_string())?;
        let fits = form == Form::Separable || parameters <= FULL_PARAMETERS_LIMIT;
        let expected = format!("at most {FULL_PARAMETERS_LIMIT} parameters (take the separable form)");
        check(fits, "a full covariance matrix", &expected, parameters.to_string())?;

        let constants = Constants::new(parameters, members, form);
        let covariance: Box<dyn Covariance> = match form {
            Form::Full => Box::new(Full::new(parameters, &constants)),
            Form::Separable => Box::new(Separable::new(parameters)),
        };
        Ok(Self {
            settings,
            constants,
            mean: DVector::from_iterator(parameters, initial.iter().copied().map(f64::from)),
            sigma,
            sigma_path: DVector::zeros(parameters),
            covariance_path: DVector::zeros(parameters),
            covariance,
            generation: 0,
            population: None,
        })
    }

    /// The members of this generation, (members, parameters) row after row: the same ones until [`CmaEs::tell`].
    ///
    /// # Errors
    /// The search has diverged: the members are not finite `f32` numbers.
    pub fn ask(&mut self) -> Result<&[f32], CmaEsError> {
        let population = match self.population.take() {
            Some(population) => population,
            None => self.draw()?,
        };
        Ok(&self.population.insert(population).points)
    }

    fn draw(&mut self) -> Result<Population, CmaEsError> {
        self.covariance.refresh(self.generation).map_err(|NoRoot| self.diverged())?;
        let (parameters, members) = (self.mean.len(), self.settings.members);
        // A deviate takes two words: the generation says where its numbers begin.
        let position = u64::from(self.generation) * 2 * (parameters * members) as u64;
        let mut random = Random::new(self.settings.seed, STREAM).at(position);
        let normals = repeat_with(|| f64::from(random.normal())).take(parameters * members).collect();
        let normals = DMatrix::from_vec(parameters, members, normals);
        let steps = self.covariance.transform(&normals);
        let member = |step: &[f64]| -> Vec<f32> {
            step.iter().zip(&self.mean).map(|(step, mean)| (mean + self.sigma * step) as f32).collect()
        };
        let points: Vec<f32> = steps.as_slice().chunks(parameters).flat_map(member).collect();
        match points.iter().all(|value| value.is_finite()) {
            true => Ok(Population { normals, steps, points }),
            false => Err(self.diverged()),
        }
    }

    fn diverged(&self) -> CmaEsError {
        CmaEsError::Diverged { generation: self.generation, sigma: self.sigma }
    }

    /// Learns from the fitness of each member that [`CmaEs::ask`] gave, and begins the next generation. Only the order
    /// of the values counts; NaN ranks below all numbers, and equal members rank as they stand.
    ///
    /// # Errors
    /// There is not one value for each member, or the members were not asked for; the search is as it was before.
    pub fn tell(&mut self, fitness: &[f32]) -> Result<(), CmaEsError> {
        let members = self.settings.members;
        if fitness.len() != members {
            return Err(CmaEsError::Fitness { members, got: fitness.len() });
        }
        let Population { normals, steps, .. } = self.population.take().ok_or(CmaEsError::NotAsked)?;
        let mut ranking: Vec<usize> = (0..members).collect();
        ranking.sort_by(|&a, &b| better_first(fitness[a], fitness[b]));

        let Constants { ref weights, parents, mu_eff, c_sigma, d_sigma, c_c, c_1, c_mu, chi } = self.constants;
        let n = self.mean.len() as f64;
        let mut step = DVector::zeros(self.mean.len());
        let mut normal = DVector::zeros(self.mean.len());
        for (&member, &weight) in ranking.iter().zip(&weights[..parents]) {
            step.axpy(weight, &steps.column(member), 1.0);
            normal.axpy(weight, &normals.column(member), 1.0);
        }
        self.mean.axpy(self.sigma, &step, 1.0);

        self.sigma_path.axpy((c_sigma * (2.0 - c_sigma) * mu_eff).sqrt(), &normal, 1.0 - c_sigma);
        self.generation += 1;
        let length = self.sigma_path.norm();
        // The path starts at zero: its length is judged by the variance that it can have by now.
        let variance = 1.0 - (1.0 - c_sigma).powf(2.0 * f64::from(self.generation));
        let stalls = length / variance.sqrt() >= (1.4 + 2.0 / (n + 1.0)) * chi;
        let (h, lost) = if stalls { (0.0, c_c * (2.0 - c_c)) } else { (1.0, 0.0) };
        self.covariance_path.axpy(h * (c_c * (2.0 - c_c) * mu_eff).sqrt(), &step, 1.0 - c_c);

        let mut rates = DVector::zeros(members);
        for (&member, &weight) in ranking.iter().zip(weights) {
            // Bounds what a long step of negative weight takes away: C stays positive definite.
            let shorten = if weight < 0.0 { n / normals.column(member).norm_squared() } else { 1.0 };
            rates[member] = c_mu * weight * shorten;
        }
        let decay = 1.0 - c_1 * (1.0 - lost) - c_mu * weights.iter().sum::<f64>();
        self.covariance.update(decay, c_1, &self.covariance_path, &rates, &steps);

        let change = (c_sigma / d_sigma * (length / chi - 1.0)).min(1.0);
        self.sigma = (self.sigma * change.exp()).clamp(f64::MIN_POSITIVE, f64::MAX);
        Ok(())
    }

    /// The mean m of the search distribution: the estimate of the optimum.
    pub fn mean(&self) -> Vec<f32> {
        self.mean.iter().map(|&value| value as f32).collect()
    }

    /// The step size: the standard deviations of the members are sigma times the roots of C's diagonal.
    pub fn sigma(&self) -> f64 {
        self.sigma
    }

    /// The number of generations that were told.
    pub fn generation(&self) -> u32 {
        self.generation
    }

    /// Returns the settings that the search was made with.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Adds the whole state to a checkpoint, under `prefix`. Members that were asked for need not be kept: the restored
    /// search asks for the same ones.
    pub fn save(&self, checkpoint: &mut Checkpoint, prefix: &str) {
        let parameters = self.mean.len();
        for (name, values) in self.vectors() {
            checkpoint.insert_f64(&format!("{prefix}{name}"), &[parameters], values.as_slice().to_vec());
        }
        checkpoint.insert_f64(&format!("{prefix}sigma"), &[], vec![self.sigma]);
        checkpoint.insert(&format!("{prefix}generation"), &[], Data::U32(vec![self.generation]));
        self.covariance.save(checkpoint, prefix);
        for (key, value) in self.identity() {
            checkpoint.set(&format!("{prefix}{key}"), value);
        }
    }

    /// Resumes from a checkpoint of a search with the same settings, to the same bits as if it had never stopped.
    ///
    /// # Errors
    /// The checkpoint is of other settings, or a tensor is missing or of another shape; the search is as it was before.
    pub fn restore(&mut self, checkpoint: &Checkpoint, prefix: &str) -> Result<(), Error> {
        for (key, value) in self.identity() {
            checkpoint.expect(&format!("{prefix}{key}"), &value)?;
        }
        let parameters = self.mean.len();
        let vector = |name: &str| -> Result<DVector<f64>, Error> {
            checkpoint.f64(&format!("{prefix}{name}"), &[parameters]).map(DVector::from_column_slice)
        };
        let [mean, sigma_path, covariance_path] = self.vectors().map(|(name, _)| vector(name));
        let (mean, sigma_path, covariance_path) = (mean?, sigma_path?, covariance_path?);
        let sigma = checkpoint.f64(&format!("{prefix}sigma"), &[])?[0];
        let generation = checkpoint.u32(&format!("{prefix}generation"), &[])?[0];
        self.covariance.restore(checkpoint, prefix)?;
        (self.mean, self.sigma_path, self.covariance_path) = (mean, sigma_path, covariance_path);
        (self.sigma, self.generation, self.population) = (sigma, generation, None);
        Ok(())
    }

    fn vectors(&self) -> [(&'static str, &DVector<f64>); 3] {
        [("mean", &self.mean), ("sigma_path", &self.sigma_path), ("covariance_path", &self.covariance_path)]
    }

    /// The settings that must be equal in a checkpoint of this search, besides the shapes of its tensors.
    fn identity(&self) -> [(&'static str, String); 2] {
        [("members", self.settings.members.to_string()), ("seed", self.settings.seed.to_string())]
    }
}

/// Larger values first, NaN last.
fn better_first(a: f32, b: f32) -> Ordering {
    b.partial_cmp(&a).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()))
}
