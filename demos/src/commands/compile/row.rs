//! One pipeline as one GPU's compiler sees it.

use serde::{Deserialize, Serialize};

use super::hot_loop::HotLoop;
use super::statistics::Statistics;
use super::variant::Variant;

/// A pipeline on a chip.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    pub chip: String,
    #[serde(flatten)]
    pub variant: Variant,
    pub outcome: Outcome,
}

/// The compiler's answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Compiled {
        seconds: f64,
        statistics: Statistics,
        /// The loop with the most multiply-adds; none in a kernel without.
        hot_loop: Option<HotLoop>,
    },
    /// naga or the driver refuses it, or the driver crashes.
    Refused(String),
}

/// Waves of 64 lanes that a SIMD unit of RDNA must hold at a time, so that some compute while others wait for memory.
/// One of GCN has a quarter of the registers.
const LEAST_WAVES: u32 = 4;

/// Invocations of a workgroup that fill the smallest wave.
const LEAST_WORKGROUP: u32 = 32;

/// Seconds that a pipeline may compile for.
const MOST_SECONDS: f64 = 120.0;

/// A rule that every pipeline should keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    Accepted,
    Spilled,
    Scratch,
    Waves,
    Workgroup,
    Seconds,
}

impl Rule {
    /// All rules with the words by which lists of exceptions name them.
    pub const NAMED: [(Rule, &str); 6] = [
        (Rule::Accepted, "accepted"),
        (Rule::Spilled, "spilled"),
        (Rule::Scratch, "scratch"),
        (Rule::Waves, "waves"),
        (Rule::Workgroup, "workgroup"),
        (Rule::Seconds, "seconds"),
    ];

    /// Returns the word for the rule.
    pub fn name(self) -> &'static str {
        Self::NAMED.iter().find(|(rule, _)| *rule == self).map_or("", |(_, name)| name)
    }
}

impl Row {
    /// Returns the rules that the pipeline breaks, each with how.
    pub fn broken(&self) -> Vec<(Rule, String)> {
        let (seconds, statistics) = match &self.outcome {
            Outcome::Refused(message) => return vec![(Rule::Accepted, message.clone())],
            Outcome::Compiled { seconds, statistics, .. } => (*seconds, statistics),
        };
        let rdna = !["polaris", "vega"].iter().any(|name| self.chip.starts_with(name));
        let workgroup = self.variant.workgroup;
        let rules = [
            (statistics.spilled > 0, Rule::Spilled, format!("{} registers spilled", statistics.spilled)),
            (statistics.scratch > 0, Rule::Scratch, format!("{} bytes of scratch", statistics.scratch)),
            (rdna && statistics.waves < LEAST_WAVES, Rule::Waves, format!("{} waves", statistics.waves)),
            (workgroup < LEAST_WORKGROUP, Rule::Workgroup, format!("workgroups of {workgroup}")),
            (seconds > MOST_SECONDS, Rule::Seconds, format!("{seconds:.0} s to compile")),
        ];
        rules.into_iter().filter(|(breaks, ..)| *breaks).map(|(_, rule, how)| (rule, how)).collect()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A pipeline that keeps every rule, with the numbers given.
    pub fn row(kernel: &str, chip: &str, statistics: Statistics) -> Row {
        let variant = Variant {
            kernel: kernel.to_owned(),
            constants: String::new(),
            entry_point: "main".to_owned(),
            workgroup: 64,
        };
        let outcome = Outcome::Compiled { seconds: 0.1, statistics, hot_loop: None };
        Row { chip: chip.to_owned(), variant, outcome }
    }

    #[test]
    fn a_pipeline_that_fits_keeps_every_rule() {
        assert_eq!(row("a", "navi21", Statistics { waves: 8, ..Statistics::default() }).broken(), []);
    }

    #[test]
    fn spills_and_few_waves_break_rules_and_older_chips_may_hold_fewer_waves() {
        let statistics = Statistics { waves: 2, spilled: 3, ..Statistics::default() };
        let rules = |chip| -> Vec<Rule> {
            row("a", chip, statistics.clone()).broken().into_iter().map(|(rule, _)| rule).collect()
        };
        assert_eq!(rules("navi21"), [Rule::Spilled, Rule::Waves]);
        assert_eq!(rules("vega10"), [Rule::Spilled]);
    }
}
