//! Matrix products: `out = activation(a b + bias)`, batched, with either matrix transposed in storage.
//!
//! This file holds the [`Problem`] and the choice of a variant. What the variants share, the twin first of all, is in
//! [`matmul_layout`], and each variant is a kernel in a file of its own:
//!
//! | kernel | for |
//! |---|---|
//! | [`matmul_tile`] | GPUs: workgroup tiles, large or small, with register blocks |
//! | [`matmul_vector`] | GPUs: one row or one column |
//! | [`matmul_subgroup`] | software drivers with subgroups of 8 lanes or more |
//! | [`matmul_direct`] | software drivers without |
//! | [`matmul_reduce`] | the second step of a product whose sum is split into slices |

pub mod matmul_direct;
pub mod matmul_layout;
pub mod matmul_reduce;
pub mod matmul_subgroup;
pub mod matmul_tile;
pub mod matmul_vector;

use crate::matmul::matmul_layout::Layout;
use crate::matmul::matmul_tile::Tile;
use crate::{Activation, Call, Choice, Element, Error, Family, Kernel, Sequence, Sizes, Slot, Target, product};

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
    /// Products along the axis, at least 1.
    pub count: usize,
    /// Elements of `a` from one product to the next.
    pub a_stride: usize,
    /// Elements of `b` from one product to the next.
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
    /// Rows of `a` and of `out`.
    pub m: usize,
    /// Columns of `b` and of `out`.
    pub n: usize,
    /// Columns of `a`, rows of `b`: terms of each sum.
    pub k: usize,
    /// `a` is stored as `(k, m)`.
    pub a_transposed: bool,
    /// `b` is stored as `(n, k)`.
    pub b_transposed: bool,
    /// The outer and the inner batch axis.
    pub batch: [Batch; 2],
    /// A bias of `n` elements is added to every row.
    pub bias: bool,
    /// Applied to the product and its bias.
    pub activation: Activation,
}

/// A kernel with what it is to be called with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Variant {
    Tile(Tile),
    Vector,
    Subgroup { wide: bool },
    Direct,
}

/// The variants of [`Family::MatrixProduct`], in its order.
const VARIANTS: [Variant; 8] = [
    Variant::Tile(Tile::LARGE),
    Variant::Tile(Tile::MEDIUM),
    Variant::Tile(Tile::TALL),
    Variant::Tile(Tile::WIDE),
    Variant::Tile(Tile::SMALL),
    Variant::Subgroup { wide: false },
    Variant::Subgroup { wide: true },
    Variant::Direct,
];

const _: () = assert!(VARIANTS.len() == Family::MatrixProduct.variants().len());

/// Multiply-adds from which on a software driver gets wide tiles. They save a fifth of the time, 5 ms here, and cost a tenth of
/// a second of compilation.
const WIDE_FROM: usize = 1 << 27;

impl Variant {
    /// True if a device may run it. Those of software drivers leave most lanes of a GPU idle.
    fn fits(self, target: &Target) -> bool {
        match self {
            Variant::Tile(tile) => tile.invocations() <= target.workgroup_invocations,
            Variant::Vector => !target.software,
            Variant::Subgroup { .. } => {
                target.software && matmul_subgroup::MATMUL_SUBGROUP.lacks_subgroups(target.subgroups).is_none()
            }
            Variant::Direct => target.software,
        }
    }

    /// Rows and columns of the output that one workgroup computes.
    fn tile(self, layout: &Layout) -> (usize, usize) {
        match self {
            Variant::Tile(tile) => (tile.rows, tile.columns),
            Variant::Vector => (1, matmul_vector::columns(layout)),
            Variant::Subgroup { wide } => (matmul_subgroup::ROWS, matmul_subgroup::columns(wide)),
            Variant::Direct => (matmul_direct::ROWS, matmul_direct::COLUMNS),
        }
    }

    fn call(self, layout: &Layout) -> Call {
        match self {
            Variant::Tile(tile) => matmul_tile::call(layout, tile),
            Variant::Vector => matmul_vector::call(layout),
            Variant::Subgroup { wide } => matmul_subgroup::call(layout, wide),
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
        let inner = Batch { count, a_stride: self.m.saturating_mul(self.k), b_stride: self.k.saturating_mul(self.n) };
        Self { batch: [Batch::ONE, inner], ..self }
    }

    /// The same product with a bias and an activation.
    pub fn with_epilogue(self, bias: bool, activation: Activation) -> Self {
        Self { bias, activation, ..self }
    }

    /// Elements of `a`, `b`, what is bound as `bias`, and `out`, `usize::MAX` where there are more. Where there is no
    /// bias, `a` is bound in its place.
    pub fn lengths(&self) -> [usize; 4] {
        let Self { m, n, k, batch: [outer, inner], .. } = *self;
        let length = |strides: [usize; 2], rows, columns| {
            let axes = [outer.count, inner.count].into_iter().zip(strides);
            let before = axes.map(|(count, stride)| count.saturating_sub(1).saturating_mul(stride));
            before.fold(product(&[rows, columns]), usize::saturating_add)
        };
        let a = length([outer.a_stride, inner.a_stride], m, k);
        let b = length([outer.b_stride, inner.b_stride], k, n);
        [a, b, if self.bias { n } else { a }, product(&[outer.count, inner.count, m, n])]
    }

    fn check(&self) -> Result<Sizes, Error> {
        let Self { m, n, k, batch: [outer, inner], .. } = *self;
        let sizes = Sizes("matmul").positive(&[("m", m), ("n", n), ("k", k)])?;
        let sizes = sizes.positive(&[("batch[0].count", outer.count), ("batch[1].count", inner.count)])?;
        let [a, b, _, out] = self.lengths();
        sizes.positive(&[("the length of `a`", a), ("the length of `b`", b), ("the length of `out`", out)])
    }

    /// The dispatches with operands `a`, `b`, `bias` if there is one, `out`.
    ///
    /// Every kernel declares a bias. Where the problem has none, `a` is bound in its place and not read: two read-only
    /// bindings may share a buffer, so this costs neither a second kernel nor a dummy buffer.
    ///
    /// # Errors
    /// A size or a factor out of range.
    pub fn sequence(&self, target: &Target) -> Result<Sequence, Error> {
        let sizes = self.check()?;
        let problem = self.folded();
        let choice = problem.choice(target);
        let variant = choice.map_or_else(|| problem.variant(target), |choice| VARIANTS[choice.variant]);
        let layout = problem.layout(variant);
        let call = |layout: &Layout| variant.call(layout).chosen_by(choice);
        let [first, second] = if layout.swapped { [1, 0] } else { [0, 1] }.map(Slot::Argument);
        let [bias, out] = if self.bias { [2, 3] } else { [0, 2] }.map(Slot::Argument);

        let mut sequence = Sequence::default();
        let slices = slices(target, &layout, variant);
        if slices == 1 {
            sequence.step(call(&layout), [first, second, bias, out]);
        } else {
            let split = layout.split(slices);
            let partials = sequence.scratch(Element::F32, split.lengths[3]);
            sequence.step(call(&split), [first, second, first, partials]);
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
        sizes.sequence(sequence)
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

    /// The measured choice for this shape, if there is one.
    fn choice(&self, target: &Target) -> Option<Choice> {
        let Self { m, n, batch: [outer, inner], .. } = *self;
        let elements = product(&[m, n, outer.count, inner.count]);
        let suits = |variant: usize| {
            let fitting = VARIANTS.into_iter().filter(|variant| variant.fits(target));
            let least = fitting.map(|variant| self.covered(variant)).min().unwrap_or(usize::MAX);
            // A choice was measured on tiles that are full.
            m.min(n) >= 16
                && VARIANTS[variant].fits(target)
                && self.covered(VARIANTS[variant]).saturating_mul(4) <= least.saturating_mul(5)
        };
        target.choice(Family::MatrixProduct, elements, suits)
    }

    /// The variant by the rule.
    fn variant(&self, target: &Target) -> Variant {
        if target.software {
            let [narrow, wide] = [false, true].map(|wide| Variant::Subgroup { wide });
            if !narrow.fits(target) {
                return Variant::Direct;
            }
            let Self { m, n, k, batch: [outer, inner], .. } = *self;
            let pays = product(&[m, n, k, outer.count, inner.count]) >= WIDE_FROM;
            let full = self.covered(wide).saturating_mul(8) <= self.covered(narrow).saturating_mul(9);
            return if pays && full { wide } else { narrow };
        }
        if self.m == 1 || self.n == 1 {
            return Variant::Vector;
        }
        let layout = Layout::new(self);
        Variant::Tile(Tile::largest(target, false, |tile| layout.tiles(tile.rows, tile.columns)))
    }

    /// The product for a variant: its transpose where fewer tiles cover that.
    fn layout(&self, variant: Variant) -> Layout {
        let layout = Layout::new(self);
        let swapped = layout.swapped();
        if variant == Variant::Vector {
            return if self.m == 1 { layout } else { swapped };
        }
        let (rows, columns) = variant.tile(&layout);
        if swapped.tiles(rows, columns) < layout.tiles(rows, columns) { swapped } else { layout }
    }

    /// Elements that the tiles of a variant cover, those past the edges of the output included.
    fn covered(&self, variant: Variant) -> usize {
        let layout = self.layout(variant);
        let (rows, columns) = variant.tile(&layout);
        product(&[layout.tiles(rows, columns), rows, columns])
    }
}

/// Slices of the sum, each of which makes a partial product: more than one where the grid is too small to fill the
/// device and the sum long enough to pay for a second dispatch.
fn slices(target: &Target, layout: &Layout, variant: Variant) -> usize {
    // A software driver has a handful of threads, and its dispatch costs as much as some 100,000 multiply-adds.
    let (workgroups, least_terms) = if target.software { (4, 256) } else { (64, 256) };
    let (rows, columns) = variant.tile(layout);
    let fill = workgroups / layout.tiles(rows, columns);
    let k = layout.uniform.k as usize;
    let passes = if let Variant::Subgroup { .. } = variant { k.div_ceil(8) * 10 } else { k };
    fill.min(k / least_terms).clamp(1, 16).max(target.parts_of_loop(passes, 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Choices, Data, Generator};

    const SOFTWARE: Target = Target {
        subgroups: Some((8, 8)),
        software: true,
        workgroup_memory: 16 << 10,
        workgroup_invocations: 256,
        choices: Choices::NONE,
    };

    fn kernels(problem: &Problem, target: &Target) -> Vec<String> {
        problem.sequence(target).unwrap().steps.iter().map(|step| step.call.kernel.name.to_string()).collect()
    }

    /// The product by its definition, from nothing but the problem.
    fn definition(problem: &Problem, a: &[f32], b: &[f32], bias: &[f32]) -> Vec<f32> {
        let &Problem { m, n, k, batch: [outer, inner], .. } = problem;
        let mut out = Vec::new();
        for (o, i) in (0..outer.count).flat_map(|o| (0..inner.count).map(move |i| (o, i))) {
            let a = &a[o * outer.a_stride + i * inner.a_stride..];
            let b = &b[o * outer.b_stride + i * inner.b_stride..];
            for (row, column) in (0..m).flat_map(|row| (0..n).map(move |column| (row, column))) {
                let a = |term: usize| a[if problem.a_transposed { term * m + row } else { row * k + term }];
                let b = |term: usize| b[if problem.b_transposed { column * k + term } else { term * n + column }];
                let sum: f64 = (0..k).map(|term| f64::from(a(term)) * f64::from(b(term))).sum();
                let bias = if problem.bias { f64::from(bias[column]) } else { 0.0 };
                out.push(problem.activation.apply(sum + bias) as f32);
            }
        }
        out
    }

    /// Runs a sequence on the twins.
    fn run(sequence: &Sequence, arguments: &mut [Data]) {
        let mut scratch: Vec<_> = sequence.scratch.iter().map(|s| Data::poison(s.element, s.length)).collect();
        for step in &sequence.steps {
            let place = |slot| match slot {
                Slot::Argument(i) => (0, i),
                Slot::Scratch(i) => (1, i),
            };
            let stores: [&mut [Data]; 2] = [&mut *arguments, &mut scratch];
            let get = |stores: &[&mut [Data]; 2], slot| stores[place(slot).0][place(slot).1].clone();
            let mut operands: Vec<_> = step.operands.iter().map(|&slot| get(&stores, slot)).collect();
            for (operand, &length) in operands.iter().zip(&step.call.lengths) {
                assert_eq!(operand.len(), length, "{}", step.call.kernel.name);
            }
            step.call.run_twin(&mut operands.iter_mut().map(Data::operand).collect::<Vec<_>>());
            for index in step.call.kernel.outputs() {
                let (store, slot) = place(step.operands[index]);
                stores[store][slot] = operands[index].clone();
            }
        }
    }

    #[test]
    fn every_way_to_compute_a_product_agrees_with_its_definition() {
        let mut targets = vec![Target::default(), SOFTWARE, Target { subgroups: None, ..SOFTWARE }];
        for variant in 0..VARIANTS.len() {
            let choices = Choices::NONE.with_all(Family::MatrixProduct, variant);
            targets.extend([Target { choices, ..Target::default() }, Target { choices, ..SOFTWARE }]);
        }
        for seed in 0..300 {
            let generator = &mut Generator::new(seed, 100);
            let [m, n] = [generator.length(20), generator.length(20)];
            let k = generator.length(if seed % 10 == 0 { 1500 } else { 30 });
            let mut problem = Problem::new(m, n, k)
                .transposed(generator.chance(0.5), generator.chance(0.5))
                .with_epilogue(generator.chance(0.5), generator.pick(&Activation::ALL));
            let [outer, inner] = [generator.length(3), generator.length(3)];
            let mut axis = |count, step| Batch {
                count,
                a_stride: if generator.chance(0.7) { step * m * k } else { 0 },
                b_stride: if generator.chance(0.5) { step * k * n } else { 0 },
            };
            problem.batch = [axis(outer, inner), axis(inner, 1)];
            let [a, b, _, out] = problem.lengths();
            let values = [a, b, n].map(|length| generator.values(length, 8.0));
            let expected = Data::F32(definition(&problem, values[0].f32(), values[1].f32(), values[2].f32()));
            for target in &targets {
                let [a, b, bias] = values.clone();
                let mut arguments = if problem.bias { vec![a, b, bias] } else { vec![a, b] };
                arguments.push(Data::poison(Element::F32, out));
                run(&problem.sequence(target).unwrap(), &mut arguments);
                // A split sum is rounded once for each slice.
                let tolerance = crate::Tolerance::Within { relative: 1e-5, absolute: 1e-4 };
                let comparison = tolerance.compare(&expected, &arguments[arguments.len() - 1]);
                assert!(comparison.passed(), "{problem:?} for {target:?}: {comparison:?}");
            }
        }
    }

    #[test]
    fn a_batch_that_shares_one_matrix_is_one_product_of_more_rows() {
        let mut problem = Problem::new(17, 64, 32).batched(4);
        problem.batch[1].b_stride = 0;
        let sequence = problem.sequence(&SOFTWARE).unwrap();
        let uniform: crate::matmul::matmul_layout::Uniform = sequence.steps[0].call.uniform();
        assert_eq!((uniform.m.max(uniform.n), uniform.batches), (68, 1));
    }

    #[test]
    fn a_long_sum_with_a_small_output_is_split_and_added_by_a_second_dispatch() {
        let problem = Problem::new(16, 16, 4096);
        assert_eq!(kernels(&problem, &Target::default()), ["matmul_tile", "matmul_reduce"]);
        assert_eq!(kernels(&problem, &SOFTWARE), ["matmul_subgroup", "matmul_reduce"]);
        assert_eq!(kernels(&Problem::new(1024, 1024, 4096), &SOFTWARE), ["matmul_subgroup"]);
    }

    #[test]
    fn large_products_take_wide_tiles_on_a_software_driver_and_small_ones_narrow_ones() {
        let wide = |problem: Problem| problem.sequence(&SOFTWARE).unwrap().steps[0].call.constant("WIDE");
        assert_eq!(wide(Problem::new(512, 512, 512)), Some(1.0));
        assert_eq!(wide(Problem::new(256, 256, 256)), Some(0.0));
        // A quarter more of the wide tiles would be empty.
        assert_eq!(wide(Problem::new(80, 80, 80).batched(300)), Some(0.0));
    }

    #[test]
    fn a_choice_decides_where_its_variant_suits_and_the_rule_elsewhere() {
        let choices = Choices::NONE.with_all(Family::MatrixProduct, 1);
        let target = Target { choices, ..Target::default() };
        let call = |problem: &Problem| problem.sequence(&target).unwrap().steps[0].call.clone();
        let square = call(&Problem::new(64, 64, 64));
        assert_eq!(square.constant("TILE_ROWS"), Some(64.0));
        assert_eq!(square.choice().unwrap().to_string(), "workgroup tile 64 x 64");
        // Tiles that would be nearly empty, a row, and a variant that software drivers alone get.
        let software = Target { choices: Choices::NONE.with_all(Family::MatrixProduct, 6), ..Target::default() };
        for problem in [Problem::new(17, 17, 64), Problem::new(1, 4096, 64)] {
            assert_eq!(call(&problem).choice(), None, "{problem:?}");
        }
        assert_eq!(Problem::new(64, 64, 64).sequence(&software).unwrap().steps[0].call.choice(), None);
    }

    #[test]
    fn one_row_or_one_column_takes_the_vector_kernel_on_a_gpu() {
        for problem in [Problem::new(1, 500, 300), Problem::new(500, 1, 300)] {
            assert_eq!(kernels(&problem, &Target::default())[0], "matmul_vector");
        }
    }

    #[test]
    fn a_software_driver_without_subgroups_of_eight_lanes_takes_the_direct_kernel() {
        for subgroups in [None, Some((4, 4))] {
            let target = Target { subgroups, ..SOFTWARE };
            assert_eq!(kernels(&Problem::new(64, 64, 64), &target), ["matmul_direct"]);
        }
    }

    #[test]
    fn small_outputs_take_small_tiles() {
        let tile = |size| {
            Problem::new(size, size, 64).sequence(&Target::default()).unwrap().steps[0].call.constant("TILE_ROWS")
        };
        assert_eq!([128, 1024, 4096].map(tile), [Some(32.0), Some(64.0), Some(128.0)]);
    }

    #[test]
    fn outputs_of_few_columns_take_tall_tiles_and_those_of_few_rows_wide_ones() {
        let tile = |m, n| {
            let call = Problem::new(m, n, 64).sequence(&Target::default()).unwrap().steps[0].call.clone();
            ["TILE_ROWS", "TILE_COLUMNS"].map(|name| call.constant(name).unwrap())
        };
        assert_eq!([tile(10_000, 32), tile(32, 10_000)], [[128.0, 32.0], [32.0, 128.0]]);
    }

    #[test]
    fn a_batch_of_small_outputs_takes_small_tiles_however_many_there_are() {
        let sequence = Problem::new(17, 17, 16).batched(10_000).sequence(&Target::default()).unwrap();
        assert_eq!(sequence.steps[0].call.constant("TILE_ROWS"), Some(32.0));
    }
}
