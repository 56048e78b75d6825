//! `fourfold pes variance`: the variance of gradients, by the number of unrolls.
//!
//! Theta stays, and whole inner problems are repeated.

mod frozen;
mod linear;
mod network;
mod report;
mod rows;
mod twin;

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::experiment::Experiment;
use crate::failure::Failure;
use crate::limits;
use crate::run::Run;
use crate::run::report::Report;
use linear::Structure;
use network::Scenario;

/// Measure gradient variance at fixed theta, of a small LSTM and of linear losses
///
/// The paper has 1,000 steps, 1,000 particles, 50 repeats, a base of 5,000 particles, and unrolls of
/// 1,2,5,10,20,50,100,200,500,1000 steps.
#[derive(Debug, Clone, PartialEq, Args, Serialize, Deserialize)]
pub struct Settings {
    /// Texts that the network reads [default: all]
    #[arg(long, value_enum, value_name = "NAMES", value_delimiter = ',')]
    pub scenarios: Option<Vec<Scenario>>,
    /// Characters to predict
    #[arg(long, value_name = "COUNT", default_value_t = 200)]
    pub steps: usize,
    /// Steps of an unroll, divisors of --steps separated by commas [default: divisors of the form 1, 2, 5, 10, ...]
    #[arg(long, value_name = "STEPS", value_delimiter = ',')]
    pub truncations: Option<Vec<usize>>,
    /// Antithetic particles of an estimate, an even number
    #[arg(long, value_name = "COUNT", default_value_t = 200)]
    pub particles: usize,
    /// Standard deviation of perturbations
    #[arg(long, allow_negative_numbers = true, default_value_t = 1e-3)]
    pub sigma: f32,
    /// Estimates of the gradient of the whole text
    #[arg(long, value_name = "COUNT", default_value_t = 20)]
    pub repeats: usize,
    /// Particles of the full unrolls that estimates are compared with
    #[arg(long, value_name = "COUNT", default_value_t = 20_000)]
    pub base_particles: usize,
    /// Width of the network's embedding
    #[arg(long, value_name = "COUNT", default_value_t = 5)]
    pub embedding: usize,
    /// Hidden units of the network
    #[arg(long, value_name = "COUNT", default_value_t = 5)]
    pub hidden: usize,
    /// Estimates of the gradient of linear losses
    #[arg(long, value_name = "COUNT", default_value_t = 1_000)]
    pub linear_repeats: usize,
}

/// All measurements of a run.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Findings {
    network: Vec<network::Study>,
    linear: Vec<linear::Row>,
}

impl Experiment for Settings {
    const NAME: &'static str = "pes variance";
    const SEEDS: Option<&'static str> = None;
    const QUICK: &'static [(&'static str, &'static str)] =
        &[("steps", "100"), ("repeats", "2"), ("base_particles", "1000"), ("linear_repeats", "100")];

    fn check(&self) -> Result<(), Failure> {
        limits::counts([("--linear-repeats", self.linear_repeats, 2..=10_000_000)])?;
        network::check(self)
    }

    fn run(&self, run: &mut Run) -> Result<Report, Failure> {
        let key = run.seed() as u32;
        run.progress("LSTM", network::estimates(self) as u64);
        let mut studies = Vec::new();
        for scenario in self.scenarios() {
            studies.push(network::measure(run, self, key, scenario)?);
        }
        run.progress("linear losses", (3 * self.linear_repeats * Structure::ALL.len()) as u64);
        let mut rows = Vec::new();
        for structure in Structure::ALL {
            rows.push(linear::measure(run, self.linear_repeats, key, structure)?);
        }
        report::report(self, &Findings { network: studies, linear: rows })
    }
}

impl Settings {
    fn scenarios(&self) -> Vec<Scenario> {
        self.scenarios.clone().unwrap_or_else(|| Scenario::ALL.to_vec())
    }

    fn truncations(&self) -> Vec<usize> {
        self.truncations.clone().unwrap_or_else(|| divisors(self.steps))
    }
}

/// Lists the numbers of the form 1, 2, 5, 10, ... that divide `steps`, and `steps` itself.
fn divisors(steps: usize) -> Vec<usize> {
    let powers = std::iter::successors(Some(1_usize), |power| power.checked_mul(10));
    let series = powers.flat_map(|power| [1, 2, 5].map(|digit| power.saturating_mul(digit)));
    let mut divisors: Vec<usize> = series.take_while(|&k| k < steps).filter(|&k| steps.is_multiple_of(k)).collect();
    divisors.push(steps);
    divisors
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
