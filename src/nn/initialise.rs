//! Initial values of parameters.

use fourfold_shaders::random::threefry::Random;

/// The distribution of a parameter's initial values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Initialise {
    /// The same value everywhere.
    Constant(f32),
    /// Uniform in [-bound, bound).
    Uniform(f32),
    /// Normal with this standard deviation.
    Normal(f32),
}

impl Initialise {
    /// PyTorch's default for a linear layer, weights and bias alike: uniform within 1 / sqrt(inputs).
    pub fn linear(inputs: usize) -> Self {
        Initialise::Uniform(1.0 / (inputs as f32).sqrt())
    }

    /// `count` values, the same for the same seed and stream on every machine.
    pub fn values(self, seed: u32, stream: u32, count: usize) -> Vec<f32> {
        let mut random = Random::new(seed, stream);
        let mut draw = || match self {
            Initialise::Constant(value) => value,
            Initialise::Uniform(bound) => (2.0 * random.uniform() - 1.0) * bound,
            Initialise::Normal(deviation) => random.normal() * deviation,
        };
        (0..count).map(|_| draw()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normal_values_have_the_deviation_asked_for() {
        let values = Initialise::Normal(0.5).values(7, 3, 20_000);
        let mean = values.iter().sum::<f32>() / 20_000.0;
        let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f32>() / 20_000.0;
        // Four standard errors: 4 * 0.5 / sqrt(20,000) and 4 * sqrt(2) * 0.25 / sqrt(20,000).
        assert!(mean.abs() < 0.0142, "{mean}");
        assert!((variance - 0.25).abs() < 0.01, "{variance}");
    }

    #[test]
    fn streams_differ_and_seeds_repeat() {
        let draw = |seed, stream| Initialise::Uniform(1.0).values(seed, stream, 8);
        assert_eq!(draw(1, 2), draw(1, 2));
        assert_ne!(draw(1, 2), draw(1, 3));
        assert_ne!(draw(1, 2), draw(2, 2));
    }
}
