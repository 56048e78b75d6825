//! Matrix products: `out = activation(a b + bias)`, batched, with either matrix transposed in storage.
//!
//! This file holds the [`Problem`] and the choice of a variant. What the variants share, the twin first of all, is in
//! [`matmul_layout`](crate::matmul_layout), and each variant is a kernel in a file of its own:
//!
//! | kernel | for |
//! |---|---|
//! | [`matmul_tile`](crate::matmul_tile) | GPUs: workgroup tiles, large or small, with register blocks |
//! | [`matmul_vector`](crate::matmul_vector) | GPUs: one row or one column |
//! | [`matmul_subgroup`](crate::matmul_subgroup) | software drivers with subgroups of 8 lanes or more |
//! | [`matmul_direct`](crate::matmul_direct) | software drivers without |
//! | [`matmul_reduce`](crate::matmul_reduce) | the second step of a product whose sum is split into slices |

use crate::matmul_layout::Layout;
use crate::matmul_tile::Tile;
use crate::{
    Activation, Call, Element, Kernel, Sequence, Slot, Target, matmul_direct, matmul_reduce, matmul_subgroup,
    matmul_tile, matmul_vector,
};

/// The kernels of matrix products.
pub const KERNELS: &[&Kernel] = &[
    &matmul_tile::MATMUL_TILE,
    &matmul_vector::MATMUL_VECTOR,
    &matmul_subgroup::MATMUL_SUBGROUP,
    &matmul_direct::MATMUL_DIRECT,
    &matmul_reduce::MATMUL_REDUCE,
];

/// One axis of a batch of products. Strides are in elements; 0 repeats one matrix for every product of the axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Batch {
    pub count: usize,
    pub a_stride: usize,
    pub b_stride: usize,
}

impl Batch {
    /// No batch.
    pub const ONE: Batch = Batch { count: 1, a_stride: 0, b_stride: 0 };
}

/// `out[o, i] = activation(a[o, i] b[o, i] + bias)` for each product `(o, i)` of two batch axes, where one product is
/// `(m, k) (k, n) -> (m, n)`. All sizes are at least 1.
///
/// Each matrix is dense and row-major in its stored shape; `out` is dense, `(outer, inner, m, n)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Problem {
    pub m: usize,
    pub n: usize,
    pub k: usize,
    /// `a` is stored as `(k, m)`.
    pub a_transposed: bool,
    /// `b` is stored as `(n, k)`.
    pub b_transposed: bool,
    /// The outer and the inner batch axis.
    pub batch: [Batch; 2],
    /// A bias of `n` elements is added to every row.
    pub bias: bool,
    pub activation: Activation,
}

/// A kernel with what it is to be called with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Variant {
    Tile(Tile),
    Vector,
    Subgroup,
    Direct,
}

impl Variant {
    /// Rows and columns of the output that one workgroup computes.
    fn tile(self, layout: &Layout) -> (usize, usize) {
        match self {
            Variant::Tile(tile) => (tile.rows, tile.columns),
            Variant::Vector => (1, matmul_vector::columns(layout)),
            Variant::Subgroup => (matmul_subgroup::ROWS, matmul_subgroup::COLUMNS),
            Variant::Direct => (matmul_direct::ROWS, matmul_direct::COLUMNS),
        }
    }

    fn call(self, layout: &Layout) -> Call {
        match self {
            Variant::Tile(tile) => matmul_tile::call(layout, tile),
            Variant::Vector => matmul_vector::call(layout),
            Variant::Subgroup => matmul_subgroup::call(layout),
            Variant::Direct => matmul_direct::call(layout),
        }
    }
}

impl Problem {
    /// One product of `(m, k)` and `(k, n)`, neither transposed, without bias and activation.
    pub fn new(m: usize, n: usize, k: usize) -> Self {
        Self {
            m,
            n,
            k,
            a_transposed: false,
            b_transposed: false,
            batch: [Batch::ONE; 2],
            bias: false,
            activation: Activation::None,
        }
    }

    /// The same product with `a` stored as `(k, m)`, with `b` stored as `(n, k)`, or both.
    pub fn transposed(self, a: bool, b: bool) -> Self {
        Self { a_transposed: a, b_transposed: b, ..self }
    }

    /// `count` products, each with matrices of its own, one after the other.
    pub fn batched(self, count: usize) -> Self {
        let inner = Batch { count, a_stride: self.m * self.k, b_stride: self.k * self.n };
        Self { batch: [Batch::ONE, inner], ..self }
    }

    /// The same product with a bias and an activation.
    pub fn with_epilogue(self, bias: bool, activation: Activation) -> Self {
        Self { bias, activation, ..self }
    }

    /// Elements of `a`, `b`, what is bound as `bias`, and `out`. Where there is no bias, `a` is bound in its place.
    pub fn lengths(&self) -> [usize; 4] {
        let [outer, inner] = self.batch;
        let last = |outer_stride, inner_stride| (outer.count - 1) * outer_stride + (inner.count - 1) * inner_stride;
        let a = last(outer.a_stride, inner.a_stride) + self.m * self.k;
        let b = last(outer.b_stride, inner.b_stride) + self.k * self.n;
        [a, b, if self.bias { self.n } else { a }, outer.count * inner.count * self.m * self.n]
    }

    /// The dispatches with operands `a`, `b`, `bias` if there is one, `out`.
    ///
    /// Every kernel declares a bias. Where the problem has none, `a` is bound in its place and not read: two read-only
    /// bindings may share a buffer, so this costs neither a second kernel nor a dummy buffer.
    pub fn sequence(&self, target: &Target) -> Sequence {
        let problem = self.folded();
        let (variant, layout) = problem.variant(target);
        let [first, second] = if layout.swapped { [1, 0] } else { [0, 1] }.map(Slot::Argument);
        let [bias, out] = if self.bias { [2, 3] } else { [0, 2] }.map(Slot::Argument);

        let mut sequence = Sequence::default();
        let slices = slices(target, &layout, variant);
        if slices == 1 {
            sequence.step(variant.call(&layout), [first, second, bias, out]);
        } else {
            let split = layout.split(slices);
            let partials = sequence.scratch(Element::F32, split.lengths[3]);
            sequence.step(variant.call(&split), [first, second, first, partials]);
            let reduce = matmul_reduce::Problem {
                slices: split.uniform.slices as usize,
                elements: layout.lengths[3],
                columns: self.n,
                bias: self.bias,
                bias_length: layout.lengths[2],
                activation: self.activation,
            };
            sequence.step(reduce.call(), [partials, bias, out]);
        }
        sequence
    }

    /// The same numbers with a batch axis counted as rows, where `b` is one matrix for all of its products.
    fn folded(mut self) -> Self {
        for _ in 0..self.batch.len() {
            let [outer, inner] = self.batch;
            let rows_continue = inner.a_stride == self.m * self.k && (!self.a_transposed || self.m == 1);
            if inner.count > 1 && inner.b_stride == 0 && rows_continue {
                self.m *= inner.count;
                self.a_transposed = false;
                self.batch[1] = Batch::ONE;
            }
            if self.batch[1].count == 1 {
                self.batch = [Batch::ONE, outer];
            }
        }
        self
    }

    fn variant(&self, target: &Target) -> (Variant, Layout) {
        let layout = Layout::new(self);
        if target.software {
            let variant = match target.subgroups {
                Some((least, _)) if least >= matmul_subgroup::LANES => Variant::Subgroup,
                _ => Variant::Direct,
            };
            let (rows, columns) = variant.tile(&layout);
            let swapped = layout.swapped();
            let swap = swapped.tiles(rows, columns) < layout.tiles(rows, columns);
            return (variant, if swap { swapped } else { layout });
        }
        if self.m == 1 {
            return (Variant::Vector, layout);
        }
        if self.n == 1 {
            return (Variant::Vector, layout.swapped());
        }
        let tile = Tile::LARGEST_FIRST.into_iter().find(|tile| {
            let fits = tile.invocations() <= target.workgroup_invocations;
            fits && layout.tiles(tile.rows, tile.columns) >= tile.worthwhile_from
        });
        (Variant::Tile(tile.unwrap_or(Tile::SMALL)), layout)
    }
}

/// Slices of the sum, each of which makes a partial product: more than one where the grid is too small to fill the
/// device and the sum long enough to pay for a second dispatch.
fn slices(target: &Target, layout: &Layout, variant: Variant) -> usize {
    // A software driver has a handful of threads, and its dispatch costs as much as some 100,000 multiply-adds.
    let (workgroups, least_terms) = if target.software { (4, 256) } else { (64, 128) };
    let (rows, columns) = variant.tile(layout);
    let fill = workgroups / layout.tiles(rows, columns);
    fill.min(layout.uniform.k as usize / least_terms).clamp(1, 16)
}
