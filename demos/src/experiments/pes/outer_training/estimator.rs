//! The estimators by name.

use std::fmt;
use std::str::FromStr;

use fourfold::evolution::{Estimator, Perturbation};
use serde::{Deserialize, Serialize};

/// An estimator of the gradient of an outer objective.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum EstimatorName {
    /// Persistent evolution strategies.
    Pes,
    /// Noise-reuse evolution strategies, or ES-Single.
    Nres,
    /// Persistent evolution strategies whose noise lasts for so many unrolls.
    Gpes(usize),
    /// Evolution strategies on truncated unrolls.
    Es,
    /// Evolution strategies on whole inner problems.
    FullEs,
    /// Persistent evolution strategies with an analytic part.
    PesA,
    /// Truncated backpropagation through time.
    Tbptt,
    /// Real-time recurrent learning.
    Rtrl,
    /// Unbiased online recurrent optimisation.
    Uoro,
    /// Derivatives along random directions.
    Dodge,
}

/// The names on the command line.
pub const NAMES: &str = "pes, nres, gpes:UNROLLS, es, full-es, pes-a, tbptt, rtrl, uoro or dodge";

impl EstimatorName {
    /// Returns the estimator of this name for an inner problem of so many steps, or one that never ends.
    pub fn estimator(self, horizon: Option<usize>) -> Estimator {
        match self {
            Self::Pes => Estimator::PES,
            Self::Nres => Estimator::NRES,
            Self::Gpes(unrolls) => Estimator::gpes(unrolls),
            Self::Es | Self::FullEs => Estimator::TRUNCATED_ES,
            Self::PesA => Estimator::PES_ANALYTIC,
            Self::Tbptt => Estimator::Tbptt,
            Self::Rtrl => Estimator::Rtrl,
            Self::Uoro => Estimator::Uoro,
            // A direction that lasts for an inner problem has the least variance; one that never ends needs new ones.
            Self::Dodge => Estimator::Dodge(horizon.map_or(Perturbation::PES, |_| Perturbation::NRES)),
        }
    }

    /// Returns true if particles are perturbed, by sigma and in antithetic pairs.
    pub fn perturbs(self) -> bool {
        self.estimator(None).is_perturbed()
    }

    /// Returns true if there are several particles, replicas or directions.
    pub fn counts(self) -> bool {
        self.estimator(None).has_particles()
    }

    /// Returns true if the inner problem needs a derivative.
    pub fn differentiates(self) -> bool {
        self.estimator(None).needs_derivative()
    }

    /// Returns true if both are the same but for a number.
    pub fn is_kin(self, other: Self) -> bool {
        std::mem::discriminant(&self) == std::mem::discriminant(&other)
    }
}

impl fmt::Display for EstimatorName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Pes => "pes",
            Self::Nres => "nres",
            Self::Gpes(unrolls) => return write!(formatter, "gpes:{unrolls}"),
            Self::Es => "es",
            Self::FullEs => "full-es",
            Self::PesA => "pes-a",
            Self::Tbptt => "tbptt",
            Self::Rtrl => "rtrl",
            Self::Uoro => "uoro",
            Self::Dodge => "dodge",
        })
    }
}

impl FromStr for EstimatorName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let unrolls = |text: &str| text.parse().ok().filter(|&unrolls| unrolls > 0);
        match text {
            "pes" => Ok(Self::Pes),
            "nres" => Ok(Self::Nres),
            "es" => Ok(Self::Es),
            "full-es" => Ok(Self::FullEs),
            "pes-a" => Ok(Self::PesA),
            "tbptt" => Ok(Self::Tbptt),
            "rtrl" => Ok(Self::Rtrl),
            "uoro" => Ok(Self::Uoro),
            "dodge" => Ok(Self::Dodge),
            _ => match text.strip_prefix("gpes:").and_then(unrolls) {
                Some(unrolls) => Ok(Self::Gpes(unrolls)),
                None => Err(format!("expected {NAMES}, got `{text}`")),
            },
        }
    }
}

impl TryFrom<String> for EstimatorName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<EstimatorName> for String {
    fn from(name: EstimatorName) -> Self {
        name.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        for name in ["pes", "nres", "gpes:7", "es", "full-es", "pes-a", "tbptt", "rtrl", "uoro", "dodge"] {
            assert_eq!(name.parse::<EstimatorName>().unwrap().to_string(), name);
        }
        for name in ["PES", "gpes", "gpes:0", "gpes:x", ""] {
            assert!(name.parse::<EstimatorName>().unwrap_err().ends_with(&format!("got `{name}`")));
        }
    }
}
