//! A curve that goes on, with marks along it.

use std::collections::VecDeque;

/// Moments that are kept.
const MOMENTS: usize = 600;

/// The last moments, each a step and what was measured then, and the steps of marks among them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Timeline<const N: usize> {
    moments: VecDeque<[f64; N]>,
    marks: VecDeque<f64>,
}

impl<const N: usize> Timeline<N> {
    pub(crate) fn moments(&self) -> &VecDeque<[f64; N]> {
        &self.moments
    }

    pub(crate) fn marks(&self) -> Vec<f64> {
        self.marks.iter().copied().collect()
    }

    pub(crate) fn mark(&mut self, step: f64) {
        self.marks.push_back(step);
    }

    /// Adds a moment; the oldest goes with the marks before it.
    pub(crate) fn push(&mut self, moment: [f64; N]) {
        self.moments.push_back(moment);
        if self.moments.len() > MOMENTS {
            self.moments.pop_front();
        }
        let first = self.moments[0][0];
        while self.marks.front().is_some_and(|&mark| mark < first) {
            self.marks.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_go_with_the_moments_that_they_stand_before() {
        let mut timeline = Timeline::default();
        timeline.mark(1.5);
        (0..MOMENTS).for_each(|step| timeline.push([step as f64, 0.0]));
        assert_eq!((timeline.moments().len(), timeline.marks()), (MOMENTS, vec![1.5]));
        timeline.mark(700.0);
        (0..2).for_each(|step| timeline.push([(MOMENTS + step) as f64, 0.0]));
        assert_eq!((timeline.moments()[0], timeline.marks()), ([2.0, 0.0], vec![700.0]));
    }
}
