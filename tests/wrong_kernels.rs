//! The judge judged: kernels with a planted fault must not pass.

use std::sync::Arc;

use fourfold::Gpu;
use fourfold::gpu::Options;
use fourfold::shaders::{Access, Case, Generator, Kernel, KernelRef, kernels};
use fourfold::verify::{self, Stray, Verdict};

fn kernel(name: &str) -> KernelRef {
    kernels().into_iter().find(|kernel| kernel.name == name).expect("a listed kernel")
}

/// The kernel with the first `from` in its WGSL replaced by `to`, everything else as it was.
fn planted(kernel: &Kernel, from: &str, to: &str) -> Arc<Kernel> {
    assert!(kernel.source.contains(from), "{} has no `{from}` to replace", kernel.name);
    Arc::new(Kernel {
        name: format!("{}, wrong", kernel.name).into(),
        source: kernel.source.replacen(from, to, 1).into(),
        ..kernel.clone()
    })
}

#[expect(unsafe_code, reason = "runs wrong kernels without runtime checks")]
fn verdict(wrong: Arc<Kernel>, checked: bool) -> Verdict {
    let gpu = Gpu::open_with(&Options { checked, ..Options::default() }).unwrap_or_else(|error| panic!("{error}"));
    let Case { label, call, operands } = wrong.case.draw(&mut Generator::new(5, 60));
    let call = call.changed(|call| call.kernel = wrong.into());
    // SAFETY: the faults planted here store within the guard words at most.
    let call = if checked { call } else { unsafe { call.without_runtime_checks() } };
    verify::run(&gpu, &Case { label, call, operands }).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn a_factor_that_is_off_by_a_thousandth_is_caught() {
    let wrong = planted(&kernel("softmax.softmax"), "1.0 / part.y", "1.001 / part.y");
    let verdict = verdict(wrong, false);
    assert!(!verdict.passed(), "{verdict}");
    assert!(verdict.worst > 1.0 && verdict.stray.is_none(), "{verdict}");
    assert_eq!(verdict.binding, "y");
}

#[test]
fn an_element_that_is_never_written_is_caught() {
    let wrong = planted(&kernel("softmax.softmax"), "if row < size.rows {", "if row + 1u < size.rows {");
    let verdict = verdict(wrong, false);
    assert!(!verdict.passed() && verdict.got.is_nan(), "{verdict}");
}

#[test]
fn a_store_past_the_end_is_caught_with_and_without_shader_checks() {
    for checked in [false, true] {
        let past = "y[start + size.columns] = 1.0;\n        let factor = 1.0 / part.y;";
        let wrong = planted(&kernel("softmax.softmax"), "let factor = 1.0 / part.y;", past);
        let length = wrong.case.draw(&mut Generator::new(5, 60)).operands[1].len();
        let verdict = verdict(wrong, checked);
        assert!(!verdict.passed(), "checked: {checked}: {verdict}");
        assert_eq!(verdict.stray, Some(Stray { binding: "y", index: length as isize }), "checked: {checked}");
    }
}

#[test]
fn the_same_kernel_without_a_fault_passes() {
    let verdict = verdict(planted(&kernel("softmax.softmax"), "LANES", "LANES"), false);
    assert!(verdict.passed(), "{verdict}");
}

#[test]
#[expect(unsafe_code, reason = "runs kernels without runtime checks")]
fn a_fault_in_any_output_of_any_kernel_is_caught() {
    // Poison left unwritten is the least fault there is: an empty grid must fail every kernel that writes something.
    let gpu = Gpu::open().unwrap_or_else(|error| panic!("{error}"));
    for kernel in kernels() {
        if kernel.needs_subgroups && gpu.target().subgroups.is_none() {
            continue;
        }
        if kernel.bindings.iter().all(|binding| binding.access != Access::Write) {
            continue;
        }
        let Case { label, call, operands } = kernel.case.draw(&mut Generator::new(3, 20));
        // SAFETY: an empty grid runs nothing. Checks would take a software driver minutes for the attention neuron.
        let call = unsafe { call.changed(|call| call.grid = [0, 0, 0]).without_runtime_checks() };
        let verdict = verify::run(&gpu, &Case { label, call, operands }).unwrap_or_else(|error| panic!("{error}"));
        assert!(!verdict.passed(), "{verdict}");
    }
}
