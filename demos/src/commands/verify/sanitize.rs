//! `fourfold verify --sanitize`: every kernel through the interpreter that finds races and indices out of bounds.

use std::ops::Range;

use fourfold::sanitizer::{Options, Order, check};
use fourfold::shaders::{Case, Generator, KernelRef, Target};
use fourfold::verify::numbered;
use serde_json::{Value, json};

use super::Arguments;
use crate::failure::Failure;
use crate::guide::ending;
use crate::options::Common;
use crate::progress::Progress;
use crate::table::table;

/// Sizes of the cases, in turn: an interpreter is slow, and small shapes show the same faults.
const SIZES: [u32; 4] = [10, 3, 6, 20];

/// The numbers of the cases: the first two of `verify` have shapes that take long.
pub const NUMBERS: Range<u32> = 2..14;

/// The case of a number, with the order of its invocations.
pub fn case(kernel: &KernelRef, seed: u64, number: u32) -> (Case, Options) {
    let order = [Order::Shuffled, Order::Reverse, Order::Interleaved, Order::Forward][number as usize % 4];
    let size = SIZES[number as usize % SIZES.len()].min(Generator::FULL);
    let lanes = kernel.subgroup_sizes.map_or(8, |(least, _)| least);
    let options = Options { order, seed, subgroup_size: lanes, ..Options::default() };
    (numbered(kernel, seed, number, size, Target::default()), options)
}

/// The findings in one kernel.
struct Report {
    kernel: String,
    cases: u32,
    instructions: u64,
    findings: Vec<String>,
}

/// Checks the kernels.
///
/// # Errors
/// A finding, or a kernel that the interpreter does not know how to run.
pub fn run(common: &Common, arguments: &Arguments, chosen: &[KernelRef]) -> Result<(), Failure> {
    let numbers = match (arguments.case, arguments.cases) {
        (Some(case), _) => case..case + 1,
        (None, Some(cases)) => NUMBERS.start..NUMBERS.start + cases,
        (None, None) if common.quick => NUMBERS.start..4,
        (None, None) => NUMBERS,
    };
    let mut progress = Progress::new("sanitize", (chosen.len() * numbers.len()) as u64, common.quiet);
    let mut reports = Vec::new();
    for kernel in chosen {
        progress.say(kernel.name.as_ref());
        let mut report = Report { kernel: kernel.name.to_string(), cases: 0, instructions: 0, findings: Vec::new() };
        for number in numbers.clone() {
            let (case, options) = case(kernel, common.seed, number);
            match check(&case, &options) {
                Ok(found) => {
                    report.instructions += found.instructions;
                    report.findings.extend(found.findings.iter().map(|finding| format!("{finding}; {}", case.label)));
                }
                Err(error) => report.findings.push(error.to_string()),
            }
            report.cases += 1;
            progress.advance(1);
            if !report.findings.is_empty() {
                progress.note(&report.findings[0]);
                break;
            }
        }
        reports.push(report);
    }
    progress.finish();
    if arguments.json {
        let rows: Vec<Value> = reports.iter().map(Report::json).collect();
        crate::show!("{:#}", json!({ "seed": common.seed, "kernels": rows }));
    } else {
        let cells = |report: &Report| {
            let verdict = if report.findings.is_empty() { "clean" } else { "FOUND" };
            [report.kernel.clone(), report.cases.to_string(), report.instructions.to_string(), verdict.to_owned()]
        };
        crate::show!("{}", table(["kernel", "cases", "instructions", "verdict"], reports.iter().map(cells)));
        crate::show!("{}", ending("verify", None, None));
    }
    let found: Vec<&str> =
        reports.iter().filter(|report| !report.findings.is_empty()).map(|report| &*report.kernel).collect();
    match found[..] {
        [] => Ok(()),
        _ => {
            Err(Failure::run(format!("{} of {} kernels have faults: {}", found.len(), reports.len(), found.join(", "))))
        }
    }
}

impl Report {
    fn json(&self) -> Value {
        json!({
            "kernel": self.kernel,
            "cases": self.cases,
            "instructions": self.instructions,
            "findings": self.findings,
        })
    }
}
