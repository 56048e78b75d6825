//! Gradients of convolution weights for groups of few channels, and for whatever has no better kernel.

use crate::convolution::weight_gradient_layout::{self, Layout, Uniform};
use crate::{Call, Kernel, Module, product};

const MODULE: Module = Module::new::<Uniform>(
    wgsl!("../library/place.wgsl", "weight_windows.wgsl", "weight_gradient_channel.wgsl"),
    passes,
);

/// The pixels of each row of a slice, and four stores.
fn passes(call: &Call) -> u64 {
    let Uniform { slice_rows, y_columns, .. } = call.uniform();
    (u64::from(y_columns) + 2) * u64::from(slice_rows) + 1 + 5
}

/// The gradient of the weights, four taps of one channel and one output for each invocation.
pub static WEIGHT_GRADIENT_CHANNEL: Kernel = MODULE
    .kernel(
        "weight_gradient_channel",
        weight_gradient_layout::BINDINGS,
        weight_gradient_layout::twin,
        weight_gradient_layout::tolerance,
        |generator| {
            weight_gradient_layout::case(
                generator,
                |_| true,
                |layout, generator| call(layout, generator.lanes_of_a_workgroup()),
            )
        },
    )
    .with_flops(weight_gradient_layout::flops);

/// The call with the operands of `layout`, in workgroups of so many invocations.
pub(crate) fn call(layout: &Layout, workgroup: usize) -> Call {
    layout
        .call(&WEIGHT_GRADIENT_CHANNEL, invocations(layout).div_ceil(workgroup))
        .with_constant("WORKGROUP", workgroup as u32)
}

/// Invocations over all slices.
pub(crate) fn invocations(layout: &Layout) -> usize {
    let Uniform { kernel_rows, kernel_columns, channels, outputs, groups, slices, .. } = layout.uniform;
    let columns = kernel_columns.div_ceil(4);
    product(&[kernel_rows, columns, channels, outputs, groups, slices].map(|size| size as usize))
}
