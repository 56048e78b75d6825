//! `fourfold bench`: every kernel on this adapter, beside the adapter's limits; rollouts; outer iterations of
//! persistent evolution strategies; training steps of the decision transformer and of classifiers; and recording.

mod ceiling;
mod dt;
pub(crate) mod measure;
mod pes;
pub(crate) mod problems;
mod ranks;
mod recording;
mod rollout;
mod sam;
mod torch;
mod training_step;

use std::time::Duration;

use clap::{Args, Subcommand};
use fourfold::wgpu::Features;
use fourfold::{Gpu, Launch};
use serde_json::{Value, json};

use crate::adapter::adapter_json;
use crate::entry::Plain;
use crate::estimate;
use crate::failure::Failure;
use crate::options::Common;
use crate::picture::bar_plot::BarPlot;
use crate::progress::{self, Progress};
use crate::run::{Run, stop};
use crate::statistics::{median, quantile};
use crate::table::table;

use ceiling::{Ceiling, measure_ceiling};
use measure::{Times, measure};
use problems::{Problem, problems};

/// Measure every kernel against the adapter's limits, or rollouts, or training steps
///
/// It takes minutes and is not resumed: when it is interrupted it shows what it has measured, and the next run measures anew.
#[derive(Debug, Clone, Args)]
pub struct Arguments {
    #[command(subcommand)]
    instead: Option<Instead>,
    /// Operations and kernels whose names begin with this [default: all]
    #[arg(long, value_name = "NAME")]
    kernel: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Plain for Arguments {
    const NAME: &'static str = "bench";
    const COMMON: &'static [&'static str] = &["seed", "adapter", "no-tune", "out", "quick"];
    const RANKS: bool = true;

    fn run(&self, common: &Common) -> Result<(), Failure> {
        run(common, self)
    }
}

/// Other measurements.
#[derive(Debug, Clone, Subcommand)]
enum Instead {
    /// Measure a training step of the decision transformer, beside PyTorch's where it is asked for
    Dt(dt::Arguments),
    /// Measure persistent evolution strategies: seconds of an outer iteration
    Pes(pes::Arguments),
    /// Measure what ranks tell each other
    Ranks(ranks::Arguments),
    /// Measure recording: the processor's time for a dispatch, beside bare wgpu
    Recording(recording::Arguments),
    /// Measure rollouts: environment steps per second of a population
    Rollout(rollout::Arguments),
    /// Measure training steps of a classifier with SGD and SAM, beside PyTorch's where they are asked for
    Sam(sam::Arguments),
}

impl Instead {
    /// Returns the name on the command line.
    fn name(&self) -> &'static str {
        match self {
            Instead::Dt(_) => "dt",
            Instead::Pes(_) => "pes",
            Instead::Ranks(_) => "ranks",
            Instead::Recording(_) => "recording",
            Instead::Rollout(_) => "rollout",
            Instead::Sam(_) => "sam",
        }
    }
}

/// The measurements of one problem.
struct Row {
    operation: String,
    size: String,
    kernels: String,
    known: bool,
    /// Median seconds.
    seconds: f64,
    /// Half the distance between the quartiles, as a share of the median.
    spread: f64,
    flops: f64,
    bytes: f64,
    ceiling: Ceiling,
}

/// Measures the kernels, or the subcommand's subject.
///
/// # Errors
/// If the arguments exclude each other, name no kernel, or the device fails.
pub fn run(common: &Common, arguments: &Arguments) -> Result<(), Failure> {
    if common.ranks.are_several() && !matches!(arguments.instead, Some(Instead::Ranks(_))) {
        let sentence = "fourfold bench: expected `bench ranks` where several processes run, got another measurement";
        return common.ranks.agreed(Err(Failure::input(sentence)));
    }
    let Some(instead) = &arguments.instead else { return kernels(common, arguments) };
    if arguments.kernel.is_some() {
        let name = instead.name();
        return Err(Failure::Input(format!("--kernel: `bench {name}` measures no single kernel; leave it out")));
    }
    match instead {
        Instead::Dt(dt) => dt::run(common, dt, arguments.json),
        Instead::Pes(pes) => pes::run(common, pes, arguments.json),
        Instead::Ranks(ranks) => ranks::run(common, ranks, arguments.json),
        Instead::Recording(recording) => recording::run(common, recording, arguments.json),
        Instead::Rollout(rollout) => rollout::run(common, rollout, arguments.json),
        Instead::Sam(sam) => sam::run(common, sam, arguments.json),
    }
}

fn kernels(common: &Common, arguments: &Arguments) -> Result<(), Failure> {
    let gpu = common.open()?;
    let problems = problems(&gpu.target(), common.quick, arguments.kernel.as_deref());
    if problems.is_empty() {
        let asked = arguments.kernel.as_deref().unwrap_or_default();
        return Err(Failure::input(format!(
            "--kernel: expected the beginning of a kernel's name, such as matmul or softmax, got `{asked}`"
        )));
    }
    let all = self::problems(&gpu.target(), common.quick, None).len();
    estimate::tell(gpu.info(), Arguments::NAME, problems.len() as f64 / all as f64, common);
    let clock =
        if gpu.features().contains(Features::TIMESTAMP_QUERY) { "the GPU's timestamps" } else { "the CPU's clock" };
    let mut run = Run::of_command(common, "bench", &gpu, json!({ "problems": problems.len(), "clock": clock }))?;

    let mut progress = Progress::new("bench", problems.len() as u64 + 1, common.quiet);
    progress.say("what the adapter can do");
    let ceiling = measure_ceiling(&gpu, common.quick)?;
    progress.advance(1);
    let budget = Duration::from_millis(if common.quick { 50 } else { 400 });
    let (mut rows, mut lost) = (Vec::new(), None);
    stop::listen()?;
    for problem in problems.iter().take_while(|_| !stop::asked()) {
        progress.say(format!("{} {}", problem.operation, problem.size));
        match run_problem(&gpu, problem, budget) {
            Ok(times) => rows.push(Row::new(problem, &times, ceiling)),
            Err(error) if gpu.lost().is_some() => {
                lost = Some(error);
                break;
            }
            Err(error) => progress.note(&format!("{} {}: {error}", problem.operation, problem.size)),
        }
        progress.advance(1);
    }
    progress.finish();

    let results: Vec<Value> = rows.iter().map(Row::json).collect();
    run.write_json_lines("kernels.jsonl", &results)?;
    run.write("shares.png", &plot(&rows, &gpu).png(1000)?)?;
    if arguments.json {
        let ceiling = json!({ "copy_gb_per_s": ceiling.bytes / 1e9, "multiply_add_gflop_per_s": ceiling.flops / 1e9 });
        let result =
            json!({ "adapter": adapter_json(gpu.info()), "clock": clock, "ceiling": ceiling, "problems": results });
        crate::show!("{result:#}");
    } else {
        let header = ["operation", "size", "median", "spread", "GFLOP/s", "of its rate", "GB/s", "of its copy"];
        crate::show!("{}", table(header, rows.iter().map(Row::cells)));
        crate::show_paragraph!(
            "{} ({}): copies {:.1} GB/s, multiply-adds {:.1} GFLOP/s; by {clock}.",
            gpu.info().name,
            gpu.info().backend,
            ceiling.bytes / 1e9,
            ceiling.flops / 1e9,
        );
        crate::show_paragraph!(
            "Bytes are those of the operands, read and written once: what a cache saves counts as bandwidth, so that \
             small problems can pass 100 %."
        );
        crate::show!("{}", run.ending());
    }
    if let Some(error) = lost {
        let (done, all) = (rows.len(), problems.len());
        return Err(Failure::Lost(format!("{error}\n{done} of {all} problems are measured, whose rows are written.")));
    }
    if stop::asked() {
        crate::tell!("Stopped after {} of {} problems, whose rows are written.", rows.len(), problems.len());
        return Err(Failure::Stopped);
    }
    let failed = problems.len() - rows.len();
    if failed == 0 { Ok(()) } else { Err(Failure::run(format!("{failed} of {} problems did not run", problems.len()))) }
}

fn run_problem(gpu: &Gpu, problem: &Problem, budget: Duration) -> Result<Times, fourfold::Error> {
    let mut views = Vec::new();
    for operand in &problem.operands() {
        views.push(gpu.upload(&problem.operation, operand)?);
    }
    let recording = gpu.prepare(&[Launch::new(&problem.sequence, &views)])?;
    measure(gpu, budget, |pass| recording.record(pass))
}

impl Row {
    fn new(problem: &Problem, times: &Times, ceiling: Ceiling) -> Self {
        let seconds = median(&times.seconds);
        let half = (quantile(&times.seconds, 0.75) - quantile(&times.seconds, 0.25)) / 2.0;
        Self {
            operation: problem.operation.clone(),
            size: problem.size.clone(),
            kernels: problem.kernels().into_iter().collect::<Vec<_>>().join(" + "),
            known: problem.known,
            seconds,
            spread: half / seconds,
            flops: problem.flops,
            bytes: problem.bytes,
            ceiling,
        }
    }

    /// Achieved floating-point operations per second as a share of the adapter's.
    fn flops_share(&self) -> f64 {
        self.flops / self.seconds / self.ceiling.flops
    }

    /// Achieved bandwidth as a share of the adapter's.
    fn bytes_share(&self) -> f64 {
        self.bytes / self.seconds / self.ceiling.bytes
    }

    fn cells(&self) -> [String; 8] {
        let percent = |share: f64| format!("{:.0} %", share * 100.0);
        // Where a kernel's description counts no arithmetic, only its bytes say something.
        let counted = |text: String| if self.flops > 0.0 { text } else { String::new() };
        [
            self.operation.clone(),
            self.size.clone(),
            progress::duration(Duration::from_secs_f64(self.seconds)),
            format!("± {}", percent(self.spread)),
            counted(format!("{:.2}", self.flops / self.seconds / 1e9)),
            counted(percent(self.flops_share())),
            format!("{:.2}", self.bytes / self.seconds / 1e9),
            percent(self.bytes_share()),
        ]
    }

    fn json(&self) -> Value {
        json!({
            "operation": self.operation,
            "size": self.size,
            "kernels": self.kernels,
            "median_seconds": self.seconds,
            "spread": self.spread,
            "gflop_per_s": self.flops / self.seconds / 1e9,
            "share_of_multiply_add_rate": self.flops_share(),
            "gb_per_s": self.bytes / self.seconds / 1e9,
            "share_of_copy_bandwidth": self.bytes_share(),
        })
    }
}

/// The larger of the two shares of each operation, at the last and largest of its sizes.
fn plot(rows: &[Row], gpu: &Gpu) -> BarPlot {
    let mut bars: Vec<(String, f64)> = Vec::new();
    for row in rows.iter().filter(|row| row.known) {
        let share = row.flops_share().max(row.bytes_share()) * 100.0;
        match bars.iter_mut().find(|(operation, _)| *operation == row.operation) {
            Some(bar) => bar.1 = share,
            None => bars.push((row.operation.clone(), share)),
        }
    }
    bars.sort_by(|a, b| b.1.total_cmp(&a.1));
    BarPlot {
        title: format!("Kernels on {}", gpu.info().name),
        label: "% of the adapter's copy bandwidth or multiply-add rate, whichever is more".to_owned(),
        bars,
    }
}
