//! The driver on which the tests run: its builtins beside WGSL's bounds, and its memory model.

use std::sync::OnceLock;

use fourfold::Gpu;
use fourfold::verify::{builtins, litmus};

fn gpu() -> &'static Gpu {
    static GPU: OnceLock<Gpu> = OnceLock::new();
    GPU.get_or_init(|| Gpu::open().unwrap_or_else(|error| panic!("{error}")))
}

#[test]
fn builtins_stay_within_the_bounds_of_wgsl() {
    let measurements = builtins::measure(gpu()).unwrap_or_else(|error| panic!("{error}"));
    assert!(measurements.len() >= 20);
    // SwiftShader's exp is beyond its bound by 0.0004 %.
    let beyond: Vec<_> = measurements.iter().filter(|measurement| measurement.of_bound.error > 1.0001).collect();
    assert!(beyond.is_empty(), "{beyond:#?}");
    // NaN and infinities among the special numbers are listed for every builtin.
    assert!(measurements.iter().all(|measurement| measurement.special.len() == builtins::SPECIAL.len()));
}

#[test]
fn the_memory_model_forbids_no_result_that_occurs() {
    let reports = litmus::run(gpu(), 0, 5).unwrap_or_else(|error| panic!("{error}"));
    for report in &reports {
        assert!(report.passed(), "{report:?}");
        assert!(report.instances >= 5 * 2048, "{report:?}");
        assert!(report.allowed || report.weak == 0, "{report:?}");
    }
}
