//! Gradients of convolution weights for software drivers with subgroups: pixels of the output are loaded once and passed by shuffles.

use crate::convolution::weight_gradient_layout::{self, Layout, Uniform};
use crate::{Call, Kernel, Module};

const MODULE: Module = Module::new::<Uniform>(wgsl!("weight_windows.wgsl", "weight_gradient_gather.wgsl"), passes);

/// Blocks of as many pixels as lanes in each row of a slice, and the stores of 16 outputs of four weights.
fn passes(call: &Call) -> u64 {
    let Uniform { slice_rows, y_columns, .. } = call.uniform();
    passes_of_row(y_columns) * u64::from(slice_rows) + 1 + OUTPUTS as u64 * (1 + 5) + 1
}

/// The passes of one row of the output's gradient.
pub(crate) fn passes_of_row(columns: u32) -> u64 {
    let lanes = u64::from(LANES);
    u64::from(columns).div_ceil(lanes) * (lanes + 2) + 2
}

/// The gradient of the weights in tiles of 32 weights by 16 outputs, one workgroup of 8 invocations each.
pub static WEIGHT_GRADIENT_GATHER: Kernel = MODULE
    .kernel(
        "weight_gradient_gather",
        weight_gradient_layout::BINDINGS,
        weight_gradient_layout::twin,
        weight_gradient_layout::tolerance,
        |generator| weight_gradient_layout::case(generator, |_| true, |layout, _| call(layout)),
    )
    .with_subgroups(LANES, 128)
    .with_flops(weight_gradient_layout::flops);

/// Lanes that a subgroup must have at least.
pub const LANES: u32 = 8;
/// Outputs of a tile.
pub(crate) const OUTPUTS: usize = 16;
/// Weights of a tile.
pub(crate) const WEIGHTS: usize = 32;

/// The call with the operands of `layout`.
pub(crate) fn call(layout: &Layout) -> Call {
    layout.call(&WEIGHT_GRADIENT_GATHER, layout.tiles(WEIGHTS, OUTPUTS))
}
