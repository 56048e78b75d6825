//! Every kernel in the sanitizer, at small shapes, and faults that it must find. No GPU.

use std::collections::BTreeMap;
use std::sync::Arc;

use fourfold::sanitizer::{DRAWS, Draw, Error, Fault, JudgedPasses, Options, Report, Touch, check, judge, run};
use fourfold::shaders::{Binding, Call, Case, Cases, Data, Generator, Kernel, KernelRef, Tolerance, kernels};

fn draw(kernel: &Kernel, seed: u64, size: u32) -> Case {
    kernel.case.draw(&mut Generator::new(seed, size))
}

/// Its statement leaves out loops of 32 passes over its memory, which drivers unroll: their indices become constants.
const UNROLLED: &str = "unroll(attention_neuron)";

#[test]
fn no_kernel_races_strays_reads_what_nobody_wrote_or_loops_longer_than_it_states() {
    let (mut failures, mut instructions) = (Vec::new(), 0);
    for judged in judge(kernels(), &DRAWS) {
        let name = &judged.kernel.name;
        instructions += judged.instructions;
        failures.extend(judged.findings.iter().map(|(finding, case)| format!("{finding}; {case}")));
        failures.extend(judged.errors.iter().map(Error::to_string));
        if name == UNROLLED {
            assert!(judged.beyond().count() > 0, "{name} needs no exception any more");
            continue;
        }
        failures.extend(judged.beyond().map(|beyond| format!("{name}: {beyond:?}")));
        let sum = |of: fn(&JudgedPasses) -> u64| judged.passes.iter().map(of).sum::<u64>();
        let (counted, stated) = (sum(|passes| passes.counted), sum(|passes| passes.stated));
        if stated > 8 * counted + 64 * DRAWS.len() as u64 {
            failures.push(format!("{name} states {stated} passes but makes {counted}"));
        }
    }
    println!("{instructions} instructions");
    assert!(failures.is_empty(), "{} faults:\n{}", failures.len(), failures.join("\n"));
}

/// Words that a buffer may hold: large and small numbers, NaN, infinities, and what they are as integers.
fn hostile(case: &mut Case, seed: u64) {
    let words = [0, 1, 7, u32::MAX, 0x8000_0000, 0x7FC0_0000, 0x7F80_0000, 0xFF80_0000, 0x7F7F_FFFF, 0x4000_0000];
    let mut state = seed;
    for operand in &mut case.operands {
        for index in 0..operand.len() {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let word = words[(state >> 33) as usize % words.len()];
            match operand {
                Data::F32(values) => values[index] = f32::from_bits(word),
                Data::U32(values) => values[index] = word,
            }
        }
    }
}

#[test]
fn no_content_of_the_buffers_leads_a_kernel_out_of_bounds() {
    let mut failures = BTreeMap::new();
    for kernel in kernels() {
        for seed in 0..3 {
            let mut case = draw(&kernel, seed, 6);
            hostile(&mut case, seed);
            let report = run(&case, &Options { instructions: 1 << 24, ..Options::default() });
            let report = report.unwrap_or_else(|error| panic!("{error}"));
            if let Some(finding) = report.findings.first() {
                failures.insert(kernel.name.to_string(), format!("{finding}; {}", case.label));
            }
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

/// A case whose kernel has another source.
fn planted(case: Case, source: String) -> Case {
    let wrong = Kernel { source: source.into(), ..(*case.call.kernel).clone() };
    Case { call: case.call.changed(|call| call.kernel = Arc::new(wrong).into()), ..case }
}

fn kernel(name: &str) -> KernelRef {
    kernels().into_iter().find(|kernel| kernel.name == name).expect("a listed kernel")
}

/// The report of the first case of a kernel that finds a fault planted by replacing text.
fn found(name: &str, from: &str, to: &str) -> Report {
    let kernel = kernel(name);
    assert!(kernel.source.contains(from), "{name} has no `{from}` to replace");
    let reports = DRAWS.iter().map(|&Draw { seed, size, .. }| {
        let case = planted(draw(&kernel, seed, size), kernel.source.replacen(from, to, 1));
        check(&case, &Options::default()).unwrap_or_else(|error| panic!("{error}"))
    });
    reports.into_iter().find(|report| !report.passed()).unwrap_or_else(|| panic!("{name}: `{to}` was not found"))
}

#[test]
fn faults_planted_in_kernels_are_found() {
    for (name, from, to) in [
        // An index one past the end, read or written.
        ("layer_norm.layer_norm", "let lane = local % LANES;", "let lane = local % LANES + 1u;"),
        ("reduce.rows", "a < last; a += LANES", "a <= last; a += LANES"),
        ("matmul_direct", "term < part.last_term", "term <= part.last_term"),
        ("scatter_order.order", "if i < params.count {", "if i <= params.count {"),
        ("gather.gather", "if flat >= params.count", "if flat > params.count"),
        // A store that leaves elements out, or that others make too.
        ("softmax.softmax", "if row < params.rows", "if row + 1u < params.rows"),
        ("copy.f32", "+ local", "+ local / 2u"),
        ("matmul_tile", "4u * column_quad", "8u * column_quad"),
        // Workgroup memory that nobody wrote, and a barrier of the wrong memory.
        ("matmul_vector", "shared_sums[local] = sum;", "if local > 0u { shared_sums[local] = sum; }"),
        ("fitness.summary", "parts[local] = part;", "if local > 0u { parts[local] = part; }"),
        ("matmul_vector", "workgroupBarrier();", "storageBarrier();"),
        // A wrong number.
        ("argmax.merge", "candidate, value > largest", "candidate, value >= largest"),
        ("returns_to_go.suffix_sums", "rewards[behind - i]", "rewards[behind - 1u]"),
    ] {
        found(name, from, to);
    }
}

/// False for a place in an entry point other than this one: the kernels of a file share its text.
fn may_run(source: &str, place: usize, entry_point: &str) -> bool {
    let begin = source[..place].rfind("\nfn ").map_or(0, |at| at + 1);
    let name = source[begin + "fn ".len()..].split('(').next().unwrap_or_default();
    let attributes = source[..begin].trim_end().lines().last().unwrap_or_default();
    !attributes.starts_with("@compute") || name == entry_point
}

#[test]
fn every_barrier_is_missed_where_it_is_removed() {
    const BARRIER: &str = "workgroupBarrier();";
    // Most are missed at once; a barrier between two blocks of many indices is met by larger shapes alone.
    let small = DRAWS.iter().map(|&Draw { seed, size, .. }| (seed, size));
    // By source and barrier, whether any kernel of the source finds its loss.
    let mut barriers: BTreeMap<(String, usize), (String, bool)> = BTreeMap::new();
    for kernel in kernels() {
        let places = kernel.source.match_indices(BARRIER).map(|(place, _)| place);
        let places: Vec<_> = places.filter(|&place| may_run(&kernel.source, place, kernel.entry_point)).collect();
        for place in places {
            let entry = barriers.entry((kernel.source.to_string(), place));
            let (_, found) = entry.or_insert_with(|| (kernel.name.to_string(), false));
            let mut source = kernel.source.to_string();
            source.replace_range(place..place + BARRIER.len(), "");
            *found = *found
                || small.clone().chain((11..60).map(|seed| (seed, 60))).any(|(seed, size)| {
                    let case = planted(draw(&kernel, seed, size), source.clone());
                    check(&case, &Options { seed, ..Options::default() }).is_ok_and(|report| !report.passed())
                });
        }
    }
    let line = |source: &str, place: usize| source[..place].lines().count();
    let missed = barriers.iter().filter(|(_, (_, found))| !found);
    let missed: Vec<_> =
        missed.map(|((source, place), (name, _))| format!("{name}, line {}", line(source, *place))).collect();
    assert!(barriers.len() > 20, "the kernels have barriers");
    assert!(missed.is_empty(), "of {} barriers nobody misses {missed:?}", barriers.len());
}

#[test]
fn an_index_past_the_end_is_named_with_its_line() {
    let report = found(
        "softmax.softmax",
        "let factor = 1.0 / total;",
        "let factor = 1.0 / total;\n y[arrayLength(&y)] = factor;",
    );
    let finding = &report.findings[0];
    let Fault::OutOfBounds { variable, index, length } = &finding.fault else { panic!("{finding}") };
    assert_eq!((variable.as_str(), *index), ("y", i64::from(*length)));
    let site = finding.site.as_ref().expect("an index has a place");
    let line = kernel("softmax.softmax").source.lines().position(|line| line.contains("let factor = 1.0 / total;"));
    assert_eq!(site.line as usize, line.expect("the line is there") + 2);
    assert!(!report.completed);
}

/// A case of a kernel of its own: `out` of `length` words that are only written, over `workgroups` workgroups.
fn own(source: &str, length: usize, workgroups: usize) -> Case {
    let kernel = Kernel {
        name: "own".into(),
        source: source.to_string().into(),
        entry_point: "main",
        bindings: vec![Binding::write("out", "(length)").u32()].into(),
        uniform_bytes: 0,
        subgroup_sizes: None,
        passes: |_| 0,
        twin: |_, _| {},
        tolerance: |_, _, _| Tolerance::Exact,
        case: Cases::Drawn(|_| unreachable!("this kernel draws no cases")),
        flops: |_| 0.0,
    };
    let call = Call::checked(Arc::new(kernel), &[0u32; 0], workgroups, [length]);
    Case::new("own", call, [])
}

/// The report of an entry point `main(local, flat)` with a workgroup of eight; `globals` stand before it.
fn eight(globals: &str, body: &str, workgroups: usize) -> Report {
    let source = format!(
        "@group(0) @binding(0) var<storage, read_write> out: array<u32>;\n{globals}\n@compute @workgroup_size(8) fn main(
        @builtin(local_invocation_index) local: u32, @builtin(global_invocation_id) global: vec3<u32>,
        @builtin(subgroup_invocation_id) lane: u32) {{ let flat = global.x; {body} }}"
    );
    run(&own(&source, 8 * workgroups, workgroups), &Options::default()).unwrap_or_else(|error| panic!("{error}"))
}

fn fault(report: &Report) -> &Fault {
    &report.findings.first().expect("a fault was planted").fault
}

#[test]
fn two_invocations_that_write_one_element_race() {
    let report = eight("", "out[flat / 2u] = 1u;", 1);
    assert!(matches!(fault(&report), Fault::Race { touch: Touch::Write, other: Touch::Write, .. }));
    let report = eight("", "out[local] = 1u;", 2);
    assert!(matches!(fault(&report), Fault::Race { .. }), "two workgroups that write the same");
}

#[test]
fn a_barrier_orders_only_its_own_memory() {
    let body = |barrier: &str| format!("out[flat] = 1u; {barrier}; out[flat] = out[flat ^ 1u] + local;");
    let report = eight("", &body("workgroupBarrier()"), 1);
    assert!(matches!(fault(&report), Fault::Race { touch: Touch::Read, .. }));
    let report = eight("", &body("storageBarrier()"), 1);
    assert!(matches!(fault(&report), Fault::Race { .. }), "neighbours read what the other overwrites");
    let report = eight(
        "",
        "out[flat] = 1u; storageBarrier(); let other = out[flat ^ 1u]; storageBarrier(); out[flat] = other;",
        1,
    );
    assert!(report.passed(), "{}", report.findings[0]);
}

#[test]
fn memory_that_nobody_wrote_is_found() {
    let report = eight(
        "var<workgroup> kept: array<u32, 8>;",
        "if local > 0u { kept[local] = 1u; } workgroupBarrier(); out[flat] = kept[local];",
        1,
    );
    let Fault::Uninitialised { variable, word } = fault(&report) else { panic!("{}", report.findings[0]) };
    assert_eq!((variable.as_str(), *word), ("kept", 0));
    let report = eight("", "out[flat] += 1u;", 1);
    assert!(matches!(fault(&report), Fault::Uninitialised { .. }));
    let report = eight("", "if local > 3u { out[flat] = 1u; }", 1);
    assert_eq!(*fault(&report), Fault::Unwritten { variable: "out".to_string(), element: 0 });
}

#[test]
fn workgroup_memory_is_new_to_each_workgroup() {
    let body = "if flat < 8u { kept = 1u; } workgroupBarrier(); out[flat] = kept;";
    let report = eight(
        "var<workgroup> kept: u32;",
        &format!("if local == 0u {{ {body} }}").replace("workgroupBarrier();", ""),
        2,
    );
    assert!(matches!(fault(&report), Fault::Uninitialised { .. }));
}

#[test]
fn a_barrier_in_divergent_flow_is_found() {
    let report = eight("", "out[flat] = 0u; if local < 4u { workgroupBarrier(); }", 1);
    assert!(matches!(fault(&report), Fault::Divergence { elsewhere: None, .. }));
    let report = eight("", "out[flat] = 0u; for (var i = 0u; i < 1u + local / 4u; i++) { workgroupBarrier(); }", 1);
    assert!(matches!(fault(&report), Fault::Divergence { .. }), "passes of a loop");
    let report = eight("", "out[flat] = 0u; if local < 4u { workgroupBarrier(); } else { workgroupBarrier(); }", 1);
    assert!(matches!(fault(&report), Fault::Divergence { elsewhere: Some(_), .. }), "two barriers");
}

#[test]
fn indices_of_every_kind_of_memory_are_checked() {
    for (globals, body) in [
        ("", "var own = array(1u, 2u, 3u); out[flat] = own[local];"),
        ("", "let own = array(1u, 2u, 3u); out[flat] = own[local];"),
        ("", "out[flat] = vec3(1u)[local];"),
        ("", "out[flat] = 1u; out[8] = 1u;"),
        ("", "var own = vec3(1u); own[local] = 2u; out[flat] = own.x;"),
        ("var<private> own: array<u32, 4>;", "out[flat] = own[local];"),
        ("var<workgroup> own: array<u32, 4>;", "own[local] = 1u; out[flat] = 1u;"),
        ("", "var own = array(1u, 2u, 3u); let i = i32(local) - 1; out[flat] = own[i % 3];"),
        (
            "fn element(a: ptr<function, array<u32, 3>>, i: u32) -> u32 { return (*a)[i]; }",
            "var own = array(1u, 2u, 3u); out[flat] = element(&own, local);",
        ),
    ] {
        let report = eight(globals, body, 1);
        assert!(matches!(fault(&report), Fault::OutOfBounds { .. }), "{body}: {}", report.findings[0]);
    }
}

#[test]
fn an_endless_loop_ends_the_run() {
    let source = "@group(0) @binding(0) var<storage, read_write> out: array<u32>;
        @compute @workgroup_size(1) fn main() { loop { out[0] = 1u; } }";
    let options = Options { instructions: 1000, ..Options::default() };
    let report = run(&own(source, 1, 1), &options).expect("the source is valid");
    assert_eq!(*fault(&report), Fault::Endless);
}

#[test]
fn passes_count_over_all_loops_and_in_lockstep() {
    // Loops of `local` and of `7 - local` passes, each with one that finds its condition false.
    let body = "var sum = 0u; for (var i = 0u; i < local; i++) { sum += i; }
        for (var i = local; i < 7u; i++) { sum += i; } out[flat] = sum;";
    let report = eight("", body, 1);
    assert_eq!((report.passes, report.lockstep_passes), (9, 16));
    let nested =
        "var sum = 0u; for (var i = 0u; i < 3u; i++) { for (var j = 0u; j < 2u; j++) { sum += j; } } out[flat] = sum;";
    let report = eight("", nested, 2);
    assert_eq!((report.passes, report.lockstep_passes), (4 + 3 * 3, 4 + 3 * 3));
    let early = "var i = 0u; loop { if i == 5u { break; } i++; continuing { break if i > local; } } out[flat] = i;";
    assert_eq!(eight("", early, 1).passes, 6);
}

#[test]
fn statements_and_expressions_mean_what_wgsl_says() {
    for (globals, body, expected) in [
        (
            "",
            "var x = 0u; switch local { case 0u, 1u: { x = 5u; } case 2u: { x = 6u; break; } default: { x = 7u; } } out[flat] = x;",
            [5, 5, 6, 7, 7, 7, 7, 7],
        ),
        (
            "struct Pair { a: bool, b: vec3<u32> } fn swap(p: ptr<function, Pair>) -> Pair { (*p).b = (*p).b.zyx; return *p; }",
            "var p = Pair(local > 3u, vec3(local, 1u, 2u)); let q = swap(&p); out[flat] = select(q.b.x, q.b.z * 10u, q.a);",
            [2, 2, 2, 2, 40, 50, 60, 70],
        ),
        (
            "",
            "let m = mat2x3<f32>(1.0, 2.0, 3.0, 4.0, 5.0, 6.0); let v = m * vec2(1.0, f32(local)); out[flat] = u32(v.z);",
            [3, 9, 15, 21, 27, 33, 39, 45],
        ),
        (
            "",
            "let m = transpose(mat2x3<f32>(1.0, 2.0, 3.0, 4.0, 5.0, 6.0)); out[flat] = u32((vec2(f32(local), 1.0) * m)[2]);",
            [6, 9, 12, 15, 18, 21, 24, 27],
        ),
        ("", "out[flat] = u32(dot(vec4<f32>(f32(local)), vec4(1.0, 2.0, 3.0, 4.0)));", [0, 10, 20, 30, 40, 50, 60, 70]),
        ("", "out[flat] = bitcast<u32>(-i32(local)) >> 31u;", [0, 1, 1, 1, 1, 1, 1, 1]),
        (
            "var<workgroup> sum: atomic<u32>;",
            "if local == 0u { atomicStore(&sum, 0u); } workgroupBarrier(); atomicAdd(&sum, local); workgroupBarrier(); out[flat] = atomicLoad(&sum);",
            [28; 8],
        ),
        ("var<workgroup> kept: u32;", "if local == 3u { kept = 9u; } out[flat] = workgroupUniformLoad(&kept);", [9; 8]),
        ("", "out[flat] = subgroupShuffleXor(local, 1u) + 10u * lane;", [1, 10, 23, 32, 45, 54, 67, 76]),
        ("", "out[flat] = subgroupExclusiveAdd(local) + subgroupMax(local);", [7, 7, 8, 10, 13, 17, 22, 28]),
        ("const table = array(3u, 1u, 2u);", "var t = table; out[flat] = t[local % 3u];", [3, 1, 2, 3, 1, 2, 3, 1]),
    ] {
        let report = eight(globals, body, 1);
        assert!(report.passed(), "{body}: {}", report.findings[0]);
        assert_eq!(report.outputs[0].u32(), expected, "{body}");
    }
}

#[test]
fn a_subgroup_operation_that_not_all_lanes_reach_is_found() {
    let report = eight("", "out[flat] = 0u; if local < 4u { out[flat] = subgroupAdd(local); }", 1);
    assert!(matches!(fault(&report), Fault::Divergence { .. }));
    let report = eight("", "out[flat] = subgroupShuffle(local, local + 1u);", 1);
    assert_eq!(*fault(&report), Fault::Lane { lane: 8 });
}

#[test]
fn a_product_for_subgroups_of_eight_is_found_wrong_with_four() {
    let case = draw(&kernel("matmul_subgroup"), 0, Generator::FULL);
    for (subgroup_size, passes) in [(4, false), (8, true), (32, true)] {
        let report = check(&case, &Options { subgroup_size, ..Options::default() }).expect("the kernel is valid");
        assert_eq!(report.passed(), passes, "{subgroup_size} lanes");
    }
}

#[test]
fn a_part_of_wgsl_that_is_not_known_is_named() {
    let source = "@group(0) @binding(0) var<storage, read_write> out: array<u32>;
        @compute @workgroup_size(1) fn main() {\n out[0] = pack2x16float(vec2(1.0)); }";
    let error = run(&own(source, 1, 1), &Options::default()).expect_err("no kernel packs");
    assert!(matches!(&error, Error::Unsupported { line: 3, part, .. } if part.contains("Pack2x16float")), "{error}");
    let error = run(&own("fn main(", 1, 1), &Options::default()).expect_err("this is no WGSL");
    assert!(matches!(error, Error::Invalid { .. }));
}
