//! The report of a run that was stopped.

use serde_json::Value;

use super::report::Report;
use super::{LOG, Run};

/// Rows of the log that the report shows.
const ROWS: usize = 20;

impl Run {
    /// Reports a run that was stopped: the stages that it finished and the end of its log.
    pub(super) fn partial_report(&self) -> Report {
        let command = &self.configuration.command;
        let mut report = Report::new(format!("fourfold {command}: stopped before its end"));
        let under_way =
            self.record.stage.iter().filter(|stage| self.record.finished.iter().all(|done| done.stage != **stage));
        for stage in under_way {
            report.paragraph(format!("`{stage}` was under way."));
        }
        report.paragraph(format!("Resume with `fourfold {command} --resume {}`.", self.path().display()));
        if !self.record.finished.is_empty() {
            report.heading("Finished");
            let rows = self.record.finished.iter().map(|done| vec![done.stage.clone(), done.outcome.to_string()]);
            report.table(&["stage", "outcome"], rows);
        }
        let rows: Vec<Value> = self.lines.iter().filter_map(|line| serde_json::from_str(line).ok()).collect();
        if let Some(Value::Object(last)) = rows.last() {
            report.heading(format!("The end of {LOG}"));
            let single = |value: &Value| !matches!(value, Value::Array(_) | Value::Object(_));
            let columns: Vec<&String> = last.iter().filter(|(_, value)| single(value)).map(|(name, _)| name).collect();
            let shown = &rows[rows.len().saturating_sub(ROWS)..];
            let cells = |row: &Value| columns.iter().map(|name| row[name.as_str()].to_string()).collect::<Vec<_>>();
            report.table(&columns, shown.iter().map(cells));
        }
        report
    }
}
