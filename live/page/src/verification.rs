//! One kernel against its CPU twin over some cases, as `fourfold verify` draws and judges them.

use std::ops::Range;

use fourfold::Gpu;
use fourfold::shaders::{Generator, Kernel};
use fourfold::verify::{Outcome, judge_numbered_async};
use serde_json::{Value, json};

/// Judges the cases of these numbers of a kernel. The first that is not right ends it.
pub async fn verify(gpu: &Gpu, kernel: &Kernel, seed: u64, cases: Range<u32>) -> Value {
    let name = kernel.name.as_ref();
    let mut worst: Option<(f64, f64)> = None;
    let count = cases.len();
    for number in cases {
        let (case, outcome) = judge_numbered_async(gpu, kernel, seed, number, Generator::FULL).await;
        let failed = |outcome: &str, message: String| {
            let problem = &case.label;
            json!({ "kernel": name, "outcome": outcome, "case": number, "problem": problem, "message": message })
        };
        let verdict = match outcome {
            Outcome::Judged(examination) => examination.verdict,
            Outcome::Refused(error) => return failed("refused", error.to_string()),
            Outcome::Lost(error) => return failed("lost", error.to_string()),
            Outcome::Skipped(reason) => return failed("skipped", reason),
        };
        if !verdict.passed() {
            return failed("wrong", verdict.to_string());
        }
        if worst.is_none_or(|(error, _)| verdict.worst > error) {
            worst = Some((verdict.worst, verdict.bound));
        }
    }
    let (error, bound) = worst.unwrap_or_default();
    json!({ "kernel": name, "cases": count, "outcome": "right", "error": error, "bound": bound })
}
