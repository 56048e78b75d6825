//! Inverted dropout with a mask that is regenerated, never stored: `y = x / (1 - p)` where an element is kept, 0
//! elsewhere. The gradient is the same call on `dy`.

use bytemuck::{Pod, Zeroable};

use crate::description::elementwise_layout::{self, VectorAndScalar};
use crate::random::threefry::word;
use crate::{Binding, Call, Case, Data, Error, Generator, Kernel, Module, Operand, Sequence, Sizes, Target, Tolerance};

const MODULE: Module = Module::new::<Uniform>(
    wgsl!("../library/place.wgsl", "../library/random.wgsl", "../library/not_a_number.wgsl", "dropout.wgsl"),
    |_| 0,
);

/// The kernels of this file.
pub const KERNELS: &[&Kernel] = &[&DROPOUT, &RAGGED];

const VARIANTS: VectorAndScalar = VectorAndScalar { vec4: &DROPOUT, ragged: &RAGGED };

/// Dropout of a count divisible by four.
pub static DROPOUT: Kernel = kernel("dropout", "dropout", |generator| case(generator, false));

/// Dropout of any count.
pub static RAGGED: Kernel = kernel("dropout.ragged", "dropout_ragged", |generator| case(generator, true));

const fn kernel(name: &'static str, entry_point: &'static str, case: fn(&mut Generator) -> Case) -> Kernel {
    const BINDINGS: &[Binding] =
        &[Binding::read("x", "(count)"), Binding::read("seed", "(2): key, step").u32(), Binding::write("y", "(count)")];
    MODULE.kernel(name, BINDINGS, twin, tolerance, case).with_entry_point(entry_point)
}

/// The uniform block of `dropout.wgsl`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
pub struct Uniform {
    /// Elements of the tensor.
    pub count: u32,
    /// The number of the place that draws.
    pub stream: u32,
    /// Words below it are dropped.
    pub threshold: u32,
    /// The factor of elements that are kept.
    pub scale: f32,
}

/// Dropout of `count` elements with the mask of the place `stream`, see [`threefry`](crate::random::threefry).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Problem {
    /// Elements of the tensor.
    pub count: usize,
    /// The probability that an element is dropped, from 0 (`y` has the bits of `x`) to 1 (`y` is 0).
    pub probability: f32,
    /// The number of the place that draws.
    pub stream: u32,
}

impl Problem {
    /// Returns the dispatch with operands `x` (`count`), `seed` (`u32`, 2), `y` (`count`).
    ///
    /// # Errors
    /// A size or a factor out of range.
    pub fn sequence(&self, target: &Target) -> Result<Sequence, Error> {
        Sizes("dropout")
            .positive(&[("count", self.count)])?
            .expect("probability", (0.0..=1.0).contains(&self.probability), "0 to 1", self.probability)?
            .sequence(self.call(target))
    }

    /// Returns the uniform block: the threshold of the words that are kept, and the scale of what is.
    pub fn uniform(&self) -> Uniform {
        let probability = f64::from(self.probability);
        Uniform {
            count: self.count as u32,
            stream: self.stream,
            // The conversion saturates: at p = 1 one word in 2^32 is kept, with scale 0.
            threshold: (probability * 4_294_967_296.0) as u32,
            scale: if probability < 1.0 { (1.0 / (1.0 - probability)) as f32 } else { 0.0 },
        }
    }

    pub(crate) fn call(&self, _: &Target) -> Call {
        VARIANTS.call(&self.uniform(), self.count, [self.count, 2, self.count])
    }
}

/// The twin.
pub fn dropout(uniform: &Uniform, x: &[f32], seed: &[u32], y: &mut [f32]) {
    for ((element, &x), y) in (0..).zip(x).zip(y) {
        let kept = word([seed[0], seed[1]], uniform.stream, element) >= uniform.threshold;
        *y = match (kept, uniform.threshold) {
            (_, 0) => x,
            (true, _) => x * uniform.scale,
            // What is not finite is a NaN where it is dropped, as its product with 0 is.
            (false, _) => x * 0.0,
        };
    }
}

fn twin(call: &Call, operands: &mut [Operand<'_>]) {
    let [x, seed, y] = operands else { unreachable!("dropout has three operands") };
    dropout(&call.uniform(), x.f32(), seed.u32(), y.f32());
}

/// One product, which WGSL may round to either neighbour, of a number that may be flushed to zero before; a copy where
/// nothing is dropped.
fn tolerance(call: &Call, _: &[Data], _: usize) -> Tolerance {
    if call.uniform::<Uniform>().threshold == 0 {
        return Tolerance::Exact;
    }
    let scale = f64::from(call.uniform::<Uniform>().scale);
    Tolerance::Within { relative: 3.0 * Tolerance::EPSILON, absolute: scale * f64::from(f32::MIN_POSITIVE) }
}

fn case(generator: &mut Generator, ragged: bool) -> Case {
    let (problem, call, count) = VARIANTS.case(generator, ragged, |generator, count| {
        let probability = generator.pick(&[0.0, 0.1, 0.5, 0.9, 1.0]);
        let problem = Problem { count, probability, stream: generator.pick(&[0, 1, 77, u32::MAX]) };
        (problem, problem.call(&Target::default()))
    });
    let x = elementwise_layout::values_with_specials(generator, count, 1e30);
    let seed = generator.indices(2, u32::MAX);
    Case::new(problem, call, [x, seed])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(problem: &Problem, x: &[f32], seed: [u32; 2]) -> Vec<f32> {
        let mut y = vec![f32::NAN; x.len()];
        dropout(&problem.call(&Target::default()).uniform(), x, &seed, &mut y);
        y
    }

    #[test]
    fn a_probability_of_zero_copies_every_bit_and_one_gives_zeros() {
        let x: Vec<f32> = [-0.0, 1.0e-40, 3.0, f32::MAX].to_vec();
        let problem = Problem { count: 4, probability: 0.0, stream: 0 };
        let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&run(&problem, &x, [1, 2])), bits(&x));
        assert_eq!(run(&Problem { probability: 1.0, ..problem }, &x, [1, 2]), [0.0; 4]);
    }

    #[test]
    fn the_share_of_dropped_elements_is_the_probability_and_the_mean_is_kept() {
        let problem = Problem { count: 100_000, probability: 0.25, stream: 6 };
        let y = run(&problem, &vec![1.0; 100_000], [4, 5]);
        let dropped = y.iter().filter(|&&y| y == 0.0).count() as f64 / 100_000.0;
        assert!((dropped - 0.25).abs() < 5.0 * (0.25_f64 * 0.75 / 100_000.0).sqrt(), "{dropped}");
        assert!(y.iter().all(|&y| y == 0.0 || y == 4.0 / 3.0));
    }
}
