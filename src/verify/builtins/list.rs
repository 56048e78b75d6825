//! The builtins that are measured, each with its bound in WGSL.

use super::interval::{
    Interval, cosh, exponential, inverse_sqrt, logarithm, pow, sinh, sqrt, tan, tanh, trigonometric,
};

/// A builtin function or an operator of two numbers; those of one number ignore the second.
pub(super) struct Builtin {
    pub name: &'static str,
    /// The WGSL of it for `x` and `y`.
    pub expression: &'static str,
    /// WGSL's bound in words.
    pub bound: &'static str,
    /// The exact result.
    pub exact: fn(f64, f64) -> f64,
    /// The results that WGSL allows; `None` where it states nothing.
    pub allowed: fn(f64, f64) -> Option<Interval>,
    /// The second number beside NaN, infinities, zeros and subnormals, where there is a second one.
    pub beside: Option<f32>,
}

const fn unary(
    name: &'static str,
    expression: &'static str,
    bound: &'static str,
    exact: fn(f64, f64) -> f64,
    allowed: fn(f64, f64) -> Option<Interval>,
) -> Builtin {
    Builtin { name, expression, bound, exact, allowed, beside: None }
}

const fn binary(
    name: &'static str,
    expression: &'static str,
    bound: &'static str,
    exact: fn(f64, f64) -> f64,
    allowed: fn(f64, f64) -> Option<Interval>,
    beside: f32,
) -> Builtin {
    Builtin { name, expression, bound, exact, allowed, beside: Some(beside) }
}

/// The sum of two numbers, moved towards the part that an f64 does not hold.
fn sum(x: f64, y: f64) -> f64 {
    let sum = x + y;
    let of_y = sum - x;
    match (x - (sum - of_y)) + (y - of_y) {
        lost if lost > 0.0 => sum.next_up(),
        lost if lost < 0.0 => sum.next_down(),
        _ => sum,
    }
}

const EXPONENTIAL: &str = "3 + 2 abs(x) ULP";
const LOGARITHM: &str = "2^-21 in [0.5, 2], else 3 ULP";
const TRIGONOMETRIC: &str = "2^-11 in [-pi, pi]";

/// All that are measured.
pub(super) const ALL: &[Builtin] = &[
    unary("load and store", "x", "the same number", |x, _| x, |x, _| Interval::rounded(x)),
    binary("x + y", "x + y", "correctly rounded", sum, |x, y| Interval::rounded(sum(x, y)), 0.0),
    binary("x * y", "x * y", "correctly rounded", |x, y| x * y, |x, y| Interval::rounded(x * y), 1.0),
    binary(
        "x / y",
        "x / y",
        "2.5 ULP for abs(y) in [2^-126, 2^126]",
        |x, y| x / y,
        |x, y| Interval::exactly(x).over(Interval::exactly(y)),
        1.0,
    ),
    binary("max(x, y)", "max(x, y)", "correctly rounded", f64::max, |x, y| Interval::rounded(x.max(y)), 1.0),
    binary("min(x, y)", "min(x, y)", "correctly rounded", f64::min, |x, y| Interval::rounded(x.min(y)), 1.0),
    unary("floor", "floor(x)", "correctly rounded", |x, _| x.floor(), |x, _| Interval::rounded(x.floor())),
    unary("inverseSqrt", "inverseSqrt(x)", "2 ULP", |x, _| 1.0 / x.sqrt(), |x, _| inverse_sqrt(x)),
    unary("sqrt", "sqrt(x)", "as 1 / inverseSqrt(x)", |x, _| x.sqrt(), |x, _| sqrt(x)),
    unary("exp", "exp(x)", EXPONENTIAL, |x, _| x.exp(), |x, _| exponential(f64::exp, x)),
    unary("exp2", "exp2(x)", EXPONENTIAL, |x, _| x.exp2(), |x, _| exponential(f64::exp2, x)),
    unary("log", "log(x)", LOGARITHM, |x, _| x.ln(), |x, _| logarithm(f64::ln, x)),
    unary("log2", "log2(x)", LOGARITHM, |x, _| x.log2(), |x, _| logarithm(f64::log2, x)),
    binary("pow(x, y)", "pow(x, y)", "as exp2(y * log2(x))", f64::powf, pow, 1.0),
    unary("sin", "sin(x)", TRIGONOMETRIC, |x, _| x.sin(), |x, _| trigonometric(f64::sin, x)),
    unary("cos", "cos(x)", TRIGONOMETRIC, |x, _| x.cos(), |x, _| trigonometric(f64::cos, x)),
    unary("tan", "tan(x)", "as sin(x) / cos(x)", |x, _| x.tan(), |x, _| tan(x)),
    unary("atan", "atan(x)", "4096 ULP", |x, _| x.atan(), |x, _| Interval::within_ulp(x.atan(), 4096.0)),
    unary("sinh", "sinh(x)", "as (exp(x) - exp(-x)) * 0.5", |x, _| x.sinh(), |x, _| sinh(x)),
    unary("cosh", "cosh(x)", "as (exp(x) + exp(-x)) * 0.5", |x, _| x.cosh(), |x, _| cosh(x)),
    unary("tanh", "tanh(x)", "1e-5, or as sinh(x) / cosh(x)", |x, _| x.tanh(), |x, _| tanh(x)),
];
