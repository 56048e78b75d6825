//! `fourfold verify`: every kernel against its CPU twin on this adapter, over generated cases.

use std::ops::Range;

use clap::Args;
use fourfold::Gpu;
use fourfold::shaders::{Generator, KernelRef, kernels};
use fourfold::verify::{self, Verdict};
use serde_json::{Value, json};

use crate::entry::Plain;
use crate::failure::Failure;
use crate::options::Common;
use crate::progress::Progress;
use crate::run::Run;
use crate::run::folder::adapter_json;
use crate::table::table;

/// Run every kernel against its CPU twin over generated cases
#[derive(Debug, Clone, Args)]
pub struct Arguments {
    /// Kernels whose name is this or begins with it [default: all]
    #[arg(long, value_name = "NAME")]
    kernel: Option<String>,
    /// Cases for each kernel [default: 200, or 20 with --quick]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    cases: Option<u32>,
    /// Only the case of this number, e.g. one that failed
    #[arg(long, value_name = "NUMBER", conflicts_with = "cases")]
    case: Option<u32>,
    /// Run shaders with bounds checks, bounded loops and zeroed workgroup memory
    #[arg(long)]
    checked: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Plain for Arguments {
    const NAME: &'static str = "verify";

    fn run(&self, common: &Common) -> Result<(), Failure> {
        run(common, self)
    }
}

/// The outcome of one kernel.
struct Report {
    kernel: String,
    cases: u32,
    failed: u32,
    /// The case with the largest error, or the first that could not run.
    worst: Option<(u32, Outcome)>,
}

enum Outcome {
    Judged(Box<Verdict>),
    /// The driver refused the kernel or lost the device.
    Refused(String),
    /// The adapter lacks a feature that the kernel declares: it is never chosen here.
    Skipped(String),
}

impl Outcome {
    fn failed(&self) -> bool {
        match self {
            Outcome::Judged(verdict) => !verdict.passed(),
            Outcome::Refused(_) => true,
            Outcome::Skipped(_) => false,
        }
    }

    /// For the choice of the worst.
    fn severity(&self) -> f64 {
        match self {
            Outcome::Judged(verdict) if verdict.stray.is_some() || verdict.unstable.is_some() => f64::INFINITY,
            Outcome::Judged(verdict) => verdict.worst,
            Outcome::Refused(_) => f64::INFINITY,
            Outcome::Skipped(_) => 0.0,
        }
    }
}

/// Verifies the kernels.
///
/// # Errors
/// A kernel computes wrong numbers, or there is nothing to verify.
pub fn run(common: &Common, arguments: &Arguments) -> Result<(), Failure> {
    let chosen = choose(kernels(), arguments.kernel.as_deref())?;
    let gpu = common.open(arguments.checked)?;
    let numbers = match (arguments.case, arguments.cases) {
        (Some(case), _) => case..case + 1,
        (None, Some(cases)) => 0..cases,
        (None, None) => 0..if common.quick { 20 } else { 200 },
    };
    let settings =
        json!({ "kernels": chosen.len(), "cases": [numbers.start, numbers.end], "checked": arguments.checked });
    let mut run = Run::of_command(common, "verify", &gpu, settings)?;

    let total = chosen.len() as u64 * u64::from(numbers.end - numbers.start);
    let mut progress = Progress::new("verify", total, common.quiet);
    let reports = sweep(&gpu, &chosen, common.seed, numbers, &mut progress);
    progress.finish();

    let rows: Vec<Value> = reports.iter().map(Report::json).collect();
    run.write_json_lines("kernels.jsonl", &rows)?;
    if arguments.json {
        let result = json!({ "adapter": adapter_json(gpu.info()), "seed": common.seed, "kernels": rows });
        crate::show!("{result:#}");
    } else {
        let header = ["kernel", "cases", "error / bound", "bound", "twin", "kernel's", "in case", "verdict"];
        crate::show!("{}", table(header, reports.iter().map(Report::row)));
        crate::show!("{} ({}), seed {}; {}", gpu.info().name, gpu.info().backend, common.seed, run.path().display());
    }
    let wrong: Vec<&str> = reports.iter().filter(|report| report.failed > 0).map(|report| &*report.kernel).collect();
    match wrong[..] {
        [] => Ok(()),
        _ => Err(Failure::run(format!(
            "{} of {} kernels are wrong here: {}",
            wrong.len(),
            reports.len(),
            wrong.join(", ")
        ))),
    }
}

/// Judges the cases of these numbers for each kernel.
fn sweep(gpu: &Gpu, chosen: &[KernelRef], seed: u64, numbers: Range<u32>, progress: &mut Progress) -> Vec<Report> {
    let mut reports = Vec::new();
    for kernel in chosen {
        progress.say(kernel.name.as_ref());
        let mut report = Report { kernel: kernel.name.to_string(), cases: 0, failed: 0, worst: None };
        for number in numbers.clone() {
            report.add(number, judge(gpu, kernel, seed, number));
            progress.advance(1);
        }
        if let Some((_, outcome)) = report.worst.as_ref().filter(|_| report.failed > 0) {
            progress.note(&describe(&report.kernel, outcome));
        }
        reports.push(report);
    }
    reports
}

/// Judges a few cases of every kernel and says in a sentence what came out; no folder is written.
///
/// # Errors
/// A kernel computes wrong numbers.
pub fn glance(common: &Common, gpu: &Gpu, cases: u32) -> Result<String, Failure> {
    let all = kernels();
    let mut progress = Progress::new("verify", all.len() as u64 * u64::from(cases), common.quiet);
    let reports = sweep(gpu, &all, common.seed, 0..cases, &mut progress);
    progress.finish();
    let wrong: Vec<&str> = reports.iter().filter(|report| report.failed > 0).map(|report| &*report.kernel).collect();
    if !wrong.is_empty() {
        return Err(Failure::run(format!(
            "{} of {} kernels are wrong here: {}",
            wrong.len(),
            all.len(),
            wrong.join(", ")
        )));
    }
    let skipped = reports.iter().filter(|report| matches!(report.worst, Some((_, Outcome::Skipped(_))))).count();
    let judged = reports.len() - skipped;
    let severity = |report: &&Report| report.worst.as_ref().map_or(0.0, |(_, outcome)| outcome.severity());
    let worst = reports.iter().max_by(|a, b| severity(a).total_cmp(&severity(b)));
    let worst = worst.map_or(String::new(), |report| {
        format!("; nearest to its bound is {}, at {:.2} of it", report.kernel, severity(&report))
    });
    Ok(format!("{judged} kernels agree with their CPU twins in {cases} random cases each{worst}"))
}

/// The kernels of this name, or those whose name begins with it.
fn choose(all: Vec<KernelRef>, asked: Option<&str>) -> Result<Vec<KernelRef>, Failure> {
    let Some(asked) = asked else { return Ok(all) };
    let exact: Vec<KernelRef> = all.iter().filter(|kernel| kernel.name == asked).cloned().collect();
    if !exact.is_empty() {
        return Ok(exact);
    }
    let (chosen, others): (Vec<_>, Vec<_>) = all.into_iter().partition(|kernel| kernel.name.starts_with(asked));
    if chosen.is_empty() {
        // The many of one file by the name of their file.
        let mut names: Vec<&str> = others.iter().filter_map(|kernel| kernel.name.split(['.', '(']).next()).collect();
        names.dedup();
        return Err(Failure::input(format!(
            "--kernel: expected the beginning of one of {}, got `{asked}`",
            names.join(", ")
        )));
    }
    Ok(chosen)
}

fn judge(gpu: &Gpu, kernel: &KernelRef, seed: u64, number: u32) -> Outcome {
    if let Some(reason) = kernel.lacks_subgroups(gpu.target().subgroups) {
        return Outcome::Skipped(reason);
    }
    let mut generator = Generator::new(case_seed(&kernel.name, seed, number), Generator::FULL);
    let case = kernel.case.draw(&mut generator);
    match verify::run(gpu, &case) {
        Ok(verdict) => Outcome::Judged(Box::new(verdict)),
        Err(error) => Outcome::Refused(format!("{error}; {}", case.label)),
    }
}

/// The seed of a case: of the kernel's name too, so that a case stays the same whatever other kernels there are.
fn case_seed(kernel: &str, seed: u64, number: u32) -> u64 {
    // FNV-1a.
    let bytes = kernel.bytes().chain(seed.to_le_bytes()).chain(number.to_le_bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

fn describe(kernel: &str, outcome: &Outcome) -> String {
    match outcome {
        Outcome::Judged(verdict) => verdict.to_string(),
        Outcome::Refused(message) => format!("{kernel}: {message}"),
        Outcome::Skipped(reason) => format!("{kernel}: {reason}"),
    }
}

impl Report {
    fn add(&mut self, number: u32, outcome: Outcome) {
        self.cases += 1;
        self.failed += u32::from(outcome.failed());
        if self.worst.as_ref().is_none_or(|(_, worst)| outcome.severity() > worst.severity()) {
            self.worst = Some((number, outcome));
        }
    }

    fn verdict(&self) -> String {
        match &self.worst {
            Some((_, Outcome::Skipped(reason))) => format!("not run: {reason}"),
            _ if self.failed > 0 => format!("WRONG in {}", self.failed),
            _ => "right".to_owned(),
        }
    }

    fn row(&self) -> [String; 8] {
        let mut row = [const { String::new() }; 8];
        row[0] = self.kernel.clone();
        row[1] = self.cases.to_string();
        if let Some((number, Outcome::Judged(verdict))) = &self.worst {
            row[2] = format!("{:.3}", verdict.worst);
            row[3] = if verdict.bound == 0.0 { "same bits".to_owned() } else { format!("{:.1e}", verdict.bound) };
            row[4] = format!("{:.5e}", verdict.expected);
            row[5] = format!("{:.5e}", verdict.got);
            row[6] = number.to_string();
        }
        row[7] = self.verdict();
        row
    }

    fn json(&self) -> Value {
        let mut value = json!({
            "kernel": self.kernel,
            "cases": self.cases,
            "failed": self.failed,
            "verdict": self.verdict(),
        });
        match &self.worst {
            Some((number, Outcome::Judged(verdict))) => {
                value["worst"] = json!({
                    "case": number,
                    "problem": verdict.label,
                    // JSON has no infinity: null where the bits or the kind of number differ.
                    "error_over_bound": verdict.worst,
                    "bound": verdict.bound,
                    "binding": verdict.binding,
                    "index": verdict.index,
                    "expected": verdict.expected,
                    "got": verdict.got,
                    "wrote_outside": verdict.stray.map(|stray| json!([stray.binding, stray.index])),
                });
            }
            Some((number, Outcome::Refused(message))) => value["worst"] = json!({ "case": number, "error": message }),
            Some((_, Outcome::Skipped(_))) | None => {}
        }
        value
    }
}

#[cfg(test)]
mod tests {
    use fourfold::verify::WrongElements;

    use super::*;

    fn names(asked: &str) -> Vec<String> {
        choose(kernels(), Some(asked)).unwrap().iter().map(|kernel| kernel.name.to_string()).collect()
    }

    #[test]
    fn a_whole_name_chooses_one_kernel_and_a_beginning_all_that_share_it() {
        assert_eq!(names("cross_entropy"), ["cross_entropy"]);
        assert!(names("soft").len() >= 2);
    }

    #[test]
    fn an_unknown_kernel_is_wrong_input_that_names_those_there_are() {
        let failure = choose(kernels(), Some("sofmax")).unwrap_err();
        assert_eq!(failure.code(), 2);
        assert!(failure.to_string().contains("softmax") && failure.to_string().ends_with("got `sofmax`"));
    }

    #[test]
    fn cases_differ_between_kernels_seeds_and_numbers() {
        let seed = case_seed("softmax", 0, 0);
        assert_eq!(seed, case_seed("softmax", 0, 0));
        for other in [case_seed("softmix", 0, 0), case_seed("softmax", 1, 0), case_seed("softmax", 0, 1)] {
            assert_ne!(seed, other);
        }
    }

    #[test]
    fn the_worst_case_is_kept_and_failures_are_counted() {
        let verdict = |worst| {
            Outcome::Judged(Box::new(Verdict {
                kernel: "k".into(),
                label: String::new(),
                worst,
                bound: 1e-6,
                binding: "y",
                index: 0,
                expected: 1.0,
                got: 1.0,
                wrong: WrongElements::default(),
                stray: None,
                unstable: None,
            }))
        };
        let mut report = Report { kernel: "k".into(), cases: 0, failed: 0, worst: None };
        for (number, worst) in [(0, 0.2), (1, 3.0), (2, 0.9)] {
            report.add(number, verdict(worst));
        }
        assert_eq!((report.cases, report.failed), (3, 1));
        assert_eq!(report.worst.as_ref().unwrap().0, 1);
        assert_eq!(report.verdict(), "WRONG in 1");
        assert_eq!(report.json()["worst"]["error_over_bound"], 3.0);
    }
}
