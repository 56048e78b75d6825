//! Random cases for a kernel: a call with its inputs.

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use crate::{Access, Call, Data};

/// A call together with its operands: inputs filled, outputs poisoned.
#[derive(Debug, Clone)]
pub struct Case {
    /// The problem in words, for reports.
    pub label: String,
    /// The call to run.
    pub call: Call,
    /// One for each binding of the kernel.
    pub operands: Vec<Data>,
}

impl Case {
    /// A case from a call and the values of the bindings that the kernel reads (or updates), in their order.
    ///
    /// # Panics
    /// If the inputs are not those that the call needs.
    pub fn new(label: impl std::fmt::Debug, call: Call, inputs: impl IntoIterator<Item = Data>) -> Self {
        let mut inputs = inputs.into_iter();
        let mut operands = Vec::with_capacity(call.lengths.len());
        for (binding, &length) in call.kernel.bindings.iter().zip(&call.lengths) {
            let operand = match binding.access {
                Access::Write => Data::poison(binding.element, length),
                Access::Read | Access::Update => inputs.next().expect("a value for each binding that is read"),
            };
            assert_eq!(operand.len(), length, "{}: elements of `{}`", call.kernel.name, binding.name);
            assert_eq!(operand.element(), binding.element, "{}: type of `{}`", call.kernel.name, binding.name);
            operands.push(operand);
        }
        assert!(inputs.next().is_none(), "{}: more inputs than bindings", call.kernel.name);
        Self { label: format!("{label:?}"), call, operands }
    }

    /// The operands after the CPU twin has run.
    pub fn expected(&self) -> Vec<Data> {
        let mut operands = self.operands.clone();
        self.call.run_twin(&mut operands.iter_mut().map(Data::operand).collect::<Vec<_>>());
        operands
    }
}

/// A seeded source of shapes and values. A smaller `size` gives smaller shapes from the same seed, which is how a
/// property test shrinks a failure.
#[derive(Debug)]
pub struct Generator {
    rng: SmallRng,
    size: u32,
}

impl Generator {
    /// The size at which the full range of shapes is drawn.
    pub const FULL: u32 = 100;

    /// Returns the generator of this seed; `size` is clamped to 1 to [`Self::FULL`].
    pub fn new(seed: u64, size: u32) -> Self {
        Self { rng: SmallRng::seed_from_u64(seed), size: size.clamp(1, Self::FULL) }
    }

    /// Returns the random numbers themselves.
    pub fn rng(&mut self) -> &mut SmallRng {
        &mut self.rng
    }

    /// Returns true with this probability, from 0 to 1.
    pub fn chance(&mut self, probability: f64) -> bool {
        self.rng.random_bool(probability)
    }

    /// Returns one of the choices, all equally likely.
    ///
    /// # Panics
    /// If there are no choices.
    pub fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.rng.random_range(0..choices.len())]
    }

    /// About one case in 250, at full size only: a shape past one dimension of the grid is asked for.
    pub fn huge(&mut self) -> bool {
        self.chance(0.004) && self.size == Self::FULL
    }

    /// A length from 1 to `most`, with a liking for 1 and for powers of two and their neighbours.
    pub fn length(&mut self, most: usize) -> usize {
        let most = (most * self.size as usize / Self::FULL as usize).max(1);
        let length = match self.rng.random_range(0..8) {
            0 => 1,
            1 | 2 => (1usize << self.rng.random_range(0..=most.ilog2())) + self.rng.random_range(0..3) - 1,
            3 | 4 => self.rng.random_range(1..=most.min(9)),
            _ => self.rng.random_range(1..=most),
        };
        length.clamp(1, most)
    }

    /// `count` numbers of one of several kinds: mostly normal deviates, at times of a large or tiny scale, with
    /// zeros, all equal, or with subnormal numbers among them. Magnitudes stay below `largest`.
    pub fn values(&mut self, count: usize, largest: f32) -> Data {
        let scale = match self.rng.random_range(0..10) {
            0 => largest / 8.0,
            1 => 1e-6_f32.min(largest / 8.0),
            2 => (largest / 8.0).sqrt().min(largest / 8.0),
            _ => 1.0_f32.min(largest / 8.0),
        };
        let kind = self.rng.random_range(0..10);
        let constant = self.normal() * scale;
        let values = (0..count).map(|_| match kind {
            0 if self.chance(0.3) => 0.0,
            1 => constant,
            2 if self.chance(0.1) => f32::from_bits(self.rng.random_range(0..0x0080_0000)),
            3 => self.normal() * scale + constant * 4.0,
            _ => self.normal() * scale,
        });
        Data::F32(values.map(|value| value.clamp(-largest, largest)).collect())
    }

    /// `count` indices below `bound`.
    pub fn indices(&mut self, count: usize, bound: u32) -> Data {
        Data::U32((0..count).map(|_| self.rng.random_range(0..bound)).collect())
    }

    /// An approximately normal deviate within 6 deviations.
    pub fn normal(&mut self) -> f32 {
        (0..12).map(|_| self.rng.random::<f32>()).sum::<f32>() - 6.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_draws_the_same_values() {
        assert_eq!(Generator::new(7, 100).values(50, 10.0), Generator::new(7, 100).values(50, 10.0));
    }

    #[test]
    fn lengths_stay_within_their_bounds_and_shrink_with_the_size() {
        for seed in 0..500 {
            assert!((1..=300).contains(&Generator::new(seed, 100).length(300)));
            assert!((1..=3).contains(&Generator::new(seed, 1).length(300)));
        }
    }
}
