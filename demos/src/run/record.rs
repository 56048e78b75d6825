//! The record of a run besides its settings: the commit of its program, and its end.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The end of a run: when, how long it took, how it ended and what it found.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct End {
    /// Seconds since 1970.
    pub unix_time: u64,
    /// Seconds that all its processes took.
    pub seconds: f64,
    /// `finished`, `stopped`, or the sentence of the failure.
    pub outcome: String,
    /// The first numbers of its report.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<String>,
}

/// The file of the end of a run.
pub const END: &str = "end.json";

impl End {
    /// Reads the end of the run in a folder: none where it has not ended, or the file is damaged.
    pub fn read(folder: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(folder.join(END)).ok()?).ok()
    }
}

/// The end of a run that did all it was asked for.
pub const FINISHED: &str = "finished";

/// The end of a run that was stopped.
pub const STOPPED: &str = "stopped";

/// Returns the seconds since 1970.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Returns the commit of the sources that this was built from, where they still lie there, with `-dirty` where they were
/// changed since.
pub fn commit() -> Option<String> {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR"));
    let described = Command::new("git")
        .arg("-C")
        .arg(sources)
        .args(["describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"])
        .output()
        .ok()
        .filter(|output| output.status.success())?;
    let text = String::from_utf8(described.stdout).ok()?;
    Some(text.trim().to_owned()).filter(|commit| !commit.is_empty())
}

/// Returns the day of a time, as `2026-11-29`, and its hour and minute, in UTC.
pub fn date(unix_time: u64) -> String {
    let time = i64::try_from(unix_time).ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
    time.map_or("-".to_owned(), |time| time.strftime("%Y-%m-%d %H:%M").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        assert_eq!(date(0), "1970-01-01 00:00");
        assert_eq!(date(951_782_399), "2000-02-28 23:59");
        assert_eq!(date(951_782_400), "2000-02-29 00:00");
        assert_eq!(date(1_795_956_134), "2026-11-29 12:42");
    }
}
