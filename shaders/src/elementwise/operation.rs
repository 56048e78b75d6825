//! The vocabulary of elementwise operations: each with its formula, on single numbers.
//!
//! Every function is total on finite `f32` unless its line says otherwise: arguments for which the formula would
//! overflow or have no value are clamped as the line tells, so that no kernel meets an infinity or a NaN of its own
//! making. A NaN that is given goes through, as in PyTorch and numpy; an infinity gives what the formula says of it.

/// An operation on one `f32`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Unary {
    /// `-x`
    Neg,
    /// `|x|`
    Abs,
    /// `-1`, `0` or `1` as `x` is negative, zero or positive; NaN for NaN.
    Sign,
    /// The Heaviside step: `1` where `x > 0`, else `0`; NaN for NaN. The derivative of [`Unary::Relu`] with value 0 at 0.
    Step,
    /// `max(x, 0)`
    Relu,
    /// The largest whole number that is at most `x`.
    Floor,
    /// `x * x`
    Square,
    /// `sqrt(max(x, 0))`
    Sqrt,
    /// `1 / sqrt(max(x, m))`, where `m = 2^-126` is the smallest normal number: 9.2e18 at zero.
    Rsqrt,
    /// `1 / x`; not specified where `|x| < 2^-126` or `|x| > 2^126`.
    Recip,
    /// `exp(min(x, 88))`: at most 1.65e38 for finite `x`, infinity for infinity.
    Exp,
    /// `ln(max(x, 2^-126))`: -87.3 at zero and below.
    Log,
    /// `sin(x)`; loses an absolute `|x|` units in the last place for large `|x|`.
    Sin,
    /// `cos(x)`; loses an absolute `|x|` units in the last place for large `|x|`.
    Cos,
    /// `tanh(x)`
    Tanh,
    /// The error function `2 / sqrt(pi) * integral of exp(-t^2) over t from 0 to x`.
    Erf,
    /// The logistic function `1 / (1 + exp(-x))`.
    Sigmoid,
    /// `ln(1 + exp(x))`
    Softplus,
    /// `x * P(x)` with the normal distribution function `P(x) = (1 + erf(x / sqrt(2))) / 2` (Hendrycks and Gimpel 2016).
    GeluErf,
    /// The derivative of [`Unary::GeluErf`]: `P(x) + x * exp(-x^2 / 2) / sqrt(2 pi)`.
    GeluErfDerivative,
    /// `x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3)))`
    GeluTanh,
    /// The derivative of [`Unary::GeluTanh`].
    GeluTanhDerivative,
}

/// An operation on two numbers. All work on `f32`; all but [`Binary::Pow`] also on two `u32`, where sums, differences
/// and products wrap and a quotient by zero is the dividend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Binary {
    /// `a + b`
    Add,
    /// `a - b`
    Sub,
    /// `a * b`
    Mul,
    /// `a / b`; not specified where `|b| < 2^-126` or `|b| > 2^126`.
    Div,
    /// The smaller of both; NaN if either is.
    Min,
    /// The larger of both; NaN if either is.
    Max,
    /// `a^b` as `exp(b * ln(a))` for `a > 0`, clamped as [`Unary::Exp`] and [`Unary::Log`] are. `a^0 = 1` for every
    /// `a` and `1^b = 1` for every `b`, NaN included; `0^b = 0` for `b != 0`; a negative `a` has its magnitude raised, with the sign of an odd whole `b`.
    Pow,
}

/// A comparison of two `f32` or two `u32`, whose value is the `f32` 1 where it holds and 0 where not. With a NaN only
/// [`Compare::Ne`] holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Compare {
    /// `a < b`
    Lt,
    /// `a <= b`
    Le,
    /// `a > b`
    Gt,
    /// `a >= b`
    Ge,
    /// `a == b`
    Eq,
    /// `a != b`
    Ne,
}

impl Unary {
    /// Every operation of one number.
    pub const ALL: [Unary; 22] = [
        Unary::Neg,
        Unary::Abs,
        Unary::Sign,
        Unary::Step,
        Unary::Relu,
        Unary::Floor,
        Unary::Square,
        Unary::Sqrt,
        Unary::Rsqrt,
        Unary::Recip,
        Unary::Exp,
        Unary::Log,
        Unary::Sin,
        Unary::Cos,
        Unary::Tanh,
        Unary::Erf,
        Unary::Sigmoid,
        Unary::Softplus,
        Unary::GeluErf,
        Unary::GeluErfDerivative,
        Unary::GeluTanh,
        Unary::GeluTanhDerivative,
    ];

    /// The name in kernel names and in `elementwise.wgsl`.
    pub fn name(self) -> &'static str {
        match self {
            Unary::Neg => "neg",
            Unary::Abs => "abs",
            Unary::Sign => "sign",
            Unary::Step => "step",
            Unary::Relu => "relu",
            Unary::Floor => "floor",
            Unary::Square => "square",
            Unary::Sqrt => "sqrt",
            Unary::Rsqrt => "rsqrt",
            Unary::Recip => "recip",
            Unary::Exp => "exp",
            Unary::Log => "log",
            Unary::Sin => "sin",
            Unary::Cos => "cos",
            Unary::Tanh => "tanh",
            Unary::Erf => "erf",
            Unary::Sigmoid => "sigmoid",
            Unary::Softplus => "softplus",
            Unary::GeluErf => "gelu_erf",
            Unary::GeluErfDerivative => "gelu_erf_derivative",
            Unary::GeluTanh => "gelu_tanh",
            Unary::GeluTanhDerivative => "gelu_tanh_derivative",
        }
    }

    /// The value at `x`, in f64: what the CPU twin computes.
    pub fn evaluate(self, x: f64) -> f64 {
        const SMALLEST: f64 = f32::MIN_POSITIVE as f64;
        match self {
            Unary::Neg => -x,
            Unary::Abs => x.abs(),
            Unary::Sign if x == 0.0 => 0.0,
            Unary::Sign => x.signum(),
            Unary::Step if x.is_nan() => x,
            Unary::Step => f64::from(x > 0.0),
            Unary::Relu => larger(x, 0.0),
            Unary::Floor => x.floor(),
            Unary::Square => x * x,
            Unary::Sqrt => larger(x, 0.0).sqrt(),
            Unary::Rsqrt => 1.0 / larger(x, SMALLEST).sqrt(),
            Unary::Recip => 1.0 / x,
            Unary::Exp if x == f64::INFINITY => x,
            Unary::Exp => smaller(x, 88.0).exp(),
            Unary::Log => larger(x, SMALLEST).ln(),
            Unary::Sin => x.sin(),
            Unary::Cos => x.cos(),
            Unary::Tanh => x.tanh(),
            Unary::Erf => libm::erf(x),
            Unary::Sigmoid => sigmoid(x),
            Unary::Softplus => larger(x, 0.0) + (-x.abs()).exp().ln_1p(),
            // The complementary function keeps its digits where the normal distribution function is near zero.
            Unary::GeluErf => x * normal_distribution(x),
            Unary::GeluErfDerivative => normal_distribution(x) + x * normal_density(x),
            Unary::GeluTanh => x * sigmoid(2.0 * gelu_argument(x)),
            Unary::GeluTanhDerivative if x.is_infinite() => f64::NAN,
            Unary::GeluTanhDerivative => {
                let share = sigmoid(2.0 * gelu_argument(x));
                let slope = 2.0 * GELU_SCALE * (1.0 + 3.0 * GELU_CUBE * x * x);
                // Past 40 the second term is below the smallest number, while x * slope may overflow.
                share + if x.abs() < 40.0 { x * share * (1.0 - share) * slope } else { 0.0 }
            }
        }
    }
}

impl Binary {
    /// Every operation of two numbers.
    pub const ALL: [Binary; 7] =
        [Binary::Add, Binary::Sub, Binary::Mul, Binary::Div, Binary::Min, Binary::Max, Binary::Pow];

    /// The name in kernel names.
    pub fn name(self) -> &'static str {
        match self {
            Binary::Add => "add",
            Binary::Sub => "sub",
            Binary::Mul => "mul",
            Binary::Div => "div",
            Binary::Min => "min",
            Binary::Max => "max",
            Binary::Pow => "pow",
        }
    }

    /// The value in f64: what the CPU twin computes.
    pub fn evaluate(self, a: f64, b: f64) -> f64 {
        match self {
            Binary::Add => a + b,
            Binary::Sub => a - b,
            Binary::Mul => a * b,
            Binary::Div => a / b,
            Binary::Min => smaller(a, b),
            Binary::Max => larger(a, b),
            Binary::Pow if b == 0.0 || a == 1.0 => 1.0,
            Binary::Pow if b.is_nan() => b,
            Binary::Pow if a == 0.0 => 0.0,
            Binary::Pow => {
                let exponent = if a == -1.0 { 0.0 } else { b * Unary::Log.evaluate(a.abs()) };
                let magnitude = Unary::Exp.evaluate(exponent);
                let odd = (b / 2.0).fract().abs() == 0.5;
                if a < 0.0 && odd { -magnitude } else { magnitude }
            }
        }
    }

    /// The value on whole numbers.
    ///
    /// # Panics
    /// For [`Binary::Pow`], which [`super::Program::binary`] refuses on `u32`.
    pub fn evaluate_u32(self, a: u32, b: u32) -> u32 {
        match self {
            Binary::Add => a.wrapping_add(b),
            Binary::Sub => a.wrapping_sub(b),
            Binary::Mul => a.wrapping_mul(b),
            Binary::Div => a / b.max(1),
            Binary::Min => a.min(b),
            Binary::Max => a.max(b),
            Binary::Pow => panic!("pow is not defined on u32"),
        }
    }
}

impl Compare {
    /// Every comparison.
    pub const ALL: [Compare; 6] = [Compare::Lt, Compare::Le, Compare::Gt, Compare::Ge, Compare::Eq, Compare::Ne];

    /// The name in kernel names.
    pub fn name(self) -> &'static str {
        match self {
            Compare::Lt => "lt",
            Compare::Le => "le",
            Compare::Gt => "gt",
            Compare::Ge => "ge",
            Compare::Eq => "eq",
            Compare::Ne => "ne",
        }
    }

    /// True if the comparison holds.
    pub fn holds<T: PartialOrd>(self, a: T, b: T) -> bool {
        match self {
            Compare::Lt => a < b,
            Compare::Le => a <= b,
            Compare::Gt => a > b,
            Compare::Ge => a >= b,
            Compare::Eq => a == b,
            Compare::Ne => a != b,
        }
    }
}

/// The larger of both; NaN if either is, where `f64::max` would take the other.
pub fn larger(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() { f64::NAN } else { a.max(b) }
}

/// The smaller of both; NaN if either is.
pub fn smaller(a: f64, b: f64) -> f64 {
    -larger(-a, -b)
}

/// `sqrt(2 / pi)`
const GELU_SCALE: f64 = 0.797_884_560_802_865_4;
const GELU_CUBE: f64 = 0.044715;

/// The argument of the hyperbolic tangent in [`Unary::GeluTanh`].
fn gelu_argument(x: f64) -> f64 {
    GELU_SCALE * (x + GELU_CUBE * x * x * x)
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

fn normal_distribution(x: f64) -> f64 {
    0.5 * libm::erfc(-x * std::f64::consts::FRAC_1_SQRT_2)
}

fn normal_density(x: f64) -> f64 {
    (-0.5 * x * x).exp() / (2.0 * std::f64::consts::PI).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn difference_quotient(f: Unary, x: f64) -> f64 {
        (f.evaluate(x + 1e-5) - f.evaluate(x - 1e-5)) / 2e-5
    }

    #[test]
    fn the_derivatives_of_gelu_are_the_limits_of_difference_quotients() {
        for step in -80..=80 {
            let x = f64::from(step) * 0.1;
            let pairs = [(Unary::GeluErf, Unary::GeluErfDerivative), (Unary::GeluTanh, Unary::GeluTanhDerivative)];
            for (function, derivative) in pairs {
                let error = difference_quotient(function, x) - derivative.evaluate(x);
                assert!(error.abs() < 1e-9, "{derivative:?} at {x}: {error}");
            }
        }
    }

    #[test]
    fn every_function_of_one_number_is_finite_on_the_whole_range() {
        for x in [f64::from(f32::MAX), 1e30, 100.0, 1.0, 0.0, -0.0, -1.0, -100.0, -1e30, f64::from(f32::MIN)] {
            for function in Unary::ALL {
                let outside = matches!(function, Unary::Recip if x == 0.0);
                assert!(outside || function.evaluate(x).is_finite(), "{function:?} at {x}");
            }
        }
    }

    #[test]
    fn powers_of_negative_numbers_take_the_sign_of_the_exponents_parity() {
        assert_eq!(Binary::Pow.evaluate(-2.0, 3.0).round(), -8.0);
        assert_eq!(Binary::Pow.evaluate(-2.0, 2.0).round(), 4.0);
        assert_eq!(Binary::Pow.evaluate(0.0, 0.0), 1.0);
        assert_eq!(Binary::Pow.evaluate(0.0, 0.5), 0.0);
    }
}
