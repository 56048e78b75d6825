//! How many steps a frame takes.

/// Keeps frames short: as many steps as the speed asks for, and no more than the device does within a budget.
///
/// Without a clock of the device, all that is seen is the time from a submission to the frame that finds its answer, of which
/// the frame itself is a part. So steps are added as long as that time is hardly longer than for a single one.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Pace {
    /// The most steps of a submission.
    most: f64,
    /// Seconds from a submission of a single step to its answer.
    single: Option<f64>,
    /// When steps were submitted that are not answered, and how many.
    submitted: Option<(f64, usize)>,
    /// Parts of steps that the last frames owe.
    owed: f64,
}

/// Seconds that the steps after the first may take: two thirds of a frame of a screen with 60 a second.
const BUDGET: f64 = 0.011;

impl Pace {
    pub(crate) fn new() -> Self {
        Self { most: 1.0, single: None, submitted: None, owed: 0.0 }
    }

    /// Notes that everything submitted has been answered.
    pub(crate) fn answered(&mut self, now: f64) {
        let Some((then, steps)) = self.submitted.take() else { return };
        let elapsed = (now - then).max(0.0);
        let single = match self.single {
            _ if steps == 0 => return,
            None => elapsed,
            // The frame may have become slower or faster.
            Some(single) if steps == 1 => 0.5 * (single + elapsed),
            Some(single) => single.min(elapsed),
        };
        self.single = Some(single);
        if elapsed <= single + BUDGET {
            self.most = (1.1 * self.most + 1.0).min(4_096.0);
        } else {
            self.most = (0.8 * self.most).max(1.0);
        }
    }

    /// Returns the steps of the next submission, of `wanted` a frame.
    pub(crate) fn steps(&mut self, now: f64, wanted: f64) -> usize {
        self.owed = (self.owed + wanted).min(wanted.max(1.0));
        let steps = self.owed.min(self.most).floor();
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

    /// The steps of the last of many frames, each of which lasts this long besides its steps.
    fn settled(frame: f64, step: f64, wanted: f64) -> usize {
        let (mut pace, mut now, mut steps) = (Pace::new(), 0.0, 0);
        for _ in 0..100 {
            steps = pace.steps(now, wanted);
            now += frame + step * steps as f64;
            pace.answered(now);
        }
        steps
    }

    #[test]
    fn a_fast_device_takes_the_steps_that_are_wanted() {
        assert_eq!(settled(0.016, 1e-5, 20.0), 20);
        assert_eq!(settled(0.080, 1e-4, 20.0), 20);
    }

    #[test]
    fn a_slow_device_takes_fewer_but_one_at_least() {
        assert!((1..=4).contains(&settled(0.016, 0.005, 20.0)));
        assert!((1..=2).contains(&settled(0.016, 0.5, 20.0)));
    }

    #[test]
    fn half_a_step_a_frame_is_one_in_two() {
        let mut pace = Pace::new();
        let steps: Vec<usize> = (0..6).map(|frame| pace.steps(f64::from(frame), 0.5)).collect();
        assert_eq!(steps, [0, 1, 0, 1, 0, 1]);
    }
}
