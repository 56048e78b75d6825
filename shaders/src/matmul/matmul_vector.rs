//! Products of a row by a matrix for GPUs; a matrix by a column is the transpose of one.

use std::borrow::Cow;

use crate::matmul::matmul_layout::{self, Layout, Uniform};
use crate::{Call, Kernel};

/// `out = activation(a b + bias)` where `a` is one row.
pub static MATMUL_VECTOR: Kernel = Kernel {
    name: Cow::Borrowed("matmul_vector"),
    source: Cow::Borrowed(include_str!("matmul_vector.wgsl")),
    entry_point: "matmul_vector",
    bindings: Cow::Borrowed(matmul_layout::BINDINGS),
    uniform_bytes: size_of::<Uniform>(),
    needs_subgroups: false,
    twin: matmul_layout::twin,
    tolerance: matmul_layout::tolerance,
    case: |generator| matmul_layout::case_of_rows(generator, |layout, _| call(layout)),
    flops: matmul_layout::flops,
};

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
