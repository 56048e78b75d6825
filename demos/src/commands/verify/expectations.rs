//! Known failures: each is asserted, so that its mending is noticed.

use std::path::Path;

use fourfold::data::file;
use fourfold::wgpu::AdapterInfo;

use super::row::Kind;
use super::summary::Summary;
use crate::failure::Failure;

/// The list that the command brings along.
const BUILT_IN: &str = include_str!("expectations.txt");

/// One known failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expectation {
    pub kernel: String,
    pub outcome: String,
    /// It fails on every machine, so that its mending shows; else on some processors alone.
    pub always: bool,
    pub reason: String,
}

/// The known failures of one driver.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expectations(Vec<Expectation>);

/// The result of holding kernels against what is known of them.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Judged {
    /// Kernels that failed and are not known to, with the worst outcome of each.
    pub unexpected: Vec<(String, Kind)>,
    /// Kernels that are known to fail and did not.
    pub mended: Vec<String>,
}

/// The words by which an expectation names an adapter and its driver.
pub fn describe_adapter(name: &str, driver: &str, driver_info: &str) -> String {
    format!("{name} {driver} {driver_info}").trim().to_owned()
}

impl Expectations {
    /// Reads those of this adapter from a file, or from the list that is built in.
    ///
    /// # Errors
    /// The file cannot be read, or a line of it is none.
    pub fn load(path: Option<&Path>, adapter: &AdapterInfo) -> Result<Self, Failure> {
        let driver = describe_adapter(&adapter.name, &adapter.driver, &adapter.driver_info);
        match path {
            None => Self::built_in(&driver),
            Some(path) => Self::of_file(path, &driver),
        }
    }

    /// Checks a file of them before any work.
    ///
    /// # Errors
    /// The file cannot be read, or a line of it is none.
    pub fn check(path: &Path) -> Result<(), Failure> {
        Self::of_file(path, "").map(drop)
    }

    fn of_file(path: &Path, driver: &str) -> Result<Self, Failure> {
        let text = String::from_utf8(file::read(path)?)
            .map_err(|error| Failure::input(format!("{}: expected a text, got {error}", path.display())))?;
        Self::parse(&text, &path.display().to_string(), driver)
    }

    /// Reads those of a driver, as [`describe_adapter`] names it, from the list that is built in.
    ///
    /// # Errors
    /// None, unless the list is broken.
    pub fn built_in(driver: &str) -> Result<Self, Failure> {
        Self::parse(BUILT_IN, "the built-in list", driver)
    }

    fn parse(text: &str, name: &str, driver: &str) -> Result<Self, Failure> {
        let mut list = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let parts: Vec<&str> = line.split('|').map(str::trim).collect();
            let [of, kernel, outcome, reason] = parts[..] else {
                let expected = "DRIVER | KERNEL | OUTCOME | REASON";
                return Err(Failure::input(format!("{name}, line {number}: expected `{expected}`, got `{line}`")));
            };
            let (outcome, always) = match outcome.strip_prefix("at times ") {
                Some(outcome) => (outcome, false),
                None => (outcome, true),
            };
            if !["wrong", "refused", "lost", "crashed", "hung"].contains(&outcome) {
                let expected = "wrong, refused, lost, crashed or hung, or `at times` before it";
                return Err(Failure::input(format!("{name}, line {number}: expected {expected}, got `{outcome}`")));
            }
            // Words that all stand in the name of the adapter or in that of its driver.
            if of.split_whitespace().all(|word| driver.contains(word)) {
                let [kernel, outcome, reason] = [kernel, outcome, reason].map(str::to_owned);
                list.push(Expectation { kernel, outcome, always, reason });
            }
        }
        Ok(Self(list))
    }

    /// Finds what is known of this failure.
    pub fn find(&self, name: &str, outcome: Kind) -> Option<&Expectation> {
        self.0.iter().find(|known| known.kernel == name && known.outcome == outcome.to_string())
    }

    /// Marks the kernels whose failure is known, and lists what is otherwise than expected.
    pub fn judge(&self, summaries: &mut [Summary]) -> Judged {
        let mut judged = Judged::default();
        for summary in summaries {
            let known = self.0.iter().find(|known| known.kernel == summary.kernel);
            let outcome = summary.worst.outcome;
            summary.known = known.is_some_and(|known| known.outcome == outcome.to_string());
            if outcome.failed() && !summary.known {
                judged.unexpected.push((summary.kernel.clone(), outcome));
            } else if outcome == Kind::Right
                && let Some(known) = known.filter(|known| known.always)
            {
                judged.mended.push(format!("{} ({})", summary.kernel, known.reason));
            }
        }
        judged
    }
}

#[cfg(test)]
mod tests {
    use super::super::row::Row;
    use super::super::summary::summarise;
    use super::*;

    const LIST: &str =
        "# known\nllvmpipe 22.3 | softmax | crashed | a reason\nSwiftShader | softmax | wrong | another\n";

    #[test]
    fn only_the_failures_of_this_driver_are_known() {
        let known = Expectations::parse(LIST, "list", "llvmpipe (LLVM 15) llvmpipe Mesa 22.3.6").unwrap();
        assert_eq!(known.0.len(), 1);
        assert_eq!(known.0[0].outcome, "crashed");
        assert!(Expectations::parse(BUILT_IN, "built-in", "none").is_ok());
    }

    #[test]
    fn a_known_failure_is_expected_another_is_not_and_a_mended_one_is_told() {
        let known = Expectations::parse(LIST, "list", "llvmpipe Mesa 22.3.6").unwrap();
        let judge = |kind| known.judge(&mut summarise(&[Row::of("softmax", 0, kind, "")]));
        assert_eq!(judge(Kind::Crashed), Judged::default());
        assert_eq!(judge(Kind::Wrong).unexpected, [("softmax".to_owned(), Kind::Wrong)]);
        assert_eq!(judge(Kind::Right).mended, ["softmax (a reason)"]);
    }

    #[test]
    fn a_failure_of_some_processors_is_expected_and_its_absence_too() {
        let known =
            Expectations::parse("SwiftShader | exp | at times wrong | rounding", "list", "SwiftShader").unwrap();
        for kind in [Kind::Wrong, Kind::Right] {
            assert_eq!(known.judge(&mut summarise(&[Row::of("exp", 0, kind, "")])), Judged::default());
        }
        assert!(known.find("exp", Kind::Crashed).is_none());
    }

    #[test]
    fn a_line_that_is_none_is_refused_with_its_number() {
        for (text, expected) in [("\nsoftmax wrong", "line 2"), ("a | b | odd | c", "got `odd`")] {
            let sentence = Expectations::parse(text, "list", "").unwrap_err().to_string();
            assert!(sentence.contains(expected), "{sentence}");
        }
    }
}
