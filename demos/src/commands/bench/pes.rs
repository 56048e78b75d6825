//! `fourfold bench pes`: time of an outer iteration of persistent evolution strategies on this adapter.

use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use cpu_time::ProcessTime;
use fourfold::evolution::problems::ToyRegression;
use fourfold::evolution::{
    Descent, Estimator, OuterLoop, OuterSettings, OuterTensors, Source, UnrollSettings, UnrolledGradient,
};
use serde_json::{Value, json};

use crate::adapter::adapter_json;
use crate::failure::Failure;
use crate::options::Common;
use crate::progress::{Progress, duration};
use crate::run::Run;
use crate::statistics::median;
use crate::table::table;

/// Measure persistent evolution strategies: outer iterations on the 2-D toy regression, truncation 10 of 100 steps,
/// with Adam, as the paper has them
#[derive(Debug, Clone, Args)]
pub struct Arguments {
    /// Particles, an even number
    #[arg(long, value_name = "COUNT", default_value_t = 100)]
    particles: usize,
    /// Outer iterations of a timed run, which is one submission and one small readback
    #[arg(long, value_name = "COUNT", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    iterations: u32,
    /// Timed runs
    #[arg(long, value_name = "COUNT", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    runs: u32,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

const TRUNCATION: usize = 10;

/// Measures outer iterations; `json` asks for JSON as the flag does.
pub fn run(common: &Common, arguments: &Arguments, json: bool) -> Result<(), Failure> {
    let (iterations, runs) = (arguments.iterations as usize, arguments.runs as usize);
    let (iterations, runs) = if common.quick { (iterations.min(50), runs.min(2)) } else { (iterations, runs) };
    let gpu = common.open()?;
    let settings = UnrollSettings::new(Estimator::PES, arguments.particles, TRUNCATION, 0.3);
    let outer = OuterTensors::new(&gpu, &[-4.0, -4.0], common.seed as u32)?;
    let source = UnrolledGradient::new(&gpu, Arc::new(ToyRegression::default()), &settings, &outer)
        .map_err(|error| Failure::input(format!("--particles: {error}")))?;
    let bytes = source.bytes();
    let work = json!({ "particles": arguments.particles, "iterations": iterations, "runs": runs });
    let mut run = Run::of_command(common, "bench-pes", &gpu, work.clone())?;

    let mut progress = Progress::new("bench pes", runs as u64 + 1, common.quiet);
    progress.say("compiling");
    let descent = OuterSettings { descent: Descent::adam(0.99), rate: 0.01, clip: None, ring: 1 };
    let mut outer = OuterLoop::new(&gpu, outer, Box::new(source), descent)?;
    outer.run(iterations.min(20))?;
    progress.advance(1);
    progress.say("timed runs");
    let (mut walls, mut cpus) = (Vec::with_capacity(runs), Vec::with_capacity(runs));
    for _ in 0..runs {
        let (begun, cpu) = (Instant::now(), ProcessTime::try_now().ok());
        outer.run(iterations)?;
        walls.push(begun.elapsed().as_secs_f64() / iterations as f64);
        cpus.extend(cpu.and_then(|cpu| cpu.try_elapsed().ok()).map(|cpu| cpu.as_secs_f64() / iterations as f64));
        progress.advance(1);
    }
    progress.finish();

    let mut result = json!({
        "library": format!("fourfold {}", env!("CARGO_PKG_VERSION")),
        "adapter": adapter_json(gpu.info()),
        "work": work,
        "bytes": bytes,
        "theta": outer.parameters()?,
        "wall_s": walls,
    });
    if let (Value::Object(entries), true) = (&mut result, cpus.len() == runs) {
        entries.insert("cpu_s".into(), json!(cpus));
    }
    run.write_json("result.json", &result)?;
    if json || arguments.json {
        crate::show!("{result:#}");
        return Ok(());
    }
    let best = walls.iter().copied().fold(f64::INFINITY, f64::min);
    let steps = (arguments.particles * TRUNCATION) as f64;
    let row = |name: &str, seconds: f64| {
        let rate = format!("{:.2}", steps / seconds / 1e6);
        [name.to_string(), duration(Duration::from_secs_f64(seconds)), rate]
    };
    let mut rows = vec![row("best run", best), row("median run", median(&walls))];
    if cpus.len() == runs {
        rows.push(row("CPU time, median", median(&cpus)));
    }
    crate::show!("{}", table(["", "an iteration", "10^6 inner steps / s"], rows));
    crate::show_paragraph!(
        "PES on the 2-D toy regression, {} particles, truncation {TRUNCATION}, {iterations} iterations a submission; {} ({}).",
        arguments.particles,
        gpu.info().name,
        gpu.info().backend,
    );
    crate::show!("{}", run.ending());
    Ok(())
}
