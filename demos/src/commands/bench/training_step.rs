//! The time of training steps on this adapter, and of PyTorch's turn and turn about with them.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use clap::Args;
use cpu_time::ProcessTime;
use fourfold::Gpu;
use fourfold::graph::Plan;
use serde_json::{Value, json};

use super::torch::{Torch, TorchOptions};
use crate::adapter::adapter_json;
use crate::failure::Failure;
use crate::options::Common;
use crate::progress::{Progress, duration};
use crate::run::Run;
use crate::statistics::median;
use crate::table::table;

/// The flags of every measurement of training steps.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// Training steps of a timed run, which is one submission
    #[arg(long, value_name = "COUNT", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    steps: u32,
    /// Timed runs
    #[arg(long, value_name = "COUNT", default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    runs: u32,
    #[command(flatten)]
    pub torch: TorchOptions,
    /// Show the kernels of a step with their times by the GPU's own clock
    #[arg(long)]
    profile: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Options {
    /// Returns the training steps of a timed run.
    pub fn steps(&self, common: &Common) -> usize {
        if common.quick { 1 } else { self.steps as usize }
    }

    /// Returns the number of timed runs.
    fn runs(&self, common: &Common) -> usize {
        if common.quick { self.runs.min(2) as usize } else { self.runs as usize }
    }
}

/// A training whose steps are timed.
pub trait Training {
    /// Its plan.
    fn plan(&self) -> &Plan;
    /// Queues `steps` training steps in one submission.
    fn submit(&mut self, steps: usize) -> Result<(), Failure>;
    /// Runs a step, with the time of each dispatch; `None` where the device has no timestamps.
    fn profile(&mut self) -> Result<Option<Vec<Duration>>, Failure>;
    /// Returns the loss of a step that has run.
    fn loss(&mut self) -> Result<f64, Failure>;
}

/// The trainings that are measured.
pub struct Subject<'a> {
    /// The name of the command, such as `bench dt`.
    pub command: &'static str,
    /// The sizes, for the result.
    pub work: Value,
    /// The sizes, for a reader.
    pub sizes: String,
    /// The script of the same training in PyTorch.
    pub script: &'static str,
    /// The arguments of the script.
    pub arguments: Vec<String>,
    /// The trainings with their names, which the script knows too.
    pub trainings: Vec<(&'static str, Box<dyn Training + 'a>)>,
}

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

/// Measures the trainings of `subject`; `json` asks for JSON as the flag does.
pub fn run(common: &Common, options: &Options, gpu: &Gpu, subject: Subject<'_>, json: bool) -> Result<(), Failure> {
    let Subject { command, work, sizes, script, arguments, mut trainings } = subject;
    let (steps, runs) = (options.steps(common), options.runs(common));
    let mut torch = Torch::start(&options.torch, script, &arguments)?;
    let mut run = Run::of_command(common, &command.replace(' ', "-"), gpu, work.clone())?;
    let mut progress = Progress::new(command, runs as u64 + 1, common.quiet);
    progress.say("compiling");
    for (_, training) in &mut trainings {
        training.submit(1)?;
        gpu.wait()?;
    }
    progress.advance(1);
    progress.say("timed runs");
    let mut seconds: Vec<[Seconds; 2]> = trainings.iter().map(|_| Default::default()).collect();
    for _ in 0..runs {
        for ((name, training), [ours, theirs]) in trainings.iter_mut().zip(&mut seconds) {
            if let Some(torch) = &mut torch {
                let [wall, cpu] = torch.run(name, steps)?;
                theirs.wall.push(wall);
                theirs.cpu.push(cpu);
            }
            let (begun, cpu) = (Instant::now(), ProcessTime::try_now().ok());
            training.submit(steps)?;
            gpu.wait()?;
            ours.wall.push(begun.elapsed().as_secs_f64() / steps as f64);
            ours.cpu.extend(cpu.and_then(|cpu| cpu.try_elapsed().ok()).map(|cpu| cpu.as_secs_f64() / steps as f64));
        }
        progress.advance(1);
    }
    progress.finish();

    let (mut results, mut rows, mut profiles) = (Vec::new(), Vec::new(), Vec::new());
    for ((name, training), [ours, theirs]) in trainings.iter_mut().zip(&seconds) {
        let times = if options.profile { profile(training.as_mut(), runs)? } else { Vec::new() };
        let mut result = result(training.as_mut(), &times, ours)?;
        result["name"] = json!(name);
        rows.push(ours.row(format!("{name}: Fourfold")));
        if let Some(torch) = &torch {
            result["torch"] = json!({ "wall_s": theirs.wall, "cpu_s": theirs.cpu });
            result["torch_over_fourfold"] = json!(least(&theirs.wall) / least(&ours.wall));
            rows.push(theirs.row(format!("{name}: {}", torch.name())));
        }
        if options.profile {
            profiles.push((*name, by_kernel(training.plan(), &times)));
        }
        results.push(result);
    }
    let result = json!({
        "library": format!("fourfold {}", env!("CARGO_PKG_VERSION")),
        "adapter": adapter_json(gpu.info()),
        "work": work,
        "steps": steps,
        "runs": runs,
        "torch": torch.as_ref().map(|torch| &torch.about),
        "trainings": results,
    });
    run.write_json("result.json", &result)?;
    if json || options.json {
        crate::show!("{result:#}");
        return Ok(());
    }
    crate::show!("{}", table(["a training step", "best run", "median run", "CPU time, best"], rows));
    for ((name, _), [ours, theirs]) in trainings.iter().zip(&seconds).filter(|_| torch.is_some()) {
        let ratio = |a: &[f64], b: &[f64]| format!("{:.2}", least(a) / least(b));
        let (wall, cpu) = (ratio(&theirs.wall, &ours.wall), ratio(&theirs.cpu, &ours.cpu));
        crate::show_paragraph!(
            "{name}: PyTorch takes {wall} times as long as Fourfold, {cpu} times the CPU time: best runs, turn and turn about."
        );
    }
    for (name, kernels) in &profiles {
        let of = format!("kernel ({name})");
        crate::show!("{}", table([&of, "dispatches", "time in a step", "share"], rows_of(kernels)));
    }
    let dispatches: Vec<String> =
        trainings.iter().map(|(_, training)| training.plan().dispatches.len().to_string()).collect();
    crate::show_paragraph!(
        "{sizes}, {} dispatches, {steps} steps a submission; {} ({}).",
        dispatches.join(" and "),
        gpu.info().name,
        gpu.info().backend,
    );
    crate::show!("{}", run.ending());
    Ok(())
}

/// The measurements of one training, with its kernels where their `times` are known.
fn result(training: &mut dyn Training, times: &[Duration], ours: &Seconds) -> Result<Value, Failure> {
    let loss = training.loss()?;
    let plan = training.plan();
    let mut result = json!({
        "dispatches": plan.dispatches.len(),
        "gflop": plan.flops() / 1e9,
        "bytes": plan.total_bytes(),
        "wall_s": ours.wall,
        "cpu_s": ours.cpu,
        "loss": loss,
    });
    if !times.is_empty() {
        let kernels = by_kernel(plan, times);
        let list = kernels.iter();
        result["kernels"] =
            list.map(|kernel| json!({ "kernel": kernel.name, "count": kernel.count, "s": kernel.seconds })).collect();
        let timeline = plan.dispatches.iter().zip(times).map(|(dispatch, time)| {
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
    Ok(result)
}

/// A kernel's share of a step.
struct KernelTime {
    name: String,
    count: usize,
    seconds: f64,
}

/// The time of each dispatch in the fastest of some steps.
fn profile(training: &mut dyn Training, runs: usize) -> Result<Vec<Duration>, Failure> {
    let mut best: Option<Vec<Duration>> = None;
    for _ in 0..runs {
        let Some(times) = training.profile()? else {
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
