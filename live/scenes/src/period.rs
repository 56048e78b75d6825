//! The steps of a frame in parts, for scenes that shuffle what is seen every so many steps.

/// Steps between two shuffles, or before the end of the frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Part {
    /// Steps to take: 0 only in a frame of none.
    pub steps: usize,
    /// True if a shuffle follows them.
    pub shuffles: bool,
    /// True if the frame ends with them.
    pub last: bool,
}

/// The parts of `steps` after the first `step` of a run with a shuffle every `period` steps, none for a period of 0. A frame of no
/// steps has one part.
pub(crate) fn parts(mut step: usize, steps: usize, period: usize) -> impl Iterator<Item = Part> {
    let mut left = Some(steps);
    std::iter::from_fn(move || {
        let wanted = left?;
        let steps = if period == 0 { wanted } else { wanted.min(period - step % period) };
        step += steps;
        left = (steps < wanted).then_some(wanted - steps);
        let shuffles = steps > 0 && period > 0 && step.is_multiple_of(period);
        Some(Part { steps, shuffles, last: left.is_none() })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(step: usize, steps: usize, period: usize) -> Vec<(usize, bool, bool)> {
        parts(step, steps, period).map(|part| (part.steps, part.shuffles, part.last)).collect()
    }

    #[test]
    fn a_frame_is_cut_where_a_period_ends() {
        assert_eq!(listed(3, 10, 5), [(2, true, false), (5, true, false), (3, false, true)]);
        assert_eq!(listed(5, 5, 5), [(5, true, true)]);
    }

    #[test]
    fn without_a_period_a_frame_is_one_part() {
        assert_eq!(listed(3, 10, 0), [(10, false, true)]);
    }

    #[test]
    fn a_frame_of_no_steps_shuffles_nothing() {
        assert_eq!(listed(5, 0, 5), [(0, false, true)]);
    }
}
