//! Estimators of the gradient of an outer objective, and the ways in which they perturb.

use std::fmt;
use std::str::FromStr;

use super::Error;

/// The lifetime of a perturbation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Renewal {
    /// Resampled after so many unrolls, and at the start of an inner problem.
    Unrolls(usize),
    /// Resampled at the start of an inner problem only.
    Episode,
}

/// The state that an unroll starts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Particles {
    /// Each particle continues from its own state: losses are weighted with all perturbations since the inner problem
    /// started, which are accumulated.
    Own,
    /// All start from the state that unperturbed parameters have reached: losses are weighted with the perturbation of
    /// their own unroll, and the effect of earlier unrolls on the state is not seen.
    Shared,
}

/// The perturbation of particles or directions:
///
/// | estimator | a perturbation lasts | state | losses are weighted with |
/// |---|---|---|---|
/// | [`PES`](Self::PES) (Vicol et al. 2021) | one unroll | own | the sum since the inner problem started |
/// | [`gpes`](Self::gpes) (Li et al. 2023) | some unrolls | own | the sum since the inner problem started |
/// | [`NRES`](Self::NRES) (Li et al. 2023), ES-Single (Vicol et al. 2023) | the inner problem | own | the one there is |
/// | [`TRUNCATED_ES`](Self::TRUNCATED_ES) | one unroll | shared | that of the unroll |
/// | [`FULL_ES`](Self::FULL_ES) | the inner problem, one unroll | shared | that of the unroll |
///
/// With the truncation as long as the inner problem all of them are the same full evolution strategy, bit for bit.
///
/// Perturbations are resampled between unrolls only. If an inner problem ends mid-unroll, losses up to and including its
/// last step are weighted with the accumulated sum; later losses with the current perturbation, which is resampled at the
/// next unroll.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Perturbation {
    /// The lifetime of a perturbation.
    pub renewal: Renewal,
    /// The state that an unroll starts from.
    pub particles: Particles,
}

impl Perturbation {
    /// Persistent evolution strategies: unbiased, with new noise for each unroll.
    pub const PES: Self = Self::gpes(1);

    /// Noise-reuse evolution strategies, or ES-Single: unbiased, with one noise for an inner problem.
    pub const NRES: Self = Self { renewal: Renewal::Episode, particles: Particles::Own };

    /// Evolution strategies on truncated unrolls: biased, as truncated backpropagation is.
    pub const TRUNCATED_ES: Self = Self { renewal: Renewal::Unrolls(1), particles: Particles::Shared };

    /// Evolution strategies on whole inner problems: the truncation must be the horizon.
    pub const FULL_ES: Self = Self { renewal: Renewal::Episode, particles: Particles::Shared };

    /// Generalised persistent evolution strategies: noise that lasts for `unrolls` unrolls.
    pub const fn gpes(unrolls: usize) -> Self {
        Self { renewal: Renewal::Unrolls(unrolls), particles: Particles::Own }
    }

    /// Unrolls that a perturbation lasts; `None` if only a new inner problem resamples it.
    pub fn interval(&self) -> Option<usize> {
        match self.renewal {
            Renewal::Unrolls(unrolls) => Some(unrolls),
            // Its only unroll is the inner problem.
            Renewal::Episode if *self == Self::FULL_ES => Some(1),
            Renewal::Episode => None,
        }
    }

    fn check(&self) -> Result<(), Error> {
        match *self {
            Self::FULL_ES => Ok(()),
            Self { renewal: Renewal::Unrolls(0), .. } => {
                Error::settings("a perturbation lasts at least one unroll, not 0")
            }
            Self { renewal: Renewal::Unrolls(1), .. } | Self { particles: Particles::Own, .. } => Ok(()),
            _ => Error::settings("particles that share a state need new perturbations in each unroll"),
        }
    }
}

/// An estimator of the gradient of an outer objective from truncated unrolls. `docs/unrolled-gradients.md` has the
/// formula of each, with a picture.
///
/// | estimator | bias | variance |
/// |---|---|---|
/// | perturbed | as its [`Perturbation`]; of the objective smoothed by sigma | grows with the outer parameters |
/// | TBPTT | that of the truncation | none |
/// | RTRL | none | none |
/// | UORO | none | grows with the numbers in the state |
/// | DODGE | as its [`Perturbation`] | grows with the outer parameters |
///
/// "No bias" holds for parameters that do not move. All but the perturbed ones take derivatives and so descend the
/// objective itself, cliffs included, where evolution strategies descend a smoothed one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Estimator {
    /// Losses of antithetic pairs of particles:
    /// `g = 1 / (N sigma^2) * sum over particles of (loss of the unroll) * (accumulated perturbation)`.
    Perturbed {
        /// The perturbation of the particles.
        perturbation: Perturbation,
        /// Adds the derivative within the unroll along an unperturbed particle, and estimates only the rest (PES +
        /// Analytic, Vicol et al. 2021). Needs [`Perturbation::PES`], one chunk and a derivative.
        analytic: bool,
    },
    /// Truncated backpropagation through time: the gradient of the losses of each unroll by the parameters within it. On
    /// problems in WGSL it is taken forward, as one tangent for each parameter.
    Tbptt,
    /// Real-time recurrent learning (Williams and Zipser 1989): the derivative of the state is carried from unroll to
    /// unroll. The paper updates after every step: a truncation of 1.
    Rtrl,
    /// Unbiased online recurrent optimisation (Tallec and Ollivier 2017), the mean of as many independent estimates as
    /// there are particles. The paper updates after every step: a truncation of 1.
    Uoro,
    /// DODGE (Silver et al. 2022): derivatives along as many random directions as there are particles, averaged; the
    /// limit of an evolution strategy for small perturbations. With [`Perturbation::NRES`] a direction lasts for an inner
    /// problem; with [`Perturbation::TRUNCATED_ES`] tangents start at zero in each unroll and have the bias of truncated
    /// backpropagation.
    Dodge(Perturbation),
}

impl Estimator {
    /// Estimators and their names; `gpes:UNROLLS` and `dodge-NAME`, by the name of another perturbation, are named too.
    pub const NAMED: [(&'static str, Self); 9] = [
        ("pes", Self::PES),
        ("nres", Self::NRES),
        ("es", Self::TRUNCATED_ES),
        ("full-es", Self::FULL_ES),
        ("pes-a", Self::PES_ANALYTIC),
        ("tbptt", Self::Tbptt),
        ("rtrl", Self::Rtrl),
        ("uoro", Self::Uoro),
        ("dodge", Self::Dodge(Perturbation::NRES)),
    ];

    /// See [`Perturbation::PES`].
    pub const PES: Self = Self::perturbed(Perturbation::PES);

    /// See [`Perturbation::NRES`].
    pub const NRES: Self = Self::perturbed(Perturbation::NRES);

    /// See [`Perturbation::TRUNCATED_ES`].
    pub const TRUNCATED_ES: Self = Self::perturbed(Perturbation::TRUNCATED_ES);

    /// See [`Perturbation::FULL_ES`].
    pub const FULL_ES: Self = Self::perturbed(Perturbation::FULL_ES);

    /// Persistent evolution strategies with an analytic part.
    pub const PES_ANALYTIC: Self = Self::Perturbed { perturbation: Perturbation::PES, analytic: true };

    /// See [`Perturbation::gpes`].
    pub const fn gpes(unrolls: usize) -> Self {
        Self::perturbed(Perturbation::gpes(unrolls))
    }

    /// Perturbed particles without an analytic part.
    pub const fn perturbed(perturbation: Perturbation) -> Self {
        Self::Perturbed { perturbation, analytic: false }
    }

    /// Returns the perturbation of particles or directions; `None` for estimators that draw neither.
    pub fn perturbation(&self) -> Option<Perturbation> {
        match *self {
            Self::Perturbed { perturbation, .. } | Self::Dodge(perturbation) => Some(perturbation),
            Self::Tbptt | Self::Rtrl | Self::Uoro => None,
        }
    }

    /// Returns true if antithetic pairs of particles are perturbed, by sigma.
    pub fn is_perturbed(&self) -> bool {
        matches!(self, Self::Perturbed { .. })
    }

    /// Returns true if the number of particles (replicas, directions) matters.
    pub fn has_particles(&self) -> bool {
        !matches!(self, Self::Tbptt | Self::Rtrl)
    }

    /// Returns true if the inner problem needs a derivative.
    pub fn needs_derivative(&self) -> bool {
        !matches!(self, Self::Perturbed { analytic: false, .. })
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        if let Self::Perturbed { perturbation, analytic: true } = self
            && *perturbation != Perturbation::PES
        {
            return Error::settings("only persistent evolution strategies (PES) take an analytic part");
        }
        self.perturbation().map_or(Ok(()), |perturbation| perturbation.check())
    }
}

impl fmt::Display for Estimator {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((name, _)) = Self::NAMED.iter().find(|(_, estimator)| estimator == self) {
            return formatter.write_str(name);
        }
        match *self {
            Self::Dodge(perturbation) => write!(formatter, "dodge-{}", Self::perturbed(perturbation)),
            Self::Perturbed {
                perturbation: Perturbation { renewal: Renewal::Unrolls(unrolls), particles: Particles::Own },
                analytic: false,
            } => write!(formatter, "gpes:{unrolls}"),
            _ => write!(formatter, "{self:?}"),
        }
    }
}

impl FromStr for Estimator {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let named = Self::NAMED.into_iter().find(|(name, _)| *name == text).map(|(_, estimator)| estimator);
        let generalised = || text.strip_prefix("gpes:")?.parse().ok().filter(|&unrolls| unrolls > 0).map(Self::gpes);
        let directions = || match text.strip_prefix("dodge-")?.parse() {
            Ok(Self::Perturbed { perturbation, analytic: false }) => Some(Self::Dodge(perturbation)),
            _ => None,
        };
        named.or_else(generalised).or_else(directions).map_or_else(
            || {
                let names = "pes, nres, gpes:UNROLLS, es, full-es, pes-a, tbptt, rtrl, uoro or dodge";
                Error::settings(format!("expected {names}, got `{text}`"))
            },
            Ok,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        let others = ["gpes:7", "dodge-es", "dodge-gpes:2"];
        for name in Estimator::NAMED.into_iter().map(|(name, _)| name).chain(others) {
            assert_eq!(name.parse::<Estimator>().unwrap().to_string(), name);
        }
        for name in ["PES", "gpes", "gpes:0", "gpes:x", "dodge-tbptt", ""] {
            assert!(name.parse::<Estimator>().unwrap_err().to_string().ends_with(&format!("got `{name}`")));
        }
    }
}
