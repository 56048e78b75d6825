//! The process that runs cases: a driver that crashes or hangs takes this one down and no other.
//!
//! It reads jobs from the standard input, a JSON object a line, and answers on the standard output: `{"begin": ..}` before
//! each case and `{"row": ..}` after it.

use std::io::{BufRead, Write, stdin, stdout};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use fourfold::Gpu;
use fourfold::sanitizer::{Options, check};
use fourfold::shaders::{Case, Generator, Kernel, KernelRef, kernels};
use fourfold::verify::{Outcome, judge, judge_numbered, numbered};
use serde::{Deserialize, Serialize};

use super::faults::Fault;
use super::row::{Kind, Row};
use super::{repro, sanitize};
use crate::failure::Failure;
use crate::options::Common;

/// Cases of one kernel, from one number to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    pub kernel: String,
    pub from: u32,
    pub until: u32,
}

/// One line of a worker's answer.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Answer {
    /// A case begins.
    Begin { kernel: String, case: u32 },
    /// A case has ended.
    Row(Box<Row>),
}

/// The settings of a worker, besides its jobs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    pub checked: bool,
    /// The folder for what repeats a failure.
    pub repro: Option<PathBuf>,
    /// A fault to plant in the kernels; the first case that shows it is the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<Fault>,
    /// Runs the cases with the fault in the sanitizer instead of on the device.
    #[serde(default)]
    pub sanitize: bool,
}

/// Runs the jobs of the standard input.
///
/// # Errors
/// No device, or a job that is none.
pub fn run(common: &Common, order: &Order) -> Result<(), Failure> {
    let all = kernels();
    let mut gpu = common.open_untuned(order.checked)?;
    for line in stdin().lock().lines() {
        let line = line.map_err(Failure::run)?;
        let job: Job = serde_json::from_str(&line).map_err(Failure::input)?;
        let kernel = all.iter().find(|kernel| kernel.name == job.kernel);
        let kernel = kernel.ok_or_else(|| Failure::input(format!("no kernel is named `{}`", job.kernel)))?;
        for number in job.from..job.until {
            answer(&Answer::Begin { kernel: job.kernel.clone(), case: number })?;
            let row = match &order.fault {
                Some(fault) => run_faulty(&gpu, kernel, common.seed, number, fault, order.sanitize),
                None => run_case(&gpu, kernel, common.seed, number, order)?,
            };
            let outcome = row.outcome;
            answer(&Answer::Row(Box::new(row)))?;
            if outcome == Kind::Lost {
                gpu = common.open_untuned(order.checked)?;
            }
            if order.fault.is_some() && outcome.failed() {
                return Ok(());
            }
            if outcome.ends_the_kernel() || outcome == Kind::Skipped {
                break;
            }
        }
    }
    Ok(())
}

/// Writes a line. A supervisor that has gone away ends the worker.
fn answer(answer: &Answer) -> Result<(), Failure> {
    let line = serde_json::to_string(answer).map_err(Failure::run)?;
    let mut output = stdout().lock();
    output.write_all(format!("{line}\n").as_bytes()).and_then(|()| output.flush()).map_err(Failure::run)
}

fn run_case(gpu: &Gpu, kernel: &KernelRef, seed: u64, number: u32, order: &Order) -> Result<Row, Failure> {
    let start = Instant::now();
    sabotage(gpu, &kernel.name);
    let (case, outcome) = judge_numbered(gpu, kernel, seed, number, Generator::FULL);
    let row = Row { seconds: Some(start.elapsed().as_secs_f64()), ..Row::new(&kernel.name, number, &case, &outcome) };
    if let (Some(folder), Kind::Wrong | Kind::Refused) = (&order.repro, row.outcome) {
        let (size, case, outcome) = shrunk(gpu, kernel, seed, number, case, outcome);
        repro::write(
            folder,
            gpu,
            &Row { seconds: row.seconds, ..Row::new(&kernel.name, number, &case, &outcome) },
            size,
            &case,
            &outcome,
        )?;
    }
    return Ok(row);

    /// The smallest size of the case that still fails.
    fn shrunk(
        gpu: &Gpu,
        kernel: &KernelRef,
        seed: u64,
        number: u32,
        case: Case,
        outcome: Outcome,
    ) -> (u32, Case, Outcome) {
        for size in [1, 2, 3, 5, 8, 12, 20, 30, 45, 70] {
            let (case, outcome) = judge_numbered(gpu, kernel, seed, number, size);
            if Row::new(&kernel.name, number, &case, &outcome).outcome.failed() {
                return (size, case, outcome);
            }
        }
        (Generator::FULL, case, outcome)
    }
}

/// The message of a case whose variant of the kernel has no place for the fault.
pub const NO_PLACE: &str = "a variant without the fault";

/// Runs one case of a kernel with a fault planted. A variant of the kernel that has no place for it counts as right.
fn run_faulty(gpu: &Gpu, kernel: &KernelRef, seed: u64, number: u32, fault: &Fault, sanitize: bool) -> Row {
    let of = |outcome, message: String| Row::of(&kernel.name, number, outcome, message);
    let (case, options) = match sanitize {
        true => sanitize::case(kernel, seed, number),
        false => (numbered(kernel, seed, number, Generator::FULL, gpu.target()), Options::default()),
    };
    let Some(case) = fault.plant(case) else { return of(Kind::Right, NO_PLACE.into()) };
    if !sanitize {
        return Row::new(&kernel.name, number, &case, &judge(gpu, kernel, &case));
    }
    match check(&case, &options) {
        Ok(report) => match report.findings.first() {
            Some(finding) => of(Kind::Wrong, finding.to_string()),
            None => of(Kind::Right, String::new()),
        },
        Err(error) => of(Kind::Refused, error.to_string()),
    }
}

/// Runs one case in this process.
pub fn judge_here(gpu: &Gpu, kernel: &Kernel, seed: u64, number: u32) -> Row {
    let (case, outcome) = judge_numbered(gpu, kernel, seed, number, Generator::FULL);
    Row::new(&kernel.name, number, &case, &outcome)
}

/// Faults of a driver that tests plant: `FOURFOLD_SABOTAGE=KERNEL:crash`, `hang` or `lose`.
fn sabotage(gpu: &Gpu, kernel: &str) {
    let Ok(planted) = std::env::var("FOURFOLD_SABOTAGE") else { return };
    for fault in planted.split(';') {
        match fault.rsplit_once(':') {
            Some((name, "crash")) if name == kernel => std::process::abort(),
            Some((name, "lose")) if name == kernel => gpu.device().destroy(),
            Some((name, "hang")) if name == kernel => loop {
                std::thread::sleep(Duration::from_secs(1));
            },
            _ => {}
        }
    }
}
