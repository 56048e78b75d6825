//! Results of a builtin held against the exact ones.

use super::interval::Interval;
use super::list::Builtin;
use super::ulp::{LEAST_NORMAL, ulp};

/// The largest error of some kind, and its place.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[non_exhaustive]
pub struct Worst {
    /// The error; infinite if the result is not finite where the exact one is.
    pub error: f64,
    /// The numbers that it was given.
    pub x: f32,
    /// The second of them, for a builtin of two.
    pub y: f32,
    /// The result.
    pub got: f32,
}

impl Worst {
    fn see(&mut self, other: Self) {
        if other.error > self.error {
            *self = other;
        }
    }
}

/// The measurement of one builtin.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Measurement {
    /// The name of the builtin, or its expression.
    pub name: &'static str,
    /// WGSL's bound in words.
    pub bound: &'static str,
    /// Samples for which WGSL states a bound.
    pub samples: usize,
    /// The largest error in units of WGSL's bound: 1 or less is within it.
    pub of_bound: Worst,
    /// The largest error in ULP among normal numbers for which WGSL states a bound.
    pub ulp: Worst,
    /// The largest error in ULP among normal numbers for which it states none; results beyond the range count not.
    pub ulp_elsewhere: Worst,
    /// The results for the numbers of `SPECIAL`.
    pub special: Vec<f32>,
}

impl Measurement {
    pub(super) fn new(builtin: &Builtin, special: Vec<f32>) -> Self {
        let worst = Worst::default();
        let (name, bound) = (builtin.name, builtin.bound);
        Self { name, bound, samples: 0, of_bound: worst, ulp: worst, ulp_elsewhere: worst, special }
    }

    /// Returns true if every result is within WGSL's bound.
    pub fn passed(&self) -> bool {
        self.of_bound.error <= 1.0
    }

    /// Holds a result against the exact one and WGSL's bound.
    pub(super) fn judge(&mut self, builtin: &Builtin, (x, y): (f32, f32), got: f32) {
        let y_used = if builtin.beside.is_some() { y } else { 0.0 };
        let exact = (builtin.exact)(f64::from(x), f64::from(y_used));
        if exact.is_nan() || exact.abs() > f64::from(f32::MAX) {
            return;
        }
        let place = |error: f64| Worst { error, x, y: y_used, got };
        let distance = if got.is_finite() { (f64::from(got) - exact).abs() } else { f64::INFINITY };
        let normal =
            [f64::from(x), f64::from(y_used), exact].iter().all(|value| value.abs() >= LEAST_NORMAL || *value == 0.0);
        let allowed = allowed(builtin, f64::from(x), f64::from(y_used));
        if let Some(allowed) = allowed {
            self.samples += 1;
            self.of_bound.see(place(share(allowed, exact, got)));
        }
        if normal {
            let ulps = place(distance / ulp(exact));
            if allowed.is_some() { &mut self.ulp } else { &mut self.ulp_elsewhere }.see(ulps);
        }
    }
}

/// The error in units of what is allowed on its side of the exact result.
fn share(allowed: Interval, exact: f64, got: f32) -> f64 {
    let got = f64::from(got);
    let (error, most) =
        if got >= exact { (got - exact, allowed.high - exact) } else { (exact - got, exact - allowed.low) };
    match error {
        _ if !got.is_finite() => f64::INFINITY,
        0.0 => 0.0,
        error => error / most.max(0.0),
    }
}

/// The allowed results; a subnormal argument may be taken for 0.
fn allowed(builtin: &Builtin, x: f64, y: f64) -> Option<Interval> {
    let flushed = |value: f64| if value.abs() < LEAST_NORMAL { 0.0 } else { value };
    let mut hull = (builtin.allowed)(x, y)?;
    for (x, y) in [(flushed(x), y), (x, flushed(y)), (flushed(x), flushed(y))] {
        hull = hull.hull((builtin.allowed)(x, y)?);
    }
    Some(hull)
}

#[cfg(test)]
mod tests {
    use super::super::{list, samples};
    use super::*;

    /// Judges results that a function computes, as if a device had.
    fn judged(name: &str, device: impl Fn(f32, f32) -> f32) -> Measurement {
        let builtin = list::ALL.iter().find(|builtin| builtin.name == name).expect("a builtin of the list");
        let mut measurement = Measurement::new(builtin, Vec::new());
        for (x, y) in samples::pairs(builtin) {
            measurement.judge(builtin, (x, y), device(x, y));
        }
        measurement
    }

    #[test]
    fn a_device_that_rounds_correctly_is_within_every_bound() {
        for builtin in list::ALL {
            let device = |x: f32, y: f32| (builtin.exact)(f64::from(x), f64::from(y)) as f32;
            let measurement = judged(builtin.name, device);
            assert!(measurement.passed() && measurement.samples > 5_000, "{measurement:?}");
            assert!(measurement.ulp.error <= 0.5 && measurement.ulp_elsewhere.error <= 0.5, "{measurement:?}");
        }
    }

    #[test]
    fn a_device_that_flushes_subnormal_numbers_is_within_every_bound() {
        let flushed = |value: f32| if value.is_subnormal() { 0.0 } else { value };
        for builtin in list::ALL {
            let exact = |x: f32, y: f32| (builtin.exact)(f64::from(flushed(x)), f64::from(flushed(y))) as f32;
            let measurement = judged(builtin.name, |x, y| flushed(exact(x, y)));
            assert!(measurement.passed(), "{measurement:?}");
        }
    }

    #[test]
    fn a_device_that_is_a_little_worse_than_the_bound_is_found() {
        let off = |value: f32, units: u32| match value.is_normal() {
            true => f32::from_bits(value.to_bits() + units),
            false => value,
        };
        let exp = judged("exp", |x, _| off(x.exp(), 4_u32.saturating_add((2.0 * x.abs()) as u32)));
        let rsqrt = judged("inverseSqrt", |x, _| off((1.0 / f64::from(x).sqrt()) as f32, 3));
        let sine = judged("sin", |x, _| x.sin() + 0.0005);
        for measurement in [exp, rsqrt, sine] {
            assert!(!measurement.passed(), "{measurement:?}");
        }
    }
}
