//! Convolutions for software drivers with subgroups: weights are loaded once and passed by shuffles.

use crate::convolution::convolution_layout::{self, Layout, Uniform};
use crate::{Call, Kernel, Module, product};

const MODULE: Module = Module::new::<Uniform>(
    wgsl!("windows.wgsl", "../library/not_a_number.wgsl", "../library/activation.wgsl", "convolution_gather.wgsl"),
    passes,
);

/// Blocks of as many terms as lanes under each tap, and the stores of 16 outputs of four pixels.
fn passes(call: &Call) -> u64 {
    let uniform: Uniform = call.uniform();
    let [taps_y, taps_x] = convolution_layout::most_taps(&uniform).map(u64::from);
    let lanes = u64::from(LANES);
    let blocks = u64::from(uniform.terms).div_ceil(lanes) * (lanes + 2) + 1;
    taps_y * (taps_x * (blocks + 1) + 2) + 1 + OUTPUTS as u64 * (1 + 5) + 1
}

/// A convolution or its input gradient in tiles of 32 pixels by 16 outputs, one workgroup of 8 invocations each.
pub static CONVOLUTION_GATHER: Kernel = MODULE
    .kernel(
        "convolution_gather",
        convolution_layout::BINDINGS,
        convolution_layout::twin,
        convolution_layout::tolerance,
        |generator| convolution_layout::case(generator, |_| true, |layout, _| call(layout)),
    )
    .with_subgroups(LANES, 128)
    .with_flops(convolution_layout::flops);

/// Lanes that a subgroup must have at least.
pub const LANES: u32 = 8;
const OUTPUTS: usize = 16;
const PIXELS: usize = 32;

/// The call with the operands of `layout`.
pub(crate) fn call(layout: &Layout) -> Call {
    let pixels = layout.most_pixels().0.div_ceil(PIXELS);
    let outputs = (layout.uniform.outputs as usize).div_ceil(OUTPUTS);
    layout.call(&CONVOLUTION_GATHER, product(&[pixels, outputs, layout.phases()]))
}
