//! Multi-head scaled dot-product attention: the problem, and its forward kernel, which keeps no matrix of scores in
//! memory (Dao et al. 2022, "FlashAttention"). The gradients are in [`crate::attention::attention_backward`].
//!
//! `score[i, j] = factor * q[i] . k[j]`, `lse[i] = log sum_j exp(score[i, j])` and
//! `out[i] = sum_j exp(score[i, j] - lse[i]) * v[j]` over the allowed keys, for each batch and head. A query without any
//! allowed key gets `out = 0` and `lse = 0`; one of whose scores any is a NaN or infinity, or all minus infinity, gets NaN.

use bytemuck::{Pod, Zeroable};

use crate::description::row_layout::sum_units;
use crate::normalisation::softmax::normaliser_units;
use crate::{
    Binding, Call, Case, Data, Error, Generator, Kernel, Module, Operand, Sequence, Sizes, Slot, Target, Tolerance,
    attention::masked_softmax,
};

const MODULE: Module =
    Module::new::<Uniform>(wgsl!("../library/not_a_number.wgsl", "heads.wgsl", "attention.wgsl"), passes);

/// Four keys at a time, each with two loops over a part of the head and one over the lanes.
fn passes(call: &Call) -> u64 {
    let Uniform { length_k, vectors, .. } = call.uniform();
    let lanes = lanes_of(call);
    let part = u64::from(vectors) / lanes + 1;
    u64::from(length_k.div_ceil(4)) * (1 + 2 * part + over_lanes(lanes)) + 1 + 2 * part
}

/// Passes of the loop over the lanes of a row.
pub(crate) fn over_lanes(lanes: u64) -> u64 {
    if lanes == 1 { 0 } else { lanes }
}

pub(crate) fn lanes_of(call: &Call) -> u64 {
    call.constant("LANES").map_or(1, |lanes| lanes as u64)
}

/// The kernels of this file.
pub const KERNELS: &[&Kernel] = &[&ATTENTION, &ATTENTION_KEYS];

/// No key-padding mask.
pub static ATTENTION: Kernel =
    kernel("attention.attention", BINDINGS.split_at(5).0, |generator| case(generator, false));

/// A key-padding mask.
pub static ATTENTION_KEYS: Kernel = kernel("attention.attention_keys", BINDINGS, |generator| case(generator, true));

const BINDINGS: &[Binding] = &[
    Binding::read("q", "(batch, heads, length_q, head size)"),
    Binding::read("k", "(batch, heads, length_k, head size)"),
    Binding::read("v", "(batch, heads, length_k, head size)"),
    Binding::write("out", "(batch, heads, length_q, head size)"),
    Binding::write("lse", "(batch, heads, length_q)"),
    Binding::read("keys", "(batch, length_k)"),
];

const fn kernel(name: &'static str, bindings: &'static [Binding], case: fn(&mut Generator) -> Case) -> Kernel {
    MODULE.kernel(name, bindings, twin, tolerance, case).with_flops(
        // Two matrix products, halved by a causal mask.
        |call| 4.0 * call.lengths[0] as f64 * attended(call),
    )
}

/// The uniform block of `attention.wgsl`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
pub(crate) struct Uniform {
    /// `batch * heads * length_q`
    pub rows: u32,
    pub heads: u32,
    pub length_q: u32,
    pub length_k: u32,
    /// The head size in vectors of four.
    pub vectors: u32,
    pub factor: f32,
}

/// Attention of `(batch, heads, length_q, head_size)` queries to `(batch, heads, length_k, head_size)` keys and values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Problem {
    /// Sequences in the batch.
    pub batch: usize,
    /// Attention heads of a sequence.
    pub heads: usize,
    /// Queries of a head.
    pub length_q: usize,
    /// Keys and values of a head.
    pub length_k: usize,
    /// A multiple of four, at most 128.
    pub head_size: usize,
    /// Multiplies the scores; customarily `1 / sqrt(head_size)`.
    pub factor: f32,
    /// Query `i` sees the keys up to `i + length_k - length_q`, so that the last query sees all.
    pub causal: bool,
    /// There is a key-padding mask `(batch, length_k)`: keys of value 0 are left out.
    pub keys: bool,
}

/// The invocations of a workgroup where each has a row of its own, or where as many as divide it share one.
pub(crate) const WORKGROUP: usize = 64;

/// The most vectors of four that an invocation has of each of its rows, of two or three rows in registers.
pub(crate) const MOST_VECTORS: usize = 8;

/// The invocations that share a row of a head of so many vectors, and those of a workgroup, where one has `most` at most.
fn lanes_and_workgroup(vectors: usize, most: usize) -> (usize, usize) {
    let lanes = (1..=vectors).find(|lanes| vectors.is_multiple_of(*lanes) && vectors / lanes <= most);
    let lanes = lanes.expect("one vector for each lane at the most");
    // Where the lanes do not divide 64, vectors of eight are full, and two waves nearly.
    let full = (lanes * 8) >> lanes.trailing_zeros().min(3);
    let workgroup = if WORKGROUP.is_multiple_of(lanes) { WORKGROUP } else { full * (2 * WORKGROUP / full).max(1) };
    (lanes, workgroup)
}

impl Problem {
    /// Checks that the fused kernels take these sizes.
    ///
    /// # Errors
    /// If a size is out of range or the head size is not a multiple of four up to 128.
    pub fn check(&self) -> Result<(), Error> {
        self.sizes("attention").map(|_| ())
    }

    pub(crate) fn sizes(&self, problem: &'static str) -> Result<Sizes, Error> {
        let Self { batch, heads, length_q, length_k, head_size, .. } = *self;
        let axes = |name, length| [("batch", batch), ("heads", heads), (name, length), ("head_size", head_size)];
        let fits = (4..=128).contains(&head_size) && head_size.is_multiple_of(4);
        Sizes(problem)
            .expect("head_size", fits, "a multiple of 4 up to 128", head_size)?
            .tensor(&axes("length_q", length_q))?
            .tensor(&axes("length_k", length_k))?
            .finite("factor", self.factor)
    }

    /// The forward call with operands `q`, `k`, `v`, `out`, `lse`, and `keys` where there is a key-padding mask.
    pub(crate) fn call(&self, target: &Target) -> Call {
        let Self { batch, heads, length_q, length_k, head_size, keys, .. } = *self;
        let rows = batch * heads * length_q;
        let (queries, values) = (rows * head_size, batch * heads * length_k * head_size);
        let lengths = [queries, values, values, queries, rows, batch * length_k];
        let (kernel, operands) = if keys { (&ATTENTION_KEYS, 6) } else { (&ATTENTION, 5) };
        self.launch(kernel, rows, MOST_VECTORS, &lengths[..operands], target)
    }

    /// The forward call as a sequence with arguments `q`, `k`, `v`, `keys` where there is a key-padding mask, `out`,
    /// `lse`.
    ///
    /// # Errors
    /// A size or a factor out of range.
    pub fn sequence(&self, target: &Target) -> Result<Sequence, Error> {
        let sizes = self.sizes("attention")?;
        let [q, k, v, keys, masked_out, masked_lse] = Slot::arguments();
        sizes.sequence(if self.keys {
            Sequence::of(self.call(target), [q, k, v, masked_out, masked_lse, keys])
        } else {
            self.call(target).into()
        })
    }

    pub(crate) fn uniform(&self) -> Uniform {
        let Self { batch, heads, length_q, length_k, head_size, factor, .. } = *self;
        let [rows, heads, length_q, length_k, vectors] =
            [batch * heads * length_q, heads, length_q, length_k, head_size / 4].map(|size| size as u32);
        Uniform { rows, heads, length_q, length_k, vectors, factor }
    }

    /// The call of a kernel whose invocations own a row each, or a part of one of `most` vectors at most.
    pub(crate) fn launch(
        &self,
        kernel: &'static Kernel,
        rows: usize,
        most: usize,
        lengths: &[usize],
        target: &Target,
    ) -> Call {
        let head = self.head_size / 4;
        // Loops over the head are unrolled on a GPU, whose registers have no index, and not many.
        let (lanes, workgroup) = if target.software { (1, WORKGROUP) } else { lanes_and_workgroup(head, most) };
        let vectors = if target.software { 0 } else { head / lanes };
        Call::new(kernel, &self.uniform(), rows.div_ceil(workgroup / lanes), lengths)
            .with_constant("CAUSAL", u8::from(self.causal))
            .with_constant("VECTORS", vectors as u32)
            .with_constant("LANES", lanes as u32)
            .with_constant("WORKGROUP", workgroup as u32)
    }

    /// The softmax of the scores as a kernel by itself, for the path by batched products.
    pub fn masked_softmax(&self) -> masked_softmax::Problem {
        let Self { batch, heads, length_q, length_k, factor, causal, keys, .. } = *self;
        let causal = causal.then(|| masked_softmax::Causal::aligned(length_q, length_k));
        masked_softmax::Problem { batch, heads, length_q, length_k, factor, causal, keys }
    }
}

/// True if batched products with a [`masked_softmax`] between them beat the fused kernels: for short sequences, whose
/// scores fit in memory, and for head sizes that the fused kernels do not take.
pub fn prefers_products(problem: &Problem, _target: &Target) -> bool {
    /// The length at which published measurements see fused attention draw level.
    const LONGEST: usize = 256;
    problem.check().is_err() || problem.length_q.max(problem.length_k) <= LONGEST
}

/// The indices of queries and keys of a problem, and the mask between them.
pub(crate) struct Layout<'a> {
    pub heads: usize,
    pub length_q: usize,
    pub length_k: usize,
    pub head_size: usize,
    pub factor: f64,
    pub causal: bool,
    pub keys: Option<&'a [f32]>,
}

impl Layout<'_> {
    /// True if query `i` sees key `j` in the batch of the given head (counted through all batches).
    pub fn allowed(&self, head: usize, i: usize, j: usize) -> bool {
        let causal = !self.causal || j + self.length_q <= i + self.length_k;
        causal && self.keys.is_none_or(|keys| keys[head / self.heads * self.length_k + j] != 0.0)
    }

    /// The scalar product of query row `i` of `left` and key row `j` of `right`.
    pub fn product(&self, head: usize, i: usize, j: usize, left: &[f32], right: &[f32]) -> f64 {
        let left = &left[(head * self.length_q + i) * self.head_size..][..self.head_size];
        let right = &right[(head * self.length_k + j) * self.head_size..][..self.head_size];
        left.iter().zip(right).map(|(&left, &right)| f64::from(left) * f64::from(right)).sum()
    }

    pub fn of<'a>(call: &Call, keys: Option<&'a [f32]>) -> Layout<'a> {
        let uniform: Uniform = call.uniform();
        Layout {
            heads: uniform.heads as usize,
            length_q: uniform.length_q as usize,
            length_k: uniform.length_k as usize,
            head_size: 4 * uniform.vectors as usize,
            factor: f64::from(uniform.factor),
            causal: call.constant("CAUSAL") == Some(1.0),
            keys,
        }
    }
}

/// The twin; `keys` is the key-padding mask.
pub(crate) fn attention(layout: &Layout<'_>, q: &[f32], k: &[f32], v: &[f32], out: &mut [f32], lse: &mut [f32]) {
    let size = layout.head_size;
    for (row, (out, lse)) in out.chunks_mut(size).zip(lse).enumerate() {
        let (head, i) = (row / layout.length_q, row % layout.length_q);
        let score = |j| layout.factor * layout.product(head, i, j, q, k);
        let scores: Vec<(usize, f64)> =
            (0..layout.length_k).filter(|&j| layout.allowed(head, i, j)).map(|j| (j, score(j))).collect();
        let largest = scores.iter().map(|&(_, score)| score).fold(f64::MIN, f64::max);
        let total: f64 = scores.iter().map(|&(_, score)| (score - largest).exp()).sum();
        *lse = match total {
            _ if scores.is_empty() => 0.0,
            0.0 => f32::NAN,
            total => (largest + total.ln()) as f32,
        };
        for (d, out) in out.iter_mut().enumerate() {
            let value = |j: usize| f64::from(v[(head * layout.length_k + j) * size + d]);
            *out = scores.iter().map(|&(j, score)| (score - largest).exp() / total * value(j)).sum::<f64>() as f32;
        }
    }
}

fn twin(call: &Call, operands: &mut [Operand<'_>]) {
    let (operands, keys) = operands.split_at_mut(5);
    let [q, k, v, out, lse] = operands else { unreachable!("attention has five or six operands") };
    let keys = keys.first_mut().map(|keys| &*keys.f32());
    attention(&Layout::of(call, keys), q.f32(), k.f32(), v.f32(), out.f32(), lse.f32());
}

/// The mean number of keys that a query sees, key padding apart.
pub(crate) fn attended(call: &Call) -> f64 {
    let Layout { length_q, length_k, causal, .. } = Layout::of(call, None);
    let seen = |i: usize| (i + 1 + length_k).saturating_sub(length_q) as f64;
    if causal { (0..length_q).map(seen).sum::<f64>() / length_q as f64 } else { length_k as f64 }
}

/// The largest Euclidean norm of the rows of `size` elements.
pub(crate) fn largest_norm(values: &[f32], size: usize) -> f64 {
    let norm = |row: &[f32]| row.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt();
    values.chunks(size).map(norm).fold(0.0, f64::max)
}

/// Bounds the error of the largest score: it sums `head_size` products whose magnitudes sum to at most the product
/// of the norms of query and key (Cauchy and Schwarz), and the factor rounds each once more.
pub(crate) fn score_error(layout: &Layout<'_>, q: &[f32], k: &[f32]) -> f64 {
    let magnitude = layout.factor.abs() * largest_norm(q, layout.head_size) * largest_norm(k, layout.head_size);
    (4.0 + sum_units(layout.head_size)) * magnitude * Tolerance::EPSILON
}

/// An error e of a score multiplies its probability by exp(e), and another score's error comes in through the sum;
/// beyond that a probability errs as in [`crate::normalisation::softmax`]. The output is a mean of values by these probabilities: it
/// errs by their relative error times the largest value, and never by more than twice that value, however large the
/// scores.
fn tolerance(call: &Call, operands: &[Data], output: usize) -> Tolerance {
    let layout = Layout::of(call, None);
    let [q, k, v] = [0, 1, 2].map(|index| operands[index].f32());
    let moved = score_error(&layout, q, k);
    let units = (20.0 + normaliser_units(layout.length_k)) * Tolerance::EPSILON;
    if output == 4 {
        return Tolerance::Within { relative: 4.0 * Tolerance::EPSILON, absolute: 2.0 * moved + units };
    }
    let value = f64::from(v.iter().fold(0.0f32, |largest, v| largest.max(v.abs())));
    let weights = (2.0 * moved).exp_m1() + units + sum_units(layout.length_k) * Tolerance::EPSILON;
    // A value and its product with a weight may be flushed; the sum of the weights is at least 1.
    let flushed = f64::from(f32::MIN_POSITIVE) * (1.0 + 2.0 * layout.length_k as f64);
    Tolerance::Within { relative: 0.0, absolute: value * weights.min(2.0) + flushed }
}

/// A drawn problem: its queries, keys and values, its key-padding mask, and the device to run it on.
pub(crate) struct Drawn {
    pub problem: Problem,
    pub inputs: [Data; 3],
    pub mask: Option<Data>,
    pub target: Target,
}

/// Draws a problem; one in many has the `huge` lengths of queries and keys.
pub(crate) fn draw(generator: &mut Generator, keys: bool, huge: [usize; 2]) -> Drawn {
    let far = generator.huge();
    let [batch, heads] = if far { [1, 1] } else { [generator.length(3), generator.length(3)] };
    let [length_q, length_k] = if far { huge } else { [generator.length(90), generator.length(90)] };
    let [length_q, length_k] = if generator.of_models() { [9, 1_500] } else { [length_q, length_k] };
    let length_k = if !far && generator.chance(0.5) { length_q } else { length_k };
    let target = generator.target();
    let head_size = match target.software || generator.on_gpu() {
        _ if far => 4,
        true => generator.pick(&[8, 12, 16, 32, 32, 64, 64, 100, 128]),
        // A software driver would spend seconds on compiling a long unrolled loop, and a loop of a few turns shows the
        // same: by one lane, by two, three and thirteen.
        false => generator.pick(&[8, 12, 40, 36, 52]),
    };
    let factor = 1.0 / (head_size as f32).sqrt();
    let problem = Problem { batch, heads, length_q, length_k, head_size, factor, causal: generator.chance(0.5), keys };
    // Scores of ordinary size, at times so large that only finiteness can be asked for.
    let huge = generator.chance(0.15);
    let largest = if huge { 1e8 } else { 8.0 };
    let (queries, values) = (batch * heads * length_q * head_size, batch * heads * length_k * head_size);
    let mut q = generator.values(queries, largest);
    let k = generator.values(values, largest);
    if let (Data::F32(q), true) = (&mut q, huge) {
        q.iter_mut().for_each(|number| *number *= 1e6);
    }
    let v = generator.values(values, 1e3);
    let mask = keys.then(|| key_mask(generator, batch, length_k));
    Drawn { problem, inputs: [q, k, v], mask, target }
}

/// Draws a key-padding mask: ones up to a length, at times none or scattered.
pub(crate) fn key_mask(generator: &mut Generator, batch: usize, length_k: usize) -> Data {
    let mut mask = vec![0.0; batch * length_k];
    for row in mask.chunks_mut(length_k) {
        let kept = if generator.chance(0.2) { 0 } else { generator.length(length_k) };
        row[..kept].fill(1.0);
        if generator.chance(0.3) {
            // All that is not 0 is kept.
            row.iter_mut().for_each(|key| *key = generator.pick(&[0.0, 1.0, 1.0, -1.0, 0.25]));
        }
    }
    Data::F32(mask)
}

fn case(generator: &mut Generator, keys: bool) -> Case {
    let Drawn { problem, inputs: [q, k, v], mask, target } = draw(generator, keys, [4_200_000, 2]);
    // None among the keys: one that is masked has a probability of 0, whose product with a NaN is a NaN, as in PyTorch.
    let inputs = [generator.with_specials(q), k, v];
    Case::new(problem, problem.call(&target), inputs.into_iter().chain(mask))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(problem: Problem, q: &[f32], k: &[f32], v: &[f32], keys: Option<&[f32]>) -> (Vec<f32>, Vec<f32>) {
        let call = problem.call(&Target::default());
        let (mut out, mut lse) = (vec![f32::NAN; call.lengths[3]], vec![f32::NAN; call.lengths[4]]);
        attention(&Layout::of(&call, keys), q, k, v, &mut out, &mut lse);
        (out, lse)
    }

    const PLAIN: Problem =
        Problem { batch: 1, heads: 1, length_q: 2, length_k: 2, head_size: 4, factor: 0.5, causal: false, keys: false };

    #[test]
    fn equal_scores_take_the_mean_of_the_values() {
        let (out, lse) = run(PLAIN, &[0.0; 8], &[3.0; 8], &[1.0, 2.0, 3.0, 4.0, 3.0, 4.0, 5.0, 6.0], None);
        assert_eq!(out, [2.0, 3.0, 4.0, 5.0, 2.0, 3.0, 4.0, 5.0]);
        assert!(lse.iter().all(|lse| (lse - 2f32.ln()).abs() < 1e-7));
    }

    #[test]
    fn the_first_causal_query_sees_the_first_key_alone() {
        let values = [1.0, 2.0, 3.0, 4.0, 30.0, 40.0, 50.0, 60.0];
        let (out, lse) = run(Problem { causal: true, ..PLAIN }, &[1.0; 8], &[0.5; 8], &values, None);
        assert_eq!((&out[..4], lse[0]), (&values[..4], 1.0));
        assert_eq!(out[4], 15.5);
    }

    #[test]
    fn a_batch_whose_keys_are_all_padding_gets_zeros() {
        let (out, lse) = run(Problem { keys: true, ..PLAIN }, &[1.0; 8], &[1e9; 8], &[7.0; 8], Some(&[0.0, 0.0]));
        assert_eq!((out, lse), (vec![0.0; 8], vec![0.0; 2]));
    }

    #[test]
    fn head_sizes_that_the_kernels_do_not_take_are_refused_and_go_by_products() {
        for head_size in [0, 6, 132] {
            let problem = Problem { head_size, length_q: 5000, ..PLAIN };
            assert!(problem.check().is_err() && prefers_products(&problem, &Target::default()));
        }
        assert!(!prefers_products(&Problem { length_q: 5000, ..PLAIN }, &Target::default()));
    }
}
