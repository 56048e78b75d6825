//! Softmax of attention scores along the keys, scaled and masked:
//! `y[b, h, i, j] = exp(factor * x[b, h, i, j] - m) / s` over the allowed keys, 0 elsewhere, with maximum `m` and sum
//! `s` over the allowed keys of the row. A row without any allowed key is 0 throughout. A score of minus infinity has
//! probability 0; a row of which nothing else is allowed, or a NaN or infinity, is NaN where it is allowed.
//!
//! Since masked probabilities are exactly 0, the gradient for `x` is that of a plain softmax times the factor:
//! [`Problem::backward`].

use bytemuck::{Pod, Zeroable};

use crate::description::row_layout::{self, Sharing};
use crate::normalisation::softmax::normaliser_units;
use crate::{
    Binding, Call, Case, Data, Error, Generator, Kernel, MAX_ELEMENTS, Module, Operand, Sequence, Sizes, Target,
    Tolerance, attention, normalisation::softmax_backward,
};

const MODULE: Module = Module::new::<Uniform>(
    wgsl!("../library/rows.wgsl", "../library/join_lanes.wgsl", "../library/not_a_number.wgsl", "masked_softmax.wgsl"),
    passes,
);

/// Two loops over the row, and the lanes that are joined.
fn passes(call: &Call) -> u64 {
    let Uniform { length_k, .. } = call.uniform();
    row_layout::passes(call, length_k, 2, 1)
}

/// The kernels of this file.
pub const KERNELS: &[&Kernel] =
    &[&MASKED_SOFTMAX, &MASKED_SOFTMAX_VEC4, &MASKED_SOFTMAX_KEYS, &MASKED_SOFTMAX_KEYS_VEC4];

/// Any number of keys, no key-padding mask.
pub static MASKED_SOFTMAX: Kernel =
    kernel("masked_softmax.masked_softmax", UNMASKED, |generator| case(generator, false, false));

/// A multiple of four keys, no key-padding mask.
pub static MASKED_SOFTMAX_VEC4: Kernel =
    kernel("masked_softmax.masked_softmax_vec4", UNMASKED, |generator| case(generator, false, true));

/// Any number of keys, a key-padding mask.
pub static MASKED_SOFTMAX_KEYS: Kernel =
    kernel("masked_softmax.masked_softmax_keys", MASKED, |generator| case(generator, true, false));

/// A multiple of four keys, a key-padding mask.
pub static MASKED_SOFTMAX_KEYS_VEC4: Kernel =
    kernel("masked_softmax.masked_softmax_keys_vec4", MASKED, |generator| case(generator, true, true));

const UNMASKED: &[Binding] = &[
    Binding::read("x", "(batch, heads, length_q, length_k)"),
    Binding::write("y", "(batch, heads, length_q, length_k)"),
];

const MASKED: &[Binding] = &[
    Binding::read("x", "(batch, heads, length_q, length_k)"),
    Binding::read("keys", "(batch, length_k)"),
    Binding::write("masked", "(batch, heads, length_q, length_k)"),
];

const fn kernel(name: &'static str, bindings: &'static [Binding], case: fn(&mut Generator) -> Case) -> Kernel {
    MODULE.kernel(name, bindings, twin, tolerance, case).with_flops(|call| 5.0 * call.lengths[0] as f64)
}

/// The uniform block of `masked_softmax.wgsl`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
pub(crate) struct Uniform {
    /// `batch * heads * length_q`
    pub rows: u32,
    pub heads: u32,
    pub length_q: u32,
    pub length_k: u32,
    pub factor: f32,
    /// The keys that query 0 sees under a causal mask.
    pub first: i32,
    /// The number of further keys that each next query sees.
    pub stride: u32,
}

/// A causal mask: query `i` sees the keys below `first + i * stride`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Causal {
    /// The keys that query 0 sees; not above 0, it sees none.
    pub first: i32,
    /// 1 where there is a query for each key, n for a query of every n-th one.
    pub stride: u32,
}

impl Causal {
    /// Query `i` sees the keys up to `i + length_k - length_q`, so that the last query sees all.
    pub fn aligned(length_q: usize, length_k: usize) -> Self {
        let first = length_k as i128 + 1 - length_q as i128;
        Self { first: first.clamp(i32::MIN.into(), i32::MAX.into()) as i32, stride: 1 }
    }

    /// A query of the token at place `at` of each group of `every` tokens sees the keys up to its own.
    pub fn strided(every: usize, at: usize) -> Self {
        let first = i32::try_from(at).map_or(i32::MAX, |at| at.saturating_add(1));
        Self { first, stride: u32::try_from(every).unwrap_or(u32::MAX) }
    }

    /// The keys that a query sees.
    pub fn seen(self, query: usize) -> usize {
        let seen = i128::from(self.first) + query as i128 * i128::from(self.stride);
        usize::try_from(seen.max(0)).unwrap_or(usize::MAX)
    }
}

/// A softmax over the keys of `(batch, heads, length_q, length_k)` scores.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Problem {
    /// Sequences in the batch.
    pub batch: usize,
    /// Attention heads of a sequence.
    pub heads: usize,
    /// Queries of a head: rows of the scores.
    pub length_q: usize,
    /// Keys of a head: columns of the scores.
    pub length_k: usize,
    /// Multiplies the scores.
    pub factor: f32,
    /// `None` where every query sees every key.
    pub causal: Option<Causal>,
    /// There is a key-padding mask `(batch, length_k)`: keys of value 0 are left out.
    pub keys: bool,
}

impl Problem {
    /// Returns the dispatch with operands `x`, `keys` where there is a key-padding mask, `y`.
    ///
    /// # Errors
    /// A size or a factor out of range.
    pub fn sequence(&self, target: &Target) -> Result<Sequence, Error> {
        self.check()?.sequence(self.call(target))
    }

    fn check(&self) -> Result<Sizes, Error> {
        let Self { batch, heads, length_q, length_k, factor, causal, .. } = *self;
        let last = causal.map_or(0, |causal| causal.seen(length_q));
        Sizes("masked_softmax")
            .tensor(&[("batch", batch), ("heads", heads), ("length_q", length_q), ("length_k", length_k)])?
            .expect("first + length_q * stride", last <= MAX_ELEMENTS, format_args!("at most {MAX_ELEMENTS}"), last)?
            .finite("factor", factor)
    }

    pub(crate) fn call(&self, target: &Target) -> Call {
        let Self { batch, heads, length_q, length_k, factor, causal, keys } = *self;
        let [rows, heads, length_q] = [batch * heads * length_q, heads, length_q].map(|size| size as u32);
        let Causal { first, stride } = causal.unwrap_or(Causal { first: 0, stride: 0 });
        let uniform = Uniform { rows, heads, length_q, length_k: length_k as u32, factor, first, stride };
        let vec4 = length_k.is_multiple_of(4);
        let kernel = match (keys, vec4) {
            (false, false) => &MASKED_SOFTMAX,
            (false, true) => &MASKED_SOFTMAX_VEC4,
            (true, false) => &MASKED_SOFTMAX_KEYS,
            (true, true) => &MASKED_SOFTMAX_KEYS_VEC4,
        };
        let scores = rows as usize * length_k;
        let lengths = if keys { vec![scores, batch * length_k, scores] } else { vec![scores, scores] };
        Sharing::choose(rows as usize, if vec4 { length_k / 4 } else { length_k }, target)
            .call(kernel, &uniform, rows as usize, lengths)
            .with_constant("CAUSAL", u8::from(causal.is_some()))
    }

    /// The gradient for `x`, whatever the masks: the dispatch with operands `y`, `dy`, `dx`.
    ///
    /// # Errors
    /// A size or a factor out of range.
    pub fn backward(&self, target: &Target) -> Result<Sequence, Error> {
        self.check()?.sequence(self.backward_call(target))
    }

    pub(crate) fn backward_call(&self, target: &Target) -> Call {
        let rows = self.batch * self.heads * self.length_q;
        softmax_backward::Problem { rows, columns: self.length_k, log: false, factor: self.factor }.call(target)
    }
}

/// The twin; `keys` is the key-padding mask.
pub(crate) fn masked_softmax(uniform: &Uniform, causal: bool, x: &[f32], keys: Option<&[f32]>, y: &mut [f32]) {
    let mask = Causal { first: uniform.first, stride: uniform.stride };
    let [heads, length_q, length_k] = [uniform.heads, uniform.length_q, uniform.length_k].map(|size| size as usize);
    for (row, (x, y)) in x.chunks(length_k).zip(y.chunks_mut(length_k)).enumerate() {
        let (batch, query) = (row / (heads * length_q), row % length_q);
        let allowed = |key: usize| {
            (!causal || key < mask.seen(query)) && keys.is_none_or(|keys| keys[batch * length_k + key] != 0.0)
        };
        let score = |key: usize| f64::from(uniform.factor) * f64::from(x[key]);
        let largest = (0..length_k).filter(|&key| allowed(key)).map(score).fold(f64::MIN, f64::max);
        let total: f64 = (0..length_k).filter(|&key| allowed(key)).map(|key| (score(key) - largest).exp()).sum();
        for (key, y) in y.iter_mut().enumerate() {
            *y = if allowed(key) { ((score(key) - largest).exp() / total) as f32 } else { 0.0 };
        }
    }
}

fn twin(call: &Call, operands: &mut [Operand<'_>]) {
    let causal = call.constant("CAUSAL") == Some(1.0);
    match operands {
        [x, y] => masked_softmax(&call.uniform(), causal, x.f32(), None, y.f32()),
        [x, keys, y] => masked_softmax(&call.uniform(), causal, x.f32(), Some(keys.f32()), y.f32()),
        _ => unreachable!("a masked softmax has two or three operands"),
    }
}

/// As for [`crate::normalisation::softmax`]; beyond that, the product of factor and score is rounded in units of the score, which
/// moves an exponent by as much. A probability cannot err by more than 1.
fn tolerance(call: &Call, operands: &[Data], _: usize) -> Tolerance {
    let Uniform { length_k, factor, .. } = call.uniform();
    let largest = operands[0].f32().iter().fold(0.0f32, |largest, x| largest.max(x.abs()));
    let moved = (4.0 * Tolerance::EPSILON * f64::from(factor.abs()) * f64::from(largest)).exp_m1();
    let units = (16.0 + normaliser_units(length_k as usize)) * Tolerance::EPSILON;
    Tolerance::Within { relative: (units + moved).min(1.0), absolute: 2.0 * Tolerance::EPSILON + moved.min(1.0) }
}

fn case(generator: &mut Generator, keys: bool, vec4: bool) -> Case {
    let huge = generator.huge();
    let [batch, heads, length_q] = if huge {
        // Short rows share a workgroup by 64: past 65,535 workgroups.
        [3, 2, 700_000]
    } else {
        [generator.length(3), generator.length(3), generator.length(60)]
    };
    let length = if huge { 2 } else { generator.length(300) };
    let length_k = match vec4 {
        true => length.next_multiple_of(4),
        false if length.is_multiple_of(4) => length + 1,
        false => length,
    };
    let factor = generator.pick(&[1.0, 0.125, 0.3]);
    let causal = generator.chance(0.7).then(|| match generator.chance(0.6) {
        true => Causal::aligned(length_q, length_k),
        false => Causal { first: generator.length(5) as i32 - 2, stride: generator.length(4) as u32 },
    });
    let problem = Problem { batch, heads, length_q, length_k, factor, causal, keys };
    let largest = generator.pick(&[100.0, 100.0, 1e30]);
    let x = generator.values_with_specials(batch * heads * length_q * length_k, largest);
    let mask = keys.then(|| attention::key_mask(generator, batch, length_k));
    Case::new(problem, problem.call(&generator.target()), std::iter::once(x).chain(mask))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_query_of_a_causal_softmax_sees_all_keys_and_the_first_of_many_none() {
        let Causal { first, stride } = Causal::aligned(3, 2);
        let uniform = Uniform { rows: 3, heads: 1, length_q: 3, length_k: 2, factor: 1.0, first, stride };
        let mut y = [f32::NAN; 6];
        masked_softmax(&uniform, true, &[5.0; 6], None, &mut y);
        assert_eq!(y, [0.0, 0.0, 1.0, 0.0, 0.5, 0.5]);
    }

    #[test]
    fn queries_of_every_third_token_see_the_keys_up_to_their_own() {
        let seen: Vec<usize> = (0..3).map(|query| Causal::strided(3, 1).seen(query)).collect();
        assert_eq!(seen, [2, 5, 8]);
    }

    #[test]
    fn a_masked_key_gets_nothing_and_a_row_masked_whole_is_zero() {
        let uniform = Uniform { rows: 2, heads: 1, length_q: 1, length_k: 3, factor: 0.5, first: 0, stride: 0 };
        let mut y = [f32::NAN; 6];
        masked_softmax(&uniform, false, &[7.0; 6], Some(&[1.0, 0.0, 1.0, 0.0, 0.0, 0.0]), &mut y);
        assert_eq!(y, [0.5, 0.0, 0.5, 0.0, 0.0, 0.0]);
    }
}
