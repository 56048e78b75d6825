//! `fourfold pes variance`: how far the estimators' gradients scatter, by the number of unrolls.

mod report;

use std::time::Instant;

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::options::Common;
use crate::pes::variance::linear::{self, Structure};
use crate::pes::variance::network::{self, Scenario};
use crate::progress::Progress;
use crate::run::folder::RunFolder;

/// Measure how far gradients of a small LSTM, and of linear losses, scatter at a theta that stays
///
/// The paper has 1,000 steps, 1,000 particles, 50 repeats, a base of 5,000 particles, and unrolls of
/// 1,2,5,10,20,50,100,200,500,1000 steps.
#[derive(Debug, Clone, Args)]
pub struct Arguments {
    /// What the network reads [default: all]
    #[arg(long, value_enum, value_name = "NAMES", value_delimiter = ',')]
    pub scenarios: Option<Vec<Scenario>>,
    /// Characters that are predicted
    #[arg(long, value_name = "COUNT", default_value_t = 200)]
    pub steps: usize,
    /// Steps of an unroll: divisors of --steps, with commas between them [default: divisors of the form 1, 2, 5, 10, ...]
    #[arg(long, value_name = "STEPS", value_delimiter = ',')]
    pub truncations: Option<Vec<usize>>,
    /// Antithetic particles of an estimate, an even number
    #[arg(long, value_name = "COUNT", default_value_t = 200)]
    pub particles: usize,
    /// The standard deviation of perturbations
    #[arg(long, allow_negative_numbers = true, default_value_t = 1e-3)]
    pub sigma: f32,
    /// Estimates of the gradient of the whole text
    #[arg(long, value_name = "COUNT", default_value_t = 20)]
    pub repeats: usize,
    /// Particles of the full unrolls that estimates are compared with
    #[arg(long, value_name = "COUNT", default_value_t = 20_000)]
    pub base_particles: usize,
    /// Numbers of the network's embedding
    #[arg(long, value_name = "COUNT", default_value_t = 5)]
    pub embedding: usize,
    /// Hidden units of the network
    #[arg(long, value_name = "COUNT", default_value_t = 5)]
    pub hidden: usize,
    /// Estimates of the gradient of linear losses
    #[arg(long, value_name = "COUNT", default_value_t = 1_000)]
    pub linear_repeats: usize,
}

/// What a run measures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    pub network: network::Settings,
    pub linear: linear::Settings,
}

/// What a run found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Findings {
    pub settings: Settings,
    pub network: Vec<network::Study>,
    pub linear: Vec<linear::Row>,
    pub seconds: f64,
}

/// Numbers of the form 1, 2, 5, 10, ... that divide `steps`, and `steps` itself.
fn divisors(steps: usize) -> Vec<usize> {
    let powers = std::iter::successors(Some(1_usize), |power| power.checked_mul(10));
    let series = powers.flat_map(|power| [1, 2, 5].map(|digit| power.saturating_mul(digit)));
    let mut divisors: Vec<usize> = series.take_while(|&k| k < steps).filter(|&k| steps.is_multiple_of(k)).collect();
    divisors.push(steps);
    divisors
}

impl Settings {
    /// # Errors
    /// Values that make no sense.
    pub fn new(common: &Common, arguments: &Arguments) -> Result<Self, Failure> {
        let given = arguments.clone();
        let less = |count: usize, least: usize| if common.quick { (count / 10).max(least) } else { count };
        let key = common.seed as u32;
        let batches = 2 * network::BASE_BATCHES;
        let base_particles = match common.quick {
            true => (given.base_particles / 10).max(1).next_multiple_of(batches),
            false => given.base_particles,
        };
        let network = network::Settings {
            scenarios: given.scenarios.unwrap_or_else(|| Scenario::ALL.to_vec()),
            steps: given.steps,
            truncations: given.truncations.unwrap_or_else(|| divisors(given.steps)),
            particles: given.particles,
            sigma: given.sigma,
            repeats: less(given.repeats, 2),
            base_particles,
            embedding: given.embedding,
            hidden: given.hidden,
            key,
        };
        network.check()?;
        if given.linear_repeats < 2 {
            return Err(Failure::Input(format!("a spread takes at least 2 repeats, not {}", given.linear_repeats)));
        }
        let repeats = less(given.linear_repeats, 2);
        let linear = linear::Settings { parameters: 5, unrolls: 16, pairs: 16, repeats, key };
        Ok(Self { network, linear })
    }
}

/// Measures and reports.
///
/// # Errors
/// Values that make no sense, a folder that cannot be written, or the loss of the device.
pub fn run(common: &Common, arguments: &Arguments) -> Result<(), Failure> {
    let settings = Settings::new(common, arguments)?;
    let gpu = common.open(false)?;
    let given = serde_json::to_value(&settings).map_err(Failure::run)?;
    let folder = RunFolder::create(common, "pes-variance", &gpu, given)?;
    let begun = Instant::now();

    let mut progress = Progress::new("LSTM", settings.network.estimates() as u64, common.quiet);
    let mut studies = Vec::new();
    for &scenario in &settings.network.scenarios {
        studies.push(network::measure(&gpu, &settings.network, scenario, &mut progress)?);
    }
    progress.finish();

    let estimates = 3 * Structure::ALL.len() * settings.linear.repeats;
    let mut progress = Progress::new("linear losses", estimates as u64, common.quiet);
    let mut rows = Vec::new();
    for structure in Structure::ALL {
        rows.push(linear::measure(&gpu, settings.linear, structure, &mut progress)?);
    }
    progress.finish();

    let seconds = begun.elapsed().as_secs_f64();
    let findings = Findings { settings, network: studies, linear: rows, seconds };
    println!("{}", report::write(&folder, &findings, &gpu)?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_papers_truncations_divide_the_papers_text() {
        assert_eq!(divisors(1_000), [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000]);
        assert_eq!(divisors(1), [1]);
        assert_eq!(divisors(60), [1, 2, 5, 10, 20, 60]);
    }
}
