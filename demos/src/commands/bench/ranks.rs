//! `fourfold bench ranks`: what the ranks of a run tell each other costs, here and, by a model of a network, on many machines.

use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use fourfold::Gpu;
use fourfold::evolution::problems::ToyRegression;
use fourfold::evolution::{
    Descent, Error, Estimator, OuterLoop, OuterSettings, OuterTensors, Part, UnrollSettings, UnrolledGradient,
};
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::options::Common;
use crate::ranks::Ranks;
use crate::statistics::median;
use crate::table::{fitted, width};

/// Measure exchanges between ranks; alone, an outer iteration of persistent evolution strategies as one of up to 1,024 ranks
///
/// Under `mpirun`, words are gathered from all ranks. Alone, this process is the first of so many ranks: it unrolls its own
/// particles, waits as long as the network takes, and computes the update from the numbers of all.
#[derive(Debug, Clone, Args)]
pub struct Arguments {
    /// Particles of each rank, an even number
    #[arg(long, value_name = "COUNT", default_value_t = 1_000)]
    particles: usize,
    /// Inner steps of an unroll
    #[arg(long, value_name = "STEPS", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    truncation: u32,
    /// Microseconds of a message between two machines
    #[arg(long, value_name = "MICROSECONDS", default_value_t = 5.0)]
    latency: f64,
    /// Gigabytes that a machine receives in a second
    #[arg(long, value_name = "GIGABYTES", default_value_t = 1.0)]
    bandwidth: f64,
    /// Timed iterations, or exchanges
    #[arg(long, value_name = "COUNT", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    runs: u32,
}

/// Ranks that are measured.
const RANKS: [usize; 6] = [1, 4, 16, 64, 256, 1_024];

/// Measures exchanges, or iterations; `json` asks for JSON.
pub fn run(common: &Common, arguments: &Arguments, json: bool) -> Result<(), Failure> {
    let Arguments { latency, bandwidth, .. } = *arguments;
    if !(latency >= 0.0 && latency.is_finite() && bandwidth > 0.0 && bandwidth.is_finite()) {
        let expected = "--latency and --bandwidth: expected finite numbers above 0";
        return Err(Failure::Input(format!("{expected}, got {latency} and {bandwidth}")));
    }
    let (columns, rows) = match common.ranks.are_several() {
        true => (&EXCHANGES[..], exchanges(&common.ranks, arguments.runs)?),
        false => (&ITERATIONS[..], iterations(&common.open()?, arguments)?),
    };
    if !common.ranks.is_root() {
        return Ok(());
    }
    if json {
        crate::show!("{:#}", Value::from(rows));
        return Ok(());
    }
    let cells = |row: &Value| columns.iter().map(|column| row[*column].to_string()).collect::<Vec<_>>();
    crate::show!("{}", fitted(columns, &rows.iter().map(cells).collect::<Vec<_>>(), width()));
    Ok(())
}

/// The columns of a table of exchanges, and of one of iterations.
const EXCHANGES: [&str; 3] = ["words of a rank", "least us", "median us"];
const ITERATIONS: [&str; 5] = ["ranks", "particles", "network ms", "iteration ms", "efficiency %"];

/// Microseconds in which all ranks have the words of all.
fn exchanges(ranks: &Ranks, runs: u32) -> Result<Vec<Value>, Failure> {
    [1, 1_000, 10_000, 100_000, 1_000_000]
        .map(|words| {
            let (own, counts) = (vec![7; words], vec![words; ranks.size()]);
            let mut times = Vec::new();
            for _ in 0..=runs {
                let begun = Instant::now();
                ranks.gather(&own, &counts)?;
                times.push(begun.elapsed().as_secs_f64() * 1e6);
            }
            // The first makes buffers.
            times.remove(0);
            let least = times.iter().copied().fold(f64::INFINITY, f64::min);
            let [name, of_least, of_median] = EXCHANGES;
            Ok(json!({ name: words, of_least: rounded(least), of_median: rounded(median(&times)) }))
        })
        .into_iter()
        .collect()
}

/// Milliseconds of an iteration of the first of so many ranks, each with the same number of particles.
fn iterations(gpu: &Gpu, arguments: &Arguments) -> Result<Vec<Value>, Failure> {
    let mut first = None;
    let mut rows = Vec::new();
    for count in RANKS {
        let particles = arguments.particles.saturating_mul(count);
        let part = Part { index: 0, count };
        let settings = UnrollSettings::new(Estimator::PES, particles, arguments.truncation as usize, 0.3);
        let outer = OuterTensors::new(gpu, &[-4.0, -4.0], 0)?;
        let source = UnrolledGradient::new(
            gpu,
            Arc::new(ToyRegression::default()),
            &UnrollSettings { part, ..settings },
            &outer,
        )
        .map_err(|error| Failure::input(format!("--particles: {error}")))?;
        let descent = OuterSettings { descent: Descent::adam(0.99), rate: 0.01, clip: None, ring: 1 };
        let mut outer = OuterLoop::new(gpu, outer, Box::new(source), descent)?;
        let mut waited = Duration::ZERO;
        // The others tell what this rank tells.
        let mut tell = |own: &[u32], counts: &[usize]| {
            waited = network(arguments, counts);
            wait(waited);
            Ok::<_, Error>(counts.iter().flat_map(|&count| own.iter().copied().cycle().take(count)).collect())
        };
        outer.run_part(2, &mut tell)?;
        let mut times = Vec::new();
        for _ in 0..arguments.runs {
            let begun = Instant::now();
            outer.run_part(1, &mut tell)?;
            times.push(begun.elapsed().as_secs_f64() * 1e3);
        }
        let time = median(&times);
        let alone = *first.get_or_insert(time);
        let [ranks, of_particles, of_network, of_iteration, efficiency] = ITERATIONS;
        rows.push(json!({
            ranks: count,
            of_particles: particles,
            of_network: rounded(waited.as_secs_f64() * 1e3),
            of_iteration: rounded(time),
            efficiency: (100.0 * alone / time).round(),
        }));
    }
    Ok(rows)
}

/// The time in which ranks on machines of their own have the words of all: messages in a tree, and all words through one
/// wire.
fn network(arguments: &Arguments, counts: &[usize]) -> Duration {
    let messages = counts.len().next_power_of_two().ilog2();
    let bytes = 4 * counts.iter().skip(1).sum::<usize>();
    let seconds = f64::from(messages) * arguments.latency * 1e-6 + bytes as f64 / (arguments.bandwidth * 1e9);
    Duration::from_secs_f64(seconds)
}

/// Waits without sleep, which takes longer than asked for.
fn wait(time: Duration) {
    let begun = Instant::now();
    while begun.elapsed() < time {
        std::hint::spin_loop();
    }
}

fn rounded(number: f64) -> f64 {
    (number * 1e3).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_takes_a_message_for_each_level_of_a_tree_and_all_words_through_one_wire() {
        let arguments = Arguments { particles: 2, truncation: 1, latency: 5.0, bandwidth: 1.0, runs: 1 };
        assert_eq!(network(&arguments, &[1_000]), Duration::ZERO);
        assert_eq!(network(&arguments, &[1_000; 2]), Duration::from_micros(5 + 4));
        assert_eq!(network(&arguments, &[1_000; 1_024]), Duration::from_micros(50 + 4 * 1_023));
    }
}
