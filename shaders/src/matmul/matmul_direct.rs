//! Matrix products for software drivers without subgroups: register blocks and no workgroup memory.

use std::borrow::Cow;

use crate::matmul::matmul_layout::{self, Layout, Uniform};
use crate::{Call, Kernel};

/// `out = activation(a b + bias)` in tiles of 32 rows by 64 columns, 8 by 8 elements for each of 32 invocations.
pub static MATMUL_DIRECT: Kernel = Kernel {
    name: Cow::Borrowed("matmul_direct"),
    source: Cow::Borrowed(include_str!("matmul_direct.wgsl")),
    entry_point: "matmul_direct",
    bindings: Cow::Borrowed(matmul_layout::BINDINGS),
    uniform_bytes: size_of::<Uniform>(),
    needs_subgroups: false,
    twin: matmul_layout::twin,
    tolerance: matmul_layout::tolerance,
    case: |generator| matmul_layout::case(generator, |layout, _| call(layout)),
    flops: matmul_layout::flops,
};

/// Rows of a tile.
pub const ROWS: usize = 32;
/// Columns of a tile.
pub const COLUMNS: usize = 64;

/// The call with the operands of `layout`.
pub fn call(layout: &Layout) -> Call {
    layout.call(&MATMUL_DIRECT, layout.tiles(ROWS, COLUMNS))
}
