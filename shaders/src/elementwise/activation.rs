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
    /// All activations, at the index of their [code](Self::code).
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

    /// Returns the activation of `x`.
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
            Activation::GeluErf => 0.5 * x * (1.0 + libm::erf(x / std::f64::consts::SQRT_2)),
            Activation::Tanh => x.tanh(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
