//! `fourfold verify report RUN...`: runs on several drivers side by side, as a page of markdown.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use clap::Args;
use fourfold::data::file;
use serde_json::Value;

use super::difference;
use super::expectations::{Expectations, describe_adapter};
use super::row::{Kind, Row};
use super::summary::{Summary, summarise};
use crate::entry::Plain;
use crate::failure::Failure;
use crate::options::Common;
use crate::run::folder::CONFIGURATION;
use crate::run::report::Report;

/// Write runs of several drivers side by side, as markdown
#[derive(Debug, Clone, Args)]
pub struct Arguments {
    /// The folders of the runs
    #[arg(value_name = "RUN", required = true)]
    runs: Vec<PathBuf>,
}

impl Plain for Arguments {
    const NAME: &'static str = "verify report";
    const COMMON: &'static [&'static str] = &[];

    fn run(&self, _: &Common) -> Result<(), Failure> {
        let runs: Vec<Run> = self.runs.iter().map(|path| Run::read(path)).collect::<Result<_, _>>()?;
        crate::show!("{}", report(&runs).markdown());
        Ok(())
    }
}

/// One run, read from its folder.
struct Run {
    /// The name of its folder, which heads its column.
    name: String,
    adapter: String,
    seed: u64,
    checked: bool,
    rows: Vec<Row>,
    summaries: Vec<Summary>,
}

impl Run {
    fn read(path: &Path) -> Result<Self, Failure> {
        let rows = difference::rows(path)?;
        let name = path.file_name().map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into());
        let text = file::read(&path.join(CONFIGURATION))?;
        let configuration: Value = serde_json::from_slice(&text)
            .map_err(|error| Failure::input(format!("{}: expected JSON, got {error}", path.display())))?;
        let adapter = &configuration["adapter"];
        let word = |key: &str| adapter[key].as_str().unwrap_or_default();
        let driver = describe_adapter(word("name"), word("driver"), word("driver_info"));
        let mut summaries = summarise(&rows);
        Expectations::built_in(&driver)?.judge(&mut summaries);
        Ok(Self {
            name,
            adapter: format!("{driver} ({})", word("backend")),
            seed: configuration["seed"].as_u64().unwrap_or_default(),
            checked: configuration["settings"]["checked"].as_bool().unwrap_or_default(),
            rows,
            summaries,
        })
    }

    /// Kernels of this outcome.
    fn count(&self, outcome: Kind) -> usize {
        self.summaries.iter().filter(|summary| summary.worst.outcome == outcome).count()
    }

    /// The kernel whose largest error is nearest to its bound.
    fn nearest(&self) -> Option<&Summary> {
        let right = self.summaries.iter().filter(|summary| summary.worst.outcome == Kind::Right);
        right.max_by(|a, b| a.worst.severity().1.total_cmp(&b.worst.severity().1))
    }
}

fn report(runs: &[Run]) -> Report {
    let mut report = Report::new("Every kernel against its twin, on several drivers");
    let header = [
        "run",
        "adapter",
        "seed",
        "shaders",
        "cases",
        "right",
        "not run",
        "wrong",
        "failed otherwise",
        "nearest to its bound",
        "seconds",
    ];
    report.table(&header, runs.iter().map(summary));
    for run in runs {
        for summary in run.summaries.iter().filter(|summary| summary.worst.outcome != Kind::Right) {
            let words = match (&summary.worst.message, &summary.worst.comparison) {
                (Some(message), _) if summary.worst.outcome != Kind::Skipped => format!(": {message}"),
                (_, Some(comparison)) => format!(": {comparison}"),
                _ => String::new(),
            };
            report.paragraph(format!("{}, `{}`: {}{words}", run.name, summary.kernel, summary.verdict()));
        }
        for (message, kernels) in messages(run) {
            let names: Vec<String> = kernels.iter().map(|kernel| format!("`{kernel}`")).collect();
            let count = names.len();
            report.paragraph(format!("{} printed {message} in {count} kernels: {}", run.name, names.join(", ")));
        }
    }
    report.heading("Errors");
    report.paragraph("The largest error of each kernel in units of its bound; 1 would be the limit.");
    errors(&mut report, runs);
    report
}

/// The line of a run.
fn summary(run: &Run) -> [String; 11] {
    let failed = [Kind::Refused, Kind::Lost, Kind::Crashed, Kind::Hung].map(|kind| run.count(kind));
    let nearest = run.nearest();
    let seconds: f64 = run.rows.iter().filter_map(|row| row.seconds).sum();
    [
        run.name.clone(),
        run.adapter.clone(),
        run.seed.to_string(),
        if run.checked { "checked" } else { "unchecked" }.to_owned(),
        run.rows.len().to_string(),
        run.count(Kind::Right).to_string(),
        run.count(Kind::Skipped).to_string(),
        run.count(Kind::Wrong).to_string(),
        failed.iter().sum::<usize>().to_string(),
        nearest.map_or(String::new(), |nearest| format!("`{}`, {:.3}", nearest.kernel, nearest.worst.severity().1)),
        format!("{seconds:.0}"),
    ]
}

/// Messages that the driver and layers printed, with the kernels that they came with.
fn messages(run: &Run) -> BTreeMap<String, BTreeSet<&str>> {
    let mut kernels: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for row in &run.rows {
        for message in named_messages(&row.printed) {
            kernels.entry(message).or_default().insert(&row.kernel);
        }
    }
    kernels
}

/// The names of the rules that the lines quote; without any, the first line.
fn named_messages(printed: &[String]) -> BTreeSet<String> {
    let words = printed.iter().flat_map(|line| line.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-')));
    let rules: BTreeSet<String> = words.filter(|word| word.starts_with("VUID-")).map(str::to_owned).collect();
    match printed.first() {
        Some(first) if rules.is_empty() => BTreeSet::from([format!("\"{first}\"")]),
        _ => rules,
    }
}

/// The largest error of each kernel, a column for each run.
fn errors(report: &mut Report, runs: &[Run]) {
    let mut names: Vec<&str> = Vec::new();
    for summary in runs.iter().flat_map(|run| &run.summaries) {
        if !names.contains(&&*summary.kernel) {
            names.push(&summary.kernel);
        }
    }
    let cell = |name: &str, run: &Run| {
        let summary = run.summaries.iter().find(|summary| summary.kernel == name);
        summary.map_or(String::new(), |summary| match (&summary.worst.comparison, summary.worst.outcome) {
            (Some(comparison), Kind::Right) => format!("{:.3}", comparison.error_over_bound.0),
            (_, outcome) => outcome.to_string(),
        })
    };
    let header: Vec<&str> = std::iter::once("kernel").chain(runs.iter().map(|run| &*run.name)).collect();
    let row = |name: &str| {
        std::iter::once(format!("`{name}`")).chain(runs.iter().map(|run| cell(name, run))).collect::<Vec<_>>()
    };
    report.table(&header, names.iter().map(|name| row(name)));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(name: &str, rows: Vec<Row>) -> Run {
        let summaries = summarise(&rows);
        Run { name: name.into(), adapter: "a driver".into(), seed: 0, checked: false, rows, summaries }
    }

    #[test]
    fn runs_stand_side_by_side() {
        let printed = ["[ VUID-A-1 ] | MessageID = 0x1", "see #VUID-A-1)"].map(str::to_owned).to_vec();
        let rows = vec![
            Row { printed, ..Row::of("softmax", 0, Kind::Right, "") },
            Row::of("matmul", 0, Kind::Crashed, "signal 11"),
        ];
        let text = report(&[run("here", rows), run("there", vec![Row::of("softmax", 0, Kind::Skipped, "no lanes")])])
            .markdown();
        for expected in [
            "| here | a driver | 0 | unchecked | 2 | 1 | 0 | 0 | 1 |",
            "here, `matmul`: CRASHED: signal 11",
            "there, `softmax`: not run: no lanes",
            "here printed VUID-A-1 in 1 kernels: `softmax`",
            "| `matmul` | crashed |  |",
        ] {
            assert!(text.contains(expected), "{expected}\n{text}");
        }
    }

    #[test]
    fn a_message_that_names_no_rule_is_quoted() {
        assert_eq!(named_messages(&["odd".to_owned()]), BTreeSet::from(["\"odd\"".to_owned()]));
        assert!(named_messages(&[]).is_empty());
    }
}
