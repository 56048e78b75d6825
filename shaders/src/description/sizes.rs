//! Checks of a problem's sizes, before a kernel sees them.

use std::fmt::{self, Display};

use crate::elementwise::BroadcastError;
use crate::{MAX_WORKGROUPS, Sequence};

/// The most elements of a tensor: kernels count in 32 bits, and a grid's last workgroups reach past the end.
pub const MAX_ELEMENTS: usize = i32::MAX as usize;

/// A problem that no kernel computes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// A size or a factor is out of range.
    Size {
        /// The problem by name.
        problem: &'static str,
        /// The size by name.
        size: String,
        /// The range that it must be in.
        expected: String,
        /// The size given.
        got: String,
    },
    /// Two shapes do not broadcast together.
    Broadcast(BroadcastError),
}

impl Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Size { problem, size, expected, got } => {
                write!(formatter, "{problem}: {size} must be {expected}, got {got}")
            }
            Self::Broadcast(error) => error.fmt(formatter),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Size { .. } => None,
            Self::Broadcast(error) => Some(error),
        }
    }
}

impl From<BroadcastError> for Error {
    fn from(error: BroadcastError) -> Self {
        Self::Broadcast(error)
    }
}

impl From<Error> for String {
    /// The text of the error, as operations of a graph refuse sizes.
    fn from(error: Error) -> Self {
        error.to_string()
    }
}

/// The checks of the problem of this name, one after the other.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sizes(pub &'static str);

impl Sizes {
    /// Fails unless `valid`.
    pub fn expect(
        self,
        size: impl Display,
        valid: bool,
        expected: impl Display,
        got: impl Display,
    ) -> Result<Self, Error> {
        let refused = || Error::Size {
            problem: self.0,
            size: size.to_string(),
            expected: expected.to_string(),
            got: got.to_string(),
        };
        if valid { Ok(self) } else { Err(refused()) }
    }

    /// Fails unless each size is at least 1 and fits a kernel's counters.
    pub fn positive(self, sizes: &[(&str, usize)]) -> Result<Self, Error> {
        for &(name, size) in sizes {
            self.expect(name, (1..=MAX_ELEMENTS).contains(&size), format_args!("1 to {MAX_ELEMENTS}"), size)?;
        }
        Ok(self)
    }

    /// Fails unless the product of the sizes fits a kernel's counters.
    pub fn at_most(self, sizes: &[(&str, usize)]) -> Result<Self, Error> {
        let product = product(&sizes.iter().map(|&(_, size)| size).collect::<Vec<_>>());
        let names = || sizes.iter().map(|&(name, _)| name).collect::<Vec<_>>().join(" * ");
        let got = || sizes.iter().map(|(_, size)| size.to_string()).collect::<Vec<_>>().join(" * ");
        if product <= MAX_ELEMENTS {
            return Ok(self);
        }
        self.expect(names(), false, format_args!("at most {MAX_ELEMENTS}"), got())
    }

    /// Fails unless each size is at least 1, and the tensor that has them as axes is not too large.
    pub fn tensor(self, sizes: &[(&str, usize)]) -> Result<Self, Error> {
        self.positive(sizes)?.at_most(sizes)
    }

    /// Fails unless the factor is finite.
    pub fn finite(self, name: &str, value: impl Into<f64>) -> Result<Self, Error> {
        let value = value.into();
        self.expect(name, value.is_finite(), "finite", value)
    }

    /// Fails unless the factor is finite and above 0.
    pub fn above_zero(self, name: &str, value: impl Into<f64>) -> Result<Self, Error> {
        let value = value.into();
        self.expect(name, value.is_finite() && value > 0.0, "finite and above 0", value)
    }

    /// Fails unless the factor is finite and not negative.
    pub fn not_negative(self, name: &str, value: impl Into<f64>) -> Result<Self, Error> {
        let value = value.into();
        self.expect(name, value.is_finite() && value >= 0.0, "finite and at least 0", value)
    }

    /// Fails unless the `steps` steps from step `first` on lie within an unroll of `truncation` steps.
    pub fn unroll(self, first: usize, steps: usize, truncation: usize) -> Result<Self, Error> {
        let end = first.saturating_add(steps);
        self.positive(&[("truncation", truncation), ("steps", steps)])?.expect(
            "first + steps",
            end <= truncation,
            format_args!("at most the truncation {truncation}"),
            end,
        )
    }

    /// Fails unless the `present` pairs from pair `first` on are some of the `pairs`, and `members` holds both of each.
    pub fn present_pairs(self, first: usize, present: usize, pairs: usize, members: usize) -> Result<Self, Error> {
        let end = first.saturating_add(present);
        self.expect("first + present", end <= pairs, format_args!("at most the {pairs} pairs"), end)?.expect(
            "present",
            present <= members / 2,
            format_args!("at most half of the {members} members"),
            present,
        )
    }

    /// Fails unless `pairs` members draw `parameters` numbers each from the 2^32 blocks of one place.
    pub fn draws(self, pairs: usize, parameters: usize) -> Result<Self, Error> {
        let blocks = pairs as u128 * parameters.div_ceil(2) as u128;
        let name = "pairs of members * half the parameters";
        self.expect(name, blocks <= 1 << 32, "at most 2^32", blocks)
    }

    /// The dispatches of a problem whose sizes were checked. Fails if a tensor or a grid of them is too large.
    pub fn sequence(self, sequence: impl Into<Sequence>) -> Result<Sequence, Error> {
        let sequence = sequence.into();
        for call in sequence.steps.iter().map(|step| &step.call) {
            let kernel = &*call.kernel;
            for (binding, &length) in kernel.bindings.iter().zip(&call.lengths) {
                let name = format_args!("the length of `{}` in `{}`", binding.name, kernel.name);
                self.expect(name, (1..=MAX_ELEMENTS).contains(&length), format_args!("1 to {MAX_ELEMENTS}"), length)?;
            }
            for workgroups in call.grid {
                let name = format_args!("a side of the grid of `{}`", kernel.name);
                let fits = (1..=MAX_WORKGROUPS).contains(&workgroups);
                self.expect(name, fits, format_args!("1 to {MAX_WORKGROUPS}"), workgroups)?;
            }
        }
        Ok(sequence)
    }
}

/// The sum of sizes, `usize::MAX` where it is larger.
pub(crate) fn sum(sizes: &[usize]) -> usize {
    sizes.iter().fold(0, |sum: usize, size| sum.saturating_add(*size))
}

/// The product of sizes, `usize::MAX` where it is larger.
pub(crate) fn product(sizes: &[usize]) -> usize {
    if sizes.contains(&0) { 0 } else { sizes.iter().fold(1, |product: usize, size| product.saturating_mul(*size)) }
}
