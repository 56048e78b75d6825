//! `fourfold verify --faults`: faults planted in the kernels one at a time, each of which a case must show.

use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use fourfold::Gpu;
use fourfold::data::file;
use serde_json::{Value, json};

use super::faults::Fault;
use super::row::{Kind, Row};
use super::worker::{Job, NO_PLACE, Order};
use super::{Arguments, sanitize, supervisor};
use crate::adapter::adapter_json;
use crate::failure::Failure;
use crate::guide::ending;
use crate::limits;
use crate::options::Common;
use crate::progress::Progress;
use crate::table::table;

/// The least share of faults that must be caught.
const SHARE: f64 = 0.95;

/// Processes at once.
const MOST_PROCESSES: usize = 4;

/// The end of one fault.
enum End {
    /// A case on the driver showed it.
    Case(Row),
    /// The sanitizer showed it.
    Sanitizer(Row),
    /// Nothing showed it.
    Slipped,
    /// The kernel has no place for the fault, the driver refuses it, or has no subgroups for it.
    NotRun(String),
}

/// A fault and its end.
struct Planted {
    fault: Fault,
    end: End,
}

/// Plants all faults of a folder, or those whose kernel, kind or name contains `--only`.
///
/// # Errors
/// Less than 95 % of them are caught, one is refused, or there are none.
pub fn run(common: &Common, arguments: &Arguments, folder: &Path) -> Result<(), Failure> {
    let mut faults = Fault::load(folder)?;
    if let Some(only) = &arguments.only {
        faults.retain(|fault| [&fault.kernel, &fault.kind, &fault.name].iter().any(|text| text.contains(only)));
        if faults.is_empty() {
            return Err(Failure::input(format!("--only: no fault's kernel, kind or name contains `{only}`")));
        }
    }
    let report = arguments.report.as_deref().filter(|_| arguments.only.is_none());
    report.map_or(Ok(()), |report| limits::file("--report", report))?;
    let gpu = common.open_untuned(false)?;
    let cases = arguments.cases.unwrap_or(if common.quick { 20 } else { 100 });
    let limit = Duration::from_secs(arguments.time_limit);
    let planted = plant_all(common, faults, cases, limit)?;

    if let Some(report) = report {
        let text = markdown(&planted, &gpu, common.seed, cases);
        file::write(report, text.as_bytes())?;
    }
    let (caught, of) = count(&planted);
    if arguments.json {
        let lines: Vec<Value> = planted.iter().map(Planted::json).collect();
        let adapter = adapter_json(gpu.info());
        crate::show!(
            "{:#}",
            json!({ "adapter": adapter, "seed": common.seed, "caught": caught, "of": of, "faults": lines })
        );
    } else {
        crate::show!("{}", table(["fault", "kernel", "caught by"], planted.iter().map(Planted::cells)));
        crate::show!("{caught} of {of} faults are caught");
        crate::show!("{}", ending("verify", None, None));
    }
    let refused: Vec<&str> = planted.iter().filter(|one| one.is_refused()).map(|one| &*one.fault.name).collect();
    if !refused.is_empty() {
        return Err(Failure::run(format!("{} faults could not be run: {}", refused.len(), refused.join(", "))));
    }
    if caught as f64 >= SHARE * of as f64 {
        return Ok(());
    }
    let slipped: Vec<&str> = slipped(&planted).map(|fault| &*fault.name).collect();
    Err(Failure::run(format!("{} of {of} faults slipped through: {}", slipped.len(), slipped.join(", "))))
}

/// Plants the faults, several at a time.
fn plant_all(common: &Common, faults: Vec<Fault>, cases: u32, limit: Duration) -> Result<Vec<Planted>, Failure> {
    let mut progress = Progress::new("faults", faults.len() as u64, common.quiet);
    let processes = thread::available_parallelism().map_or(1, usize::from).min(MOST_PROCESSES);
    let next = AtomicUsize::new(0);
    let (sender, ends) = channel();
    let mut found: Vec<Option<End>> = faults.iter().map(|_| None).collect();
    let asked = (common.seed, common.adapter.as_deref());
    thread::scope(|scope| {
        for _ in 0..processes {
            let (sender, next, faults) = (sender.clone(), &next, &faults);
            scope.spawn(move || {
                while let Some((index, fault)) =
                    Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|index| Some((index, faults.get(index)?)))
                {
                    if sender.send((index, plant(asked, fault, cases, limit))).is_err() {
                        break;
                    }
                }
            });
        }
        drop(sender);
        for (index, end) in ends {
            let end = end?;
            let fault = &faults[index];
            progress.say(&*fault.kernel);
            progress.advance(1);
            if matches!(end, End::Slipped | End::NotRun(_)) {
                progress.note(&format!("{}: {}: {}", fault.kernel, fault.name, end.describe()));
            }
            found[index] = Some(end);
        }
        Ok::<(), Failure>(())
    })?;
    progress.finish();
    Ok(faults.into_iter().zip(found).filter_map(|(fault, end)| Some(Planted { fault, end: end? })).collect())
}

/// Runs the cases of `verify` on the kernel with the fault until one shows it, then those of `verify --sanitize`. A
/// process of its own runs each fault: what a faulty kernel does to memory harms no other.
fn plant(asked: (u64, Option<&str>), fault: &Fault, cases: u32, limit: Duration) -> Result<End, Failure> {
    let mut has_place = false;
    let mut first_failure = |sanitize: bool, cases: Range<u32>| {
        let order = Order { checked: false, repro: None, fault: Some(fault.clone()), sanitize };
        let jobs = vec![Job { kernel: fault.kernel.clone(), from: cases.start, until: cases.end }];
        let mut found = None;
        supervisor::run(&super::flags(asked, &order)?, jobs, limit, |row| {
            has_place |= row.message.as_deref() != Some(NO_PLACE);
            if row.outcome != Kind::Right {
                found.get_or_insert(row);
            }
            Ok(())
        })?;
        Ok::<_, Failure>(found)
    };
    // The first two have shapes that take long.
    for cases in [2..cases, 0..cases.min(2)].into_iter().filter(|cases| !cases.is_empty()) {
        if let Some(row) = first_failure(false, cases)? {
            return Ok(match row.outcome {
                Kind::Refused | Kind::Skipped => End::NotRun(row.message.unwrap_or_default()),
                _ => End::Case(row),
            });
        }
    }
    let by_sanitizer = first_failure(true, sanitize::NUMBERS)?;
    Ok(match by_sanitizer {
        Some(row) if row.outcome == Kind::Wrong => End::Sanitizer(row),
        _ if !has_place => End::NotRun("its text does not stand exactly once in the WGSL of any case".into()),
        _ => End::Slipped,
    })
}

impl End {
    fn is_caught(&self) -> bool {
        matches!(self, End::Case(_) | End::Sanitizer(_))
    }

    /// The end in a few words.
    fn describe(&self) -> String {
        match self {
            End::Case(row) => format!("case {}: {}", row.case, symptom(row)),
            End::Sanitizer(row) => format!("sanitizer, case {}: {}", row.case, symptom(row)),
            End::Slipped => "SLIPPED".into(),
            End::NotRun(reason) => format!("not run: {}", reason.lines().next().unwrap_or_default()),
        }
    }
}

/// The symptom of a failed case in a few words.
fn symptom(row: &Row) -> String {
    let Some(comparison) = &row.comparison else {
        return match row.outcome {
            Kind::Wrong => without_places(row),
            outcome => outcome.to_string(),
        };
    };
    if let (true, of) = (comparison.wrong > 0, comparison.of) {
        return format!("{} of {of} elements of {} wrong", comparison.wrong, comparison.binding);
    }
    match (&comparison.wrote_outside, &comparison.unstable) {
        (Some((binding, index)), _) => format!("wrote outside, at {binding}[{index}]"),
        (None, Some((binding, index))) => format!("two runs differ, at {binding}[{index}]"),
        (None, None) => row.outcome.to_string(),
    }
}

/// A finding of the sanitizer without its kernel, workgroups and invocations.
fn without_places(row: &Row) -> String {
    let message = row.message.as_deref().unwrap_or_default();
    let mut parts = message.strip_prefix(&format!("{}: ", row.kernel)).unwrap_or(message).split(" (workgroup");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + part.split_once(')').map_or("", |(_, rest)| rest))
}

impl Planted {
    /// Returns true if the kernel has no place for the fault, or the driver did not take it with the fault.
    fn is_refused(&self) -> bool {
        matches!(&self.end, End::NotRun(reason) if !reason.contains("subgroups"))
    }

    fn cells(&self) -> [String; 3] {
        const WIDEST: usize = 60;
        let end = self.end.describe();
        let end =
            if end.chars().count() > WIDEST { end.chars().take(WIDEST).chain("..".chars()).collect() } else { end };
        [self.fault.name.clone(), self.fault.kernel.clone(), end]
    }

    fn json(&self) -> Value {
        let (by, case) = match &self.end {
            End::Case(row) => ("case", Some(row.case)),
            End::Sanitizer(row) => ("sanitizer", Some(row.case)),
            End::Slipped => ("nothing", None),
            End::NotRun(_) => ("not run", None),
        };
        let Fault { kernel, kind, name, slips, .. } = &self.fault;
        json!({
            "kernel": kernel, "kind": kind, "name": name, "caught_by": by, "case": case,
            "symptom": self.end.describe(), "reason": slips,
        })
    }
}

/// The faults that were caught, and those that ran.
fn count(planted: &[Planted]) -> (usize, usize) {
    let ran = planted.iter().filter(|one| !matches!(one.end, End::NotRun(_)));
    (planted.iter().filter(|one| one.end.is_caught()).count(), ran.count())
}

fn slipped(planted: &[Planted]) -> impl Iterator<Item = &Fault> {
    planted.iter().filter(|one| matches!(one.end, End::Slipped)).map(|one| &one.fault)
}

/// The report.
fn markdown(planted: &[Planted], gpu: &Gpu, seed: u64, cases: u32) -> String {
    let (caught, of) = count(planted);
    let by_sanitizer = planted.iter().filter(|one| matches!(one.end, End::Sanitizer(_))).count();
    let info = gpu.info();
    let mut text = format!(
        "# Faults planted in the kernels\n\n\
         Made by `cargo xtask mutants`: each fault of `shaders/src/*/faults.txt` by itself in its kernel, which runs through at \
         most {cases} cases of\n`fourfold verify` until one fails, and, if none does, through the cases of `fourfold verify \
         --sanitize`. {}, driver {} {}, seed {seed}.\n\n\
         **{caught} of {of} faults are caught ({:.1} %)**: {} by a case on the driver, {by_sanitizer} by the sanitizer.\n\n",
        info.name,
        info.driver,
        info.driver_info,
        100.0 * caught as f64 / of.max(1) as f64,
        caught - by_sanitizer,
    );
    text += "| kind of fault | planted | caught |\n| --- | --- | --- |\n";
    let mut kinds: Vec<&str> = planted.iter().map(|one| &*one.fault.kind).collect();
    kinds.sort_unstable();
    kinds.dedup();
    for kind in kinds {
        let alike: Vec<&Planted> = planted.iter().filter(|one| one.fault.kind == kind).collect();
        let caught = alike.iter().filter(|one| one.end.is_caught()).count();
        text += &format!("| {kind} | {} | {caught} |\n", alike.len());
    }
    text += "\n## Not caught\n\n";
    if slipped(planted).next().is_none() {
        text += "None.\n";
    } else {
        text += "| kernel | fault | reason |\n| --- | --- | --- |\n";
    }
    for Fault { kernel, name, slips, .. } in slipped(planted) {
        text += &format!("| `{kernel}` | {name} | {} |\n", slips.as_deref().unwrap_or("not known yet"));
    }
    text += "\n## All\n\n| kernel | fault | kind | caught by |\n| --- | --- | --- | --- |\n";
    for Planted { fault: Fault { kernel, name, kind, .. }, end } in planted {
        text += &format!("| `{kernel}` | {name} | {kind} | {} |\n", end.describe().replace('|', "\\|"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planted(end: End) -> Planted {
        let name = |text: &str| text.to_owned();
        let (kernel, kind, before, after) = (name("k"), name("wrong sign"), name("a"), name("b"));
        Planted { fault: Fault { kernel, kind, name: name("n"), before, after, slips: Some(name("why")) }, end }
    }

    #[test]
    fn faults_that_do_not_run_here_do_not_count() {
        let all = [
            planted(End::Case(Row::of("k", 3, Kind::Hung, "no answer"))),
            planted(End::Sanitizer(Row::of("k", 2, Kind::Wrong, "a race"))),
            planted(End::Slipped),
            planted(End::NotRun("needs subgroups of 8 to 128 lanes".into())),
        ];
        assert_eq!(count(&all), (2, 3));
        assert_eq!(all[0].end.describe(), "case 3: hung");
        assert_eq!(all[1].end.describe(), "sanitizer, case 2: a race");
        assert!(!all[3].is_refused() && planted(End::NotRun("unknown identifier".into())).is_refused());
    }
}
