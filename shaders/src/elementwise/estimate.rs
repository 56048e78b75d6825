//! A number with a bound on the error that a GPU may have made in computing it.

use std::f64::consts::{PI, TAU};

use super::{Binary, Compare, Unary};

/// A value in f64 and how far a kernel's may be from it: every computation that WGSL allows gives a number within
/// `value - error ..= value + error`. An infinite error says that WGSL specifies nothing.
///
/// The bounds per operation are those of the WGSL specification (section 15.7.4, accuracy), in units in the last place;
/// a "correctly rounded" operation may round either way and counts one unit, and every operation may flush a subnormal
/// operand or result to zero.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Estimate {
    pub value: f64,
    pub error: f64,
}

/// One unit in the last place, relative to the value at most.
const ULP: f64 = f32::EPSILON as f64;
const SMALLEST: f64 = f32::MIN_POSITIVE as f64;
const LARGEST: f64 = f32::MAX as f64;
/// The absolute error of WGSL's `log` between 0.5 and 2.
const LOG_ERROR: f64 = 1.0 / (1 << 21) as f64;
/// The error of `sin` and `cos` between -pi and pi.
const SIN_ERROR: f64 = 1.0 / (1 << 11) as f64;

impl Estimate {
    pub fn exact(value: f64) -> Self {
        Self { value, error: 0.0 }
    }

    /// A number read from a buffer: flushed to zero if subnormal.
    pub fn read(value: f32) -> Self {
        let value = f64::from(value);
        Self { value, error: if value.abs() < SMALLEST { value.abs() } else { 0.0 } }
    }

    fn unspecified(value: f64) -> Self {
        Self { value, error: f64::INFINITY }
    }

    /// The result `value` of an operation whose arguments' errors cause `error` and that errs by `own` itself.
    fn result(value: f64, error: f64, own: f64) -> Self {
        let mut error = error + own;
        if error.is_nan() || value.is_nan() || value.abs() + error > LARGEST {
            return Self::unspecified(value);
        }
        let exact_zero = value == 0.0 && error == 0.0;
        if value.abs() - error < SMALLEST && !exact_zero {
            error += SMALLEST;
        }
        Self { value, error }
    }

    fn low(self) -> f64 {
        self.value - self.error
    }

    fn high(self) -> f64 {
        self.value + self.error
    }

    /// True for a NaN that was given, which every operation passes on; one that arises is no specified value.
    fn is_given_nan(self) -> bool {
        self.value.is_nan() && self.error == 0.0
    }

    pub fn unary(self, operation: Unary) -> Self {
        let Self { value: x, error } = self;
        let value = operation.evaluate(x);
        if self.is_given_nan() {
            return Self::exact(value);
        }
        if error == f64::INFINITY {
            return Self::unspecified(value);
        }
        let propagated = match operation {
            Unary::Neg | Unary::Abs => error,
            Unary::Square => (2.0 * x.abs() + error) * error,
            // A slope of at most 1 (1.13 for gelu), and for sine and cosine a range of 2.
            Unary::Sin | Unary::Cos => error.min(2.0),
            Unary::GeluErf | Unary::GeluTanh => 1.13 * error,
            Unary::GeluErfDerivative | Unary::GeluTanhDerivative => error.min(1.3),
            Unary::Recip if x.abs() - error <= SMALLEST || x.abs() + error >= 1.0 / SMALLEST => f64::INFINITY,
            // Monotone: the ends of the interval bound the result.
            _ => {
                let ends = (operation.evaluate(self.low()), operation.evaluate(self.high()));
                (ends.0 - value).abs().max((ends.1 - value).abs())
            }
        };
        Self::result(value, propagated, own_error(operation, x, value))
    }

    pub fn binary(self, operation: Binary, other: Self) -> Self {
        let (a, b) = (self.value, other.value);
        let value = operation.evaluate(a, b);
        // Any number to the power of 0 is 1, and a subnormal exponent may be flushed to it.
        let passed_on = operation != Binary::Pow || other.error == 0.0;
        if value.is_nan() && passed_on && (self.is_given_nan() || other.is_given_nan()) {
            return Self::exact(value);
        }
        if self.error + other.error == f64::INFINITY {
            return Self::unspecified(value);
        }
        let (propagated, units) = match operation {
            Binary::Add | Binary::Sub => (self.error + other.error, 1.0),
            Binary::Mul => (a.abs() * other.error + b.abs() * self.error + self.error * other.error, 1.0),
            Binary::Div if b.abs() - other.error <= SMALLEST || b.abs() + other.error >= 1.0 / SMALLEST => {
                return Self::unspecified(value);
            }
            Binary::Div => ((self.error + value.abs() * other.error) / (b.abs() - other.error), 2.5),
            Binary::Min | Binary::Max => (self.error.max(other.error), 0.0),
            Binary::Pow => return self.power(other, value),
        };
        Self::result(value, propagated, units * ULP * (value.abs() + propagated))
    }

    /// `exp(b ln |a|)`: the error of the exponent `t` is that of the logarithm times `b`, with two roundings; the
    /// exponential adds 3 + 2|t| units.
    fn power(self, other: Self, value: f64) -> Self {
        let (a, b) = (self.value, other.value);
        let sign_in_doubt = a < 0.0 && other.error > 0.0 || self.error > 0.0 && a.abs() <= self.error;
        let exponent_may_vanish = other.error > 0.0 && b.abs() <= other.error;
        if sign_in_doubt || exponent_may_vanish {
            return Self::unspecified(value);
        }
        if a == 0.0 || b == 0.0 {
            return Self::exact(value);
        }
        let magnitude = Self { value: a.abs(), error: self.error };
        let exponent = other.binary(Binary::Mul, magnitude.unary(Unary::Log));
        let power = exponent.unary(Unary::Exp);
        Self { value, error: power.error }
    }

    /// Two `u32`: exact, and nothing is known where an argument is in doubt.
    pub fn binary_u32(self, operation: Binary, other: Self) -> Self {
        let value = f64::from(operation.evaluate_u32(self.value as u32, other.value as u32));
        if self.error + other.error > 0.0 { Self::unspecified(value) } else { Self::exact(value) }
    }

    /// The error is 1 where the errors allow the arguments to be ordered otherwise.
    pub fn compare(self, comparison: Compare, other: Self) -> Self {
        let value = f64::from(comparison.holds(self.value, other.value));
        let error = self.error + other.error;
        let certain = error == 0.0 || (self.value - other.value).abs() > error;
        Self { value, error: if certain { 0.0 } else { 1.0 } }
    }

    /// Covers either choice by the error where the condition may be zero and may not.
    pub fn select(self, yes: Self, no: Self) -> Self {
        let (chosen, other) = if self.value != 0.0 { (yes, no) } else { (no, yes) };
        if self.error == 0.0 || self.value.abs() > self.error {
            return Self::result(chosen.value, chosen.error, 0.0);
        }
        let error = (chosen.value - other.value).abs() + other.error;
        if error.is_nan() {
            Self::unspecified(chosen.value)
        } else {
            Self::result(chosen.value, chosen.error.max(error), 0.0)
        }
    }

    /// Converts from `u32`: one unit.
    pub fn to_f32(self) -> Self {
        let own = if self.value < (1 << 24) as f64 { 0.0 } else { ULP * self.value };
        Self::result(self.value, self.error, own)
    }

    /// Converts to `u32`: every whole number between those of the interval's ends.
    pub fn to_u32(self) -> Self {
        let whole = |x: f64| x.clamp(0.0, 4_294_967_040.0).trunc();
        let value = whole(self.value);
        if self.error == f64::INFINITY {
            return Self::unspecified(value);
        }
        Self { value, error: (value - whole(self.low())).max(whole(self.high()) - value) }
    }
}

/// The error of an operation on an exact argument `x` whose right result is `value`, absolute.
fn own_error(operation: Unary, x: f64, value: f64) -> f64 {
    let of_value = |units: f64| units * ULP * value.abs();
    match operation {
        Unary::Neg | Unary::Abs | Unary::Sign | Unary::Step | Unary::Relu | Unary::Floor => 0.0,
        Unary::Square => of_value(1.0),
        // 1 / inverseSqrt(x).
        Unary::Sqrt => of_value(5.0),
        Unary::Rsqrt => of_value(2.0),
        Unary::Recip => of_value(2.5),
        Unary::Exp => of_value(3.0 + 2.0 * x.min(88.0).abs()),
        Unary::Log if (0.499..2.001).contains(&x) => LOG_ERROR,
        Unary::Log => of_value(3.0),
        // The number of turns errs by a unit of the argument, which shows where a half turn is left and clamped. Past
        // 65,536 turns the product with the first part of 2 pi rounds; below, that with the second part alone, 3e-4 of it.
        Unary::Sin | Unary::Cos => {
            let units = 2.0 * ULP * x.abs();
            let left = (x - TAU * (x / TAU).round()).abs();
            let exact = x.abs() < 411_774.0 && PI - left > units;
            SIN_ERROR + (if exact { 1e-3 * units } else { units }).min(2.0)
        }
        // The fits are within 3.3 units with correct rounding; each of their operations may round the other way.
        Unary::Tanh | Unary::Erf => of_value(10.0),
        // exp(-|x|) errs by 3 + 2|x| units, of which 1 + exp(-|x|) feels its share; one sum, one quotient.
        Unary::Sigmoid => of_value((3.0 + 2.0 * x.abs()) * Unary::Sigmoid.evaluate(-x) + 4.0),
        Unary::Softplus => {
            let e = (-x.abs()).exp();
            // ln(1 + e) near 1 has an absolute error, and 1 + e rounds; below 0.001 the series does neither.
            let logarithm = if e > 0.000_99 { LOG_ERROR + 2.0 * ULP } else { 0.0 };
            logarithm + (8.0 + 2.0 * x.abs()) * ULP * e + of_value(2.0)
        }
        // 1 + erf cancels for negative x, down to -6 where the kernel stores zero.
        Unary::GeluErf => 7.0 * ULP * x.max(-6.0).abs() + 1e-8,
        Unary::GeluErfDerivative => {
            let density = x.abs().min(14.0) * (-0.5 * x * x).exp();
            (8.0 + density * (8.0 + 2.0 * x * x).min(400.0)) * ULP + 1e-8
        }
        // x sigmoid(z), where z carries four roundings.
        Unary::GeluTanh => {
            let z = sigmoid_argument(x);
            of_value((3.0 + 6.0 * z.abs()) * Unary::Sigmoid.evaluate(-z) + 6.0) + 20.0 * SMALLEST
        }
        Unary::GeluTanhDerivative => {
            let z = sigmoid_argument(x);
            let share = Unary::Sigmoid.evaluate(z);
            let second = value - share;
            let exponential = 3.0 + 6.0 * z.abs();
            ULP * (share * (exponential * (1.0 - share) + 4.0) + second.abs() * (exponential + 16.0) + value.abs())
                + 400.0 * SMALLEST
        }
    }
}

/// `2 sqrt(2 / pi) (t + 0.044715 t^3)` with `t` clamped as in the kernel.
fn sigmoid_argument(x: f64) -> f64 {
    let t = x.clamp(-12.0, 12.0);
    1.595_769_121_605_731 * (t + 0.044715 * t * t * t)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comparison_within_the_errors_is_in_doubt_and_an_exact_one_is_not() {
        let third = Estimate::exact(1.0).binary(Binary::Div, Estimate::exact(3.0));
        let near = Estimate::exact(f64::from(1.0_f32 / 3.0));
        assert_eq!(third.compare(Compare::Lt, near).error, 1.0);
        assert_eq!(near.compare(Compare::Eq, near), Estimate::exact(1.0));
    }

    #[test]
    fn a_select_in_doubt_allows_both_choices() {
        let doubt = Estimate { value: 1.0, error: 1.0 };
        let chosen = doubt.select(Estimate::exact(5.0), Estimate::exact(2.0));
        assert_eq!(chosen, Estimate { value: 5.0, error: 3.0 });
    }

    #[test]
    fn an_overflow_and_a_quotient_by_a_vanishing_number_are_unspecified() {
        let large = Estimate::exact(1e30);
        assert_eq!(large.unary(Unary::Square).error, f64::INFINITY);
        assert_eq!(large.binary(Binary::Div, Estimate::read(1e-40)).error, f64::INFINITY);
    }

    #[test]
    fn what_follows_from_a_value_that_is_not_specified_is_not_specified_either() {
        let quotient = Estimate::exact(1.0).binary(Binary::Div, Estimate::exact(0.0));
        for operation in Unary::ALL {
            // Of these some are NaN: the sine of an infinity, say.
            let next = quotient.unary(operation);
            assert_eq!(next.error, f64::INFINITY, "{operation:?}");
            assert_eq!(next.compare(Compare::Lt, Estimate::exact(1.0)).error, 1.0, "{operation:?}");
            let chosen = next.select(Estimate::exact(1.0), Estimate::exact(3.0));
            assert!(chosen.error >= 2.0, "{operation:?}");
            assert_eq!(Estimate::exact(1.0).select(next, Estimate::exact(3.0)).error, f64::INFINITY, "{operation:?}");
            assert_eq!(next.to_u32().error, f64::INFINITY, "{operation:?}");
        }
    }

    #[test]
    fn errors_of_cancelling_terms_remain() {
        let a = Estimate::exact(1.0).binary(Binary::Div, Estimate::exact(3.0));
        let difference = a.binary(Binary::Sub, Estimate::exact(1.0 / 3.0));
        assert!(difference.value == 0.0 && difference.error >= 2.5 * ULP / 3.0);
    }
}
