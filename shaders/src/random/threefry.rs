//! Random numbers by Threefry 2x32-20 (Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC
//! 2011): a keyed bijection of a 64-bit counter, the same bits on every CPU and GPU.
//!
//! **Who draws what.** A run has a `seed: u32 (2) = (key, step)` on the GPU, whose step
//! [`advance_step`](crate::optimiser::advance_step) counts up, and every place that draws has a number of its own, its `stream`.
//! Element `e` of what the place draws is word `e % 2` of
//! `threefry(key = (seed[0], stream), counter = (e / 2, seed[1]))`, see [`word`]. It depends on nothing else: neither
//! on the tensor's length nor on what was drawn before, so a kernel can make the same numbers again instead of storing
//! them, and a step repeated with the same seed (the second pass of SAM) sees the same numbers.
//!
//! On the CPU, [`Random`] draws from the same function for initialisation and shuffles.

use bytemuck::{Pod, Zeroable};

use crate::description::elementwise_layout::NARROW;
use crate::{
    Binding, Call, Case, Data, Error, Generator, Kernel, Module, Operand, Sequence, Sizes, Target, Tolerance, grid,
};

const MODULE: Module =
    Module::new::<Uniform>(wgsl!("../library/place.wgsl", "../library/random.wgsl", "threefry.wgsl"), |_| 0);

/// The kernels of this file.
pub const KERNELS: &[&Kernel] = &[&BITS, &UNIFORM, &NORMAL];

/// Uniform 32-bit words.
pub static BITS: Kernel = kernel(
    "threefry.bits",
    "bits",
    &[Binding::read("seed", "(2): key, step").u32(), Binding::write("words", "(count)").u32()],
    |call, operands| {
        let [seed, words] = operands else { unreachable!("threefry.bits has two operands") };
        bits(&call.uniform(), seed.u32(), words.u32());
    },
    |_, _, _| Tolerance::Exact,
    |generator| case(generator, Distribution::Bits),
);

/// Uniform deviates in [0, 1): `(word >> 8) * 2^-24`.
pub static UNIFORM: Kernel = kernel(
    "threefry.uniform",
    "uniform_deviates",
    &[Binding::read("seed", "(2): key, step").u32(), Binding::write("deviates", "(count)")],
    |call, operands| {
        let [seed, deviates] = operands else { unreachable!("threefry.uniform has two operands") };
        uniform_deviates(&call.uniform(), seed.u32(), deviates.f32());
    },
    // 24 bits fit an f32, and so does their product with a power of two.
    |_, _, _| Tolerance::Exact,
    |generator| case(generator, Distribution::Uniform),
);

/// Deviates of the standard normal distribution; magnitudes stay below 5.77.
pub static NORMAL: Kernel = kernel(
    "threefry.normal",
    "normal",
    &[Binding::read("seed", "(2): key, step").u32(), Binding::write("deviates", "(count)")],
    |call, operands| {
        let [seed, deviates] = operands else { unreachable!("threefry.normal has two operands") };
        normal(&call.uniform(), seed.u32(), deviates.f32());
    },
    normal_tolerance,
    |generator| case(generator, Distribution::Normal),
);

const fn kernel(
    name: &'static str,
    entry_point: &'static str,
    bindings: &'static [Binding],
    twin: fn(&Call, &mut [Operand<'_>]),
    tolerance: fn(&Call, &[Data], usize) -> Tolerance,
    case: fn(&mut Generator) -> Case,
) -> Kernel {
    MODULE.kernel(name, bindings, twin, tolerance, case).with_entry_point(entry_point)
}

/// The uniform block of `threefry.wgsl`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
pub struct Uniform {
    /// Numbers to draw.
    pub count: u32,
    /// The number of the place that draws.
    pub stream: u32,
}

/// The kind of number that is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Distribution {
    /// `u32` words, all equally likely.
    Bits,
    /// `f32`, the multiples of 2^-24 in [0, 1), all equally likely.
    Uniform,
    /// `f32`, mean 0, variance 1.
    Normal,
}

/// `count` numbers of the place `stream`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Problem {
    /// The kind of number that is drawn.
    pub distribution: Distribution,
    /// Numbers to draw.
    pub count: usize,
    /// The number of the place that draws: equal seeds and streams give equal numbers.
    pub stream: u32,
}

impl Problem {
    /// Returns the dispatch with operands `seed` (`u32`, 2) and the output (`count`; `u32` for [`Distribution::Bits`]).
    ///
    /// # Errors
    /// A size or a factor out of range.
    pub fn sequence(&self, target: &Target) -> Result<Sequence, Error> {
        Sizes("threefry").positive(&[("count", self.count)])?.sequence(self.call(target))
    }

    pub(crate) fn call(&self, _: &Target) -> Call {
        const WORKGROUP: usize = 256;
        let kernel = match self.distribution {
            Distribution::Bits => &BITS,
            Distribution::Uniform => &UNIFORM,
            Distribution::Normal => &NORMAL,
        };
        let uniform = Uniform { count: self.count as u32, stream: self.stream };
        Call::new(kernel, &uniform, self.count.div_ceil(2).div_ceil(WORKGROUP), [2, self.count])
    }
}

/// Threefry 2x32 with 20 rounds.
pub fn threefry(key: [u32; 2], counter: [u32; 2]) -> [u32; 2] {
    const ROTATIONS: [[u32; 4]; 2] = [[13, 15, 26, 6], [17, 29, 16, 24]];
    let keys = [key[0], key[1], 0x1BD1_1BDA ^ key[0] ^ key[1]];
    let mut x = [counter[0].wrapping_add(keys[0]), counter[1].wrapping_add(keys[1])];
    for group in 0..5 {
        for rotation in ROTATIONS[group % 2] {
            x[0] = x[0].wrapping_add(x[1]);
            x[1] = x[1].rotate_left(rotation) ^ x[0];
        }
        x[0] = x[0].wrapping_add(keys[(group + 1) % 3]);
        x[1] = x[1].wrapping_add(keys[(group + 2) % 3]).wrapping_add(group as u32 + 1);
    }
    x
}

/// The word of element `element` of the place `stream`, for `seed = (key, step)`.
pub fn word(seed: [u32; 2], stream: u32, element: u32) -> u32 {
    threefry([seed[0], stream], [element / 2, seed[1]])[element as usize % 2]
}

/// The uniform deviate in [0, 1) of a word.
pub fn uniform_of(word: u32) -> f32 {
    (word >> 8) as f32 / 16_777_216.0
}

/// The twin of `threefry.bits`.
pub fn bits(uniform: &Uniform, seed: &[u32], words: &mut [u32]) {
    for (element, value) in (0..).zip(words) {
        *value = word([seed[0], seed[1]], uniform.stream, element);
    }
}

/// The twin of `threefry.uniform`.
pub fn uniform_deviates(uniform: &Uniform, seed: &[u32], deviates: &mut [f32]) {
    for (element, deviate) in (0..).zip(deviates) {
        *deviate = uniform_of(word([seed[0], seed[1]], uniform.stream, element));
    }
}

/// Two deviates of the standard normal distribution from two words: `box_muller` of `random.wgsl`.
pub fn box_muller([a, b]: [u32; 2]) -> [f64; 2] {
    let radius = (-2.0 * (f64::from(2 * (a >> 9) + 1) / 16_777_216.0).ln()).sqrt();
    // The kernel keeps 27 of the angle's 32 bits, rounded down around the nearest axis.
    let quadrant = nearest_axis(b);
    let rest = (b.wrapping_sub(quadrant << 30) as i32 >> 5) << 5;
    let angle = f64::from(rest) * (std::f64::consts::TAU / 4_294_967_296.0);
    let (sine, cosine) = angle.sin_cos();
    let turned = [[cosine, sine], [-sine, cosine], [-cosine, -sine], [sine, -cosine]][quadrant as usize];
    turned.map(|coordinate| radius * coordinate)
}

/// The twin of `threefry.normal`.
pub fn normal(uniform: &Uniform, seed: &[u32], deviates: &mut [f32]) {
    for (pair, deviates) in (0..).zip(deviates.chunks_mut(2)) {
        let two = normal_pair([seed[0], seed[1]], uniform.stream, pair);
        for (deviate, normal) in deviates.iter_mut().zip(two) {
            *deviate = normal as f32;
        }
    }
}

/// The standard normal deviates of the elements `2 * pair` and `2 * pair + 1` of the place `stream`.
pub fn normal_pair(seed: [u32; 2], stream: u32, pair: u32) -> [f64; 2] {
    box_muller(threefry([seed[0], stream], [pair, seed[1]]))
}

/// The axis nearest to the angle `turn / 2^32` of a full turn, counted from 0 to 3.
fn nearest_axis(turn: u32) -> u32 {
    turn.wrapping_add(0x2000_0000) >> 30
}

/// Units of 2^-24 by which `box_muller` of random.wgsl may be off. Every part is accurate relative to its result: the
/// logarithm to 4 units (halved by the root), cosine and sine to 4 each, WGSL's square root (1 / inverseSqrt, 2 ulp,
/// and a division, 2.5 ulp) to 9, the product to 2, the twin's rounding to 1.
pub(crate) const NORMAL_UNITS: f64 = 18.0;

fn normal_tolerance(_: &Call, _: &[Data], _: usize) -> Tolerance {
    Tolerance::Within { relative: NORMAL_UNITS * Tolerance::EPSILON, absolute: 0.0 }
}

fn case(generator: &mut Generator, distribution: Distribution) -> Case {
    let huge = generator.huge();
    // Past 65,535 workgroups by narrow workgroups, whose invocations draw two elements.
    let count = if huge { 2 * NARROW * 65_537 + 1 } else { generator.length(5_000) };
    let seed = generator.indices(2, u32::MAX);
    let problem = Problem { distribution, count, stream: generator.pick(&[0, 1, 77, u32::MAX]) };
    let mut call = problem.call(&Target::default());
    if huge {
        call = call.with_grid(grid(count.div_ceil(2 * NARROW))).with_constant("WORKGROUP", NARROW as u32);
    }
    Case::new(problem, call, [seed])
}

/// A generator for the CPU: the words of [`threefry`] under one key, in the order of the counter. Its numbers are the
/// same bits on every platform, the normal deviates too: they use only operations that IEEE 754 rounds exactly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Random {
    key: [u32; 2],
    position: u64,
}

impl Random {
    /// The generator of a seed; different streams of one seed are independent.
    pub fn new(seed: u32, stream: u32) -> Self {
        Self { key: [seed, stream], position: 0 }
    }

    /// The number of words drawn so far: what a checkpoint keeps.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// The same generator after `position` words.
    pub fn at(self, position: u64) -> Self {
        Self { position, ..self }
    }

    /// A word, all equally likely.
    pub fn bits(&mut self) -> u32 {
        let pair = self.position / 2;
        let word = threefry(self.key, [pair as u32, (pair >> 32) as u32])[(self.position % 2) as usize];
        self.position += 1;
        word
    }

    /// A deviate in [0, 1).
    pub fn uniform(&mut self) -> f32 {
        uniform_of(self.bits())
    }

    /// A deviate of the standard normal distribution, from two words.
    pub fn normal(&mut self) -> f32 {
        let (a, b) = (self.bits(), self.bits());
        ((-2.0 * log_of_odd(2 * (a >> 9) + 1)).sqrt() * cosine(b)) as f32
    }

    /// An integer below `bound`, all equally likely (Lemire, "Fast random integer generation in an interval", 2019).
    ///
    /// # Panics
    /// If `bound` is 0: there is no such integer.
    pub fn below(&mut self, bound: u32) -> u32 {
        assert!(bound > 0, "no integer is below 0");
        loop {
            let product = u64::from(self.bits()) * u64::from(bound);
            // Low halves under 2^32 mod bound would come once too often.
            if product as u32 >= bound.wrapping_neg() % bound {
                return (product >> 32) as u32;
            }
        }
    }

    /// Puts the values in random order (Fisher-Yates), all orders equally likely.
    pub fn shuffle<T>(&mut self, values: &mut [T]) {
        for last in (1..values.len()).rev() {
            values.swap(last, self.below(last as u32 + 1) as usize);
        }
    }
}

/// ln(odd / 2^24) from sums, products and quotients alone, whose f64 results are the same everywhere.
fn log_of_odd(odd: u32) -> f64 {
    let bits = f64::from(odd).to_bits();
    let mut exponent = (bits >> 52) as i32 - 1023 - 24;
    let mut mantissa = f64::from_bits((bits & 0x000F_FFFF_FFFF_FFFF) | 0x3FF0_0000_0000_0000);
    if mantissa > std::f64::consts::SQRT_2 {
        mantissa *= 0.5;
        exponent += 1;
    }
    // ln m = 2 atanh s, s = (m - 1) / (m + 1), |s| < 0.172: 9 terms reach 1e-14.
    let s = (mantissa - 1.0) / (mantissa + 1.0);
    let series = (0..9).rev().fold(0.0, |sum, term| sum * s * s + 1.0 / f64::from(2 * term + 1));
    f64::from(exponent) * std::f64::consts::LN_2 + 2.0 * s * series
}

/// The cosine of `turn / 2^32` of a full turn, by Taylor series around the nearest axis.
fn cosine(turn: u32) -> f64 {
    let quadrant = nearest_axis(turn);
    let angle = f64::from(turn.wrapping_sub(quadrant << 30) as i32) * (std::f64::consts::TAU / 4_294_967_296.0);
    // Horner's form of 1 - x^2/(a b) (1 - x^2/(c d) (...)): cosine from 1 * 2, sine from 2 * 3.
    let series = |first: i32| {
        (0..8).rev().fold(1.0, |sum, term| {
            let factor = f64::from((2 * term + first) * (2 * term + first + 1));
            1.0 - angle * angle / factor * sum
        })
    };
    match quadrant {
        0 => series(1),
        1 => -angle * series(2),
        2 => -series(1),
        _ => angle * series(2),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Random123's `kat_vectors`, and what JAX's tests of `threefry_2x32` expect, which are the same.
    #[test]
    fn the_block_function_gives_the_published_vectors() {
        assert_eq!(threefry([0, 0], [0, 0]), [0x6B20_0159, 0x99BA_4EFE]);
        assert_eq!(threefry([u32::MAX; 2], [u32::MAX; 2]), [0x1CB9_96FC, 0xBB00_2BE7]);
        let digits_of_pi = threefry([0x1319_8A2E, 0x0370_7344], [0x243F_6A88, 0x85A3_08D3]);
        assert_eq!(digits_of_pi, [0xC492_3A9C, 0x483D_F7A0]);
    }

    #[test]
    fn a_number_does_not_depend_on_how_many_are_drawn() {
        let uniform = Uniform { count: 0, stream: 3 };
        let (mut short, mut long) = ([0.0; 5], [0.0; 90]);
        normal(&uniform, &[7, 8], &mut short);
        normal(&uniform, &[7, 8], &mut long);
        assert_eq!(short, long[..5]);
    }

    #[test]
    fn the_cpu_generator_and_the_twin_of_the_kernel_draw_the_same_normal_deviates() {
        let mut random = Random::new(5, 9);
        let mut deviates = vec![0.0; 20_000];
        normal(&Uniform { count: 20_000, stream: 9 }, &[5, 0], &mut deviates);
        for expected in deviates.iter().step_by(2) {
            let got = random.normal();
            // The kernel drops the 5 lowest bits of the angle: 2^-27 of a turn, seen where the cosine is near 0.
            assert!((expected - got).abs() <= 3e-7 * expected.abs() + 3e-7, "{expected} {got}");
        }
    }

    /// The bits are those of the formula in 100-bit arithmetic, rounded once.
    #[test]
    fn normal_deviates_of_the_cpu_generator_have_these_bits_everywhere() {
        let mut random = Random::new(42, 0);
        let deviates: Vec<u32> = (0..4).map(|_| random.normal().to_bits()).collect();
        assert_eq!(deviates, [0xBE48_8676, 0x3FF8_CB44, 0x3F65_8D37, 0x3F88_91AC]);
    }

    #[test]
    fn integers_below_a_bound_are_equally_likely() {
        let mut random = Random::new(1, 2);
        let mut counts = [0; 7];
        (0..70_000).for_each(|_| counts[random.below(7) as usize] += 1);
        // Five standard deviations of a binomial count.
        assert!(counts.iter().all(|count| (9_540..10_460).contains(count)), "{counts:?}");
    }

    #[test]
    fn a_shuffle_is_a_permutation_and_changes_the_order() {
        let mut values: Vec<u32> = (0..1_000).collect();
        Random::new(1, 2).shuffle(&mut values);
        assert!(values.iter().zip(0..).filter(|&(&value, index)| value == index).count() < 20);
        values.sort_unstable();
        assert_eq!(values, (0..1_000).collect::<Vec<_>>());
    }

    #[test]
    fn a_generator_continues_from_a_stored_position() {
        let mut random = Random::new(3, 4);
        let _: Vec<u32> = (0..13).map(|_| random.bits()).collect();
        let mut resumed = Random::new(3, 4).at(random.position());
        assert_eq!(resumed.bits(), random.bits());
    }
}
