//! Convolutions for software drivers with subgroups where the windows of neighbouring pixels overlap.

use crate::convolution::convolution_layout::{self, Layout, Uniform};
use crate::{Call, Kernel, Module, product};

const MODULE: Module = Module::new::<Uniform>(
    wgsl!("windows.wgsl", "../library/not_a_number.wgsl", "../library/activation.wgsl", "convolution_row.wgsl"),
    passes,
);

/// The terms of each row of taps, and the stores of 16 outputs of a strip.
fn passes(call: &Call) -> u64 {
    let uniform: Uniform = call.uniform();
    let [taps_y, taps_x] = convolution_layout::most_taps(&uniform).map(u64::from);
    let stores = OUTPUTS as u64 * (1 + 8 + 1) + 1;
    taps_y * (u64::from(uniform.terms) * (taps_x + 2) + 2) + 1 + stores
}

/// A convolution or its input gradient in tiles of 8 strips of neighbouring pixels by 16 outputs, one workgroup of 8
/// invocations each, where neighbouring pixels have windows one column apart.
pub static CONVOLUTION_ROW: Kernel = MODULE
    .kernel(
        "convolution_row",
        convolution_layout::BINDINGS,
        convolution_layout::twin,
        convolution_layout::tolerance,
        |generator| convolution_layout::case(generator, suits, |layout, generator| call(layout, generator.chance(0.5))),
    )
    .with_subgroups(LANES, 128)
    .with_flops(convolution_layout::flops);

/// Lanes that a subgroup must have at least.
pub const LANES: u32 = 8;
const OUTPUTS: usize = 16;

/// True if neighbouring pixels of a phase have windows one column apart, with at most three taps along it.
pub(crate) fn suits(layout: &Layout) -> bool {
    layout.uniform.step_x == 1 && convolution_layout::most_taps(&layout.uniform)[1] <= 3
}

/// True if strips of 8 pixels pay: 24 multiply-adds a load instead of 16, unless more than an eighth of the pixels lie past
/// the end of their row.
pub(crate) fn is_wide(layout: &Layout) -> bool {
    let (_, columns) = layout.most_pixels();
    100 * 8 * columns.div_ceil(8) <= 115 * 4 * columns.div_ceil(4)
}

/// The call with the operands of `layout`, in strips of 8 pixels or of 4.
pub(crate) fn call(layout: &Layout, wide: bool) -> Call {
    let (pixels, columns) = layout.most_pixels();
    let strips = pixels / columns * columns.div_ceil(if wide { 8 } else { 4 });
    let outputs = (layout.uniform.outputs as usize).div_ceil(OUTPUTS);
    let tiles = product(&[strips.div_ceil(LANES as usize), outputs, layout.phases()]);
    layout.call(&CONVOLUTION_ROW, tiles).with_constant("WIDE", u32::from(wide))
}
