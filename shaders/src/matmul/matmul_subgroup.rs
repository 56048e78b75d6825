//! Matrix products for software drivers with subgroups: rows of `a` are loaded once and passed by shuffles.

use crate::matmul::matmul_layout::{self, Layout, Uniform};
use crate::{Call, Kernel, Module};

const MODULE: Module = Module::new::<Uniform>(
    wgsl!(
        "product.wgsl",
        "../library/not_a_number.wgsl",
        "../library/activation.wgsl",
        "store_element.wgsl",
        "matmul_subgroup.wgsl"
    ),
    passes,
);

/// Blocks of as many terms as lanes, and the stores of 16 rows by four columns.
fn passes(call: &Call) -> u64 {
    const LANES: u64 = 8;
    matmul_layout::slice_terms(call).div_ceil(LANES) * (LANES + 2) + 1 + ROWS as u64 * (1 + 5) + 1
}

/// `out = activation(a b + bias)` in tiles of 16 rows by 32 or 64 columns, one workgroup of 8 invocations each.
pub static MATMUL_SUBGROUP: Kernel = MODULE
    .kernel("matmul_subgroup", matmul_layout::BINDINGS, matmul_layout::twin, matmul_layout::tolerance, |generator| {
        matmul_layout::case(generator, |layout, generator| call(layout, generator.chance(0.5)))
    })
    .with_subgroups(LANES, 128)
    .with_flops(matmul_layout::flops);

/// Lanes that a subgroup must have at least.
pub const LANES: u32 = 8;
/// Rows of a tile.
pub const ROWS: usize = 16;

/// Columns of a tile. A wide one computes a fifth faster or more, and takes half as long again to compile.
pub fn columns(wide: bool) -> usize {
    if wide { 64 } else { 32 }
}

/// The call with the operands of `layout`, in wide tiles or in narrow ones.
pub fn call(layout: &Layout, wide: bool) -> Call {
    layout.call(&MATMUL_SUBGROUP, layout.tiles(ROWS, columns(wide))).with_constant("WIDE", u32::from(wide))
}
