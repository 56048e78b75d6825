//! A report: written once, rendered for the terminal, as markdown and as JSON.

use serde_json::{Map, Value};

use crate::failure::Failure;
use crate::table::{broken, fitted, width};

/// The result of an experiment, in the order in which a reader sees it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Report {
    title: String,
    parts: Vec<Part>,
    results: Map<String, Value>,
    next: Option<String>,
    failure: Option<Failure>,
}

#[derive(Debug, Clone, PartialEq)]
enum Part {
    Heading(String),
    Paragraph(String),
    Explanation(String),
    Table { header: Vec<String>, rows: Vec<Vec<String>> },
    Picture { file: String, caption: String, bytes: Vec<u8> },
}

impl Report {
    /// Begins a report.
    pub fn new(title: impl Into<String>) -> Self {
        Self { title: title.into(), ..Self::default() }
    }

    /// Adds a heading of the second level.
    pub fn heading(&mut self, text: impl Into<String>) {
        self.parts.push(Part::Heading(text.into()));
    }

    /// Adds a paragraph.
    pub fn paragraph(&mut self, text: impl Into<String>) {
        self.parts.push(Part::Paragraph(text.into()));
    }

    /// Adds a paragraph that the terminal leaves out: definitions and methods.
    pub fn explanation(&mut self, text: impl Into<String>) {
        self.parts.push(Part::Explanation(text.into()));
    }

    /// Adds a table: the first column is text, the others are numbers. Rows are as long as the header. A cell of no
    /// number (NaN) is shown as a dash.
    pub fn table<H: AsRef<str>, R: Into<Vec<String>>>(&mut self, header: &[H], rows: impl IntoIterator<Item = R>) {
        let header = header.iter().map(|cell| cell.as_ref().to_owned()).collect();
        let shown = |cell: String| if cell.contains("NaN") { "-".to_owned() } else { cell };
        let rows = rows.into_iter().map(|row| row.into().into_iter().map(shown).collect()).collect();
        self.parts.push(Part::Table { header, rows });
    }

    /// Adds a picture: a file of the run, which markdown shows and the terminal leaves out.
    pub fn picture(&mut self, file: impl Into<String>, caption: impl Into<String>, bytes: Vec<u8>) {
        self.parts.push(Part::Picture { file: file.into(), caption: caption.into(), bytes });
    }

    /// Adds an entry of `results.json`.
    pub fn result(&mut self, key: &str, value: Value) {
        self.results.insert(key.to_owned(), value);
    }

    /// Names the command to try next, instead of the usual one.
    pub fn next(&mut self, command: impl Into<String>) {
        self.next = Some(command.into());
    }

    /// Returns the command to try next, if it is not the usual one.
    pub fn next_command(&self) -> Option<&str> {
        self.next.as_deref()
    }

    /// Ends the command with this failure after the report is written: the run did not reach its aim.
    pub fn fail(&mut self, failure: Failure) {
        self.failure = Some(failure);
    }

    /// Returns the failure to end with.
    pub fn failure(&self) -> Option<&Failure> {
        self.failure.as_ref()
    }

    /// Returns the entries of `results.json`.
    pub fn results(&self) -> &Map<String, Value> {
        &self.results
    }

    /// Returns the first two columns of the first table on one line: what was compared, and its first number.
    pub fn headline(&self) -> Option<String> {
        const MOST: usize = 6;
        let table = self.parts.iter().find_map(|part| match part {
            Part::Table { header, rows } if header.len() > 1 && !rows.is_empty() => Some((header, rows)),
            _ => None,
        });
        let (header, rows) = table?;
        let cells = rows.iter().take(MOST).map(|row| format!("{} {}", row[0], row[1]));
        let more = if rows.len() > MOST { ", .." } else { "" };
        Some(format!("{}: {}{more}", header[1], cells.collect::<Vec<_>>().join(", ")))
    }

    /// Lists the pictures by their files.
    pub fn pictures(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.parts.iter().filter_map(|part| match part {
            Part::Picture { file, bytes, .. } => Some((&**file, &**bytes)),
            _ => None,
        })
    }

    /// Renders for a terminal, without pictures and explanations.
    pub fn terminal(&self) -> String {
        let width = width();
        let mut blocks = vec![broken(&self.title, width)];
        // A heading is shown with the first block below it.
        let mut heading = None;
        for part in &self.parts {
            let block = match part {
                Part::Heading(text) => {
                    heading = Some(broken(text, width));
                    continue;
                }
                Part::Paragraph(text) => broken(text, width),
                Part::Table { header, rows } => {
                    let header: Vec<&str> = header.iter().map(String::as_str).collect();
                    fitted(&header, rows, width)
                }
                Part::Explanation(_) | Part::Picture { .. } => continue,
            };
            blocks.extend(heading.take());
            blocks.push(block);
        }
        blocks.join("\n\n")
    }

    /// Renders as markdown, which shows the pictures by the names of their files.
    pub fn markdown(&self) -> String {
        let mut text = format!("# {}\n", self.title);
        for part in &self.parts {
            text += &match part {
                Part::Heading(text) => format!("\n## {text}\n"),
                Part::Paragraph(text) | Part::Explanation(text) => format!("\n{text}\n"),
                Part::Table { header, rows } => {
                    let line = |cells: &[String]| {
                        let cells: Vec<String> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
                        format!("| {} |\n", cells.join(" | "))
                    };
                    let body: String = rows.iter().map(|row| line(row)).collect();
                    format!("\n{}|{}\n{body}", line(header), "---|".repeat(header.len()))
                }
                Part::Picture { file, caption, .. } => format!("\n![{caption}]({file})\n"),
            };
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn report() -> Report {
        let mut report = Report::new("Two methods");
        report.paragraph("word ".repeat(40));
        report.explanation("a | b is a ratio.");
        report.table(&["method", "a | b"], [["SGD".to_owned(), "1".to_owned()], ["SAM".to_owned(), "20".to_owned()]]);
        report.picture("loss.png", "loss", vec![1, 2]);
        report.result("steps", json!(3));
        report
    }

    #[test]
    fn a_terminal_shows_tables_and_short_lines_and_no_pictures() {
        let text = report().terminal();
        assert!(text.starts_with("Two methods\n\nword word"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= width()), "{text}");
        assert!(text.contains("SAM") && !text.contains("loss.png") && !text.contains("ratio"), "{text}");
    }

    #[test]
    fn markdown_shows_everything_and_keeps_bars_out_of_its_columns() {
        let text = report().markdown();
        assert!(text.starts_with("# Two methods\n\nword word"), "{text}");
        assert!(text.contains("\n| method | a \\| b |\n|---|---|\n| SGD | 1 |\n| SAM | 20 |\n"), "{text}");
        assert!(text.contains("a | b is a ratio.") && text.contains("![loss](loss.png)"), "{text}");
        assert_eq!(report().headline().unwrap(), "a | b: SGD 1, SAM 20");
        assert_eq!(report().pictures().collect::<Vec<_>>(), [("loss.png", &[1, 2][..])]);
    }
}
