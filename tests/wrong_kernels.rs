//! The judge judged: kernels with a planted fault must not pass.

use std::sync::Arc;

use fourfold::Gpu;
use fourfold::gpu::Options;
use fourfold::shaders::{Access, Binding, Call, Case, Cases, Data, Generator, Kernel, KernelRef, Tolerance, kernels};
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
    let wrong = planted(&kernel("softmax.softmax"), "1.0 / total", "1.001 / total");
    let verdict = verdict(wrong, false);
    assert!(!verdict.passed(), "{verdict}");
    assert!(verdict.worst > 1.0 && verdict.stray.is_none(), "{verdict}");
    assert_eq!(verdict.binding, "y");
}

#[test]
fn an_element_that_is_never_written_is_caught() {
    let wrong = planted(&kernel("softmax.softmax"), "if row < params.rows {", "if row + 1u < params.rows {");
    let verdict = verdict(wrong, false);
    assert!(!verdict.passed() && verdict.got.is_nan(), "{verdict}");
}

#[test]
fn a_store_past_the_end_is_caught_with_and_without_shader_checks() {
    for checked in [false, true] {
        let past = "y[start + params.columns] = 1.0;\n        let factor = 1.0 / total;";
        let wrong = planted(&kernel("softmax.softmax"), "let factor = 1.0 / total;", past);
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
        if kernel.lacks_subgroups(gpu.target().subgroups).is_some() {
            continue;
        }
        if kernel.bindings.iter().all(|binding| binding.access != Access::Write) {
            continue;
        }
        // Poison is NaN: an output of which no number is finite need not show it.
        let shows = |case: &Case| {
            case.expected().iter().zip(kernel.bindings.iter()).any(|(values, binding)| match values {
                _ if binding.access != Access::Write => false,
                Data::F32(values) => values.iter().any(|value| value.is_finite()),
                Data::U32(_) => true,
            })
        };
        let mut cases = (3..).map(|seed| kernel.case.draw(&mut Generator::new(seed, 20)));
        let Case { label, call, operands } = cases.find(shows).expect("a case whose output is a number");
        // SAFETY: an empty grid runs nothing. Checks would take a software driver minutes for the attention neuron.
        let call = unsafe { call.changed(|call| call.grid = [0, 0, 0]).without_runtime_checks() };
        let verdict = verify::run(&gpu, &Case { label, call, operands }).unwrap_or_else(|error| panic!("{error}"));
        assert!(!verdict.passed(), "{verdict}");
    }
}

#[test]
fn an_element_too_many_shows_in_a_sum() {
    // The guards are NaN: a kernel that reads the first of them cannot hide it.
    for (name, from, to) in [
        ("global_norm.norm", "i < params.count;", "i < params.count + 1u;"),
        ("softmax.softmax", "c < params.columns;", "c < params.columns + 1u;"),
    ] {
        let kernel = kernel(name);
        let verdict = verdict(planted(&kernel, from, to), false);
        assert!(!verdict.passed(), "{verdict}");
    }
}

/// A case of a kernel of its own with the operand `out` of 64 words, a workgroup of 64.
#[expect(unsafe_code, reason = "reads uninitialised workgroup memory")]
fn own(globals: &str, body: &str) -> Case {
    let source = format!(
        "@group(0) @binding(0) var<storage, read_write> out: array<f32>;\n{globals}
        @compute @workgroup_size(64) fn main(@builtin(local_invocation_index) lane: u32) {{ {body} }}"
    );
    let kernel = Kernel {
        name: "own".into(),
        source: source.into(),
        entry_point: "main",
        bindings: vec![Binding::update("out", "(64)")].into(),
        uniform_bytes: 0,
        subgroup_sizes: None,
        passes: |_| 0,
        twin: |_, _| {},
        tolerance: |_, _, _| Tolerance::Exact,
        case: Cases::Drawn(|_| unreachable!("this kernel draws no cases")),
        flops: |_| 0.0,
    };
    let call = Call::checked(Arc::new(kernel), &[0u32; 0], 1, [64usize]);
    // SAFETY: it stores within its operand; of workgroup memory that it has not written it takes any value.
    let call = unsafe { call.without_runtime_checks() };
    Case::new("own", call, [Data::F32(vec![0.0; 64])])
}

#[test]
fn workgroup_memory_that_nobody_wrote_is_not_zero() {
    let gpu = Gpu::open().unwrap_or_else(|error| panic!("{error}"));
    let case = own("var<workgroup> sums: array<f32, 64>;", "out[lane] = sums[lane];");
    let verdict = verify::run(&gpu, &case).unwrap_or_else(|error| panic!("{error}"));
    // Some drivers allocate it anew for each dispatch: then it holds what was freed last.
    assert!(!verdict.passed(), "{verdict}");
}

#[test]
fn wrong_elements_are_counted_and_their_pattern_is_named() {
    let gpu = Gpu::open().unwrap_or_else(|error| panic!("{error}"));
    let case = own("", "if lane % 8u == 3u { out[lane] = 1.0; }");
    let verdict = verify::run(&gpu, &case).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((verdict.wrong.count, verdict.wrong.of), (8, 64));
    assert_eq!(verdict.wrong.pattern, "every 8 elements from 3 to 59");
    assert_eq!(verdict.wrong.coordinates.as_ref().expect("a shape of numbers")[0], [3]);
    assert!(verify::run(&gpu, &own("", "out[lane] = 0.0;")).is_ok_and(|verdict| verdict.passed()));
}

#[test]
fn a_kernel_for_other_subgroups_is_refused_by_name() {
    let gpu = Gpu::open().unwrap_or_else(|error| panic!("{error}"));
    let Some((least, most)) = gpu.target().subgroups else { return };
    let narrow =
        Kernel { subgroup_sizes: Some((most + 1, 1024)), ..(*own("", "out[lane] = 0.0;").call.kernel).clone() };
    assert!(narrow.lacks_subgroups(gpu.target().subgroups).is_some_and(|reason| reason.contains(&least.to_string())));
    let case = own("", "out[lane] = 0.0;");
    let case = Case { call: case.call.clone().changed(|call| call.kernel = Arc::new(narrow).into()), ..case };
    let error = verify::run(&gpu, &case).expect_err("no such subgroups");
    assert!(matches!(&error, fourfold::Error::MissingSubgroups { .. }), "{error}");
}
