//! The numbers for which builtins are evaluated: the same in every run.

use std::f32::consts::PI;

use super::list::Builtin;

/// Numbers whose results are listed and not judged, each with its name.
pub const SPECIAL: &[(&str, f32)] = &[
    ("NaN", f32::NAN),
    ("inf", f32::INFINITY),
    ("-inf", f32::NEG_INFINITY),
    ("0", 0.0),
    ("-0", -0.0),
    ("1e-45", f32::from_bits(1)),
    ("1e-40", 1e-40),
    ("-1e-40", -1e-40),
    ("max", f32::MAX),
    ("-max", f32::MIN),
];

/// Samples of each binade and sign.
const OF_A_BINADE: u32 = 48;

/// Samples of each range in which a bound is of another kind, or in which few numbers of a binade would lie.
const OF_A_RANGE: u32 = 8192;

/// Bits that look random.
fn scramble(number: u32) -> u32 {
    let number = (number ^ (number >> 16)).wrapping_mul(0x7FEB_352D);
    let number = (number ^ (number >> 15)).wrapping_mul(0x846C_A68B);
    number ^ (number >> 16)
}

/// A number of [0, 1).
fn share(seed: u32) -> f32 {
    (scramble(seed) >> 8) as f32 / (1 << 24) as f32
}

/// Some numbers of every binade, subnormal ones among them: the ends of the binade and others between.
fn every_binade() -> impl Iterator<Item = f32> {
    (0..2 * 255 * OF_A_BINADE).map(|index| {
        let (binade, place) = (index / OF_A_BINADE, index % OF_A_BINADE);
        let fraction = match place {
            0 => 0,
            1 => 1,
            2 => 0x7F_FFFF,
            _ => scramble(index) & 0x7F_FFFF,
        };
        f32::from_bits((binade % 255) << 23 | (binade / 255) << 31 | fraction)
    })
}

/// The arguments for which a builtin is evaluated.
pub(super) fn pairs(builtin: &Builtin) -> Vec<(f32, f32)> {
    let ranges = [(0.5, 2.0), (-PI, PI), (-104.0, 90.0)];
    let range = |(low, high): (f32, f32)| (0..OF_A_RANGE).map(move |index| low + (high - low) * share(index));
    let xs: Vec<f32> = every_binade().chain(ranges.into_iter().flat_map(range)).collect();
    if builtin.beside.is_none() {
        return xs.into_iter().map(|x| (x, x)).collect();
    }
    // Any number beside any other, and numbers of like magnitude, whose sums cancel and whose powers stay in range.
    let other = |index: usize| xs[scramble(index as u32) as usize % xs.len()];
    let alike = |index: usize, x: f32| {
        let ratio = 0.25 + 2.0 * share(index as u32);
        if index.is_multiple_of(2) { x * ratio } else { ratio * 60.0 / x.abs().log2().abs().max(1.0) }
    };
    let pair = |(index, &x): (usize, &f32)| [(x, other(index)), (x, alike(index, x)), (x, -alike(index, x))];
    xs.iter().enumerate().flat_map(pair).filter(|(_, y)| y.is_finite()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_binade_and_sign_is_sampled() {
        let mut seen = vec![0; 512];
        every_binade().for_each(|number| seen[(number.to_bits() >> 23) as usize] += 1);
        for (binade, &count) in seen.iter().enumerate() {
            assert_eq!(count, if binade % 256 == 255 { 0 } else { OF_A_BINADE }, "binade {binade}");
        }
    }
}
