//! A matrix product as its kernels see it: the uniform block that all variants share, the twin that computes the same
//! numbers, the tolerance rule and the generator of cases.

use bytemuck::{Pod, Zeroable};

use crate::matmul::{Batch, Problem};
use crate::{Activation, Binding, Call, Case, Data, Generator, Kernel, Operand, Tolerance};

/// The operands of the matrix product kernels.
pub(crate) const BINDINGS: &[Binding] = &[
    Binding::read("a", "(batches, m, k), by its strides"),
    Binding::read("b", "(batches, k, n), by its strides"),
    Binding::read("bias", "(n) or (m); any where there is none"),
    Binding::write("out", "(slices, batches, m, n), by its strides"),
];

/// The uniform block of the matrix product kernels.
///
/// Strides are in elements. Within one product, `a[row, term]` stands at `row * a_row + term * a_term`, `b[term, column]`
/// at `term * b_term + column * b_column` and `out[row, column]` at `row * out_row + column * out_column`. One stride of
/// each pair is the shorter, contiguous one; which of the two says whether the matrix is stored transposed.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Pod, Zeroable)]
pub(crate) struct Uniform {
    pub m: u32,
    pub n: u32,
    pub k: u32,
    /// Slices of the sum: slice `s` takes the terms from `s * slice_terms` on and makes a product of its own.
    pub slices: u32,
    pub slice_terms: u32,
    /// Products, `batches = outer axis * inner`.
    pub batches: u32,
    pub inner: u32,
    pub a_row: u32,
    pub a_term: u32,
    pub a_outer: u32,
    pub a_inner: u32,
    pub b_term: u32,
    pub b_column: u32,
    pub b_outer: u32,
    pub b_inner: u32,
    pub out_row: u32,
    pub out_column: u32,
    /// 0: none, 1: one element for each column, 2: one for each row.
    pub bias: u32,
    /// The code of an [`Activation`].
    pub activation: u32,
}

/// The uniform block of a product with the elements of `a`, `b`, `bias` and `out`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    pub(crate) uniform: Uniform,
    /// The first operand is the problem's `b` and the second its `a`.
    pub swapped: bool,
    /// Elements of the first operand, the second, `bias` and `out`.
    pub lengths: [usize; 4],
}

impl Layout {
    /// Returns the layout of a product, its sum in one slice.
    pub fn new(problem: &Problem) -> Self {
        let &Problem { m, n, k, batch: [outer, inner], .. } = problem;
        let strides = |transposed, rows, columns| if transposed { (1, rows) } else { (columns, 1) };
        let (a_row, a_term) = strides(problem.a_transposed, m, k);
        let (b_term, b_column) = strides(problem.b_transposed, k, n);
        let uniform = Uniform {
            m: m as u32,
            n: n as u32,
            k: k as u32,
            slices: 1,
            slice_terms: k as u32,
            batches: (outer.count * inner.count) as u32,
            inner: inner.count as u32,
            a_row: a_row as u32,
            a_term: a_term as u32,
            a_outer: outer.a_stride as u32,
            a_inner: inner.a_stride as u32,
            b_term: b_term as u32,
            b_column: b_column as u32,
            b_outer: outer.b_stride as u32,
            b_inner: inner.b_stride as u32,
            out_row: n as u32,
            out_column: 1,
            bias: problem.bias.into(),
            activation: problem.activation.code(),
        };
        Self { uniform, swapped: false, lengths: problem.lengths() }
    }

    /// The same product as its transpose, `out^T = b^T a^T`: nothing moves, strides change names.
    pub fn swapped(self) -> Self {
        let old = self.uniform;
        let uniform = Uniform {
            m: old.n,
            n: old.m,
            a_row: old.b_column,
            a_term: old.b_term,
            a_outer: old.b_outer,
            a_inner: old.b_inner,
            b_term: old.a_term,
            b_column: old.a_row,
            b_outer: old.a_outer,
            b_inner: old.a_inner,
            out_row: old.out_column,
            out_column: old.out_row,
            bias: [0, 2, 1][old.bias as usize],
            ..old
        };
        let [a, b, bias, out] = self.lengths;
        Self { uniform, swapped: !self.swapped, lengths: [b, a, bias, out] }
    }

    /// Partial products over at most `slices` slices of the sum, without bias and activation; `a` stands in for the
    /// bias. `out` becomes `(slices, batches, m, n)`.
    pub fn split(self, slices: usize) -> Self {
        let k = self.uniform.k as usize;
        let slice_terms = k.div_ceil(slices);
        let slices = k.div_ceil(slice_terms);
        let uniform = Uniform {
            slices: slices as u32,
            slice_terms: slice_terms as u32,
            bias: 0,
            activation: Activation::None.code(),
            ..self.uniform
        };
        let [a, b, _, out] = self.lengths;
        Self { uniform, swapped: self.swapped, lengths: [a, b, a, slices * out] }
    }

    /// A call of a variant, with gelu and tanh compiled in only where they are asked for.
    pub(crate) fn call(&self, kernel: &'static Kernel, workgroups: usize) -> Call {
        let call = Call::new(kernel, &self.uniform, workgroups, self.lengths);
        smooth(call, Activation::from_code(self.uniform.activation))
    }

    /// Tiles of `rows` by `columns` elements over all slices and products.
    pub fn tiles(&self, rows: usize, columns: usize) -> usize {
        let Uniform { m, n, slices, batches, .. } = self.uniform;
        (m as usize).div_ceil(rows) * (n as usize).div_ceil(columns) * slices as usize * batches as usize
    }
}

/// The call with gelu and tanh compiled in where `activation` is one of them. They are not otherwise: a software driver
/// runs and compiles both sides of every branch.
pub(crate) fn smooth(call: Call, activation: Activation) -> Call {
    call.with_constant("SMOOTH", u32::from(activation.is_smooth()))
}

/// Terms of the sum that one invocation goes through: those of a slice.
pub(crate) fn slice_terms(call: &Call) -> u64 {
    call.uniform::<Uniform>().slice_terms.into()
}

/// A multiply-add for each term of each element.
pub(crate) fn flops(call: &Call) -> f64 {
    let Uniform { m, n, k, batches, .. } = call.uniform();
    2.0 * [m, n, k, batches].map(f64::from).iter().product::<f64>()
}

/// The twin of every variant: each element of each product of each slice, as the sum that defines it.
pub(crate) fn matmul(uniform: &Uniform, a: &[f32], b: &[f32], bias: &[f32], out: &mut [f32]) {
    let &Uniform { m, n, k, slices, slice_terms, batches, inner, .. } = uniform;
    let activation = Activation::from_code(uniform.activation);
    for product in 0..slices * batches {
        let (slice, batch) = (product / batches, product % batches);
        let a_start = batch / inner * uniform.a_outer + batch % inner * uniform.a_inner;
        let b_start = batch / inner * uniform.b_outer + batch % inner * uniform.b_inner;
        let terms = slice * slice_terms..k.min((slice + 1) * slice_terms);
        for row in 0..m {
            for column in 0..n {
                let term = |term| {
                    let a = a[(a_start + row * uniform.a_row + term * uniform.a_term) as usize];
                    let b = b[(b_start + term * uniform.b_term + column * uniform.b_column) as usize];
                    f64::from(a) * f64::from(b)
                };
                let sum: f64 = terms.clone().map(term).sum();
                let bias = match uniform.bias {
                    0 => 0.0,
                    1 => bias[column as usize],
                    _ => bias[row as usize],
                };
                let index = product * m * n + row * uniform.out_row + column * uniform.out_column;
                out[index as usize] = activation.apply(sum + f64::from(bias)) as f32;
            }
        }
    }
}

/// The twin as kernels name it.
pub(crate) fn twin(call: &Call, operands: &mut [Operand<'_>]) {
    let [a, b, bias, out] = operands else { unreachable!("a matrix product has four operands") };
    matmul(&call.uniform(), a.f32(), b.f32(), bias.f32(), out.f32());
}

pub(crate) fn tolerance(call: &Call, operands: &[Data], _: usize) -> Tolerance {
    let Uniform { slice_terms, bias, activation, .. } = call.uniform();
    let bias = if bias == 0 { 0.0 } else { largest(&operands[2]) };
    bound(slice_terms, largest(&operands[0]), largest(&operands[1]), bias, Activation::from_code(activation))
}

/// The tolerance of `activation(sum + bias)` for a sum of `terms` products of numbers below `a` and `b`.
///
/// Adding a term rounds the sum so far, by half a unit of its size. Where the terms have one sign the sum grows steadily and
/// the roundings may agree, so the sum errs by at most `terms` half units of itself: the relative part. Where the signs
/// differ, the sum wanders about `sqrt(terms)` terms from zero, and so do its roundings: `sqrt(terms) * sqrt(terms)` half
/// units of one term, the absolute part. Subnormal numbers may be flushed, in an operand or in a product.
pub(crate) fn bound(terms: u32, a: f64, b: f64, bias: f64, activation: Activation) -> Tolerance {
    let terms = f64::from(terms);
    let relative = (terms + 8.0) * Tolerance::EPSILON;
    let flushed = f64::from(f32::MIN_POSITIVE) * terms * (a + b + 1.0);
    let absolute = relative * a * b + 2.0 * Tolerance::EPSILON * bias + flushed;
    if !activation.is_smooth() {
        return Tolerance::Within { relative, absolute };
    }
    // The slopes stay below 1.13. Beyond about 10 the functions are constant or the identity; before it the error of the
    // sum counts relative to the sum, which the function may have made small, and the function's own is below 16 half
    // units of 10 (the approximation of erf is good to 2.5 units of 1, of which gelu makes 5 times as many).
    Tolerance::Within {
        relative: 1.13 * relative,
        absolute: 1.13 * absolute + 10.0 * relative + 160.0 * Tolerance::EPSILON,
    }
}

/// The largest magnitude of an operand.
pub(crate) fn largest(operand: &Data) -> f64 {
    operand.f32().iter().fold(0.0, |largest, &value| f64::from(value.abs()).max(largest))
}

/// Rows or columns of a random product: at times past half of the largest tile.
fn extent(generator: &mut Generator) -> usize {
    let large = if generator.chance(0.3) { 64 } else { 0 };
    large + generator.length(100)
}

/// A random product for the variant that `call` calls, whatever the choice of variants would make of its shape.
pub(crate) fn case(generator: &mut Generator, call: impl Fn(&Layout, &mut Generator) -> Call) -> Case {
    let rows = extent(generator);
    case_with_rows(generator, rows, call)
}

/// A random product of a row by a matrix.
pub(crate) fn case_of_rows(generator: &mut Generator, call: impl Fn(&Layout, &mut Generator) -> Call) -> Case {
    case_with_rows(generator, 1, call)
}

fn case_with_rows(generator: &mut Generator, rows: usize, call: impl Fn(&Layout, &mut Generator) -> Call) -> Case {
    // Two hundred products of two such numbers stay far below the largest f32.
    const LARGEST: f32 = 1e17;
    let huge = generator.huge();
    let [n, k] = match huge {
        true => [2, 3],
        false if generator.of_models() => generator.pick(&[[50_257, 16], [7, 4_096], [4_096, 48]]),
        false => [extent(generator), generator.length(200)],
    };
    let m = if huge { rows.min(2) } else { rows };
    // Where the transpose is computed instead, the rows of the one are the columns of the other.
    let swap = generator.chance(0.5);
    let [m, n] = if swap { [n, m] } else { [m, n] };
    let mut problem = Problem::new(m, n, k)
        .transposed(generator.chance(0.5), generator.chance(0.5))
        .with_epilogue(generator.chance(0.5), generator.pick(&Activation::ALL));
    problem.batch = batch(generator, &problem, huge);
    let mut layout = Layout::new(&problem);
    if swap {
        layout = layout.swapped();
    }
    if generator.chance(0.3) {
        layout = layout.split(generator.length(8));
    }
    let [a, b, bias, _] = layout.lengths;
    // Where smooth activations bend.
    let near = problem.activation.is_smooth() && generator.chance(0.7);
    let largest = if near { 8.0 } else { LARGEST };
    let inputs = [a, b, bias].map(|length| generator.values(length, largest));
    let call = call(&layout, generator);
    Case::new((problem, layout.uniform.slices), call, inputs)
}

/// Batch axes, each with its own matrices or a repeated one on either side; where `huge`, more than 65,535 products.
fn batch(generator: &mut Generator, problem: &Problem, huge: bool) -> [Batch; 2] {
    let counts = [3, 4].map(|most| if generator.chance(0.5) { generator.length(most) } else { 1 });
    let [outer, inner] = if huge { [301, 221] } else { counts };
    let mut axis = |count, step| Batch {
        count,
        a_stride: if generator.chance(0.7) { step * problem.m * problem.k } else { 0 },
        b_stride: if generator.chance(0.7) { step * problem.k * problem.n } else { 0 },
    };
    [axis(outer, inner), axis(inner, 1)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_product_of_two_by_three_and_three_by_two_is_what_one_finds_on_paper() {
        let uniform = Layout::new(&Problem::new(2, 2, 3).with_epilogue(true, Activation::Relu)).uniform;
        let mut out = [f32::NAN; 4];
        matmul(&uniform, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], &[1.0, -1.0, 0.0, 2.0, 1.0, -3.0], &[0.5, 1.0], &mut out);
        assert_eq!(out, [4.5, 0.0, 10.5, 0.0]);
    }

    #[test]
    fn slices_add_up_to_the_whole_product() {
        let layout = Layout::new(&Problem::new(1, 2, 5));
        let (a, b): (Vec<f32>, Vec<f32>) = ((0u8..5).map(f32::from).collect(), (0u8..10).map(f32::from).collect());
        let mut whole = [f32::NAN; 2];
        matmul(&layout.uniform, &a, &b, &a, &mut whole);
        let split = layout.split(2);
        let mut partials = vec![f32::NAN; split.lengths[3]];
        matmul(&split.uniform, &a, &b, &a, &mut partials);
        assert_eq!(whole, [partials[0] + partials[2], partials[1] + partials[3]]);
    }
}
