//! `fourfold runs`: the runs of a folder, and how two or more differ.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use fourfold::data::{Error, file};
use serde_json::{Map, Value};

use crate::entry::Plain;
use crate::failure::Failure;
use crate::guide::ending;
use crate::options::Common;
use crate::progress::duration;
use crate::run::folder::CONFIGURATION;
use crate::run::record::{End, date};
use crate::run::{REPORT, RESULTS};
use crate::table::{broken, fitted, width};

/// List the runs of a folder, or compare those that are named: settings that differ, and results
#[derive(Debug, Clone, Args)]
pub struct Arguments {
    /// A folder of runs to list, or two or more runs to compare
    #[arg(value_name = "FOLDER", default_value = "runs")]
    pub folders: Vec<PathBuf>,
}

impl Plain for Arguments {
    const NAME: &'static str = "runs";
    const COMMON: &'static [&'static str] = &[];

    fn run(&self, _: &Common) -> Result<(), Failure> {
        let mut runs = Vec::new();
        for folder in &self.folders {
            runs.extend(if folder.join(CONFIGURATION).is_file() {
                vec![Listed::open(folder)?]
            } else {
                within(folder)?
            });
        }
        let named = self.folders.len() > 1 && runs.len() == self.folders.len();
        crate::show!("{}", if named { compared(&runs) } else { list(&mut runs) });
        crate::show!("{}", ending(Self::NAME, None, None));
        Ok(())
    }
}

/// A run as its folder tells.
#[derive(Debug, Clone, PartialEq)]
struct Listed {
    folder: PathBuf,
    configuration: Map<String, Value>,
    end: Option<End>,
    /// It has its results.
    finished: bool,
}

impl Listed {
    fn open(folder: &Path) -> Result<Self, Failure> {
        let path = folder.join(CONFIGURATION);
        let wrong = |error: serde_json::Error| {
            let (file, expected) = (path.display().to_string(), "the configuration of a run".to_owned());
            Error::Content { file, expected, got: error.to_string() }
        };
        let configuration: Map<String, Value> = serde_json::from_slice(&file::read(&path)?).map_err(wrong)?;
        let end = End::read(folder);
        let finished = folder.join(RESULTS).exists() || (end.is_none() && folder.join(REPORT).exists());
        Ok(Self { folder: folder.to_owned(), configuration, end, finished })
    }

    fn text(&self, key: &str) -> String {
        self.configuration.get(key).and_then(Value::as_str).unwrap_or("-").to_owned()
    }

    /// The command line.
    fn line(&self) -> String {
        let words = self.configuration.get("command_line").and_then(Value::as_array);
        let words: Vec<&str> = words.into_iter().flatten().filter_map(Value::as_str).collect();
        if words.is_empty() {
            format!("fourfold {}", self.text("command"))
        } else {
            format!("fourfold {}", words.join(" "))
        }
    }

    fn begun(&self) -> u64 {
        self.configuration.get("unix_time").and_then(Value::as_u64).unwrap_or(0)
    }

    fn outcome(&self) -> String {
        match &self.end {
            Some(end) => end.outcome.clone(),
            None if self.finished => "finished".to_owned(),
            None => "no end".to_owned(),
        }
    }

    fn seconds(&self) -> String {
        // A file may say any number, which not every duration is.
        let took = self.end.as_ref().and_then(|end| Duration::try_from_secs_f64(end.seconds).ok());
        took.map_or("-".to_owned(), duration)
    }

    fn commit(&self) -> String {
        let whole = self.text("git_commit");
        let dirty = if whole.ends_with("-dirty") { "+" } else { "" };
        whole.chars().take(7).collect::<String>() + dirty
    }

    fn result(&self) -> Option<&str> {
        self.end.as_ref()?.result.as_deref()
    }

    fn name(&self) -> String {
        self.folder.file_name().unwrap_or(self.folder.as_os_str()).to_string_lossy().into_owned()
    }
}

/// The runs in a folder.
fn within(folder: &Path) -> Result<Vec<Listed>, Failure> {
    let wrong = |got: &dyn std::fmt::Display| {
        Failure::Input(format!("{}: expected a run or a folder of runs, got {got}", folder.display()))
    };
    let entries = fs::read_dir(folder).map_err(|error| wrong(&error))?;
    let paths = entries.flatten().map(|entry| entry.path());
    let runs: Vec<Listed> = paths.filter_map(|path| Listed::open(&path).ok()).collect();
    if runs.is_empty() { Err(wrong(&"no run in it")) } else { Ok(runs) }
}

/// Lists runs, the newest first.
fn list(runs: &mut [Listed]) -> String {
    runs.sort_by_key(|run| (std::cmp::Reverse(run.begun()), run.folder.clone()));
    let mut text = String::new();
    for run in runs.iter() {
        let head = [run.folder.display().to_string(), run.line()];
        let facts = [date(run.begun()), run.seconds(), run.outcome(), format!("commit {}", run.commit())];
        text += &broken(&head.join("   "), width());
        text += "\n";
        for line in [Some(facts.join("   ")), run.result().map(str::to_owned)].into_iter().flatten() {
            let lines = broken(&line, width() - 4);
            text += &lines.lines().map(|line| format!("    {line}\n")).collect::<String>();
        }
    }
    text.trim_end().to_owned()
}

/// Compares runs: a row for each fact and each setting in which they differ.
fn compared(runs: &[Listed]) -> String {
    let mut rows = Vec::new();
    let mut row = |name: &str, cell: &dyn Fn(&Listed) -> String| {
        let cells: Vec<String> = runs.iter().map(cell).collect();
        rows.push([name.to_owned()].into_iter().chain(cells).collect::<Vec<_>>());
    };
    row("command", &|run| run.text("command"));
    row("begun", &|run| date(run.begun()));
    row("took", &Listed::seconds);
    row("outcome", &Listed::outcome);
    row("commit", &Listed::commit);
    let setting = |run: &Listed, name: &str| {
        let value = run.configuration.get("settings").and_then(|settings| settings.get(name));
        value.or_else(|| run.configuration.get(name)).map_or("-".to_owned(), shown)
    };
    let own = runs.iter().filter_map(|run| run.configuration.get("settings")?.as_object()).flat_map(Map::keys);
    let names: BTreeSet<&str> = own.map(String::as_str).chain(["seed", "seeds"]).collect();
    for name in names {
        if runs.iter().any(|run| setting(run, name) != setting(&runs[0], name)) {
            row(name, &|run| setting(run, name));
        }
    }
    let names: Vec<String> = runs.iter().map(Listed::name).collect();
    let header: Vec<&str> = [""].into_iter().chain(names.iter().map(String::as_str)).collect();
    let mut text = fitted(&header, &rows, width());
    for run in runs {
        if let Some(result) = run.result() {
            text += &format!("\n\n{}", broken(&format!("{}: {result}", run.name()), width()));
        }
    }
    text
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(values) => values.iter().map(shown).collect::<Vec<_>>().join(","),
        value => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn run(number: usize, rho: f64) -> Listed {
        let configuration = json!({
            "command": "sam", "unix_time": 1_795_956_134 + number, "seed": 0, "settings": { "rho": rho, "epochs": 10 },
            "git_commit": "0123456789abcdef-dirty",
        });
        let end = End {
            unix_time: 1_795_956_200,
            seconds: 66.0,
            outcome: "finished".into(),
            result: Some("test %: SGD 63.23, SAM 67.69".into()),
        };
        let folder = format!("runs/sam-{number:03}").into();
        Listed { folder, configuration: configuration.as_object().unwrap().clone(), end: Some(end), finished: true }
    }

    #[test]
    fn the_newest_run_is_listed_first_with_its_facts() {
        let text = list(&mut [run(1, 0.1), run(2, 0.3)]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "runs/sam-002 fourfold sam");
        assert!(lines[1].contains("2026-11-29 12:42") && lines[1].contains("finished"), "{text}");
        assert!(lines[1].contains("commit 0123456+") && lines[2].contains("SAM 67.69"), "{text}");
        assert!(lines[3].starts_with("runs/sam-001"), "{text}");
    }

    #[test]
    fn a_comparison_shows_the_settings_that_differ_and_no_others() {
        let text = compared(&[run(1, 0.1), run(2, 0.3)]);
        assert!(text.contains("sam-001") && text.contains("sam-002"), "{text}");
        assert!(
            text.lines().any(|line| line.contains("rho") && line.contains("0.1") && line.contains("0.3")),
            "{text}"
        );
        assert!(!text.contains("epochs") && text.contains("SAM 67.69"), "{text}");
    }
}
