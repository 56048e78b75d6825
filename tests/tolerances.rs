//! The bounds of the kernels, on the CPU alone: wide enough for what WGSL allows, and no wider than their arithmetic asks.

use fourfold::shaders::{Access, Case, Data, Generator, Tolerance, kernels};

/// Kernels that read numbers as integers, which no device flushes.
const BY_BITS: [&str; 4] = ["argmax.argmax", "argmax.merge", "centred_ranks", "centred_ranks.ragged"];

/// The operands with zeros for subnormal numbers; `None` where there are none.
fn flushed(case: &Case) -> Option<Case> {
    let mut found = false;
    let mut flushed = case.clone();
    for (operand, binding) in flushed.operands.iter_mut().zip(case.call.kernel.bindings.iter()) {
        if let (Data::F32(values), Access::Read | Access::Update) = (operand, binding.access) {
            for value in values.iter_mut().filter(|value| value.is_subnormal()) {
                (*value, found) = (0.0, true);
            }
        }
    }
    found.then_some(flushed)
}

#[test]
fn a_device_that_flushes_subnormal_inputs_stays_within_every_bound() {
    let mut failures = Vec::new();
    for kernel in kernels() {
        let mut worst = (0.0, String::new());
        for seed in 0..150 {
            let case = kernel.case.draw(&mut Generator::new(seed, 60));
            let Some(flushed) = flushed(&case) else { continue };
            let (expected, got) = (case.expected(), flushed.expected());
            for output in case.call.kernel.outputs() {
                // Bits that are moved are not computed with, and so not flushed.
                let tolerance = match (case.call.kernel.tolerance)(&case.call, &case.operands, output) {
                    Tolerance::Exact => Tolerance::Within { relative: 0.0, absolute: 0.0 },
                    tolerance => tolerance,
                };
                let comparison = tolerance.compare(&expected[output], &got[output]);
                if comparison.worst > worst.0 {
                    worst = (comparison.worst, format!("{comparison:?}, seed {seed}, {}", case.label));
                }
            }
        }
        if worst.0 > 1.0 && !BY_BITS.contains(&&*kernel.name) {
            failures.push(format!("{}: {}", kernel.name, worst.1));
        }
    }
    assert!(failures.is_empty(), "{} bounds are too tight:\n{}", failures.len(), failures.join("\n"));
}
