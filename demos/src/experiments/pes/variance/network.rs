//! The variance study on a small LSTM that reads characters (Vicol et al. 2021).

use std::sync::Arc;

use fourfold::data::genesis;
use fourfold::evolution::problems::CharacterLstm;
use fourfold::evolution::{Estimator, InnerProblem, UnrollPlan, UnrollSettings};
use fourfold::shaders::Target;
use serde::{Deserialize, Serialize};

use super::Settings;
use super::frozen::FrozenTheta;
use super::rows::{mean_row, squared_distance, squared_norm, total_variance};
use super::twin::{Agreement, agreement, central_differences};
use crate::failure::Failure;
use crate::limits;
use crate::run::Run;
use crate::statistics::mean;

/// The text that the network reads.
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

    /// Returns the name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Real => "real",
            Self::Random => "random",
            Self::Repeat => "repeat",
        }
    }

    /// Creates the paper's network, with these sizes, on a text of `steps` transitions.
    ///
    /// # Errors
    /// More steps than the text has.
    pub fn problem(self, steps: usize, [embedding, hidden]: [usize; 2]) -> Result<CharacterLstm, Failure> {
        /// The authors' seed of random characters.
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

/// Estimates of the base gradient whose mean it is, and whose spread tells its error.
pub const BASE_BATCHES: usize = 10;

/// The authors' seed of the network's weights.
const WEIGHTS: u32 = 42;

/// Checks the settings of the network, in one sentence.
///
/// # Errors
/// A value out of its range.
pub fn check(settings: &Settings) -> Result<(), Failure> {
    let refuse = |message: String| Err(Failure::Input(message));
    let (steps, truncations) = (settings.steps, settings.truncations());
    if let Some(truncation) = truncations.iter().find(|&&k| k == 0 || !steps.is_multiple_of(k)) {
        return refuse(format!("expected a divisor of --steps {steps}, got unrolls of {truncation} steps"));
    }
    limits::pairs("--particles", settings.particles)?;
    let (scenarios, mut distinct) = (settings.scenarios(), truncations.clone());
    distinct.sort_unstable();
    distinct.dedup();
    let repeated = (1..scenarios.len()).any(|index| scenarios[..index].contains(&scenarios[index]));
    if truncations.is_empty() || scenarios.is_empty() || distinct.len() < truncations.len() || repeated {
        return refuse("--truncations and --scenarios: there must be at least one of each, all distinct".into());
    }
    limits::counts([
        ("--repeats", settings.repeats, 2..=1_000_000),
        ("--base-particles", settings.base_particles, 1..=100_000_000),
        ("--embedding", settings.embedding, 1..=1_024),
        ("--hidden", settings.hidden, 1..=1_024),
    ])?;
    limits::numbers([("--sigma", settings.sigma.into(), limits::SIGMA)])?;
    let base = settings.base_particles;
    if !base.is_multiple_of(2 * BASE_BATCHES) {
        return refuse(format!("--base-particles: expected a multiple of {}, got {base}", 2 * BASE_BATCHES));
    }
    let problem = Arc::new(Scenario::Real.problem(steps, [settings.embedding, settings.hidden])?);
    let unroll = UnrollSettings::new(Estimator::PES, settings.particles, steps, settings.sigma);
    UnrollPlan::new(problem, &unroll, &Target::default())?;
    Ok(())
}

/// Counts the estimates of all measurements together.
pub fn estimates(settings: &Settings) -> usize {
    let (scenarios, truncations) = (settings.scenarios().len(), settings.truncations().len());
    scenarios * (BASE_BATCHES + ESTIMATORS.len() * truncations * settings.repeats)
}

/// The gradient that the estimates are compared with.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Base {
    pub parameters: usize,
    /// The length of the gradient, by central differences in f64.
    pub length: f64,
    /// `|base - gradient|^2 / |gradient|^2`, the gradient by central differences.
    pub error: f64,
    /// That error as the spread of the batches predicts it.
    pub expected_error: f64,
}

/// The error of the estimates of one estimator.
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
}

/// All about one scenario.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Study {
    pub scenario: Scenario,
    pub base: Base,
    pub agreement: Agreement,
    pub measurements: Vec<Measurement>,
}

/// The batches of the base gradient, and the twin's agreement.
#[derive(Debug, Serialize, Deserialize)]
struct Batches {
    gradients: Vec<Vec<f64>>,
    agreement: Agreement,
}

/// Measures one scenario, in a stage for the base and one for each estimator and truncation. Noise is drawn by `key`.
///
/// # Errors
/// Settings out of range, out of memory, or the loss of the device.
pub fn measure(run: &mut Run, settings: &Settings, key: u32, scenario: Scenario) -> Result<Study, Failure> {
    let network = scenario.problem(settings.steps, [settings.embedding, settings.hidden])?;
    let theta = network.start(WEIGHTS);
    let problem: Arc<dyn InnerProblem> = Arc::new(network);
    let exact = central_differences(&*problem, &theta);
    let length = squared_norm(&exact);
    let gpu = run.gpu();
    let unroll = |estimator, particles, truncation, key| {
        let settings = UnrollSettings::new(estimator, particles, truncation, settings.sigma);
        FrozenTheta::new(&gpu, problem.clone(), &theta, key, settings)
    };

    let name = scenario.name();
    let Batches { gradients, agreement } = run.stage(&format!("{name}: base"), BASE_BATCHES as u64, |run| {
        const PAIRS_BESIDE_THE_TWIN: u32 = 16;
        let agreement = agreement(&gpu, problem.clone(), &theta, [key, PAIRS_BESIDE_THE_TWIN], settings.sigma)?;
        // Another key: the base shares no noise with the estimates.
        let mut full = unroll(Estimator::PES, settings.base_particles / BASE_BATCHES, settings.steps, !key)?;
        Ok(Batches { gradients: full.gradients(run, BASE_BATCHES)?, agreement })
    })?;
    let base = mean_row(&gradients);
    let base_error = total_variance(&gradients) / BASE_BATCHES as f64;
    let base_length = squared_norm(&base);

    let mut measurements = Vec::new();
    for (estimator, (label, which)) in ESTIMATORS.into_iter().enumerate() {
        for truncation in settings.truncations() {
            let stage = format!("{name}, {label}, unrolls of {truncation}");
            run.say(stage.as_str());
            measurements.push(run.stage(&stage, settings.repeats as u64, |run| {
                let mut frozen = unroll(which, settings.particles, truncation, key)?;
                let gradients = frozen.gradients(run, settings.repeats)?;
                let distances =
                    |from: &[f64]| -> Vec<f64> { gradients.iter().map(|g| squared_distance(g, from)).collect() };
                let about_base = mean(&distances(&base));
                // Of the mean of the estimates.
                let spread = total_variance(&gradients) / settings.repeats as f64;
                let off = squared_distance(&mean_row(&gradients), &exact) - spread;
                let uncertain = (2.0 * spread * (spread + 2.0 * off.max(0.0)) / theta.len() as f64).sqrt();
                Ok(Measurement {
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
                })
            })?);
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
