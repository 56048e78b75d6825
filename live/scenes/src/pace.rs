//! How many steps a frame takes.

/// Keeps frames short: as many steps as the speed asks for, and no more than the device does within a budget.
///
/// The time from a submission to the frame that finds its answer is at least the device's, so that the estimate errs to the
/// side of fewer steps.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Pace {
    /// Seconds a step takes at most, by the last answers.
    each: Option<f64>,
    /// When steps were submitted that are not answered, and how many.
    submitted: Option<(f64, usize)>,
    /// Parts of steps that the last frames owe.
    owed: f64,
}

/// Seconds of steps in a frame: two thirds of a frame of a screen with 60 a second.
const BUDGET: f64 = 0.011;

impl Pace {
    pub(crate) fn new() -> Self {
        Self { each: None, submitted: None, owed: 0.0 }
    }

    /// Notes that everything submitted has been answered.
    pub(crate) fn answered(&mut self, now: f64) {
        let Some((then, steps)) = self.submitted.take() else { return };
        if steps == 0 {
            return;
        }
        let each = (now - then).max(0.0) / steps as f64;
        // A single slow frame, as the one in which a driver compiles, is forgotten within a few.
        self.each = Some(self.each.map_or(each, |old| if each < old { each } else { 0.7 * old + 0.3 * each }));
    }

    /// Returns the steps of the next submission, of `wanted` a frame.
    pub(crate) fn steps(&mut self, now: f64, wanted: f64) -> usize {
        self.owed = (self.owed + wanted).min(wanted.max(1.0));
        let most = self.each.map_or(1.0, |each| BUDGET / each.max(1e-9)).max(1.0);
        let steps = self.owed.min(most).floor();
        self.owed -= steps;
        self.submitted = Some((now, steps as usize));
        steps as usize
    }

    /// Notes that this many steps were submitted beside the pace.
    pub(crate) fn submitted(&mut self, now: f64, steps: usize) {
        self.submitted = Some((now, steps));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fast_device_takes_the_steps_that_are_wanted() {
        let mut pace = Pace::new();
        assert_eq!(pace.steps(0.0, 20.0), 1);
        pace.answered(0.0001);
        assert_eq!(pace.steps(0.016, 20.0), 20);
    }

    #[test]
    fn a_slow_device_takes_fewer_but_one_at_least() {
        let mut pace = Pace::new();
        pace.steps(0.0, 20.0);
        pace.answered(0.004);
        assert_eq!(pace.steps(0.016, 20.0), 2);
        pace.answered(1.016);
        assert_eq!(pace.steps(1.1, 20.0), 1);
    }

    #[test]
    fn half_a_step_a_frame_is_one_in_two() {
        let mut pace = Pace::new();
        let steps: Vec<usize> = (0..6).map(|frame| pace.steps(f64::from(frame), 0.5)).collect();
        assert_eq!(steps, [0, 1, 0, 1, 0, 1]);
    }
}
