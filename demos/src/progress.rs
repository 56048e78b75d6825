//! Progress of a run: a bar with rate and remaining time on a terminal, a plain line now and then
//! where the output is piped, nothing with `--quiet`. All of it goes to the standard error.

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
    /// The steps among them that an earlier process did.
    skipped: u64,
    message: String,
    begun: Instant,
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

impl Progress {
    /// Begins a piece of work of `total` steps.
    pub fn new(label: &str, total: u64, quiet: bool) -> Self {
        let begun = Instant::now();
        let look = if quiet {
            Look::Nothing
        } else if std::io::stderr().is_terminal() {
            let bar = ProgressBar::new(total);
            bar.set_style(style());
            bar.set_prefix(label.to_owned());
            Look::Bar(bar)
        } else {
            Look::Lines(begun)
        };
        Self { look, label: label.to_owned(), total, done: 0, skipped: 0, message: String::new(), begun }
    }

    /// Says what is happening now, e.g. the last loss.
    pub fn say(&mut self, message: impl Into<String>) {
        self.message = message.into();
        if let Look::Bar(bar) = &self.look {
            bar.set_message(self.message.clone());
        }
    }

    /// Counts finished steps.
    pub fn advance(&mut self, steps: u64) {
        self.done += steps;
        match &mut self.look {
            Look::Bar(bar) => bar.inc(steps),
            Look::Lines(last) if last.elapsed() >= BETWEEN_LINES => {
                *last = Instant::now();
                crate::tell!("{}", self.line(self.begun.elapsed()));
            }
            Look::Lines(_) | Look::Nothing => {}
        }
    }

    /// Counts steps that an earlier process did: they took no time.
    pub fn skip(&mut self, steps: u64) {
        self.done += steps;
        self.skipped += steps;
        if let Look::Bar(bar) = &self.look {
            bar.set_position(self.done);
            bar.reset_eta();
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

    /// `label: done of total, rate, time left, message`.
    fn line(&self, elapsed: Duration) -> String {
        let Self { label, total, done, skipped, message, .. } = self;
        let rate = (done - skipped) as f64 / elapsed.as_secs_f64();
        let mut line = format!("{label}: {done} of {total}, {rate:.1}/s");
        if done < total {
            let left = Duration::from_secs_f64(((total - done) as f64 / rate).clamp(0.0, 1e9));
            line += &format!(", {} left", duration(left));
        }
        if message.is_empty() { line } else { format!("{line}, {message}") }
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

fn style() -> ProgressStyle {
    ProgressStyle::with_template("{prefix} {wide_bar} {pos}/{len} {per_sec} {eta} left {msg}")
        .expect("a test parses the template")
}

/// A duration for people: two units at most.
pub fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    match duration.as_secs() {
        _ if seconds < 1e-3 => format!("{:.1} us", seconds * 1e6),
        _ if seconds < 1.0 => format!("{:.1} ms", seconds * 1e3),
        whole if whole < 60 => format!("{seconds:.1} s"),
        whole if whole < 3600 => format!("{} min {} s", whole / 60, whole % 60),
        whole => format!("{} h {} min", whole / 3600, whole / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_of_the_bar_is_valid() {
        style();
    }

    /// The line of `done` steps of `total` after 30 seconds.
    fn line(done: u64, total: u64, message: &str) -> String {
        let mut progress = Progress::new("verify", total, true);
        progress.advance(done);
        progress.say(message);
        progress.line(Duration::from_secs(30))
    }

    #[test]
    fn a_line_tells_the_rate_and_the_remaining_time() {
        assert_eq!(line(300, 1200, "softmax"), "verify: 300 of 1200, 10.0/s, 1 min 30 s left, softmax");
    }

    #[test]
    fn the_last_line_has_no_time_left() {
        assert_eq!(line(1200, 1200, ""), "verify: 1200 of 1200, 40.0/s");
    }

    #[test]
    fn a_line_without_any_step_done_still_reads() {
        assert!(line(0, 10, "").starts_with("verify: 0 of 10, 0.0/s"));
    }

    #[test]
    fn steps_of_an_earlier_process_do_not_raise_the_rate() {
        let mut progress = Progress::new("verify", 1200, true);
        progress.skip(900);
        progress.advance(150);
        assert_eq!(progress.line(Duration::from_secs(30)), "verify: 1050 of 1200, 5.0/s, 30.0 s left");
    }

    #[test]
    fn durations_are_told_in_units_of_their_size() {
        assert_eq!(duration(Duration::from_micros(250)), "250.0 us");
        assert_eq!(duration(Duration::from_millis(12)), "12.0 ms");
        assert_eq!(duration(Duration::from_secs(59)), "59.0 s");
        assert_eq!(duration(Duration::from_secs(3725)), "1 h 2 min");
    }
}
