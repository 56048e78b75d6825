//! The functions that a matrix product may apply to its result.

/// A function of one element, applied where a product is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Activation {
    /// `x`
    None,
    /// `max(x, 0)`
    Relu,
    /// `x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2`
    GeluTanh,
    /// `x (1 + erf(x / sqrt(2))) / 2`
    GeluErf,
    /// `tanh(x)`
    Tanh,
}

impl Activation {
    pub const ALL: [Activation; 5] =
        [Activation::None, Activation::Relu, Activation::GeluTanh, Activation::GeluErf, Activation::Tanh];

    /// The number by which the kernels know the function.
    pub fn code(self) -> u32 {
        self as u32
    }

    /// The function of that number.
    ///
    /// # Panics
    /// If there is none.
    pub fn from_code(code: u32) -> Self {
        Self::ALL[code as usize]
    }

    /// The function needs more than a comparison.
    pub fn is_smooth(self) -> bool {
        !matches!(self, Activation::None | Activation::Relu)
    }

    pub fn apply(self, x: f64) -> f64 {
        match self {
            Activation::None => x,
            // A NaN stays one, which `x.max(0.0)` would hide.
            Activation::Relu => {
                if x < 0.0 {
                    0.0
                } else {
                    x
                }
            }
            Activation::GeluTanh => {
                let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3));
                0.5 * x * (1.0 + inner.tanh())
            }
            Activation::GeluErf => 0.5 * x * (1.0 + erf(x / std::f64::consts::SQRT_2)),
            Activation::Tanh => x.tanh(),
        }
    }
}

/// The error function, by the series `2 / sqrt(pi) exp(-x^2) sum_n 2^n x^(2n+1) / (2n+1)!!`, whose terms share a sign.
fn erf(x: f64) -> f64 {
    if x.abs() > 6.0 {
        return x.signum();
    }
    let mut term = x;
    let mut sum = x;
    for n in 1..200 {
        term *= 2.0 * x * x / f64::from(2 * n + 1);
        sum += term;
    }
    2.0 / std::f64::consts::PI.sqrt() * (-x * x).exp() * sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_function_meets_tabulated_values() {
        // Abramowitz and Stegun, table 7.1.
        for (x, expected) in [(0.5, 0.520_499_877_8), (1.0, 0.842_700_792_9), (2.0, 0.995_322_265_0)] {
            assert!((erf(x) - expected).abs() < 1e-10, "erf({x}) = {}", erf(x));
            assert_eq!(erf(-x), -erf(x));
        }
    }

    #[test]
    fn codes_name_the_functions_they_came_from() {
        for activation in Activation::ALL {
            assert_eq!(Activation::from_code(activation.code()), activation);
        }
    }

    #[test]
    fn gelu_vanishes_far_below_zero_and_is_the_identity_far_above() {
        for activation in [Activation::GeluTanh, Activation::GeluErf] {
            assert_eq!(activation.apply(-1e30), 0.0);
            assert_eq!(activation.apply(1e30), 1e30);
        }
    }
}
