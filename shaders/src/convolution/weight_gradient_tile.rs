//! Gradients of convolution weights for GPUs: implicit matrix products in tiles.

use crate::convolution::weight_gradient_layout::{self, Layout, Uniform};
use crate::matmul::matmul_tile::Tile;
use crate::{Call, Kernel, Module};

const MODULE: Module = Module::new::<Uniform>(
    wgsl!("weight_windows.wgsl", "../matmul/register_block.wgsl", "weight_gradient_tile.wgsl"),
    passes,
);

/// Blocks of pixels in each row of a slice, each loaded and then multiplied, and the stores.
fn passes(call: &Call) -> u64 {
    let Uniform { slice_rows, y_columns, .. } = call.uniform();
    let [terms, block] = [("TILE_TERMS", 8), ("BLOCK_ROWS", 8)]
        .map(|(name, default)| call.constant(name).map_or(default, |value| value as u64));
    let blocks = u64::from(y_columns).div_ceil(terms) * u64::from(slice_rows);
    let stores = block * (1 + 2 * 5);
    blocks * (1 + terms / 4 + 1) + 1 + stores + 1
}

/// The gradient of the weights in tiles of a size that is chosen with the pipeline, see [`Tile`].
pub static WEIGHT_GRADIENT_TILE: Kernel = MODULE
    .kernel(
        "weight_gradient_tile",
        weight_gradient_layout::BINDINGS,
        weight_gradient_layout::twin,
        weight_gradient_layout::tolerance,
        |generator| {
            weight_gradient_layout::case(
                generator,
                |_| true,
                |layout, generator| call(layout, generator.pick(&Tile::LARGEST_FIRST)),
            )
        },
    )
    .with_flops(weight_gradient_layout::flops);

/// The call with the operands of `layout`.
pub(crate) fn call(layout: &Layout, tile: Tile) -> Call {
    tile.constants(layout.call(&WEIGHT_GRADIENT_TILE, layout.tiles(tile.rows, tile.columns)))
}
