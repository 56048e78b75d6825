//! Matrix products for software drivers without subgroups: register blocks and no workgroup memory.

use crate::matmul::matmul_layout::{self, Layout, Uniform};
use crate::{Call, Kernel, Module};

const MODULE: Module = Module::new::<Uniform>(
    wgsl!(
        "product.wgsl",
        "../library/not_a_number.wgsl",
        "../library/activation.wgsl",
        "store_element.wgsl",
        "matmul_direct.wgsl"
    ),
    passes,
);

/// The terms of a slice, and the stores of eight rows by eight columns.
fn passes(call: &Call) -> u64 {
    matmul_layout::slice_terms(call) + 1 + ROWS_OF_ONE * (1 + 8 + 1) + 1
}

/// Rows that one invocation computes.
const ROWS_OF_ONE: u64 = 8;

/// `out = activation(a b + bias)` in tiles of 32 rows by 64 columns, 8 by 8 elements for each of 32 invocations.
pub static MATMUL_DIRECT: Kernel = MODULE
    .kernel("matmul_direct", matmul_layout::BINDINGS, matmul_layout::twin, matmul_layout::tolerance, |generator| {
        matmul_layout::case(generator, |layout, _| call(layout))
    })
    .with_flops(matmul_layout::flops);

/// Rows of a tile.
pub const ROWS: usize = 32;
/// Columns of a tile.
pub const COLUMNS: usize = 64;

/// The call with the operands of `layout`.
pub fn call(layout: &Layout) -> Call {
    layout.call(&MATMUL_DIRECT, layout.tiles(ROWS, COLUMNS))
}
