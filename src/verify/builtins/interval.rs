//! The results that WGSL allows an operation, as an interval, by its section "Floating Point Accuracy".
//!
//! An operation whose accuracy is inherited from an expression is evaluated in intervals, operation by operation. `None`
//! stands where WGSL states nothing: outside an operation's domain, and where a result leaves the range of `f32`.

use super::ulp::{LEAST_NORMAL, round_down, round_up, ulp};

/// The allowed results of an operation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Interval {
    pub low: f64,
    pub high: f64,
}

impl Interval {
    /// One number.
    pub fn exactly(value: f64) -> Self {
        Self { low: value, high: value }
    }

    /// The numbers within `error` of `value`.
    pub fn around(value: f64, error: f64) -> Option<Self> {
        Self { low: value - error, high: value + error }.finish()
    }

    /// The numbers within so many units in the last place of `value`.
    pub fn within_ulp(value: f64, units: f64) -> Option<Self> {
        Self::around(value, units * ulp(value))
    }

    /// The two numbers of an `f32` around `value`, of which WGSL allows either.
    pub fn rounded(value: f64) -> Option<Self> {
        Self::exactly(value).round()
    }

    fn round(self) -> Option<Self> {
        Self { low: round_down(self.low), high: round_up(self.high) }.finish()
    }

    /// A result that may be subnormal may be 0; one that may leave the range of `f32` may be anything.
    fn finish(self) -> Option<Self> {
        let most = f64::from(f32::MAX);
        if !(self.low >= -most && self.high <= most) {
            return None;
        }
        let subnormal = self.low < LEAST_NORMAL && self.high > -LEAST_NORMAL;
        Some(if subnormal { Self { low: self.low.min(0.0), high: self.high.max(0.0) } } else { self })
    }

    /// The smallest interval that holds both.
    pub fn hull(self, other: Self) -> Self {
        Self { low: self.low.min(other.low), high: self.high.max(other.high) }
    }

    /// The results of a monotonic function at the ends.
    pub fn map(self, function: impl Fn(f64) -> Option<Self>) -> Option<Self> {
        Some(function(self.low)?.hull(function(self.high)?))
    }

    pub fn negated(self) -> Self {
        Self { low: -self.high, high: -self.low }
    }

    pub fn plus(self, other: Self) -> Option<Self> {
        Self { low: self.low + other.low, high: self.high + other.high }.round()
    }

    pub fn minus(self, other: Self) -> Option<Self> {
        self.plus(other.negated())
    }

    pub fn times(self, other: Self) -> Option<Self> {
        let corners = [self.low * other.low, self.low * other.high, self.high * other.low, self.high * other.high];
        let low = corners.into_iter().fold(f64::INFINITY, f64::min);
        Self { low, high: corners.into_iter().fold(f64::NEG_INFINITY, f64::max) }.round()
    }

    /// 2.5 ULP, for divisors whose magnitude is in the range [2^-126, 2^126].
    pub fn over(self, other: Self) -> Option<Self> {
        let in_range = |value: f64| (LEAST_NORMAL..=2f64.powi(126)).contains(&value);
        if !(in_range(other.low) && in_range(other.high) || in_range(-other.low) && in_range(-other.high)) {
            return None;
        }
        let corner = |a: f64, b: f64| Self::within_ulp(a / b, 2.5);
        let corners = [(self.low, other.low), (self.low, other.high), (self.high, other.low), (self.high, other.high)];
        let mut hull = corner(self.low, other.low)?;
        for (a, b) in corners {
            hull = hull.hull(corner(a, b)?);
        }
        Some(hull)
    }
}

/// `exp(x)` or `exp2(x)`: 3 + 2 |x| ULP.
pub(super) fn exponential(function: fn(f64) -> f64, x: f64) -> Option<Interval> {
    Interval::within_ulp(function(x), 3.0 + 2.0 * x.abs())
}

/// `log(x)` or `log2(x)`: an absolute error of 2^-21 in [0.5, 2], 3 ULP elsewhere.
pub(super) fn logarithm(function: fn(f64) -> f64, x: f64) -> Option<Interval> {
    match x {
        _ if x <= 0.0 => None,
        0.5..=2.0 => Interval::around(function(x), 2f64.powi(-21)),
        _ => Interval::within_ulp(function(x), 3.0),
    }
}

/// `sin(x)` or `cos(x)`: an absolute error of 2^-11 in [-pi, pi].
pub(super) fn trigonometric(function: fn(f64) -> f64, x: f64) -> Option<Interval> {
    if x.abs() > std::f64::consts::PI { None } else { Interval::around(function(x), 2f64.powi(-11)) }
}

/// `inverseSqrt(x)`: 2 ULP.
pub(super) fn inverse_sqrt(x: f64) -> Option<Interval> {
    if x > 0.0 { Interval::within_ulp(1.0 / x.sqrt(), 2.0) } else { None }
}

/// `sqrt(x)`: inherited from `1.0 / inverseSqrt(x)`.
pub(super) fn sqrt(x: f64) -> Option<Interval> {
    Interval::exactly(1.0).over(inverse_sqrt(x)?)
}

/// `sinh(x)`: inherited from `(exp(x) - exp(-x)) * 0.5`.
pub(super) fn sinh(x: f64) -> Option<Interval> {
    exponential(f64::exp, x)?.minus(exponential(f64::exp, -x)?)?.times(Interval::exactly(0.5))
}

/// `cosh(x)`: inherited from `(exp(x) + exp(-x)) * 0.5`.
pub(super) fn cosh(x: f64) -> Option<Interval> {
    exponential(f64::exp, x)?.plus(exponential(f64::exp, -x)?)?.times(Interval::exactly(0.5))
}

/// `tanh(x)`: the worse of an absolute error of 1e-5 and of `sinh(x) / cosh(x)`.
pub(super) fn tanh(x: f64) -> Option<Interval> {
    Some(Interval::around(x.tanh(), 1e-5)?.hull(sinh(x)?.over(cosh(x)?)?))
}

/// `tan(x)`: inherited from `sin(x) / cos(x)`.
pub(super) fn tan(x: f64) -> Option<Interval> {
    trigonometric(f64::sin, x)?.over(trigonometric(f64::cos, x)?)
}

/// `pow(x, y)`: inherited from `exp2(y * log2(x))`.
pub(super) fn pow(x: f64, y: f64) -> Option<Interval> {
    let exponent = Interval::exactly(y).times(logarithm(f64::log2, x)?)?;
    exponent.map(|exponent| exponential(f64::exp2, exponent))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_those_of_the_specification() {
        let unit = f64::from(f32::EPSILON);
        let width = |interval: Option<Interval>| interval.map(|interval| interval.high - interval.low);
        // 2 (3 + 2 * 1) ULP of e, which lies in [2, 4).
        assert_eq!(width(exponential(f64::exp, 1.0)), Some(10.0 * 2.0 * unit));
        assert_eq!(width(logarithm(f64::ln, 1.5)), Some(2f64.powi(-20)));
        // ln 16 lies in [2, 4).
        assert_eq!(width(logarithm(f64::ln, 16.0)), Some(6.0 * 2.0 * unit));
        assert_eq!(width(trigonometric(f64::sin, 0.5)), Some(2f64.powi(-10)));
        assert_eq!(width(trigonometric(f64::sin, 3.2)), None);
        assert_eq!(width(inverse_sqrt(0.3)), Some(4.0 * unit));
        assert_eq!(width(Interval::exactly(1.0).over(Interval::exactly(3.0))), Some(5.0 * unit / 4.0));
        assert_eq!(Interval::exactly(1.0).over(Interval::exactly(2f64.powi(127))), None);
        assert_eq!(Interval::rounded(1.0), Some(Interval::exactly(1.0)));
        assert_eq!(width(Interval::rounded(1.0 + unit / 4.0)), Some(unit));
    }

    #[test]
    fn inherited_bounds_enclose_the_result_and_little_more() {
        for x in [0.01, 0.7, 1.0, 3.0, 20.0, 80.0] {
            for (interval, exact) in [
                (sqrt(x), x.sqrt()),
                (sinh(x), x.sinh()),
                (cosh(x), x.cosh()),
                (tanh(x), x.tanh()),
                (pow(x, 0.7), x.powf(0.7)),
            ] {
                let Interval { low, high } = interval.expect("inside the domain");
                assert!(low < exact && exact < high, "{x}: {exact} is not in {low} to {high}");
                // The absolute error of tanh is the widest.
                assert!((high - low) / exact < 5e-3, "{x}: {low} to {high}");
            }
        }
        assert_eq!(tanh(100.0), None, "sinh(100) leaves the range");
        assert_eq!(tan(std::f64::consts::FRAC_PI_2), None, "cos may be 0");
    }

    #[test]
    fn subnormal_results_may_be_flushed() {
        let allowed = Interval::rounded(1e-40).expect("in range");
        assert!(allowed.low == 0.0 && allowed.high >= 1e-40);
        assert_eq!(Interval::around(1e39, 1.0), None);
    }
}
