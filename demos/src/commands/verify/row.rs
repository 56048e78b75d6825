//! The outcome of one case as a line of JSON.

use std::fmt;

use fourfold::shaders::Case;
use fourfold::verify::{Outcome, Verdict};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The kinds of outcomes of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The device lacks what the kernel declares: it is never chosen there.
    Skipped,
    /// Every number is within its bound.
    Right,
    /// A number is beyond its bound, a store outside its binding, or two runs differ.
    Wrong,
    /// The driver refused the kernel or its buffers.
    Refused,
    /// The device was lost.
    Lost,
    /// The process that ran the case died.
    Crashed,
    /// The case took longer than the time limit.
    Hung,
}

impl Kind {
    /// Returns true for all but [`Kind::Right`] and [`Kind::Skipped`].
    pub fn failed(self) -> bool {
        self > Kind::Right
    }

    /// Returns true if the driver cannot be trusted with the kernel's other cases.
    pub fn ends_the_kernel(self) -> bool {
        self >= Kind::Lost
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Skipped => "skipped",
            Kind::Right => "right",
            Kind::Wrong => "wrong",
            Kind::Refused => "refused",
            Kind::Lost => "lost",
            Kind::Crashed => "crashed",
            Kind::Hung => "hung",
        })
    }
}

/// A number that JSON can hold: one that is not finite is the string `inf`, `-inf` or `nan`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Number(pub f64);

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            number if number.is_finite() => serializer.serialize_f64(number),
            number if number.is_nan() => serializer.serialize_str("nan"),
            number if number > 0.0 => serializer.serialize_str("inf"),
            _ => serializer.serialize_str("-inf"),
        }
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Either {
            Finite(f64),
            Name(String),
        }
        match Either::deserialize(deserializer)? {
            Either::Finite(number) => Ok(Number(number)),
            Either::Name(name) => name.parse().map(Number).map_err(serde::de::Error::custom),
        }
    }
}

/// The comparison with the twin.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// The largest error in units of its bound.
    pub error_over_bound: Number,
    pub bound: Number,
    /// The element of the largest error.
    pub binding: String,
    pub index: usize,
    pub expected: Number,
    pub got: Number,
    /// Elements of that binding beyond their bounds, of how many, and their arrangement.
    pub wrong: usize,
    pub of: usize,
    pub pattern: String,
    /// Coordinates of the first of them, where the shape is known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub coordinates: Vec<Vec<usize>>,
    /// The first store outside a binding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wrote_outside: Option<(String, isize)>,
    /// The first element that differs between two runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unstable: Option<(String, usize)>,
}

/// The outcome of one case.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    pub kernel: String,
    pub case: u32,
    pub outcome: Kind,
    /// The problem in words.
    #[serde(default)]
    pub problem: String,
    /// Pipeline-overridable constants.
    #[serde(default)]
    pub constants: Vec<(String, f64)>,
    #[serde(default)]
    pub grid: [u32; 3],
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comparison: Option<Comparison>,
    /// The words of a refusal, a loss or a crash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Lines that the driver or a layer printed during the case.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub printed: Vec<String>,
    /// Wall time of the case, compilation included; the only part that two runs do not share.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
}

impl Row {
    /// The row of a case of which nothing is known but its outcome.
    pub fn of(kernel: &str, case: u32, outcome: Kind, message: impl Into<String>) -> Self {
        Self {
            kernel: kernel.to_owned(),
            case,
            outcome,
            problem: String::new(),
            constants: Vec::new(),
            grid: [0; 3],
            comparison: None,
            message: Some(message.into()),
            printed: Vec::new(),
            seconds: None,
        }
    }

    /// The row of a case that ran here.
    pub fn new(kernel: &str, number: u32, case: &Case, outcome: &Outcome) -> Self {
        let (kind, comparison, message) = match outcome {
            Outcome::Judged(examination) => {
                let verdict = &examination.verdict;
                (if verdict.passed() { Kind::Right } else { Kind::Wrong }, Some(Comparison::from(verdict)), None)
            }
            Outcome::Refused(error) => (Kind::Refused, None, Some(error.to_string())),
            Outcome::Lost(error) => (Kind::Lost, None, Some(error.to_string())),
            Outcome::Skipped(reason) => (Kind::Skipped, None, Some(reason.clone())),
        };
        let constants = case.call.constants.iter().map(|&(name, value)| (name.to_owned(), value)).collect();
        let (problem, grid) = (case.label.clone(), case.call.grid);
        Self {
            kernel: kernel.to_owned(),
            case: number,
            outcome: kind,
            problem,
            constants,
            grid,
            comparison,
            message,
            printed: Vec::new(),
            seconds: None,
        }
    }

    /// For the choice of a kernel's worst case.
    pub fn severity(&self) -> (Kind, f64) {
        let error = self.comparison.as_ref().map_or(0.0, |comparison| comparison.error_over_bound.0);
        (self.outcome, error)
    }

    /// Everything about a failure, in a few lines; `repeat` is the command that runs the case again.
    pub fn describe(&self, repeat: &str) -> String {
        let mut text = format!("{}: {} in case {}", self.kernel, self.outcome.to_string().to_uppercase(), self.case);
        if let Some(message) = &self.message {
            text += &format!(": {message}");
        }
        if let Some(comparison) = &self.comparison {
            text += &format!(": {comparison}");
        }
        if !self.problem.is_empty() {
            text += &format!("\n    {}", self.problem);
            let constants: Vec<String> =
                self.constants.iter().map(|(name, value)| format!("{name} = {value}")).collect();
            text += &format!(
                "\n    grid {:?}, constants: {}",
                self.grid,
                if constants.is_empty() { "none".into() } else { constants.join(", ") }
            );
        }
        if let Some(seconds) = self.seconds {
            text += &format!("; {seconds:.3} s");
        }
        text + &format!("\n    again: {repeat}")
    }
}

impl From<&Verdict> for Comparison {
    fn from(verdict: &Verdict) -> Self {
        Self {
            error_over_bound: Number(verdict.worst),
            bound: Number(verdict.bound),
            binding: verdict.binding.to_owned(),
            index: verdict.index,
            expected: Number(verdict.expected),
            got: Number(verdict.got),
            wrong: verdict.wrong.count,
            of: verdict.wrong.of,
            pattern: verdict.wrong.pattern.clone(),
            coordinates: verdict.wrong.coordinates.clone().unwrap_or_default(),
            wrote_outside: verdict.stray.map(|stray| (stray.binding.to_owned(), stray.index)),
            unstable: verdict.unstable.map(|unstable| (unstable.binding.to_owned(), unstable.index)),
        }
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { error_over_bound, bound, binding, index, expected, got, wrong, of, pattern, .. } = self;
        write!(
            f,
            "{binding}[{index}] is {:e}, its twin {:e}, {:.3} of the bound {:.3e}",
            got.0, expected.0, error_over_bound.0, bound.0
        )?;
        if *wrong > 0 {
            write!(f, "; {wrong} of {of} elements are wrong ({pattern})")?;
        }
        if !self.coordinates.is_empty() {
            let first: Vec<String> = self.coordinates.iter().take(4).map(|place| format!("{place:?}")).collect();
            write!(f, ", at {}", first.join(", "))?;
        }
        if let Some((binding, index)) = &self.wrote_outside {
            write!(f, "; wrote outside its binding, at {binding}[{index}]")?;
        }
        if let Some((binding, index)) = &self.unstable {
            write!(f, "; two runs differ, first at {binding}[{index}]")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_are_not_finite_go_through_json() {
        for number in [1.5, f64::INFINITY, f64::NEG_INFINITY] {
            let text = serde_json::to_string(&Number(number)).unwrap();
            assert_eq!(serde_json::from_str::<Number>(&text).unwrap(), Number(number), "{text}");
        }
        assert_eq!(serde_json::to_string(&Number(f64::NAN)).unwrap(), "\"nan\"");
    }

    #[test]
    fn a_row_survives_its_line() {
        let row = Row { problem: "p".into(), ..Row::of("softmax", 7, Kind::Crashed, "signal 11") };
        assert_eq!(serde_json::from_str::<Row>(&serde_json::to_string(&row).unwrap()).unwrap(), row);
        assert!(row.describe("fourfold verify").contains("CRASHED in case 7: signal 11"));
    }

    #[test]
    fn kinds_are_ordered_by_what_they_cost() {
        assert!(!Kind::Skipped.failed() && !Kind::Right.failed() && Kind::Wrong.failed() && Kind::Refused.failed());
        assert!(!Kind::Refused.ends_the_kernel() && Kind::Lost.ends_the_kernel() && Kind::Hung.ends_the_kernel());
    }
}
