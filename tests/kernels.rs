//! Every kernel against its CPU twin, over random cases.

use std::cell::RefCell;
use std::sync::OnceLock;
use std::time::Instant;

use fourfold::gpu::{Error, Gpu, Options};
use fourfold::shaders::{Generator, Kernel, kernels};
use fourfold::verify;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};

/// Random cases of each kernel without and with shader checks, besides one past one dimension of the grid;
/// `fourfold verify --cases N` draws as many as one likes.
const CASES: [u32; 2] = [12, 4];

fn gpu(checked: bool) -> Gpu {
    static GPUS: [OnceLock<Gpu>; 2] = [OnceLock::new(), OnceLock::new()];
    let open = || Gpu::open_with(&Options { checked, ..Options::default() }).unwrap_or_else(|error| panic!("{error}"));
    GPUS[usize::from(checked)].get_or_init(open).clone()
}

/// Seeds of cases that ask for a shape past one dimension of the grid.
fn huge_seed() -> u64 {
    (0..).find(|&seed| Generator::new(seed, Generator::FULL).huge()).expect("one seed in 250")
}

fn judge(gpu: &Gpu, kernel: &Kernel, seed: u64, size: u32) -> Result<(), String> {
    let case = kernel.case.draw(&mut Generator::new(seed, size));
    match verify::run(gpu, &case) {
        Ok(verdict) if verdict.passed() => Ok(()),
        Ok(verdict) => Err(verdict.to_string()),
        Err(error) => Err(error.to_string()),
    }
}

/// Draws cases of one kernel and returns the smallest that fails.
fn smallest_failure(gpu: &Gpu, kernel: &Kernel) -> Option<String> {
    if let Err(failure) = judge(gpu, kernel, huge_seed(), Generator::FULL) {
        return Some(failure);
    }
    let config = Config {
        cases: CASES[usize::from(gpu.checked())],
        failure_persistence: None,
        max_shrink_iters: 64,
        ..Config::default()
    };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    // Most cases have the full range of shapes; a failure shrinks by its size, the seed stays.
    let strategy = (any::<u64>().no_shrink(), (1..2 * Generator::FULL).prop_map(|size| size.min(Generator::FULL)));
    let last = RefCell::new(String::new());
    let outcome = TestRunner::new_with_rng(config, rng).run(&strategy, |(seed, size)| {
        judge(gpu, kernel, seed, size).map_err(|failure| {
            *last.borrow_mut() = failure.clone();
            TestCaseError::fail(failure)
        })
    });
    match outcome {
        Ok(()) => None,
        Err(TestError::Fail(reason, (seed, size))) => Some(format!("{reason} (seed {seed}, size {size})")),
        Err(TestError::Abort(reason)) => Some(reason.to_string()),
    }
}

fn every_kernel_equals_its_twin(checked: bool) {
    let gpu = gpu(checked);
    println!("adapter: {} ({:?}), checked: {checked}", gpu.info().name, gpu.info().backend);
    let mut failures = Vec::new();
    for kernel in kernels() {
        if let Some(reason) = kernel.lacks_subgroups(gpu.target().subgroups) {
            println!("{}: not run: {reason}", kernel.name);
            continue;
        }
        // Bounds checks hide from a software driver that an index is constant: what is meant for registers becomes ladders
        // of branches that take it minutes to compile.
        if checked && gpu.target().software && kernel.name == "unroll(attention_neuron)" {
            println!("{}: not run with checks on a software driver", kernel.name);
            continue;
        }
        let start = Instant::now();
        failures.extend(smallest_failure(&gpu, &kernel));
        println!("{}: {:.1} s", kernel.name, start.elapsed().as_secs_f64());
    }
    assert!(failures.is_empty(), "{} kernels differ from their twins:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn every_kernel_equals_its_twin_without_shader_checks() {
    every_kernel_equals_its_twin(false);
}

#[test]
fn every_kernel_equals_its_twin_with_shader_checks() {
    every_kernel_equals_its_twin(true);
}

#[test]
fn a_kernel_without_its_views_is_refused_by_name() {
    let gpu = gpu(false);
    let case = kernels()[0].case.draw(&mut Generator::new(1, 10));
    let launch = fourfold::Launch::new(&case.call, &[]);
    let error = gpu.prepare(&[launch]).expect_err("no views were given");
    assert!(matches!(error, Error::WrongArity { .. }), "{error}");
}
