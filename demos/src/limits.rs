//! The ranges of flags and the sizes of networks, checked before anything is built.

use std::fmt;
use std::ops::RangeInclusive;
use std::path::Path;

use fourfold::shaders::Element;

use crate::failure::Failure;

/// Most blocks or hidden layers of a network: each makes the plan of a training step longer.
pub const LAYERS: usize = 64;

/// Most steps of a training.
pub const STEPS: usize = 1_000_000_000;

/// Learning rates.
pub const RATE: Span = Span::within(0.0, 1e6);

/// Standard deviations of perturbations.
pub const SIGMA: Span = Span::above(0.0, 1e6);

/// Most parameters of a network: a tensor of them fits the storage binding that every adapter has.
const PARAMETERS: usize = (128 << 20) / Element::BYTES;

/// Checks before any work that a file can be written where a flag says.
///
/// # Errors
/// It is a folder, there is no folder for it, or that cannot be written.
pub fn file(flag: &str, file: &Path) -> Result<(), Failure> {
    let is_missing = |folder: &Path| folder != Path::new("") && !folder.is_dir();
    if file.parent().is_none_or(is_missing) || file.is_dir() {
        let file = file.display();
        return Err(Failure::Input(format!("{flag}: expected a file in a folder that exists, got {file}")));
    }
    Ok(fourfold::data::file::check_writable(file)?)
}

/// The numbers that a flag may have.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Span {
    least: f64,
    most: f64,
    /// The least itself, and the most itself.
    has: [bool; 2],
}

impl Span {
    /// All numbers from `least` to `most`.
    pub const fn within(least: f64, most: f64) -> Self {
        Self { least, most, has: [true; 2] }
    }

    /// All numbers above `least` and up to `most`.
    pub const fn above(least: f64, most: f64) -> Self {
        Self { least, most, has: [false, true] }
    }

    /// All numbers from `least` to less than `most`.
    pub const fn below(least: f64, most: f64) -> Self {
        Self { least, most, has: [true, false] }
    }

    /// All numbers between `least` and `most`.
    pub const fn between(least: f64, most: f64) -> Self {
        Self { least, most, has: [false; 2] }
    }

    fn contains(self, number: f64) -> bool {
        let Self { least, most, has } = self;
        (number > least || (has[0] && number == least)) && (number < most || (has[1] && number == most))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { least, most, has } = self;
        // A number of many digits is not read.
        let most = if *most < 1e12 { most.to_string() } else { format!("{most:e}") };
        match has {
            [true, true] => write!(formatter, "{least} to {most}"),
            [true, false] => write!(formatter, "{least} to less than {most}"),
            [false, true] => write!(formatter, "a number above {least} and up to {most}"),
            [false, false] => write!(formatter, "a number between {least} and {most}"),
        }
    }
}

/// Checks whole numbers that flags were given, each against the least and the most that it may be.
///
/// # Errors
/// The first flag whose number is out of its range.
pub fn counts<'f>(counts: impl IntoIterator<Item = (&'f str, usize, RangeInclusive<usize>)>) -> Result<(), Failure> {
    for (flag, count, range) in counts {
        if !range.contains(&count) {
            let (least, most) = range.into_inner();
            return Err(Failure::Input(format!("{flag}: expected {least} to {most}, got {count}")));
        }
    }
    Ok(())
}

/// Checks the other numbers that flags were given.
///
/// # Errors
/// The first flag whose number is out of its span, or is none.
pub fn numbers<'f>(numbers: impl IntoIterator<Item = (&'f str, f64, Span)>) -> Result<(), Failure> {
    for (flag, number, span) in numbers {
        if !span.contains(number) {
            // As it was typed: most flags are f32.
            let short = number as f32;
            let got = if f64::from(short) == number { short.to_string() } else { number.to_string() };
            return Err(Failure::Input(format!("{flag}: expected {span}, got {got}")));
        }
    }
    Ok(())
}

/// Checks that no value of a flag occurs twice, and that there is one.
///
/// # Errors
/// There is none, or one occurs twice.
pub fn distinct<T: Ord + fmt::Display>(flag: &str, values: impl IntoIterator<Item = T>) -> Result<(), Failure> {
    let mut values: Vec<T> = values.into_iter().collect();
    values.sort_unstable();
    if values.is_empty() {
        return Err(Failure::Input(format!("{flag}: expected one or more, got none")));
    }
    match values.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(Failure::Input(format!("{flag}: expected distinct values, got `{}` twice", pair[0]))),
        None => Ok(()),
    }
}

/// Checks a number of antithetic particles, which come in pairs.
///
/// # Errors
/// It is odd, or out of range.
pub fn pairs(flag: &str, particles: usize) -> Result<(), Failure> {
    counts([(flag, particles, 2..=1 << 24)])?;
    match particles.is_multiple_of(2) {
        true => Ok(()),
        false => Err(Failure::Input(format!("{flag}: expected an even number (antithetic pairs), got {particles}"))),
    }
}

/// Checks the number of parameters of a network, whose size `flags` decide.
///
/// # Errors
/// It has too many.
pub fn parameters(flags: &str, parameters: usize) -> Result<(), Failure> {
    if parameters > PARAMETERS {
        return Err(Failure::Input(format!(
            "{flags}: expected a network of at most {PARAMETERS} parameters, got one of {parameters}"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_say_which_of_their_ends_they_have() {
        for (span, inside, outside) in [
            (Span::within(0.0, 1.0), [0.0, 1.0], [-0.1, 1.1]),
            (Span::above(0.0, 1.0), [0.1, 1.0], [0.0, f64::INFINITY]),
            (Span::below(0.0, 1.0), [0.0, 0.9], [1.0, f64::NAN]),
            (Span::between(0.0, 1.0), [0.1, 0.9], [0.0, 1.0]),
        ] {
            assert!(inside.iter().all(|&number| span.contains(number)), "{span}");
            assert!(outside.iter().all(|&number| !span.contains(number)), "{span}");
        }
        let refused = numbers([("--rate", f64::from(0.1_f32), Span::above(1.0, 2.0))]).unwrap_err();
        assert_eq!(refused, Failure::Input("--rate: expected a number above 1 and up to 2, got 0.1".into()));
        assert_eq!(Span::within(0.0, 1e38).to_string(), "0 to 1e38");
    }

    #[test]
    fn odd_numbers_of_particles_and_large_networks_are_refused() {
        assert!(
            pairs("--particles", 4).is_ok() && pairs("--particles", 5).is_err() && pairs("--particles", 0).is_err()
        );
        assert!(parameters("--width", PARAMETERS).is_ok() && parameters("--width", usize::MAX).is_err());
    }
}
