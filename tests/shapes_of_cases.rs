//! The shapes that kernels are judged on.

use fourfold::shaders::{Generator, Shapes, kernels};

/// Kernels that have no grid to fold: one workgroup for any shape, whole outer iterations among them; ranks, whose cost is the square of the
/// members.
const UNFOLDED: [&str; 8] = [
    "centred_ranks",
    "centred_ranks.ragged",
    "fitness.summary",
    "pgpe_gradient.direction_weights",
    "advance_step",
    "advance_step.both",
    "global_norm.norm",
    "outer_iterations",
];

#[test]
fn every_kernel_that_can_fold_its_grid_is_asked_to() {
    let mut folded: Vec<String> = Vec::new();
    let mut unfolded: Vec<String> = Vec::new();
    for kernel in kernels() {
        let folds = (0..4).all(|seed| {
            let mut generator = Generator::new(seed, Generator::FULL).with_shapes(Shapes::Folded);
            kernel.case.draw(&mut generator).folded().call.grid[1] > 1
        });
        if folds { folded.push(kernel.name.to_string()) } else { unfolded.push(kernel.name.to_string()) }
    }
    assert_eq!(unfolded, UNFOLDED, "kernels that some case does not fold");
    assert!(folded.len() > 100);
}
