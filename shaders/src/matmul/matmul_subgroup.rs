//! Matrix products for software drivers with subgroups: rows of `a` are loaded once and passed by shuffles.

use std::borrow::Cow;

use crate::matmul::matmul_layout::{self, Layout, Uniform};
use crate::{Call, Kernel};

/// `out = activation(a b + bias)` in tiles of 16 rows by 32 columns, one workgroup of 8 invocations each.
pub static MATMUL_SUBGROUP: Kernel = Kernel {
    name: Cow::Borrowed("matmul_subgroup"),
    source: Cow::Borrowed(include_str!("matmul_subgroup.wgsl")),
    entry_point: "matmul_subgroup",
    bindings: Cow::Borrowed(matmul_layout::BINDINGS),
    uniform_bytes: size_of::<Uniform>(),
    needs_subgroups: true,
    twin: matmul_layout::twin,
    tolerance: matmul_layout::tolerance,
    case: |generator| matmul_layout::case(generator, |layout, _| call(layout)),
    flops: matmul_layout::flops,
};

/// Lanes that a subgroup must have at least.
pub const LANES: u32 = 8;
/// Rows of a tile.
pub const ROWS: usize = 16;
/// Columns of a tile.
pub const COLUMNS: usize = 32;

/// The call with the operands of `layout`.
pub fn call(layout: &Layout) -> Call {
    layout.call(&MATMUL_SUBGROUP, layout.tiles(ROWS, COLUMNS))
}
