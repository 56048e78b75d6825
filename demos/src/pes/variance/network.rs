//! The variance study on a small LSTM that reads characters (Vicol et al. 2021).

use std::sync::Arc;
use std::time::Instant;

use fourfold::Gpu;
use fourfold::data::genesis;
use fourfold::evolution::problems::CharacterLstm;
use fourfold::evolution::{Estimator, InnerProblem, UnrollPlan, UnrollSettings};
use fourfold::shaders::Target;
use serde::{Deserialize, Serialize};

use super::{
    Agreement, FrozenTheta, agreement, central_differences, mean_row, squared_distance, squared_norm, total_variance,
};
use crate::failure::Failure;
use crate::progress::Progress;
use crate::statistics::mean;

/// What the network reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scenario {
    /// The beginning of Genesis in the King James Version
    Real,
    /// Characters of the same alphabet, drawn uniformly
    Random,
    /// The first character of the text, again and again
    Repeat,
}

impl Scenario {
    pub const ALL: [Self; 3] = [Self::Real, Self::Random, Self::Repeat];

    /// As on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Real => "real",
            Self::Random => "random",
            Self::Repeat => "repeat",
        }
    }

    /// The paper's network, with these sizes, on a text of `steps` transitions.
    ///
    /// # Errors
    /// More steps than the text has.
    pub fn problem(self, steps: usize, [embedding, hidden]: [usize; 2]) -> Result<CharacterLstm, Failure> {
        /// What the authors draw random characters by.
        const KEY: u32 = 5;
        let text = genesis();
        let vocabulary = text.alphabet.len();
        if steps == 0 || steps >= text.tokens.len() {
            let message = format!("the text has between 1 and {} steps, not {steps}", text.tokens.len() - 1);
            return Err(Failure::Input(message));
        }
        let tokens: Vec<u32> = match self {
            Self::Real => text.tokens[..=steps].to_vec(),
            Self::Random => {
                let random = CharacterLstm::random(steps + 1, vocabulary, KEY);
                random.data().iter().map(|&token| token as u32).collect()
            }
            Self::Repeat => vec![text.tokens[0]; steps + 1],
        };
        Ok(CharacterLstm::sized(&tokens, vocabulary, embedding, hidden))
    }
}

/// The estimators that are compared.
pub const ESTIMATORS: [(&str, Estimator); 3] =
    [("PES", Estimator::PES), ("NRES", Estimator::NRES), ("truncated ES", Estimator::TRUNCATED_ES)];

/// What is measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    pub scenarios: Vec<Scenario>,
    /// Steps of the inner problem, T.
    pub steps: usize,
    /// Steps of an unroll, K: divisors of T.
    pub truncations: Vec<usize>,
    pub particles: usize,
    pub sigma: f32,
    /// Estimates of the whole inner problem.
    pub repeats: usize,
    /// Particles of the base gradient, in [`BASE_BATCHES`] batches.
    pub base_particles: usize,
    pub embedding: usize,
    pub hidden: usize,
    /// What the estimates draw by.
    pub key: u32,
}

/// Estimates of the base gradient whose mean it is, and whose spread tells its error.
pub const BASE_BATCHES: usize = 10;

/// What the authors draw the network's weights by.
const WEIGHTS: u32 = 42;

impl Settings {
    /// # Errors
    /// What makes no sense, in one sentence.
    pub fn check(&self) -> Result<(), Failure> {
        let refuse = |message: String| Err(Failure::Input(message));
        if let Some(truncation) = self.truncations.iter().find(|&&k| k == 0 || !self.steps.is_multiple_of(k)) {
            return refuse(format!(
                "unrolls of {truncation} steps do not divide an inner problem of {} steps",
                self.steps
            ));
        }
        if self.truncations.is_empty() || self.scenarios.is_empty() {
            return refuse("there must be at least one truncation and one scenario".into());
        }
        if self.repeats < 2 {
            return refuse(format!("a spread takes at least 2 repeats, not {}", self.repeats));
        }
        if !self.base_particles.is_multiple_of(2 * BASE_BATCHES) || self.base_particles == 0 {
            let message =
                format!("the base takes a multiple of {} particles, not {}", 2 * BASE_BATCHES, self.base_particles);
            return refuse(message);
        }
        if self.embedding == 0 || self.hidden == 0 {
            return refuse("the network needs an embedding and hidden units of at least one number".into());
        }
        let problem = Arc::new(Scenario::Real.problem(self.steps, [self.embedding, self.hidden])?);
        let unroll = UnrollSettings::new(Estimator::PES, self.particles, self.steps, self.sigma);
        UnrollPlan::new(problem, &unroll, &Target::default())?;
        Ok(())
    }

    /// Estimates of all measurements together, for a progress bar.
    pub fn estimates(&self) -> usize {
        self.scenarios.len() * (BASE_BATCHES + ESTIMATORS.len() * self.truncations.len() * self.repeats)
    }
}

/// The gradient that the estimates are compared with.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Base {
    pub parameters: usize,
    /// The length of the gradient, by central differences in f64.
    pub length: f64,
    /// `|base - gradient|^2 / |gradient|^2`, the gradient by central differences.
    pub error: f64,
    /// What that error is expected to be: by the spread of the batches.
    pub expected_error: f64,
}

/// How far the estimates of one estimator are off.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Measurement {
    pub scenario: Scenario,
    /// A place in [`ESTIMATORS`].
    pub estimator: usize,
    pub truncation: usize,
    pub unrolls: usize,
    /// `mean |g - base|^2 / |base|^2` with the base's own error subtracted from both.
    pub error: f64,
    /// Half of its 95 % interval over the repeats.
    pub half_width: f64,
    /// The same as it is, with the base's error in it.
    pub uncorrected: f64,
    /// `mean |g - gradient|^2 / |gradient|^2`, the gradient by central differences.
    pub exact: f64,
    /// `|mean g - gradient|^2 / |gradient|^2`, with what the spread of the estimates gives to it subtracted. It may come
    /// out below 0 where there is no bias.
    pub squared_bias: f64,
    /// Its standard error, for noise that is normal and alike in all directions.
    pub squared_bias_error: f64,
    /// Seconds of the repeats.
    pub seconds: f64,
}

/// All about one scenario.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Study {
    pub scenario: Scenario,
    pub base: Base,
    pub agreement: Agreement,
    pub measurements: Vec<Measurement>,
}

/// Measures one scenario.
///
/// # Errors
/// Settings that make no sense, no memory, or the loss of the device.
pub fn measure(gpu: &Gpu, settings: &Settings, scenario: Scenario, progress: &mut Progress) -> Result<Study, Failure> {
    let network = scenario.problem(settings.steps, [settings.embedding, settings.hidden])?;
    let theta = network.start(WEIGHTS);
    let problem: Arc<dyn InnerProblem> = Arc::new(network);
    let exact = central_differences(&*problem, &theta);
    let length = squared_norm(&exact);

    const PAIRS_BESIDE_THE_TWIN: u32 = 16;
    let agreement = agreement(gpu, problem.clone(), &theta, [settings.key, PAIRS_BESIDE_THE_TWIN], settings.sigma)?;

    let unroll = |estimator, particles, truncation, key| {
        let settings = UnrollSettings::new(estimator, particles, truncation, settings.sigma);
        FrozenTheta::new(gpu, problem.clone(), &theta, key, settings)
    };
    // Another key: the base shares no noise with the estimates.
    let mut full = unroll(Estimator::PES, settings.base_particles / BASE_BATCHES, settings.steps, !settings.key)?;
    let mut batches = Vec::with_capacity(BASE_BATCHES);
    for _ in 0..BASE_BATCHES {
        batches.push(full.next_gradient()?);
        progress.advance(1);
    }
    let base = mean_row(&batches);
    let base_error = total_variance(&batches) / BASE_BATCHES as f64;
    let base_length = squared_norm(&base);

    let mut measurements = Vec::new();
    for (estimator, (name, which)) in ESTIMATORS.into_iter().enumerate() {
        for &truncation in &settings.truncations {
            progress.say(format!("{}, {name}, unrolls of {truncation}", scenario.name()));
            let mut frozen = unroll(which, settings.particles, truncation, settings.key)?;
            let begun = Instant::now();
            let mut gradients = Vec::with_capacity(settings.repeats);
            for _ in 0..settings.repeats {
                gradients.push(frozen.next_gradient()?);
                progress.advance(1);
            }
            let seconds = begun.elapsed().as_secs_f64();
            let distances =
                |from: &[f64]| -> Vec<f64> { gradients.iter().map(|g| squared_distance(g, from)).collect() };
            let about_base = mean(&distances(&base));
            // Of the mean of the estimates.
            let spread = total_variance(&gradients) / settings.repeats as f64;
            let off = squared_distance(&mean_row(&gradients), &exact) - spread;
            let uncertain = (2.0 * spread * (spread + 2.0 * off.max(0.0)) / theta.len() as f64).sqrt();
            measurements.push(Measurement {
                scenario,
                estimator,
                truncation,
                unrolls: frozen.unrolls(),
                error: (about_base.mean - base_error) / (base_length - base_error),
                half_width: about_base.half_width / (base_length - base_error),
                uncorrected: about_base.mean / base_length,
                exact: mean(&distances(&exact)).mean / length,
                squared_bias: off / length,
                squared_bias_error: uncertain / length,
                seconds,
            });
        }
    }
    let base = Base {
        parameters: theta.len(),
        length: length.sqrt(),
        error: squared_distance(&base, &exact) / length,
        expected_error: base_error / length,
    };
    Ok(Study { scenario, base, agreement, measurements })
}
