//! Kernels against their CPU twins, over the cases that `fourfold verify` draws and judges.

use std::ops::Range;

use fourfold::Gpu;
use fourfold::shaders::{Generator, Kernel, KernelRef, kernels};
use fourfold::verify::{Outcome, judge_numbered_async};
use serde_json::{Value, json};
use wasm_bindgen::prelude::*;

/// Every kernel, and a device on which it is judged.
#[wasm_bindgen]
#[derive(Debug)]
pub struct Verifier {
    gpu: Gpu,
    kernels: Vec<KernelRef>,
}

#[wasm_bindgen]
impl Verifier {
    /// Opens WebGPU.
    ///
    /// # Errors
    /// The browser offers no adapter, or refuses a device.
    pub async fn open() -> Result<Verifier, JsError> {
        Ok(Verifier { gpu: crate::open().await?, kernels: kernels() })
    }

    /// The sentence that says why the device is lost; nothing while it is there.
    pub fn lost(&self) -> Option<String> {
        crate::lost(&self.gpu)
    }

    /// The names of all kernels.
    pub fn kernels(&self) -> Vec<String> {
        self.kernels.iter().map(|kernel| kernel.name.to_string()).collect()
    }

    /// Judges the cases `from` to `until` of the kernel of this number, and returns the outcome as JSON.
    ///
    /// # Errors
    /// There is no such kernel.
    pub async fn verify(&self, kernel: usize, seed: u32, from: u32, until: u32) -> Result<String, JsError> {
        let kernel = self.kernels.get(kernel).ok_or_else(|| {
            JsError::new(&format!("kernel: expected a number below {}, got {kernel}", self.kernels.len()))
        })?;
        Ok(judge(&self.gpu, kernel, u64::from(seed), from..until).await.to_string())
    }
}

/// Judges the cases of these numbers of a kernel. The first that is not right ends it.
async fn judge(gpu: &Gpu, kernel: &Kernel, seed: u64, cases: Range<u32>) -> Value {
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
