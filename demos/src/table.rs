//! Tables for the terminal.

use comfy_table::{CellAlignment, ContentArrangement, LineStyle, Table, TableStyle};

/// A line under the header, and no other.
const STYLE: TableStyle = TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

/// A table whose first column is text, aligned left, and whose other columns are aligned right; one line a row.
pub fn table<const COLUMNS: usize>(
    header: [&str; COLUMNS],
    rows: impl IntoIterator<Item = [String; COLUMNS]>,
) -> String {
    wide_table(&header, rows.into_iter().map(Vec::from))
}

/// The same with any number of columns, as many in each row as in the header.
pub fn wide_table(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(STYLE).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(header.iter().copied());
    for row in rows {
        table.add_row(row);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_stay_on_one_line_and_numbers_are_aligned_right() {
        let text = table(["kernel", "cases"], [["softmax".into(), "7".into()], ["matmul".into(), "1000".into()]]);
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines.iter().any(|line| line.trim_end().ends_with("    7")), "{text}");
        assert!(lines.iter().any(|line| line.contains("matmul") && line.trim_end().ends_with("1000")), "{text}");
    }
}
