//! Matrix products for GPUs: tiles in workgroup memory and blocks in registers.

use crate::matmul::matmul_layout::{self, Layout, Uniform};
use crate::{Call, Kernel, Module, Target, product};

const MODULE: Module = Module::new::<Uniform>(
    wgsl!(
        "product.wgsl",
        "../library/not_a_number.wgsl",
        "../library/activation.wgsl",
        "register_block.wgsl",
        "matmul_tile.wgsl"
    ),
    passes,
);

/// Blocks of terms, each loaded and then multiplied, and the stores.
fn passes(call: &Call) -> u64 {
    let [terms, block] = [("TILE_TERMS", 8), ("BLOCK_ROWS", 8)]
        .map(|(name, default)| call.constant(name).map_or(default, |value| value as u64));
    let blocks = matmul_layout::slice_terms(call).div_ceil(terms);
    let stores = block * (1 + 2 * 5);
    blocks * (1 + terms / 4 + 1) + 1 + stores + 1
}

/// `out = activation(a b + bias)` in tiles of a size that is chosen with the pipeline, see [`Tile`].
pub static MATMUL_TILE: Kernel = MODULE
    .kernel("matmul_tile", matmul_layout::BINDINGS, matmul_layout::twin, matmul_layout::tolerance, |generator| {
        matmul_layout::case(generator, |layout, generator| call(layout, generator.pick(&Tile::LARGEST_FIRST)))
    })
    .with_flops(matmul_layout::flops);

/// The sizes of a tile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tile {
    /// Rows of the output in a tile.
    pub rows: usize,
    /// Columns of the output in a tile.
    pub columns: usize,
    /// Terms of the sum that lie in workgroup memory at a time: a multiple of 4, of which each invocation copies one or
    /// two vectors of four for each matrix, or every other invocation one.
    pub terms: usize,
    /// Rows and columns that one invocation holds in registers: 4 or 8 of each.
    pub block: [usize; 2],
    /// Tiles that an output must have for this cut to be worthwhile: fewer leave a large GPU idle.
    pub worthwhile_from: usize,
}

impl Tile {
    /// 8 multiply-adds for each word read from workgroup memory and 64 for each word read from elsewhere.
    pub const LARGE: Tile = Tile { rows: 128, columns: 128, terms: 8, block: [8, 8], worthwhile_from: 256 };
    /// A quarter of [`Tile::LARGE`], for outputs too small for it.
    pub const MEDIUM: Tile = Tile { rows: 64, columns: 64, terms: 8, block: [8, 8], worthwhile_from: 64 };
    /// As many elements as [`Tile::MEDIUM`], for outputs of few columns.
    pub const TALL: Tile = Tile { rows: 128, columns: 32, terms: 8, block: [8, 4], worthwhile_from: 64 };
    /// [`Tile::TALL`] on its side, for outputs of few rows.
    pub const WIDE: Tile = Tile { rows: 32, columns: 128, terms: 8, block: [4, 8], worthwhile_from: 64 };
    /// Four times the tiles of [`Tile::MEDIUM`], for outputs too small for it.
    pub const SMALL: Tile = Tile { rows: 32, columns: 32, terms: 16, block: [4, 4], worthwhile_from: 0 };

    /// All tiles, in the order in which they are tried.
    pub const LARGEST_FIRST: [Tile; 5] = [Tile::LARGE, Tile::MEDIUM, Tile::TALL, Tile::WIDE, Tile::SMALL];

    /// Invocations of a workgroup.
    pub fn invocations(&self) -> u32 {
        let [rows, columns] = self.block;
        (self.rows / rows * (self.columns / columns)) as u32
    }

    /// The largest tile that fits the device, is worthwhile for as many as `tiles` says there are of a cut, or for any number if
    /// the sum is split `until_full`, and covers little past the edges of the output.
    pub(crate) fn largest(target: &Target, until_full: bool, tiles: impl Fn(&Tile) -> usize) -> Tile {
        let fills = |tile: &Tile| until_full || tiles(tile) >= tile.worthwhile_from;
        let tile = Tile::LARGEST_FIRST.into_iter().find(|tile| fills(tile) && tile.suits(target, &tiles));
        tile.unwrap_or(Tile::SMALL)
    }

    /// True if the tile fits the device and covers little past the edges of the output, of which `tiles` counts the tiles.
    pub(crate) fn suits(&self, target: &Target, tiles: impl Fn(&Tile) -> usize) -> bool {
        let covered = |tile: &Tile| product(&[tiles(tile), tile.rows, tile.columns]);
        let fits = self.invocations() <= target.workgroup_invocations;
        fits && covered(self).saturating_mul(4) <= covered(&Tile::SMALL).saturating_mul(5)
    }

    /// The call with the constants of this cut.
    pub(crate) fn constants(&self, call: Call) -> Call {
        call.with_constant("TILE_ROWS", self.rows as u32)
            .with_constant("TILE_COLUMNS", self.columns as u32)
            .with_constant("TILE_TERMS", self.terms as u32)
            .with_constant("BLOCK_ROWS", self.block[0] as u32)
            .with_constant("BLOCK_COLUMNS", self.block[1] as u32)
    }
}

/// The call with the operands of `layout`.
pub fn call(layout: &Layout, tile: Tile) -> Call {
    tile.constants(layout.call(&MATMUL_TILE, layout.tiles(tile.rows, tile.columns)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_invocations_of_a_workgroup_copy_one_or_two_vectors_each_or_half_of_them_one() {
        for tile in Tile::LARGEST_FIRST {
            assert_eq!(tile.terms % 4, 0, "{tile:?}");
            for length in [tile.rows, tile.columns] {
                let (vectors, invocations) = (tile.terms * length / 4, tile.invocations() as usize);
                assert!([2 * vectors, vectors, vectors / 2].contains(&invocations), "{tile:?}");
            }
        }
    }
}
