//! The tolerance between a kernel and its twin, and the comparison that judges it.

use crate::Data;

/// The bound on the difference between a kernel's element `a` and its twin's `b`.
#[derive(Debug, Clone, PartialEq)]
pub enum Tolerance {
    /// The same bits.
    Exact,
    /// `|a - b| <= absolute + relative * |b|`, for each element by itself.
    Within {
        /// The factor of `|b|`.
        relative: f64,
        /// The bound at `b = 0`.
        absolute: f64,
    },
    /// `|a - b| <= bound` with a bound for each element; an infinite one where WGSL specifies no value.
    PerElement(Vec<f64>),
}

/// The outcome of a comparison, element by element.
#[must_use]
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// The largest `|a - b| / bound` over all elements; at most 1 where the kernel is right, infinite where a value is
    /// NaN on one side alone or differs under [`Tolerance::Exact`].
    pub worst: f64,
    /// The element where it was found.
    pub index: usize,
    /// The twin's value there.
    pub expected: f64,
    /// The kernel's value there.
    pub got: f64,
}

impl Comparison {
    /// Returns true if every element lies within its bound.
    pub fn passed(&self) -> bool {
        self.worst <= 1.0
    }
}

/// Subnormal numbers count as zero: GPUs may flush them.
fn flushed(value: f32) -> f64 {
    if value.is_subnormal() { 0.0 } else { f64::from(value) }
}

impl Tolerance {
    /// The half-unit rounding error of `f32`, 2^-24.
    pub const EPSILON: f64 = 5.960_464_477_539_063e-8;

    /// The bound for the element of the given index, whose right value is `expected`.
    pub fn bound(&self, index: usize, expected: f64) -> f64 {
        // The smallest normal number keeps the bound above zero where both sides may be flushed.
        match self {
            Tolerance::Exact => 0.0,
            Tolerance::Within { relative, absolute } => {
                absolute + relative * expected.abs() + f64::from(f32::MIN_POSITIVE)
            }
            Tolerance::PerElement(bounds) => bounds[index] + f64::from(f32::MIN_POSITIVE),
        }
    }

    fn error(&self, index: usize, expected: f32, got: f32) -> f64 {
        let unspecified = matches!(self, Tolerance::PerElement(bounds) if bounds[index] == f64::INFINITY);
        if expected.to_bits() == got.to_bits() || unspecified {
            return 0.0;
        }
        if *self == Tolerance::Exact || expected.is_nan() != got.is_nan() {
            return f64::INFINITY;
        }
        let (expected, got) = (flushed(expected), flushed(got));
        if expected == got || expected.is_nan() {
            return 0.0;
        }
        let error = (expected - got).abs() / self.bound(index, expected);
        if error.is_nan() { f64::INFINITY } else { error }
    }

    /// The error of a `u32`, which is exact unless its own bound says otherwise.
    fn error_u32(&self, index: usize, expected: u32, got: u32) -> f64 {
        match self {
            _ if expected == got => 0.0,
            Tolerance::PerElement(bounds) if bounds[index] > 0.0 => f64::from(expected.abs_diff(got)) / bounds[index],
            _ => f64::INFINITY,
        }
    }

    /// Lists the elements that are beyond their bounds.
    ///
    /// # Panics
    /// If the two differ in element type.
    pub fn beyond(&self, expected: &Data, got: &Data) -> Vec<usize> {
        let error = |index: usize| match (expected, got) {
            (Data::F32(expected), Data::F32(got)) => self.error(index, expected[index], got[index]),
            (Data::U32(expected), Data::U32(got)) => self.error_u32(index, expected[index], got[index]),
            _ => panic!("the tensors differ in element type"),
        };
        (0..expected.len().min(got.len())).filter(|&index| error(index) > 1.0).collect()
    }

    /// Judges each element once.
    ///
    /// # Panics
    /// If the two differ in length or element type.
    pub fn compare(&self, expected: &Data, got: &Data) -> Comparison {
        assert_eq!(expected.len(), got.len(), "the tensors differ in length");
        let mut worst = Comparison { worst: 0.0, index: 0, expected: 0.0, got: 0.0 };
        let mut judge = |index, error, expected, got| {
            if error > worst.worst || index == 0 {
                worst = Comparison { worst: error, index, expected, got };
            }
        };
        match (expected, got) {
            (Data::F32(expected), Data::F32(got)) => {
                for (index, (&expected, &got)) in expected.iter().zip(got).enumerate() {
                    judge(index, self.error(index, expected, got), f64::from(expected), f64::from(got));
                }
            }
            (Data::U32(expected), Data::U32(got)) => {
                for (index, (&expected, &got)) in expected.iter().zip(got).enumerate() {
                    judge(index, self.error_u32(index, expected, got), f64::from(expected), f64::from(got));
                }
            }
            _ => panic!("the tensors differ in element type"),
        }
        worst
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compare(tolerance: Tolerance, expected: f32, got: f32) -> bool {
        tolerance.compare(&Data::F32(vec![expected]), &Data::F32(vec![got])).passed()
    }

    const LOOSE: Tolerance = Tolerance::Within { relative: 1e-3, absolute: 1e-3 };

    #[test]
    fn a_value_within_the_bound_passes_and_one_beyond_fails() {
        assert!(compare(LOOSE, 1.0, 1.0019));
        assert!(!compare(LOOSE, 1.0, 1.0021));
    }

    #[test]
    fn each_element_is_held_to_its_own_bound() {
        let tolerance = Tolerance::PerElement(vec![0.0, 1.0, f64::INFINITY]);
        let expected = Data::F32(vec![1.0, 1.0, 1.0]);
        assert!(tolerance.compare(&expected, &Data::F32(vec![1.0, 1.9, f32::NAN])).passed());
        assert!(!tolerance.compare(&expected, &Data::F32(vec![1.1, 1.0, 1.0])).passed());
        assert!(!tolerance.compare(&Data::U32(vec![1, 2, 3]), &Data::U32(vec![1, 4, 3])).passed());
    }

    #[test]
    fn a_nan_on_one_side_alone_fails() {
        assert!(!compare(LOOSE, 1.0, f32::NAN));
        assert!(!compare(LOOSE, f32::NAN, 1.0));
        assert!(compare(LOOSE, f32::NAN, f32::NAN));
    }

    #[test]
    fn an_infinity_must_be_met_by_the_same_infinity() {
        assert!(compare(LOOSE, f32::INFINITY, f32::INFINITY));
        assert!(!compare(LOOSE, f32::INFINITY, 3.0e38));
        assert!(!compare(LOOSE, 3.0e38, f32::INFINITY));
    }

    #[test]
    fn a_subnormal_number_may_be_flushed_to_zero() {
        let tight = Tolerance::Within { relative: 0.0, absolute: 0.0 };
        assert!(compare(tight, 1.0e-40, 0.0));
    }

    #[test]
    fn exact_means_the_same_bits() {
        assert!(compare(Tolerance::Exact, 0.5, 0.5));
        assert!(!compare(Tolerance::Exact, 0.0, -0.0));
    }
}
