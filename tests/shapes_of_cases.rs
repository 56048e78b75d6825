//! The shapes that kernels are judged on.

use fourfold::shaders::{Generator, KernelRef, Shapes, kernels};

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
    let folds = |kernel: &KernelRef| {
        (0..4).all(|seed| {
            let mut generator = Generator::new(seed, Generator::FULL).with_shapes(Shapes::Folded);
            kernel.case.draw(&mut generator).folded().call.grid[1] > 1
        })
    };
    let unfolded = |kernels: &[KernelRef]| -> Vec<String> {
        kernels.iter().filter(|kernel| !folds(kernel)).map(|kernel| kernel.name.to_string()).collect()
    };
    let kernels = kernels();
    // Such cases are large: two cores draw them.
    let (first, second) = kernels.split_at(kernels.len() / 2);
    let unfolded = std::thread::scope(|scope| {
        let second = scope.spawn(|| unfolded(second));
        [unfolded(first), second.join().unwrap()].concat()
    });
    assert_eq!(unfolded, UNFOLDED, "kernels that some case does not fold");
    assert!(kernels.len() > 100);
}
