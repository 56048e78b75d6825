//! The inner time of a chunk in lockstep, which follows from the number of the iteration.

use std::collections::BTreeSet;

use super::UnrollSettings;

/// The steps at which the inner problems of a chunk begin and end, and at which perturbations are renewed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Clock {
    /// Steps of an unroll.
    truncation: usize,
    /// Steps of an inner problem, if it ends.
    horizon: Option<usize>,
    /// Steps of the first.
    first: usize,
    /// Unrolls that a perturbation lasts, if it ends before the inner problem.
    interval: Option<usize>,
}

/// One unroll of a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unroll {
    /// Steps of the inner problem that lie before it.
    time: usize,
    /// Steps to the end of the present inner problem.
    left: Option<usize>,
    horizon: Option<usize>,
    truncation: usize,
    /// Perturbations are new.
    pub renewed: bool,
}

impl Clock {
    pub fn new(horizon: Option<usize>, settings: &UnrollSettings, interval: Option<usize>, chunk: usize) -> Self {
        let staggered = horizon.filter(|_| settings.staggered);
        let first = match staggered {
            Some(horizon) => (horizon / settings.chunks * (chunk + 1)).max(1),
            None => horizon.unwrap_or(usize::MAX),
        };
        Self { truncation: settings.truncation, horizon, first, interval }
    }

    /// The unroll of an iteration.
    pub fn unroll(&self, iteration: u32) -> Unroll {
        let Self { truncation, horizon, first, interval } = *self;
        let done = iteration as usize * truncation;
        let (time, limit) = match horizon {
            Some(horizon) if done >= first => ((done - first) % horizon, Some(horizon)),
            Some(_) => (done, Some(first)),
            None => (done, None),
        };
        // Unrolls since the first that began in this inner problem; that one renews whatever the interval.
        let unrolls = time / truncation;
        let renewed = interval.map_or(unrolls == 0, |interval| unrolls.is_multiple_of(interval));
        Unroll { time, left: limit.map(|limit| limit - time), horizon, truncation, renewed }
    }

    /// The kinds of unrolls that occur.
    pub fn kinds(&self) -> BTreeSet<(Option<usize>, bool)> {
        // Times repeat after as many unrolls as the inner problem has steps, at the latest, and renewals follow them.
        let cycle = self.horizon.map_or(0, |horizon| self.first.div_ceil(self.truncation) + horizon);
        let count = cycle.max(self.interval.unwrap_or(1) + 1);
        (0..=count as u32).map(|iteration| self.unroll(iteration).kind()).collect()
    }
}

impl Unroll {
    /// Returns true if an inner problem begins before step `step` of the unroll.
    pub fn begins(&self, step: usize) -> bool {
        match (self.left, self.horizon) {
            _ if step == 0 => self.time == 0,
            (Some(left), Some(horizon)) => step >= left && (step - left).is_multiple_of(horizon),
            _ => false,
        }
    }

    /// Steps up to the first end of an inner problem, that step included, if there is one; and true if perturbations are
    /// new.
    pub fn kind(&self) -> (Option<usize>, bool) {
        (self.left.filter(|&left| left <= self.truncation), self.renewed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evolution::{Estimator, Perturbation};

    fn clock(horizon: Option<usize>, perturbation: Perturbation, truncation: usize) -> Clock {
        let settings = UnrollSettings::new(Estimator::perturbed(perturbation), 2, truncation, 1.0);
        Clock::new(horizon, &settings, perturbation.interval(), 0)
    }

    /// Times at which inner problems begin, by counting.
    fn begins(clock: &Clock, iterations: u32) -> Vec<usize> {
        let steps = (0..iterations).flat_map(|iteration| {
            let unroll = clock.unroll(iteration);
            let steps = (0..clock.truncation).filter(move |&step| unroll.begins(step));
            steps.map(move |step| iteration as usize * clock.truncation + step)
        });
        steps.collect()
    }

    #[test]
    fn inner_problems_begin_every_horizon_wherever_unrolls_are_cut() {
        for (horizon, truncation) in [(10, 5), (10, 4), (7, 10), (3, 3), (1, 4)] {
            let clock = clock(Some(horizon), Perturbation::PES, truncation);
            let expected: Vec<usize> = (0..12 * truncation).step_by(horizon).collect();
            assert_eq!(begins(&clock, 12), expected, "horizon {horizon}, truncation {truncation}");
        }
        assert_eq!(begins(&clock(None, Perturbation::PES, 4), 5), [0]);
    }

    #[test]
    fn staggered_chunks_end_their_first_inner_problem_at_different_times() {
        let mut settings = UnrollSettings::new(Estimator::PES, 8, 2, 1.0);
        (settings.chunks, settings.staggered) = (4, true);
        let first = [0, 1, 2, 3].map(|chunk| begins(&Clock::new(Some(8), &settings, Some(1), chunk), 6));
        assert_eq!(first, [vec![0, 2, 10], vec![0, 4], vec![0, 6], vec![0, 8]]);
    }

    #[test]
    fn an_end_is_counted_in_steps_of_its_unroll() {
        let clock = clock(Some(10), Perturbation::PES, 4);
        let ends: Vec<_> = (0..6).map(|iteration| clock.unroll(iteration).kind().0).collect();
        assert_eq!(ends, [None, None, Some(2), None, Some(4), None]);
        assert_eq!(clock.kinds().len(), 3);
    }

    #[test]
    fn perturbations_last_as_long_as_the_estimator_says_and_no_longer_than_the_inner_problem() {
        let renewed = |perturbation, truncation| -> Vec<bool> {
            let clock = clock(Some(10), perturbation, truncation);
            (0..8).map(|iteration| clock.unroll(iteration).renewed).collect()
        };
        let (yes, no) = (true, false);
        assert_eq!(renewed(Perturbation::PES, 2), [yes; 8]);
        assert_eq!(renewed(Perturbation::NRES, 2), [yes, no, no, no, no, yes, no, no]);
        assert_eq!(renewed(Perturbation::gpes(2), 2), [yes, no, yes, no, yes, yes, no, yes]);
        // The unroll after an end in the middle renews.
        assert_eq!(renewed(Perturbation::NRES, 4), [yes, no, no, yes, no, yes, no, no]);
    }
}
