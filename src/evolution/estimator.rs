//! How truncated unrolls are perturbed: where the estimators of their gradient differ, and nowhere else.

use crate::rollout::Error;

/// When a particle's perturbation is drawn anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Renewal {
    /// After so many unrolls, and in the first unroll of an inner problem.
    Unrolls(usize),
    /// In the first unroll of an inner problem only.
    Episode,
}

/// Whose state an unroll starts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Particles {
    /// Each particle goes on from where it was: the losses of an unroll count with all perturbations since the inner
    /// problem started, which are accumulated.
    Own,
    /// All start from the state that unperturbed parameters have reached: the losses count with the perturbation of their
    /// own unroll, and what earlier unrolls did to the state is not seen.
    Shared,
}

/// An estimator of the gradient of an outer objective from truncated unrolls of antithetic pairs of particles:
///
/// `g = 1 / (N sigma^2) * sum over particles of (loss of the unroll) * (perturbations that count)`
///
/// | estimator | a perturbation lasts | state | what counts |
/// |---|---|---|---|
/// | [`PES`](Self::PES) (Vicol et al. 2021) | one unroll | own | the sum since the inner problem started |
/// | [`gpes`](Self::gpes) (Li et al. 2023) | some unrolls | own | the sum since the inner problem started |
/// | [`NRES`](Self::NRES) (Li et al. 2023), ES-Single (Vicol et al. 2023) | the inner problem | own | the one there is |
/// | [`TRUNCATED_ES`](Self::TRUNCATED_ES) | one unroll | shared | that of the unroll |
///
/// With the truncation as long as the inner problem all of them are the same full evolution strategy, bit for bit.
///
/// Noise is renewed between unrolls only. Where an inner problem ends in the middle of one, its last loss included counts
/// with all that was accumulated, the present perturbation goes on as the first of the next inner problem, and the unroll
/// after renews it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Estimator {
    pub renewal: Renewal,
    pub particles: Particles,
}

impl Estimator {
    /// Persistent evolution strategies: unbiased, with noise of its own for each unroll.
    pub const PES: Self = Self::gpes(1);

    /// Noise-reuse evolution strategies, or ES-Single: unbiased, with one noise for an inner problem.
    pub const NRES: Self = Self { renewal: Renewal::Episode, particles: Particles::Own };

    /// Evolution strategies on truncated unrolls: biased, as truncated backpropagation is.
    pub const TRUNCATED_ES: Self = Self { renewal: Renewal::Unrolls(1), particles: Particles::Shared };

    /// Generalised persistent evolution strategies: noise that lasts for `unrolls` unrolls.
    pub const fn gpes(unrolls: usize) -> Self {
        Self { renewal: Renewal::Unrolls(unrolls), particles: Particles::Own }
    }

    /// Unrolls that a perturbation lasts; `None` where only a new inner problem renews it.
    pub fn interval(&self) -> Option<usize> {
        match self.renewal {
            Renewal::Unrolls(unrolls) => Some(unrolls),
            Renewal::Episode => None,
        }
    }

    /// Whether this is an estimator.
    pub(super) fn check(&self) -> Result<(), Error> {
        let refuse = |message: &str| Err(Error::Settings { message: message.into() });
        match *self {
            Self { renewal: Renewal::Unrolls(0), .. } => refuse("a perturbation lasts at least one unroll, not 0"),
            Self { renewal: Renewal::Unrolls(1), .. } | Self { particles: Particles::Own, .. } => Ok(()),
            _ => refuse("where particles share a state, each unroll has perturbations of its own"),
        }
    }
}
