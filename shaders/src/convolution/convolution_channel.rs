//! Convolutions of groups of few channels, and of whatever has no better kernel.

use crate::convolution::convolution_layout::{self, Layout, Uniform};
use crate::{Call, Kernel, Module, Target, product};

const MODULE: Module = Module::new::<Uniform>(
    wgsl!(
        "../library/place.wgsl",
        "windows.wgsl",
        "../library/not_a_number.wgsl",
        "../library/activation.wgsl",
        "convolution_channel.wgsl"
    ),
    passes,
);

/// The terms under each tap, and four stores.
fn passes(call: &Call) -> u64 {
    let uniform: Uniform = call.uniform();
    let [taps_y, taps_x] = convolution_layout::most_taps(&uniform).map(u64::from);
    taps_y * (taps_x * (u64::from(uniform.terms) + 2) + 2) + 1 + 5
}

/// A convolution or its input gradient, four pixels of one channel for each invocation.
pub static CONVOLUTION_CHANNEL: Kernel = MODULE
    .kernel(
        "convolution_channel",
        convolution_layout::BINDINGS,
        convolution_layout::twin,
        convolution_layout::tolerance,
        |generator| {
            convolution_layout::case(
                generator,
                |_| true,
                |layout, generator| call(layout, generator.lanes_of_a_workgroup()),
            )
        },
    )
    .with_flops(convolution_layout::flops);

/// Invocations of a workgroup on `target`.
pub(crate) fn workgroup(target: &Target) -> usize {
    if target.software { 8 } else { 64 }
}

/// The call with the operands of `layout`, in workgroups of so many invocations.
pub(crate) fn call(layout: &Layout, workgroup: usize) -> Call {
    let Uniform { outputs, .. } = layout.uniform;
    let invocations = product(&[layout.most_pixels().0.div_ceil(4), outputs as usize, layout.phases()]);
    let call = layout.call(&CONVOLUTION_CHANNEL, invocations.div_ceil(workgroup));
    call.with_constant("WORKGROUP", workgroup as u32)
}
