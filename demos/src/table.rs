//! Tables for the terminal, never wider than it.

use comfy_table::{CellAlignment, ContentArrangement, LineStyle, Table, TableStyle};
use console::{Term, measure_text_width};

/// Writes a paragraph to the standard output, in lines that fit the terminal.
#[macro_export]
macro_rules! show_paragraph {
    ($($text:tt)*) => { $crate::show!("{}", $crate::table::broken(&format!($($text)*), $crate::table::width())) };
}

/// A line under the header, and no other.
const STYLE: TableStyle = TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

/// Columns of text where there is no terminal, and at least and at most on one.
const WIDTH: usize = 80;
const WIDTHS: std::ops::RangeInclusive<usize> = 40..=110;

/// Returns the columns that text may have on the standard output.
pub fn width() -> usize {
    let columns = Term::stdout().size_checked().map_or(WIDTH, |(_, columns)| columns.into());
    columns.clamp(*WIDTHS.start(), *WIDTHS.end())
}

/// Returns a table whose first column is text, aligned left, and whose other columns are aligned right.
pub fn table<const COLUMNS: usize>(
    header: [&str; COLUMNS],
    rows: impl IntoIterator<Item = [String; COLUMNS]>,
) -> String {
    fitted(&header, &rows.into_iter().map(Vec::from).collect::<Vec<_>>(), width())
}

/// Returns a table that is `width` columns wide at most: if need be with its header on several lines, else turned, so
/// that each row is a column, as many of them side by side as there is room for. Cells are never broken, but for texts
/// in the second of two columns, at blanks.
pub fn fitted(header: &[&str], rows: &[Vec<String>], width: usize) -> String {
    if let [name, _] = header {
        // Names and their texts keep their form: the texts are wrapped.
        let names = widest(rows, 0).max(measure_text_width(name));
        let room = width.saturating_sub(names + 2 * GAP).max(LEAST);
        let wrap = |row: &Vec<String>| {
            row.iter().enumerate().map(|(at, cell)| if at == 0 { cell.clone() } else { broken(cell, room) }).collect()
        };
        let rows: Vec<Vec<String>> = rows.iter().map(wrap).collect();
        return drawn(&header.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>(), &rows);
    }
    let cells: Vec<usize> = (0..header.len()).map(|column| widest(rows, column)).collect();
    // The header takes as many lines as it must: names become narrower together, the widest first.
    let longest = header.iter().map(|name| measure_text_width(name)).max().unwrap_or(0);
    let narrowed = (1..=longest).rev().map(|most| {
        header.iter().zip(&cells).map(|(name, &cell)| broken(name, most.max(cell))).collect::<Vec<String>>()
    });
    for header in narrowed {
        let widths = header.iter().zip(&cells).map(|(name, &cell)| cell.max(lines(name)));
        if widths.map(|width| width + GAP).sum::<usize>() <= width {
            return drawn(&header, rows);
        }
    }
    turned(header, rows, width)
}

/// Blanks around a cell and after it.
const GAP: usize = 3;

/// Columns that a wrapped text has at least.
const LEAST: usize = 20;

fn widest(rows: &[Vec<String>], column: usize) -> usize {
    rows.iter().filter_map(|row| row.get(column)).map(|cell| measure_text_width(cell)).max().unwrap_or(0)
}

/// Returns the width of the widest line of a text.
fn lines(text: &str) -> usize {
    text.lines().map(measure_text_width).max().unwrap_or(0)
}

/// Breaks a text at blanks into lines of a width, where its words are as short.
pub fn broken(text: &str, width: usize) -> String {
    let mut lines: Vec<String> = Vec::new();
    for paragraph in text.lines() {
        let mut line = String::new();
        for word in paragraph.split_whitespace() {
            if !line.is_empty() && measure_text_width(&line) + 1 + measure_text_width(word) > width {
                lines.push(std::mem::take(&mut line));
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line += word;
        }
        lines.push(line);
    }
    lines.join("\n")
}

fn drawn(header: &[String], rows: &[Vec<String>]) -> String {
    let mut table = Table::new();
    table.load_style(STYLE).set_content_arrangement(ContentArrangement::Disabled);
    if header.iter().any(|name| !name.is_empty()) {
        table.set_header(header);
    }
    for row in rows {
        table.add_row(row);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    trimmed(&table.to_string())
}

fn trimmed(text: &str) -> String {
    text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

/// Draws each row as a column beside the names of the header, as many as there is room for.
fn turned(header: &[&str], rows: &[Vec<String>], width: usize) -> String {
    let names = header.iter().skip(1).map(|name| measure_text_width(name)).max().unwrap_or(0);
    let names = names.max(header.first().map_or(0, |name| measure_text_width(name))) + GAP;
    let column = |row: &Vec<String>| row.iter().map(|cell| measure_text_width(cell)).max().unwrap_or(0) + GAP;
    let mut blocks: Vec<String> = Vec::new();
    let mut rest = rows;
    while !rest.is_empty() {
        let mut used = names;
        let room = rest.iter().take_while(|row| {
            used += column(row);
            used <= width
        });
        let (block, others) = rest.split_at(room.count().max(1));
        rest = others;
        let cell = |row: &Vec<String>, index: usize| row.get(index).cloned().unwrap_or_default();
        let line = |(index, name): (usize, &&str)| -> Vec<String> {
            [(*name).to_owned()].into_iter().chain(block.iter().map(|row| cell(row, index))).collect()
        };
        let mut lines = header.iter().enumerate().map(line);
        let first = lines.next().unwrap_or_default();
        let lines: Vec<Vec<String>> = lines.collect();
        let fits = first.iter().enumerate().map(|(at, name)| widest(&lines, at).max(measure_text_width(name)) + GAP);
        blocks.push(match fits.sum::<usize>() <= width {
            true => drawn(&first, &lines),
            // A cell that is wider than the terminal stands on lines of its own.
            false => listed(header, &block[0], width),
        });
    }
    blocks.join("\n\n")
}

fn listed(header: &[&str], row: &[String], width: usize) -> String {
    let line =
        |(name, cell): (&&str, &String)| format!(" {name}:\n   {}", broken(cell, width - 4).replace('\n', "\n   "));
    trimmed(&header.iter().zip(row).map(line).collect::<Vec<_>>().join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(rows: &[&[&str]]) -> Vec<Vec<String>> {
        rows.iter().map(|row| row.iter().map(|cell| (*cell).to_owned()).collect()).collect()
    }

    #[test]
    fn rows_stay_on_one_line_and_numbers_are_aligned_right() {
        let text = table(["kernel", "cases"], [["softmax".into(), "7".into()], ["matmul".into(), "1000".into()]]);
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines.iter().any(|line| line.trim_end().ends_with("    7")), "{text}");
        assert!(lines.iter().any(|line| line.contains("matmul") && line.trim_end().ends_with("1000")), "{text}");
    }

    /// Every cell is there, whole, and no line is too wide or ends in a blank.
    fn check(header: &[&str], rows: &[Vec<String>], width: usize) -> String {
        let text = fitted(header, rows, width);
        for line in text.lines() {
            assert!(measure_text_width(line) <= width, "{} > {width}: {text}", measure_text_width(line));
            assert_eq!(line, line.trim_end(), "{text}");
        }
        let words: Vec<&str> = text.split_whitespace().collect();
        for word in rows.iter().flatten().flat_map(|cell| cell.split_whitespace()) {
            assert!(words.contains(&word), "{word}: {text}");
        }
        text
    }

    #[test]
    fn a_wide_header_takes_several_lines() {
        let header = ["method", "the test accuracy in percent", "the largest eigenvalue", "milliseconds of a step"];
        let rows = rows(&[&["SGD", "94.10 ± 0.30", "12.5", "0.214"], &["SAM", "95.80 ± 0.20", "3.1", "0.402"]]);
        let text = check(&header, &rows, 52);
        assert!(
            text.lines().any(|line| line.contains("SGD") && line.contains("94.10 ± 0.30") && line.contains("0.214"))
        );
        assert_eq!(check(&header, &rows, 110).lines().count(), 4);
    }

    #[test]
    fn a_table_without_room_is_turned_and_its_cells_stay_whole() {
        let header = ["method", "episodes", "success, greedy", "key, greedy", "success, sampled", "key, sampled"];
        let row = |name: &str| -> Vec<String> {
            let cells = ["10000", "94.5 % (93.0, 95.0, 95.5)", "99.0 % (98.0, 99.0, 100.0)", "88.2 %", "97.3 %"];
            [name].into_iter().chain(cells).map(str::to_owned).collect()
        };
        let rows = [row("transformer"), row("BC"), row("%BC")];
        for width in [40, 60, 80, 110] {
            check(&header, &rows, width);
        }
        let text = check(&header, &rows, 80);
        assert!(text.lines().any(|line| line.contains("episodes") && line.matches("10000").count() == 2), "{text}");
    }

    #[test]
    fn a_cell_wider_than_the_terminal_stands_on_lines_of_its_own() {
        let long = "word ".repeat(30);
        check(&["name", "text"], &rows(&[&["a", long.trim()]]), 40);
    }
}
