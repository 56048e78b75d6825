//! Products of a row by a matrix for GPUs; a matrix by a column is the transpose of one.

use crate::matmul::matmul_layout::{self, Layout, Uniform};
use crate::{Call, Kernel, Module};

const MODULE: Module = Module::new::<Uniform>(
    wgsl!("product.wgsl", "../library/not_a_number.wgsl", "../library/activation.wgsl", "matmul_vector.wgsl"),
    passes,
);

/// The terms of a slice that a sharer takes, and the sums of the sharers.
fn passes(call: &Call) -> u64 {
    let sharers = call.constant("SHARERS").map_or(8, |sharers| sharers as u64);
    matmul_layout::slice_terms(call).div_ceil(sharers) + sharers + 2
}

/// `out = activation(a b + bias)` where `a` is one row.
pub static MATMUL_VECTOR: Kernel = MODULE
    .kernel("matmul_vector", matmul_layout::BINDINGS, matmul_layout::twin, matmul_layout::tolerance, |generator| {
        matmul_layout::case_of_rows(generator, |layout, _| call(layout))
    })
    .with_flops(matmul_layout::flops);

/// Invocations of a workgroup.
const INVOCATIONS: usize = 256;

/// Columns of a workgroup: few where the sum is the contiguous axis of `b`, so that a column's neighbours along it are
/// loaded side by side.
pub fn columns(layout: &Layout) -> usize {
    if layout.uniform.b_term == 1 { 8 } else { 32 }
}

/// The call with the operands of `layout`.
///
/// # Panics
/// If `a` has more than one row.
pub fn call(layout: &Layout) -> Call {
    assert_eq!(layout.uniform.m, 1, "matmul_vector: rows of `a`");
    let columns = columns(layout);
    layout
        .call(&MATMUL_VECTOR, layout.tiles(1, columns))
        .with_constant("COLUMNS", columns as u32)
        .with_constant("SHARERS", (INVOCATIONS / columns) as u32)
}
