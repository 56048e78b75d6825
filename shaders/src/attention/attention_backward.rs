//! Gradients of [`crate::attention`] for queries, keys and values, in three dispatches without atomics
//! (Dao et al. 2022, appendix B): with `p[i, j] = exp(score[i, j] - lse[i])`, `delta[i] = dout[i] . out[i]` and
//! `ds[i, j] = p[i, j] * (dout[i] . v[j] - delta[i])`,
//! `dq[i] = factor * sum_j ds[i, j] * k[j]`, `dk[j] = factor * sum_i ds[i, j] * q[i]`,
//! `dv[j] = sum_i p[i, j] * dout[i]`.

use crate::attention::{
    self, Drawn, Layout, MOST_VECTORS, Problem, Uniform, WORKGROUP, attended, lanes_of, largest_norm, over_lanes,
    score_error,
};
use crate::description::row_layout::sum_units;
use crate::elementwise::smaller;
use crate::{
    Binding, Call, Case, Data, Element, Error, Generator, Kernel, Module, Operand, Sequence, Slot, Target, Tolerance,
};

const MODULE: Module =
    Module::new::<Uniform>(wgsl!("../library/not_a_number.wgsl", "heads.wgsl", "attention_backward.wgsl"), passes);

/// Four keys, or four queries, at a time, each with two loops over a part of the head and two over the lanes.
fn passes(call: &Call) -> u64 {
    let Uniform { length_q, length_k, vectors, .. } = call.uniform();
    let lanes = lanes_of(call);
    let part = u64::from(vectors) / lanes + 1;
    let length = match call.kernel.entry_point {
        "attention_terms" => return part,
        "attention_dkv" | "attention_dkv_keys" => length_q,
        _ => length_k,
    };
    u64::from(length.div_ceil(4)) * (1 + 2 * part + 2 * over_lanes(lanes)) + 1 + 2 * part
}

/// The kernels of this file.
pub const KERNELS: &[&Kernel] =
    &[&ATTENTION_TERMS, &ATTENTION_DQ, &ATTENTION_DQ_KEYS, &ATTENTION_DKV, &ATTENTION_DKV_KEYS];

/// `lse` and `delta` of each query, beside each other.
pub static ATTENTION_TERMS: Kernel =
    kernel("attention_backward.attention_terms", TERMS, (terms_twin, terms_tolerance, terms_case), |call| {
        2.0 * call.lengths[0] as f64
    });

/// The gradient of the queries, without a key-padding mask.
pub static ATTENTION_DQ: Kernel = kernel(
    "attention_backward.attention_dq",
    DQ.split_at(6).0,
    (dq_twin, dq_tolerance, |generator| dq_case(generator, false)),
    |call| 6.0 * call.lengths[0] as f64 * attended(call),
);

/// The gradient of the queries, with a key-padding mask.
pub static ATTENTION_DQ_KEYS: Kernel = kernel(
    "attention_backward.attention_dq_keys",
    DQ,
    (dq_twin, dq_tolerance, |generator| dq_case(generator, true)),
    |call| 6.0 * call.lengths[0] as f64 * attended(call),
);

/// The gradients of keys and values, without a key-padding mask.
pub static ATTENTION_DKV: Kernel = kernel(
    "attention_backward.attention_dkv",
    DKV.split_at(7).0,
    (dkv_twin, dkv_tolerance, |generator| dkv_case(generator, false)),
    |call| 8.0 * call.lengths[0] as f64 * attended(call),
);

/// The gradients of keys and values, with a key-padding mask.
pub static ATTENTION_DKV_KEYS: Kernel = kernel(
    "attention_backward.attention_dkv_keys",
    DKV,
    (dkv_twin, dkv_tolerance, |generator| dkv_case(generator, true)),
    |call| 8.0 * call.lengths[0] as f64 * attended(call),
);

const TERMS: &[Binding] = &[
    Binding::read("out", "(batch, heads, length_q, head size)"),
    Binding::read("out_gradient", "(batch, heads, length_q, head size)"),
    Binding::read("lse", "(batch, heads, length_q)"),
    Binding::write("written", "(batch, heads, length_q, 2)"),
];

const DQ: &[Binding] = &[
    Binding::read("q", "(batch, heads, length_q, head size)"),
    Binding::read("k", "(batch, heads, length_k, head size)"),
    Binding::read("v", "(batch, heads, length_k, head size)"),
    Binding::read("dout", "(batch, heads, length_q, head size)"),
    Binding::read("terms", "(batch, heads, length_q, 2)"),
    Binding::write("dq", "(batch, heads, length_q, head size)"),
    Binding::read("keys_of_dq", "(batch, length_k)"),
];

const DKV: &[Binding] = &[
    Binding::read("q", "(batch, heads, length_q, head size)"),
    Binding::read("k", "(batch, heads, length_k, head size)"),
    Binding::read("v", "(batch, heads, length_k, head size)"),
    Binding::read("dout", "(batch, heads, length_q, head size)"),
    Binding::read("terms", "(batch, heads, length_q, 2)"),
    Binding::write("dk", "(batch, heads, length_k, head size)"),
    Binding::write("dv", "(batch, heads, length_k, head size)"),
    Binding::read("keys_of_dkv", "(batch, length_k)"),
];

/// The twin, the tolerance rule and the case generator of a kernel.
type Checks = (fn(&Call, &mut [Operand<'_>]), fn(&Call, &[Data], usize) -> Tolerance, fn(&mut Generator) -> Case);

const fn kernel(
    name: &'static str,
    bindings: &'static [Binding],
    (twin, tolerance, case): Checks,
    flops: fn(&Call) -> f64,
) -> Kernel {
    MODULE.kernel(name, bindings, twin, tolerance, case).with_flops(flops)
}

/// The three dispatches, with arguments `q`, `k`, `v`, `out`, `lse`, `dout`, `keys` where there is a key-padding mask,
/// `dq`, `dk`, `dv`.
///
/// # Errors
/// A size or a factor out of range, as [`Problem::check`].
pub fn sequence(problem: &Problem, target: &Target) -> Result<Sequence, Error> {
    let sizes = problem.sizes("attention_backward")?;
    let mut sequence = Sequence::default();
    let [q, k, v, out, lse, dout] = Slot::arguments();
    let keys = problem.keys.then_some(Slot::Argument(6));
    let [dq, dk, dv] = [6, 7, 8].map(|index| Slot::Argument(index + usize::from(problem.keys)));
    let terms = sequence.scratch(Element::F32, 2 * problem.batch * problem.heads * problem.length_q);
    let with_keys = |slots: &[Slot]| slots.iter().copied().chain(keys).collect::<Vec<_>>();
    sequence.step(terms_call(problem), [out, dout, lse, terms]);
    sequence.step(dq_call(problem, target), with_keys(&[q, k, v, dout, terms, dq]));
    sequence.step(dkv_call(problem, target), with_keys(&[q, k, v, dout, terms, dk, dv]));
    sizes.sequence(sequence)
}

/// Elements of a problem: queries, keys, rows of queries, the key-padding mask.
fn elements(problem: &Problem) -> [usize; 4] {
    let Problem { batch, heads, length_q, length_k, head_size, .. } = *problem;
    let heads = batch * heads;
    [heads * length_q * head_size, heads * length_k * head_size, heads * length_q, batch * length_k]
}

fn terms_call(problem: &Problem) -> Call {
    let [queries, _, rows, _] = elements(problem);
    Call::new(&ATTENTION_TERMS, &problem.uniform(), rows.div_ceil(WORKGROUP), [queries, queries, rows, 2 * rows])
}

fn dq_call(problem: &Problem, target: &Target) -> Call {
    let [queries, values, rows, mask] = elements(problem);
    let lengths = [queries, values, values, queries, 2 * rows, queries, mask];
    let (kernel, operands) = if problem.keys { (&ATTENTION_DQ_KEYS, 7) } else { (&ATTENTION_DQ, 6) };
    problem.launch(kernel, rows, MOST_VECTORS, &lengths[..operands], target)
}

/// The most vectors of four that an invocation has of keys and values and of their gradients: four rows in registers. With 8,
/// AMD's compiler for RDNA3 spills 147 registers.
const MOST_OF_FOUR_ROWS: usize = 4;

fn dkv_call(problem: &Problem, target: &Target) -> Call {
    let [queries, values, rows, mask] = elements(problem);
    let lengths = [queries, values, values, queries, 2 * rows, values, values, mask];
    let (kernel, operands) = if problem.keys { (&ATTENTION_DKV_KEYS, 8) } else { (&ATTENTION_DKV, 7) };
    problem.launch(kernel, values / problem.head_size, MOST_OF_FOUR_ROWS, &lengths[..operands], target)
}

/// The twin of the first dispatch.
fn attention_terms(size: usize, out: &[f32], dout: &[f32], lse: &[f32], terms: &mut [f32]) {
    for (row, terms) in terms.chunks_mut(2).enumerate() {
        let at = row * size..(row + 1) * size;
        let delta: f64 = out[at.clone()].iter().zip(&dout[at]).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum();
        (terms[0], terms[1]) = (lse[row], delta as f32);
    }
}

/// The inputs of the two gradient kernels.
struct Inputs<'a> {
    q: &'a [f32],
    k: &'a [f32],
    v: &'a [f32],
    dout: &'a [f32],
    terms: &'a [f32],
}

impl Inputs<'_> {
    /// The probability of the pair and the gradient of its score.
    fn pair(&self, layout: &Layout<'_>, head: usize, i: usize, j: usize) -> (f64, f64) {
        let row = head * layout.length_q + i;
        let [lse, delta] = [self.terms[2 * row], self.terms[2 * row + 1]].map(f64::from);
        let score = layout.factor * layout.product(head, i, j, self.q, self.k);
        // A score never exceeds the log-sum-exp but by rounding.
        let p = smaller(score - lse, 0.0).exp();
        (p, p * (layout.product(head, i, j, self.dout, self.v) - delta))
    }
}

/// The twin of the queries' gradient.
fn attention_dq(layout: &Layout<'_>, inputs: &Inputs<'_>, dq: &mut [f32]) {
    let size = layout.head_size;
    for (row, dq) in dq.chunks_mut(size).enumerate() {
        let (head, i) = (row / layout.length_q, row % layout.length_q);
        let mut sum = vec![0.0f64; size];
        for j in (0..layout.length_k).filter(|&j| layout.allowed(head, i, j)) {
            let (_, ds) = inputs.pair(layout, head, i, j);
            let key = &inputs.k[(head * layout.length_k + j) * size..][..size];
            sum.iter_mut().zip(key).for_each(|(sum, &key)| *sum += layout.factor * ds * f64::from(key));
        }
        dq.iter_mut().zip(sum).for_each(|(dq, sum)| *dq = sum as f32);
    }
}

/// The twin of the keys' and values' gradients.
fn attention_dkv(layout: &Layout<'_>, inputs: &Inputs<'_>, dk: &mut [f32], dv: &mut [f32]) {
    let size = layout.head_size;
    for (row, (dk, dv)) in dk.chunks_mut(size).zip(dv.chunks_mut(size)).enumerate() {
        let (head, j) = (row / layout.length_k, row % layout.length_k);
        let mut sums = vec![(0.0f64, 0.0f64); size];
        for i in (0..layout.length_q).filter(|&i| layout.allowed(head, i, j)) {
            let (p, ds) = inputs.pair(layout, head, i, j);
            let at = (head * layout.length_q + i) * size;
            for (d, (dk, dv)) in sums.iter_mut().enumerate() {
                *dk += layout.factor * ds * f64::from(inputs.q[at + d]);
                *dv += p * f64::from(inputs.dout[at + d]);
            }
        }
        for ((dk, dv), sums) in dk.iter_mut().zip(dv).zip(sums) {
            (*dk, *dv) = (sums.0 as f32, sums.1 as f32);
        }
    }
}

fn terms_twin(call: &Call, operands: &mut [Operand<'_>]) {
    let [out, dout, lse, terms] = operands else { unreachable!("the terms have four operands") };
    attention_terms(Layout::of(call, None).head_size, out.f32(), dout.f32(), lse.f32(), terms.f32());
}

fn dq_twin(call: &Call, operands: &mut [Operand<'_>]) {
    let (operands, keys) = operands.split_at_mut(6);
    let [q, k, v, dout, terms, dq] = operands else { unreachable!("this gradient has six or seven operands") };
    let inputs = Inputs { q: q.f32(), k: k.f32(), v: v.f32(), dout: dout.f32(), terms: terms.f32() };
    attention_dq(&Layout::of(call, keys.first_mut().map(|keys| &*keys.f32())), &inputs, dq.f32());
}

fn dkv_twin(call: &Call, operands: &mut [Operand<'_>]) {
    let (operands, keys) = operands.split_at_mut(7);
    let [q, k, v, dout, terms, dk, dv] = operands else { unreachable!("this gradient has seven or eight operands") };
    let inputs = Inputs { q: q.f32(), k: k.f32(), v: v.f32(), dout: dout.f32(), terms: terms.f32() };
    attention_dkv(&Layout::of(call, keys.first_mut().map(|keys| &*keys.f32())), &inputs, dk.f32(), dv.f32());
}

/// `delta` sums `head_size` products whose magnitudes sum to at most the product of the two rows' norms; `lse` is a
/// copy.
fn terms_tolerance(call: &Call, operands: &[Data], _: usize) -> Tolerance {
    let size = Layout::of(call, None).head_size;
    let [out, dout] = [0, 1].map(|operand| largest_norm(operands[operand].f32(), size));
    let rounded = (2.0 + sum_units(size)) * out * dout * Tolerance::EPSILON;
    Tolerance::Within { relative: 0.0, absolute: rounded + lost_in_product(size, out, dout) }
}

/// The error of a sum over queries of `p * x` or of `p * (dout . v - delta) * x`, in units of the largest `x`, from the
/// largest sum of probabilities over the queries: a probability errs relatively by the exponential of its score's error
/// and a few units more, but not by more than 1 in absolute terms; the bracket errs by the rounding of its products.
struct Errors {
    weight: f64,
    bracket: f64,
    /// The largest sum of the magnitudes of `p`, and of those of `p * (dout . v - delta)`: what a flushed `x` is multiplied by.
    factors: [f64; 2],
}

impl Errors {
    fn of(layout: &Layout<'_>, inputs: &Inputs<'_>) -> Self {
        let (q, k, size, terms) = (inputs.q, inputs.k, layout.head_size, layout.length_q);
        let mut heaviest = 0.0f64;
        for at in 0..k.len() / size {
            let (head, j) = (at / layout.length_k, at % layout.length_k);
            let seeing = (0..terms).filter(|&i| layout.allowed(head, i, j));
            heaviest = heaviest.max(seeing.map(|i| inputs.pair(layout, head, i, j).0).sum());
        }
        // The exponent reaches about -100 before its exponential vanishes; WGSL lets exp(t) err by 3 + 2|t| units in
        // the last place, and p * |t| stays below 1/e.
        let units = (16.0 + sum_units(terms)) * Tolerance::EPSILON;
        let relative = score_error(layout, q, k).exp_m1() + units;
        let weight = (heaviest * relative + terms as f64 * 4.0 * Tolerance::EPSILON).min(terms as f64 * (1.0 + units));
        let product = largest_norm(inputs.dout, size) * largest_norm(inputs.v, size);
        let delta = inputs.terms.chunks(2).map(|terms| f64::from(terms[1]).abs()).fold(0.0, f64::max);
        let rounded = (4.0 + sum_units(size)) * Tolerance::EPSILON * (product + delta)
            + lost_in_product(size, largest_norm(inputs.dout, size), largest_norm(inputs.v, size));
        let factors = [heaviest + weight, (heaviest + weight) * (product + delta)];
        Self { weight, bracket: weight * (product + delta) + (heaviest + weight) * rounded, factors }
    }
}

/// What a scalar product of rows of these norms loses where subnormal elements, products and a subnormal `delta` are flushed: a row's
/// magnitudes sum to at most the root of its size times its norm.
fn lost_in_product(size: usize, a: f64, b: f64) -> f64 {
    let root = (size as f64).sqrt();
    f64::from(f32::MIN_POSITIVE) * (1.0 + size as f64 + root * (a + b))
}

fn largest(values: &[f32]) -> f64 {
    f64::from(values.iter().fold(0.0f32, |largest, x| largest.max(x.abs())))
}

fn inputs(operands: &[Data]) -> Inputs<'_> {
    let [q, k, v, dout, terms] = [0, 1, 2, 3, 4].map(|index| operands[index].f32());
    Inputs { q, k, v, dout, terms }
}

/// The errors of the terms of each element, added: that of a score makes a factor of its probability, whose exponential
/// errs by 3 + 2|t| units of its own and feels the rounding of t; the bracket errs by the rounding of its product; and the
/// sum by [`sum_units`] of the magnitudes of its terms.
fn dq_tolerance(call: &Call, operands: &[Data], _: usize) -> Tolerance {
    let (layout, inputs) = (Layout::of(call, operands.get(6).map(Data::f32)), inputs(operands));
    let (size, summed) = (layout.head_size, 4.0 + sum_units(layout.length_k));
    let norms = |values: &[f32]| values.chunks(size).map(|row| largest_norm(row, size)).collect::<Vec<_>>();
    let [q, k, v, dout] = [inputs.q, inputs.k, inputs.v, inputs.dout].map(norms);
    let product = (4.0 + sum_units(size)) * Tolerance::EPSILON;
    let mut bounds = vec![0.0; inputs.q.len()];
    for (row, bounds) in bounds.chunks_mut(size).enumerate() {
        let (head, i) = (row / layout.length_q, row % layout.length_q);
        for j in (0..layout.length_k).filter(|&j| layout.allowed(head, i, j)) {
            let key = head * layout.length_k + j;
            let (p, ds) = inputs.pair(&layout, head, i, j);
            // A probability that vanishes in f64 has an exponent of -745.
            let exponent = p.max(f64::MIN_POSITIVE).ln().abs();
            let moved = product * layout.factor.abs() * q[row] * k[key];
            let doubt = moved.exp_m1() + (8.0 + 6.0 * exponent) * Tolerance::EPSILON;
            let weight = (p * doubt + f64::from(f32::MIN_POSITIVE)).min(1.0);
            let bracket = layout.product(head, i, j, inputs.dout, inputs.v) - f64::from(inputs.terms[2 * row + 1]);
            let rounded = product * dout[row] * v[key]
                + 2.0 * Tolerance::EPSILON * bracket.abs()
                + lost_in_product(size, dout[row], v[key]);
            let error = weight * bracket.abs() + (p + weight) * rounded + summed * Tolerance::EPSILON * ds.abs();
            let values = &inputs.k[key * size..][..size];
            bounds.iter_mut().zip(values).for_each(|(bound, k)| {
                let k = f64::from(k.abs());
                // The slope, the key, their product and the sum may be flushed.
                let flushed = f64::from(f32::MIN_POSITIVE) * (1.0 + layout.factor.abs() * (1.0 + k + ds.abs()));
                *bound += layout.factor.abs() * error * k + flushed;
            });
        }
    }
    Tolerance::PerElement(bounds)
}

fn dkv_tolerance(call: &Call, operands: &[Data], output: usize) -> Tolerance {
    let (layout, inputs) = (Layout::of(call, operands.get(7).map(Data::f32)), inputs(operands));
    let errors = Errors::of(&layout, &inputs);
    let [of_dv, of_dk] = errors.factors;
    let (scale, error, other, factors) = match output {
        5 => (layout.factor.abs(), errors.bracket, largest(inputs.q), of_dk),
        _ => (1.0, errors.weight, largest(inputs.dout), of_dv),
    };
    // As in `dq_tolerance`.
    let flushed =
        f64::from(f32::MIN_POSITIVE) * ((1.0 + scale * (1.0 + other)) * layout.length_q as f64 + scale * factors);
    Tolerance::Within { relative: 0.0, absolute: scale * error * other + flushed }
}

fn terms_case(generator: &mut Generator) -> Case {
    let Drawn { problem, inputs: [q, ..], .. } = attention::draw(generator, false, [4_200_000, 1]);
    let dout = generator.values(q.len(), 1e3);
    let lse = generator.values(elements(&problem)[2], 1e3);
    Case::new(problem, terms_call(&problem), [q, dout, lse])
}

/// Draws a problem, its target, and `q`, `k`, `v`, `dout`, `terms` with the key-padding mask.
fn draw(generator: &mut Generator, keys: bool, huge: [usize; 2]) -> (Problem, Target, Vec<Data>) {
    let Drawn { problem, inputs: [q, k, v], mask, target } = attention::draw(generator, keys, huge);
    let dout = generator.values(q.len(), 10.0);
    let [_, _, rows, _] = elements(&problem);
    let (mut out, mut lse, mut terms) = (vec![0.0; q.len()], vec![0.0; rows], vec![0.0; 2 * rows]);
    let call = problem.call(&Target::default());
    let layout = Layout::of(&call, mask.as_ref().map(Data::f32));
    attention::attention(&layout, q.f32(), k.f32(), v.f32(), &mut out, &mut lse);
    attention_terms(problem.head_size, &out, dout.f32(), &lse, &mut terms);
    (problem, target, [q, k, v, dout, Data::F32(terms)].into_iter().chain(mask).collect())
}

fn dq_case(generator: &mut Generator, keys: bool) -> Case {
    let (problem, target, inputs) = draw(generator, keys, [4_200_000, 2]);
    Case::new(problem, dq_call(&problem, &target), inputs)
}

fn dkv_case(generator: &mut Generator, keys: bool) -> Case {
    let (problem, target, inputs) = draw(generator, keys, [2, 4_200_000]);
    Case::new(problem, dkv_call(&problem, &target), inputs)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: Problem =
        Problem { batch: 2, heads: 2, length_q: 3, length_k: 4, head_size: 4, factor: 0.5, causal: true, keys: true };
    const MASK: [f32; 8] = [1.0, 1.0, 0.0, 1.0, 0.0, 0.0, 1.0, 1.0];

    fn loss(q: &[f32], k: &[f32], v: &[f32], dout: &[f32]) -> (f64, Vec<f32>, Vec<f32>) {
        let call = SHAPE.call(&Target::default());
        let (mut out, mut lse) = (vec![0.0; q.len()], vec![0.0; q.len() / 4]);
        attention::attention(&Layout::of(&call, Some(&MASK)), q, k, v, &mut out, &mut lse);
        (out.iter().zip(dout).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum(), out, lse)
    }

    #[test]
    fn the_gradients_agree_with_finite_differences_of_the_forward_twin() {
        let mut generator = Generator::new(1, Generator::FULL);
        let mut draw = |count| (0..count).map(|_| generator.normal()).collect::<Vec<f32>>();
        let (q, k, v, dout) = (draw(48), draw(64), draw(64), draw(48));
        let (_, out, lse) = loss(&q, &k, &v, &dout);
        let mut terms = vec![0.0; 24];
        attention_terms(4, &out, &dout, &lse, &mut terms);
        let call = SHAPE.call(&Target::default());
        let layout = Layout::of(&call, Some(&MASK));
        let inputs = Inputs { q: &q, k: &k, v: &v, dout: &dout, terms: &terms };
        let (mut dq, mut dk, mut dv) = (vec![0.0; 48], vec![0.0; 64], vec![0.0; 64]);
        attention_dq(&layout, &inputs, &mut dq);
        attention_dkv(&layout, &inputs, &mut dk, &mut dv);
        for (which, gradient) in [&dq, &dk, &dv].into_iter().enumerate() {
            for (index, &gradient) in gradient.iter().enumerate() {
                let moved = |step: f32| {
                    let mut tensors = [q.clone(), k.clone(), v.clone()];
                    tensors[which][index] += step;
                    loss(&tensors[0], &tensors[1], &tensors[2], &dout).0
                };
                let difference = (moved(0.03125) - moved(-0.03125)) / 0.0625;
                assert!((difference - f64::from(gradient)).abs() < 3e-3, "{which} {index}: {difference} {gradient}");
            }
        }
    }

    #[test]
    fn the_sequence_hands_the_terms_from_the_first_dispatch_to_the_others() {
        let sequence = sequence(&SHAPE, &Target::default()).unwrap();
        assert_eq!(sequence.steps[0].operands[3], Slot::Scratch(0));
        for step in &sequence.steps[1..] {
            assert_eq!(step.operands[4], Slot::Scratch(0));
            assert_eq!(step.operands.last(), Some(&Slot::Argument(6)));
            assert!(step.operands.len() <= 8);
        }
    }
}
