//! `fourfold verify`: every kernel against its CPU twin on this adapter, over generated cases.

mod builtins;
mod difference;
mod expectations;
pub mod faults;
mod litmus;
mod mutants;
mod report;
mod repro;
mod rounds;
mod row;
mod sanitize;
mod summary;
mod supervisor;
mod worker;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use fourfold::Gpu;
use fourfold::data::file;
use fourfold::shaders::{KernelRef, kernels};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::adapter::adapter_json;
use crate::entry::Plain;
use crate::failure::Failure;
use crate::guide::ending;
use crate::options::Common;
use crate::progress::Progress;
use crate::run::folder::{CONFIGURATION, RunFolder};
use crate::run::{Run, refuse_change, refuse_out, stop};

pub use builtins::Arguments as Builtins;
pub use difference::Arguments as Difference;
use expectations::{Expectations, Judged};
pub use litmus::Arguments as Litmus;
pub use report::Arguments as Report;
use rounds::{Rounds, Work};
use row::{Kind, Row};
use summary::{Summary, summarise};
use worker::Order;

/// Run every kernel against its CPU twin over generated cases
///
/// Exit codes: 0 all as expected; 1 a kernel computes wrong numbers; 2 wrong input; 3 no wrong number, but the driver
/// refused, crashed, hung or lost the device; 4 a known failure is mended.
#[derive(Debug, Clone, Args)]
pub struct Arguments {
    /// Kernels whose name is this or begins with it [default: all]
    #[arg(long, value_name = "NAME")]
    kernel: Option<String>,
    /// Cases for each kernel: one that folds the grid, one of a real model's shape, others [default: 100, or 20 with --quick]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    cases: Option<u32>,
    /// Run cases until so many hours are over, a round of each kernel after another
    #[arg(long, value_name = "NUMBER", value_parser = hours, conflicts_with_all = ["cases", "case", "json"])]
    hours: Option<f64>,
    /// Only the case of this number, e.g. one that failed
    #[arg(long, value_name = "NUMBER", conflicts_with = "cases")]
    case: Option<u32>,
    /// Run shaders with bounds checks, bounded loops and zeroed workgroup memory
    #[arg(long)]
    checked: bool,
    /// Give up a kernel whose case takes longer
    #[arg(long, value_name = "SECONDS", default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..))]
    time_limit: u64,
    /// Known failures instead of those that are built in, one a line: DRIVER | KERNEL | OUTCOME | REASON
    #[arg(long, value_name = "FILE")]
    expectations: Option<PathBuf>,
    /// Write a folder for each failure with all that repeats it: shaders, inputs, expected, got, bounds
    #[arg(long)]
    repro: bool,
    /// Look for races and indices out of bounds without a driver, on the CPU
    #[arg(long, conflicts_with_all = ["checked", "repro", "expectations", "resume", "hours"])]
    sanitize: bool,
    /// Plant the faults of the files `faults.txt` in this folder, one at a time: the cases must show 95 % of them
    #[arg(long, value_name = "FOLDER", conflicts_with_all = ["kernel", "case", "checked", "repro", "expectations", "sanitize", "resume", "hours"])]
    faults: Option<PathBuf>,
    /// Only the faults whose kernel, kind or name contains this
    #[arg(long, value_name = "TEXT", requires = "faults")]
    only: Option<String>,
    /// Write a report on all faults here, in Markdown
    #[arg(long, value_name = "FILE", requires = "faults")]
    report: Option<PathBuf>,
    /// Go on with the run in this folder, with the flags it began with
    #[arg(long, value_name = "FOLDER", conflicts_with_all = ["kernel", "cases", "case", "checked", "repro"])]
    resume: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Run the cases that the standard input asks for
    #[arg(long, hide = true, value_name = "JSON")]
    worker: Option<String>,
}

impl Plain for Arguments {
    const NAME: &'static str = "verify";
    const COMMON: &'static [&'static str] = &["seed", "adapter", "out", "quick"];

    fn run(&self, common: &Common) -> Result<(), Failure> {
        run(common, self)
    }
}

/// The flags that decide which cases run, as the run's configuration keeps them.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Settings {
    kernels: Vec<String>,
    cases: (u32, u32),
    checked: bool,
    adapter: Option<String>,
    repro: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hours: Option<f64>,
}

/// Cases of each kernel, and with `--quick`.
const CASES: u32 = 100;
const QUICK_CASES: u32 = 20;

/// The rows of a run, as they come.
const ROWS: &str = "cases.jsonl";

/// Verifies the kernels.
///
/// # Errors
/// A kernel computes wrong numbers, the driver fails otherwise, or there is nothing to verify.
pub fn run(common: &Common, arguments: &Arguments) -> Result<(), Failure> {
    if let Some(order) = &arguments.worker {
        return worker::run(common, &serde_json::from_str(order).map_err(Failure::input)?);
    }
    if (arguments.sanitize || arguments.faults.is_some()) && common.is_given("out") {
        return Err(Failure::input("--out: this writes no run, only what it prints; leave it out"));
    }
    if arguments.sanitize {
        let chosen = choose(kernels(), arguments.kernel.as_deref())?;
        return sanitize::run(common, arguments, &chosen);
    }
    if let Some(folder) = &arguments.faults {
        return mutants::run(common, arguments, folder);
    }
    arguments.expectations.as_deref().map_or(Ok(()), Expectations::check)?;
    let (common, gpu, folder, settings, mut rows) = match &arguments.resume {
        Some(path) => resumed(common, path)?,
        None => begun(common, arguments)?,
    };
    let expectations = Expectations::load(arguments.expectations.as_deref(), gpu.info())?;
    let mut summaries = summarise(&rows);
    if !arguments.json {
        // Sums are enough, for hours of cases too.
        rows.clear();
    }
    let rounds = Rounds::begin(arguments.hours.or(settings.hours));
    let repro = settings.repro.then(|| folder.path().join("repro"));
    let order = Order { checked: settings.checked, repro, fault: None, sanitize: false };
    let limit = Duration::from_secs(arguments.time_limit);
    let work = Work { common: &common, gpu: &gpu, folder: &folder, settings: &settings, order: &order, limit };
    stop::listen()?;
    rounds.run(&work, &mut summaries, |row| {
        if arguments.json {
            rows.push(row);
        }
    })?;

    let judged = expectations.judge(&mut summaries);
    let lines: Vec<Value> = summaries.iter().map(Summary::json).collect();
    folder.write_json_lines("kernels.jsonl", &lines)?;
    if arguments.json {
        let rows: Vec<Row> = rows.into_iter().map(|row| Row { seconds: None, ..row }).collect();
        let adapter = adapter_json(gpu.info());
        crate::show!("{:#}", json!({ "adapter": adapter, "seed": common.seed, "kernels": lines, "rows": rows }));
    } else {
        crate::show!("{}", summary::print(&summaries));
        let info = gpu.info();
        let driver = format!("{} {}", info.driver, info.driver_info);
        let ids = format!("vendor {:#06x}, device {:#06x} {}", info.vendor, info.device, info.device_pci_bus_id);
        crate::show!(
            "{} ({}), driver {}, {}, seed {}",
            info.name,
            info.backend,
            driver.trim(),
            ids.trim(),
            common.seed
        );
        crate::show!("{}", ending(Arguments::NAME, Some(folder.path()), None));
    }
    conclude(&judged, summaries.len())
}

/// Begins a run in a folder of its own.
fn begun(common: &Common, arguments: &Arguments) -> Result<(Common, Gpu, RunFolder, Settings, Vec<Row>), Failure> {
    let chosen = choose(kernels(), arguments.kernel.as_deref())?;
    let gpu = common.open_untuned(arguments.checked)?;
    let cases = match (arguments.case, arguments.cases) {
        _ if arguments.hours.is_some() => (0, u32::MAX),
        (Some(case), _) => (case, case + 1),
        (None, Some(cases)) => (0, cases),
        (None, None) => (0, if common.quick { QUICK_CASES } else { CASES }),
    };
    let settings = Settings {
        kernels: chosen.iter().map(|kernel| kernel.name.to_string()).collect(),
        cases,
        checked: arguments.checked,
        adapter: common.adapter.clone(),
        repro: arguments.repro,
        hours: arguments.hours,
    };
    let folder = Run::of_command(common, "verify", &gpu, json!(settings))?.into_folder();
    Ok((common.clone(), gpu, folder, settings, Vec::new()))
}

/// Opens the folder of a run that was interrupted, with the rows that are there.
fn resumed(common: &Common, path: &Path) -> Result<(Common, Gpu, RunFolder, Settings, Vec<Row>), Failure> {
    refuse_out(common)?;
    let mut folder = RunFolder::open(path)?;
    let none = |error: &dyn std::fmt::Display| {
        Failure::input(format!("{}: expected a run of `fourfold verify`, got {error}", path.display()))
    };
    let configuration: Value =
        serde_json::from_slice(&file::read(&path.join(CONFIGURATION))?).map_err(|error| none(&error))?;
    if let Some(command) = configuration["command"].as_str().filter(|command| *command != Arguments::NAME) {
        return Err(none(&format!("one of `fourfold {command}`")));
    }
    let settings: Settings = serde_json::from_value(configuration["settings"].clone()).map_err(|error| none(&error))?;
    let seed = configuration["seed"].as_u64().ok_or_else(|| none(&"no seed"))?;
    let (adapter, quick) = (settings.adapter.clone(), configuration["quick"].as_bool().unwrap_or_default());
    let named = |adapter: &Option<String>| adapter.clone().unwrap_or_else(|| "the best".to_owned());
    for (flag, has, got) in [
        ("seed", seed.to_string(), common.seed.to_string()),
        ("adapter", named(&adapter), named(&common.adapter)),
        ("quick", quick.to_string(), common.quick.to_string()),
    ] {
        if common.is_given(flag) && has != got {
            return Err(refuse_change(path, flag, &has, &got));
        }
    }
    folder.lock()?;
    let common = Common { seed, adapter, ..common.clone() };
    let gpu = common.open_untuned(settings.checked)?;
    let rows = if path.join(ROWS).exists() { difference::rows(path)? } else { Vec::new() };
    // The line that was being written when the run was interrupted is written again.
    let lines: String = rows.iter().filter_map(|row| Some(serde_json::to_string(row).ok()? + "\n")).collect();
    folder.write(ROWS, lines.as_bytes())?;
    Ok((common, gpu, folder, settings, rows))
}

/// Reads a number of hours.
fn hours(text: &str) -> Result<f64, String> {
    let hours: f64 = text.parse().map_err(|_| "expected a number of hours")?;
    (hours > 0.0 && hours <= 1e4).then_some(hours).ok_or_else(|| "expected more than 0, at most 10000".to_owned())
}

/// The command line of a worker with a seed and an adapter.
fn flags((seed, adapter): (u64, Option<&str>), order: &Order) -> Result<Vec<OsString>, Failure> {
    let mut flags: Vec<OsString> = vec!["verify".into(), "--seed".into(), seed.to_string().into()];
    if let Some(adapter) = adapter {
        flags.extend(["--adapter".into(), adapter.into()]);
    }
    flags.extend(["--worker".into(), serde_json::to_string(order).map_err(Failure::run)?.into()]);
    Ok(flags)
}

/// The command that runs a case again.
fn again(common: &Common, checked: bool, row: &Row) -> String {
    let mut command = format!("fourfold verify --kernel '{}' --case {} --seed {}", row.kernel, row.case, common.seed);
    if let Some(adapter) = &common.adapter {
        command += &format!(" --adapter '{adapter}'");
    }
    if checked { command + " --checked" } else { command }
}

/// The exit code and the sentence of a run.
fn conclude(judged: &Judged, of: usize) -> Result<(), Failure> {
    let names = |kinds: &dyn Fn(Kind) -> bool| -> Vec<&str> {
        judged.unexpected.iter().filter(|(_, kind)| kinds(*kind)).map(|(kernel, _)| kernel.as_str()).collect()
    };
    let (wrong, others) = (names(&|kind| kind == Kind::Wrong), names(&|kind| kind != Kind::Wrong));
    let count =
        |what: &str, names: &[&str]| format!("{} of {of} kernels {what} here: {}", names.len(), names.join(", "));
    let unfit = "are refused, crash, hang or lose the device";
    match (&wrong[..], &others[..], &judged.mended[..]) {
        ([], [], []) => Ok(()),
        ([], [], mended) => Err(Failure::Coded(
            4,
            format!("known to fail, and right: take {} out of the known failures", mended.join(", ")),
        )),
        ([], others, _) => Err(Failure::Coded(3, count(unfit, others))),
        (wrong, [], _) => Err(Failure::run(count("are wrong", wrong))),
        (wrong, others, _) => Err(Failure::run(format!("{}; {}", count("are wrong", wrong), count(unfit, others)))),
    }
}

/// Judges a few cases of every kernel in this process and says in a sentence what came out; no folder is written.
///
/// # Errors
/// A kernel computes wrong numbers.
pub fn glance(common: &Common, gpu: &Gpu, cases: u32) -> Result<String, Failure> {
    let all = kernels();
    let mut progress = Progress::new("verify", all.len() as u64 * u64::from(cases), common.quiet);
    let mut rows = Vec::new();
    for kernel in &all {
        progress.say(kernel.name.as_ref());
        // The first two have shapes that take long.
        for number in 2..2 + cases {
            rows.push(worker::judge_here(gpu, kernel, common.seed, number));
            progress.advance(1);
        }
    }
    progress.finish();
    let mut summaries = summarise(&rows);
    let judged = Expectations::load(None, gpu.info())?.judge(&mut summaries);
    conclude(&Judged { mended: Vec::new(), ..judged }, all.len())?;
    let judged: Vec<&Summary> = summaries.iter().filter(|summary| summary.worst.comparison.is_some()).collect();
    let worst = judged.iter().max_by(|a, b| a.worst.severity().1.total_cmp(&b.worst.severity().1));
    let worst = worst.map_or(String::new(), |summary| {
        format!("; nearest to its bound is {}, at {:.2} of it", summary.kernel, summary.worst.severity().1)
    });
    Ok(format!("{} kernels agree with their CPU twins in {cases} random cases each{worst}", judged.len()))
}

/// Returns the kernels of this name, or those whose name begins with it.
///
/// # Errors
/// There is none.
pub fn choose(all: Vec<KernelRef>, asked: Option<&str>) -> Result<Vec<KernelRef>, Failure> {
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

#[cfg(test)]
mod tests {
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
    fn each_way_to_fail_has_its_exit_code() {
        let judged = |unexpected: &[Kind], mended: &[&str]| {
            let unexpected = unexpected.iter().map(|&kind| ("k".to_owned(), kind)).collect();
            let mended = mended.iter().map(|&name| name.to_owned()).collect();
            conclude(&Judged { unexpected, mended }, 9).map_or_else(|failure| failure.code(), |()| 0)
        };
        assert_eq!(judged(&[], &[]), 0);
        assert_eq!(judged(&[Kind::Crashed, Kind::Wrong], &[]), 1);
        assert_eq!(judged(&[Kind::Hung], &["a"]), 3);
        assert_eq!(judged(&[], &["a"]), 4);
    }
}
