//! `fourfold bench dt`: time of a training step of the decision transformer on this adapter, and of PyTorch's turn and turn
//! about with it.

mod torch;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use clap::Args;
use cpu_time::ProcessTime;
use fourfold::Gpu;
use fourfold::data::{Actions, Steps, Trajectories};
use fourfold::graph::Plan;
use fourfold::models::decision_transformer::{DecisionTransformer, Settings};
use fourfold::models::offline_training::{OfflineSettings, OfflineTraining};
use fourfold::shaders::random::threefry::Random;
use serde_json::json;

use crate::adapter::adapter_json;
use crate::failure::Failure;
use crate::options::Common;
use crate::progress::{Progress, duration};
use crate::run::Run;
use crate::statistics::median;
use crate::table::table;

use torch::Torch;

/// Measure a training step of the decision transformer at the paper's sizes for Hopper: 3 layers of width 128, dropout
/// 0.1, AdamW, clipping
#[derive(Debug, Clone, Args)]
pub struct Arguments {
    /// Windows of a step
    #[arg(long, value_name = "COUNT", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    batch: u32,
    /// Steps of a window
    #[arg(long, value_name = "COUNT", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    context: u32,
    /// Training steps of a timed run, which is one submission
    #[arg(long, value_name = "COUNT", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    steps: u32,
    /// Timed runs
    #[arg(long, value_name = "COUNT", default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    runs: u32,
    /// Python interpreter with PyTorch, timed before each run
    #[arg(long, value_name = "PYTHON")]
    torch: Option<String>,
    /// Threads of PyTorch [default: its own choice]
    #[arg(long, value_name = "COUNT", requires = "torch")]
    torch_threads: Option<u32>,
    /// Device of PyTorch, e.g. cuda
    #[arg(long, value_name = "DEVICE", requires = "torch", default_value = "cpu")]
    torch_device: String,
    /// Show the kernels of a step with their times by the GPU's own clock
    #[arg(long)]
    profile: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

const OBSERVATIONS: usize = 11;
const ACTIONS: usize = 3;
const EPISODES: usize = 50;
const LENGTH: usize = 1_000;

/// Seconds of a step in each run, wall-clock, and as used by the process's threads.
#[derive(Debug, Default)]
struct Seconds {
    wall: Vec<f64>,
    cpu: Vec<f64>,
}

impl Seconds {
    fn row(&self, name: String) -> [String; 4] {
        let text = |seconds: f64| duration(Duration::from_secs_f64(seconds));
        let cpu = if self.cpu.is_empty() { String::new() } else { text(least(&self.cpu)) };
        [name, text(least(&self.wall)), text(median(&self.wall)), cpu]
    }
}

fn least(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::INFINITY, f64::min)
}

/// Measures training steps; `json` asks for JSON as the flag does.
pub fn run(common: &Common, arguments: &Arguments, json: bool) -> Result<(), Failure> {
    let (steps, runs) = (arguments.steps as usize, arguments.runs as usize);
    let (steps, runs) = if common.quick { (steps.min(1), runs.min(2)) } else { (steps, runs) };
    let gpu = common.open(false)?;
    let mut torch = match &arguments.torch {
        Some(python) => Some(Torch::start(python, arguments)?),
        None => None,
    };
    let work = json!({
        "batch": arguments.batch,
        "context": arguments.context,
        "observations": OBSERVATIONS,
        "actions": ACTIONS,
        "steps": steps,
        "runs": runs,
    });
    let mut run = Run::of_command(common, "bench-dt", &gpu, work.clone())?;

    let mut progress = Progress::new("bench dt", runs as u64 + 1, common.quiet);
    progress.say("compiling");
    let mut training = training(&gpu, arguments, common.seed, steps)?;
    training.submit(1).map_err(Failure::run)?;
    gpu.wait()?;
    progress.advance(1);
    progress.say("timed runs");
    let (mut ours, mut theirs) = (Seconds::default(), Seconds::default());
    for _ in 0..runs {
        if let Some(torch) = &mut torch {
            let [wall, cpu] = torch.run(steps)?;
            theirs.wall.push(wall);
            theirs.cpu.push(cpu);
        }
        let (begun, cpu) = (Instant::now(), ProcessTime::try_now().ok());
        training.submit(steps).map_err(Failure::run)?;
        gpu.wait()?;
        ours.wall.push(begun.elapsed().as_secs_f64() / steps as f64);
        ours.cpu.extend(cpu.and_then(|cpu| cpu.try_elapsed().ok()).map(|cpu| cpu.as_secs_f64() / steps as f64));
        progress.advance(1);
    }
    progress.finish();
    let times = if arguments.profile { profile(&mut training, runs)? } else { Vec::new() };
    let losses = training.losses().map_err(Failure::run)?;

    let plan = training.session().plan();
    let kernels = by_kernel(plan, &times);
    let mut result = json!({
        "library": format!("fourfold {}", env!("CARGO_PKG_VERSION")),
        "adapter": adapter_json(gpu.info()),
        "work": work,
        "dispatches": plan.dispatches.len(),
        "gflop": plan.flops() / 1e9,
        "bytes": plan.total_bytes(),
        "wall_s": ours.wall,
        "cpu_s": ours.cpu,
        "loss": losses.last(),
    });
    if let Some(torch) = &torch {
        result["torch"] = json!({ "about": torch.about, "wall_s": theirs.wall, "cpu_s": theirs.cpu });
        result["torch_over_fourfold"] = json!(least(&theirs.wall) / least(&ours.wall));
    }
    if arguments.profile {
        let list = kernels.iter();
        result["kernels"] =
            list.map(|kernel| json!({ "kernel": kernel.name, "count": kernel.count, "s": kernel.seconds })).collect();
        let timeline = plan.dispatches.iter().zip(&times).map(|(dispatch, time)| {
            json!({
                "kernel": dispatch.call.kernel.name,
                "operation": dispatch.label,
                "gflop": dispatch.call.flops() / 1e9,
                "bytes": dispatch.call.bytes(),
                "s": time.as_secs_f64(),
            })
        });
        result["timeline"] = timeline.collect();
    }
    run.write_json("result.json", &result)?;
    if json || arguments.json {
        crate::show!("{result:#}");
        return Ok(());
    }
    let mut rows = vec![ours.row("Fourfold".into())];
    if let Some(torch) = &torch {
        rows.push(theirs.row(torch.name()));
    }
    crate::show!("{}", table(["a training step", "best run", "median run", "CPU time, best"], rows));
    if torch.is_some() {
        let ratio = |a: &[f64], b: &[f64]| format!("{:.2}", least(a) / least(b));
        let (wall, cpu) = (ratio(&theirs.wall, &ours.wall), ratio(&theirs.cpu, &ours.cpu));
        crate::show_paragraph!(
            "PyTorch takes {wall} times as long as Fourfold, {cpu} times the CPU time: best runs, turn and turn about."
        );
    }
    if !kernels.is_empty() {
        crate::show!("{}", table(["kernel", "dispatches", "time in a step", "share"], rows_of(&kernels)));
    }
    crate::show_paragraph!(
        "{} windows of {} steps, {} dispatches, {steps} steps a submission; {} ({}).",
        arguments.batch,
        arguments.context,
        plan.dispatches.len(),
        gpu.info().name,
        gpu.info().backend,
    );
    crate::show!("{}", run.ending());
    Ok(())
}

/// The paper's network in training on episodes of noise.
fn training(gpu: &Gpu, arguments: &Arguments, seed: u64, steps: usize) -> Result<OfflineTraining, Failure> {
    let mut random = Random::new(seed as u32, 0);
    let count = EPISODES * LENGTH;
    let columns = Steps {
        observations: (0..count * OBSERVATIONS).map(|_| random.normal()).collect(),
        actions: (0..count * ACTIONS).map(|_| 2.0 * random.uniform() - 1.0).collect(),
        rewards: (0..count).map(|_| random.uniform()).collect(),
        ends: (1..=EPISODES).map(|episode| episode * LENGTH).collect(),
        terminated: vec![false; EPISODES],
    };
    let data = Trajectories::new("noise", OBSERVATIONS, Actions::Continuous(ACTIONS), columns)?;
    let settings = Settings::gym(OBSERVATIONS, data.actions(), arguments.context as usize);
    let model = DecisionTransformer::new(settings).map_err(Failure::input)?;
    let settings = OfflineSettings {
        batch: arguments.batch as usize,
        return_scale: 1_000.0,
        seed: seed as u32,
        steps_per_submission: steps,
        ..OfflineSettings::gym(&data)
    };
    OfflineTraining::new(gpu, &model, &data, settings).map_err(Failure::run)
}

/// A kernel's share of a step.
struct KernelTime {
    name: String,
    count: usize,
    seconds: f64,
}

/// The time of each dispatch in the fastest of some steps.
fn profile(training: &mut OfflineTraining, runs: usize) -> Result<Vec<Duration>, Failure> {
    let mut best: Option<Vec<Duration>> = None;
    for _ in 0..runs {
        let Some(times) = training.profile().map_err(Failure::run)? else {
            return Err(Failure::input("--profile takes a device with timestamps (`fourfold adapters` shows which)"));
        };
        let shorter = best.as_ref().is_none_or(|best| times.iter().sum::<Duration>() < best.iter().sum());
        if shorter {
            best = Some(times);
        }
    }
    Ok(best.unwrap_or_default())
}

/// The time of each kernel in all, longest first.
fn by_kernel(plan: &Plan, times: &[Duration]) -> Vec<KernelTime> {
    let mut kernels: BTreeMap<String, (usize, f64)> = BTreeMap::new();
    for (dispatch, time) in plan.dispatches.iter().zip(times) {
        let entry = kernels.entry(dispatch.call.kernel.name.to_string()).or_default();
        entry.0 += 1;
        entry.1 += time.as_secs_f64();
    }
    let mut kernels: Vec<KernelTime> =
        kernels.into_iter().map(|(name, (count, seconds))| KernelTime { name, count, seconds }).collect();
    kernels.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
    kernels
}

fn rows_of(kernels: &[KernelTime]) -> Vec<[String; 4]> {
    let total: f64 = kernels.iter().map(|kernel| kernel.seconds).sum();
    let row = |kernel: &KernelTime| {
        let time = duration(Duration::from_secs_f64(kernel.seconds));
        let share = format!("{:.1} %", 100.0 * kernel.seconds / total);
        [kernel.name.clone(), kernel.count.to_string(), time, share]
    };
    kernels.iter().map(row).collect()
}
