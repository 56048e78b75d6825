//! Units in the last place of an `f32`.

/// The smallest normal number of an `f32`.
pub(super) const LEAST_NORMAL: f64 = f32::MIN_POSITIVE as f64;

/// Returns the distance between the two numbers of an `f32` that are nearest to `value` on either side, as WGSL defines
/// the ULP: below a power of two it is half of that above, and a power of two itself has the smaller one.
pub fn ulp(value: f64) -> f64 {
    let magnitude = value.abs();
    if magnitude <= LEAST_NORMAL {
        return f64::from(f32::from_bits(1));
    }
    // The exponent and the fraction of an f64 that is normal, as every f32 beyond LEAST_NORMAL is.
    let bits = magnitude.min(f64::from(f32::MAX)).to_bits();
    let exponent = (bits >> 52) as i32 - 1023;
    let is_power_of_two = bits & ((1 << 52) - 1) == 0;
    2f64.powi(exponent - 23 - i32::from(is_power_of_two))
}

/// Returns the largest number of an `f32` that is not above `value`.
pub(super) fn round_down(value: f64) -> f64 {
    let nearest = value as f32;
    f64::from(if f64::from(nearest) > value { nearest.next_down() } else { nearest })
}

/// Returns the smallest number of an `f32` that is not below `value`.
pub(super) fn round_up(value: f64) -> f64 {
    -round_down(-value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_is_the_distance_of_the_neighbours() {
        let unit = f64::from(f32::EPSILON);
        for (value, expected) in [
            (1.5, unit),
            // Both 1 - unit / 2 and 1 lie around it.
            (1.0, unit / 2.0),
            (1.0 + 1e-12, unit),
            (1.0 - 1e-12, unit / 2.0),
            (-3.0, 2.0 * unit),
            (0.0, f64::from(f32::from_bits(1))),
            (1e-40, f64::from(f32::from_bits(1))),
            (LEAST_NORMAL, f64::from(f32::from_bits(1))),
            (1.5 * LEAST_NORMAL, f64::from(f32::from_bits(1))),
            (3.0 * LEAST_NORMAL, 2.0 * f64::from(f32::from_bits(1))),
            (f64::from(f32::MAX), 2f64.powi(104)),
            (1e300, 2f64.powi(104)),
        ] {
            assert_eq!(ulp(value), expected, "{value:e}");
        }
    }

    #[test]
    fn a_unit_is_the_least_gap_between_numbers_around_the_value() {
        for bits in (1u32..0x7F80_0000).step_by(99_991) {
            let number = f32::from_bits(bits);
            let below = f64::from(number) - f64::from(number.next_down());
            assert_eq!(ulp(f64::from(number)), below, "{number:e}");
        }
    }

    #[test]
    fn rounding_encloses_the_value() {
        for value in [0.1, -0.1, 1.0, 1e-42, 123_456.789] {
            let (low, high) = (round_down(value), round_up(value));
            assert!(low <= value && value <= high && high - low <= 2.0 * ulp(value), "{value:e}");
            assert_eq!((low as f32 as f64, high as f32 as f64), (low, high));
        }
        assert_eq!((round_down(2.0), round_up(2.0)), (2.0, 2.0));
    }
}
