//! Progress of a run: a bar with rate and remaining time on a terminal, a plain line now and then
//! where the output is piped, nothing with `--quiet`. All of it goes to the standard error.

use std::collections::VecDeque;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// The progress of one piece of work of a known number of steps.
#[derive(Debug)]
pub struct Progress {
    look: Look,
    label: String,
    total: u64,
    done: u64,
    message: String,
    begun: Instant,
    rate: Rate,
    /// The estimate of the whole has been told.
    estimated: bool,
}

#[derive(Debug)]
enum Look {
    Bar(ProgressBar),
    /// The time at which the last line was written.
    Lines(Instant),
    Nothing,
}

/// Time between two plain lines.
const BETWEEN_LINES: Duration = Duration::from_secs(5);

/// Measured time after which the first estimate of the whole is told.
const ESTIMATED_AFTER: Duration = Duration::from_secs(3);

impl Progress {
    /// Begins a piece of work of `total` steps.
    pub fn new(label: &str, total: u64, quiet: bool) -> Self {
        let begun = Instant::now();
        let terminal = std::io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|kind| kind != "dumb");
        let look = if quiet {
            Look::Nothing
        } else if terminal {
            let bar = ProgressBar::new(total);
            bar.set_style(style());
            bar.set_prefix(label.to_owned());
            // Time goes on where a step takes long.
            bar.enable_steady_tick(Duration::from_secs(1));
            Look::Bar(bar)
        } else {
            Look::Lines(begun)
        };
        let (label, rate) = (label.to_owned(), Rate::default());
        Self { look, label, total, done: 0, message: String::new(), begun, rate, estimated: false }
    }

    /// Says what is happening now, e.g. the last loss.
    pub fn say(&mut self, message: impl Into<String>) {
        self.message = message.into();
        self.redraw();
    }

    /// Counts finished steps.
    pub fn advance(&mut self, steps: u64) {
        self.done += steps;
        self.rate.record(self.begun.elapsed(), steps);
        self.estimate();
        self.redraw();
        match &mut self.look {
            Look::Bar(bar) => bar.inc(steps),
            Look::Lines(last) if last.elapsed() >= BETWEEN_LINES => {
                *last = Instant::now();
                crate::tell!("{}: {} of {}{}", self.label, self.done, self.total, self.figures());
            }
            Look::Lines(_) | Look::Nothing => {}
        }
    }

    /// Counts steps that an earlier process did: they took no time.
    pub fn skip(&mut self, steps: u64) {
        self.done += steps;
        if let Look::Bar(bar) = &self.look {
            bar.set_position(self.done);
        }
    }

    /// Returns the finished steps.
    pub fn done(&self) -> u64 {
        self.done
    }

    /// Writes a line that stays, above the bar.
    pub fn note(&self, text: &str) {
        match &self.look {
            Look::Bar(bar) => bar.suspend(|| crate::tell!("{text}")),
            Look::Lines(_) => crate::tell!("{text}"),
            Look::Nothing => {}
        }
    }

    /// Says once how long the whole takes here, as soon as a few steps are measured.
    fn estimate(&mut self) {
        if self.estimated || self.rate.span() < ESTIMATED_AFTER {
            return;
        }
        self.estimated = true;
        if let Some(left) = self.left() {
            self.note(&format!("{}: about {} to go on this adapter", self.label, duration(left)));
        }
    }

    /// The time that the other steps will take, as the last ones took.
    fn left(&self) -> Option<Duration> {
        let left = (self.total.saturating_sub(self.done)) as f64 * self.rate.seconds_of_a_step()?;
        (self.done < self.total).then(|| Duration::from_secs_f64(left.min(1e9)))
    }

    fn redraw(&self) {
        if let Look::Bar(bar) = &self.look {
            bar.set_message(self.figures());
        }
    }

    /// `, rate, time left, message`, each if there is one.
    fn figures(&self) -> String {
        let rate = self.rate.seconds_of_a_step().map(|seconds| match seconds {
            _ if seconds > 1.0 => format!("{seconds:.1} s each"),
            _ => format!("{:.1}/s", 1.0 / seconds),
        });
        let left = self.left().map(|left| format!("{} left", duration(left)));
        let message = Some(&self.message).filter(|message| !message.is_empty()).cloned();
        [rate, left, message].into_iter().flatten().map(|figure| format!(", {figure}")).collect()
    }

    /// Ends the work; the bar disappears, and a line says how long it took.
    pub fn finish(self) {
        let took = format!("{}: {} in {}", self.label, self.done, duration(self.begun.elapsed()));
        match &self.look {
            Look::Bar(bar) => {
                bar.finish_and_clear();
                crate::tell!("{took}");
            }
            Look::Lines(_) => crate::tell!("{took}"),
            Look::Nothing => {}
        }
    }
}

/// The time that a step takes, by those of the last minute. What comes before the end of the first step (the compiling
/// of its kernels) does not count.
#[derive(Debug, Default)]
struct Rate {
    /// Ends of steps, each with the number of steps that ended then.
    ends: VecDeque<(Duration, u64)>,
}

impl Rate {
    const WINDOW: Duration = Duration::from_secs(60);

    fn record(&mut self, now: Duration, steps: u64) {
        self.ends.push_back((now, steps));
        // Two ends stay, however old: a step may take longer than the window.
        while self.ends.len() > 2 && now - self.ends[1].0 > Self::WINDOW {
            self.ends.pop_front();
        }
    }

    /// The time between the first and the last end that count.
    fn span(&self) -> Duration {
        self.ends.back().zip(self.ends.front()).map_or(Duration::ZERO, |(last, first)| last.0 - first.0)
    }

    /// `None` before two steps have ended.
    fn seconds_of_a_step(&self) -> Option<f64> {
        let steps: u64 = self.ends.iter().skip(1).map(|(_, steps)| steps).sum();
        let seconds = self.span().as_secs_f64();
        (steps > 0 && seconds > 0.0).then(|| seconds / steps as f64)
    }
}

fn style() -> ProgressStyle {
    ProgressStyle::with_template("{prefix} {bar:20} {pos}/{len} {elapsed}{msg}").expect("a test parses the template")
}

/// A duration for people: two units at most, whole seconds from one second on.
pub fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    match seconds.round() as u64 {
        _ if seconds < 1e-3 => format!("{:.0} us", seconds * 1e6),
        _ if seconds < 0.9995 => format!("{:.0} ms", seconds * 1e3),
        whole if whole < 60 => format!("{whole} s"),
        whole if whole < 3600 => format!("{} min {} s", whole / 60, whole % 60),
        whole if whole < 100 * 3600 => format!("{} h {} min", whole / 3600, whole / 60 % 60),
        whole => format!("{} days", whole / 86400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_of_the_bar_is_valid() {
        style();
    }

    /// The figures of `total` steps whose steps ended at these seconds.
    fn figures(ends: &[u64], total: u64, message: &str) -> String {
        let mut progress = Progress::new("verify", total, true);
        for &end in ends {
            progress.done += 1;
            progress.rate.record(Duration::from_secs(end), 1);
        }
        progress.say(message);
        progress.figures()
    }

    #[test]
    fn figures_tell_the_rate_and_the_remaining_time() {
        let mut progress = Progress::new("verify", 1200, true);
        for (end, steps) in [(7, 1), (17, 100), (37, 200)] {
            progress.done += steps;
            progress.rate.record(Duration::from_secs(end), steps);
        }
        progress.say("softmax");
        assert_eq!(progress.figures(), ", 10.0/s, 1 min 30 s left, softmax");
    }

    #[test]
    fn the_time_of_a_long_step_is_told_instead_of_a_rate() {
        assert_eq!(figures(&[100, 104, 108], 5, ""), ", 4.0 s each, 8 s left");
    }

    #[test]
    fn the_first_step_with_its_compilation_does_not_count() {
        assert_eq!(figures(&[100], 5, ""), "");
        assert_eq!(figures(&[100, 102], 5, ""), ", 2.0 s each, 6 s left");
    }

    #[test]
    fn only_the_last_minute_counts() {
        let slow_then_fast: Vec<u64> = (0..10).map(|step| 50 * step).chain(460..560).collect();
        assert_eq!(figures(&slow_then_fast, 120, ""), ", 1.0/s, 10 s left");
    }

    #[test]
    fn the_last_line_has_no_time_left() {
        assert_eq!(figures(&[1, 2, 3], 3, ""), ", 1.0/s");
    }

    #[test]
    fn steps_of_an_earlier_process_do_not_raise_the_rate() {
        let mut progress = Progress::new("verify", 1200, true);
        progress.skip(900);
        for end in [10, 40] {
            progress.done += 75;
            progress.rate.record(Duration::from_secs(end), 75);
        }
        assert_eq!(progress.figures(), ", 2.5/s, 1 min 0 s left");
    }

    #[test]
    fn durations_are_told_in_units_of_their_size() {
        assert_eq!(duration(Duration::from_micros(250)), "250 us");
        assert_eq!(duration(Duration::from_millis(12)), "12 ms");
        assert_eq!(duration(Duration::from_millis(999)), "999 ms");
        assert_eq!(duration(Duration::from_millis(59_900)), "1 min 0 s");
        assert_eq!(duration(Duration::from_secs(3725)), "1 h 2 min");
        assert_eq!(duration(Duration::from_secs(1_000_000)), "11 days");
    }
}
