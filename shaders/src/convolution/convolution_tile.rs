//! Convolutions for GPUs: implicit matrix products in tiles.

use crate::convolution::convolution_layout::{self, Layout, Uniform};
use crate::matmul::matmul_tile::Tile;
use crate::{Call, Kernel, Module, product};

const MODULE: Module = Module::new::<Uniform>(
    wgsl!(
        "windows.wgsl",
        "../library/not_a_number.wgsl",
        "../library/activation.wgsl",
        "../matmul/register_block.wgsl",
        "convolution_tile.wgsl"
    ),
    passes,
);

/// Blocks of terms under each tap, each loaded and then multiplied, and the stores.
fn passes(call: &Call) -> u64 {
    let uniform: Uniform = call.uniform();
    let [terms, block] = [("TILE_TERMS", 8), ("BLOCK_ROWS", 8)]
        .map(|(name, default)| call.constant(name).map_or(default, |value| value as u64));
    let taps: u64 = convolution_layout::most_taps(&uniform).map(u64::from).iter().product();
    let blocks = u64::from(uniform.terms).div_ceil(terms) * taps;
    let stores = block * (1 + 2 * 5);
    blocks * (1 + terms / 4 + 1) + 1 + stores + 1
}

/// A convolution or its input gradient in tiles of a size that is chosen with the pipeline, see [`Tile`].
pub static CONVOLUTION_TILE: Kernel = MODULE
    .kernel(
        "convolution_tile",
        convolution_layout::BINDINGS,
        convolution_layout::twin,
        convolution_layout::tolerance,
        |generator| {
            convolution_layout::case(
                generator,
                |_| true,
                |layout, generator| call(layout, generator.pick(&Tile::LARGEST_FIRST)),
            )
        },
    )
    .with_flops(convolution_layout::flops);

/// Tiles of one cut over all phases and groups.
pub(crate) fn tiles(layout: &Layout, tile: &Tile) -> usize {
    let outputs = layout.uniform.outputs as usize;
    product(&[layout.most_pixels().0.div_ceil(tile.rows), outputs.div_ceil(tile.columns), layout.phases()])
}

/// The call with the operands of `layout`.
pub(crate) fn call(layout: &Layout, tile: Tile) -> Call {
    tile.constants(layout.call(&CONVOLUTION_TILE, tiles(layout, &tile)))
}
