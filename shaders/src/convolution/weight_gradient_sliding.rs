//! Gradients of the weights of small kernels for software drivers with subgroups: the window slides along a row.

use crate::convolution::weight_gradient_layout::{self, Layout, Uniform};
use crate::{Call, Kernel, Module, product};

const MODULE: Module = Module::new::<Uniform>(wgsl!("weight_windows.wgsl", "weight_gradient_sliding.wgsl"), passes);

/// The pixels of each row of a slice, and the stores of 16 outputs of nine taps.
fn passes(call: &Call) -> u64 {
    let Uniform { slice_rows, y_columns, .. } = call.uniform();
    (u64::from(y_columns) + 2) * u64::from(slice_rows) + 1 + OUTPUTS as u64 * (1 + 3 * 5 + 1) + 1
}

/// The gradient of the weights in tiles of 8 channels by 16 outputs, all taps of each, one workgroup of 8 invocations each, for
/// kernels of at most 3 by 3 and strides of 1.
pub static WEIGHT_GRADIENT_SLIDING: Kernel = MODULE
    .kernel(
        "weight_gradient_sliding",
        weight_gradient_layout::BINDINGS,
        weight_gradient_layout::twin,
        weight_gradient_layout::tolerance,
        |generator| weight_gradient_layout::case(generator, suits, |layout, _| call(layout)),
    )
    .with_subgroups(LANES, 128)
    .with_flops(weight_gradient_layout::flops);

/// Lanes that a subgroup must have at least.
pub const LANES: u32 = 8;
/// Outputs of a tile.
pub(crate) const OUTPUTS: usize = 16;
/// Channels of a tile.
pub(crate) const CHANNELS: usize = 8;

/// True if the kernel is at most 3 by 3 and windows are one pixel apart.
pub(crate) fn suits(uniform: &Uniform) -> bool {
    uniform.kernel_rows <= 3 && uniform.kernel_columns <= 3 && uniform.step_y == 1 && uniform.step_x == 1
}

/// The call with the operands of `layout`.
pub(crate) fn call(layout: &Layout) -> Call {
    let Uniform { channels, outputs, groups, slices, .. } = layout.uniform;
    let tiles = [(channels as usize).div_ceil(CHANNELS), (outputs as usize).div_ceil(OUTPUTS)];
    layout.call(&WEIGHT_GRADIENT_SLIDING, product(&[tiles[0], tiles[1], groups as usize, slices as usize]))
}
