//! `fourfold verify diff A B`: two runs, of two drivers or of one before and after a change, compared case by case.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;
use fourfold::data::file;

use super::ROWS;
use super::row::Row;
use super::summary::summarise;
use crate::entry::Plain;
use crate::failure::Failure;
use crate::options::Common;
use crate::table::table;

/// Compare two runs of `fourfold verify`; exit code 1 if a case has another outcome
#[derive(Debug, Clone, Args)]
pub struct Arguments {
    /// The folder of one run
    #[arg(value_name = "A")]
    a: PathBuf,
    /// The folder of the other run
    #[arg(value_name = "B")]
    b: PathBuf,
}

impl Plain for Arguments {
    const NAME: &'static str = "verify diff";
    const COMMON: &'static [&'static str] = &[];

    fn run(&self, _: &Common) -> Result<(), Failure> {
        let (a, b) = (rows(&self.a)?, rows(&self.b)?);
        let differing = outcomes(&a, &b);
        if !differing.is_empty() {
            crate::show!("{}\n", table(["kernel", "case", "A", "B"], differing.iter().cloned()));
        }
        let errors = errors(&a, &b);
        if !errors.is_empty() {
            crate::show!("{}\n", table(["kernel", "error / bound in A", "in B"], errors));
        }
        let only = |of: &[Row], other: &[Row]| {
            let keys: BTreeMap<_, ()> = other.iter().map(|row| ((&row.kernel, row.case), ())).collect();
            of.iter().filter(|row| !keys.contains_key(&(&row.kernel, row.case))).count()
        };
        crate::show!(
            "{} cases in A, {} in B; {} in A alone, {} in B alone",
            a.len(),
            b.len(),
            only(&a, &b),
            only(&b, &a)
        );
        match differing.len() {
            0 => Ok(()),
            count => Err(Failure::run(format!("{count} cases have another outcome"))),
        }
    }
}

/// Reads the rows of a run. A last line that was cut short is left out.
///
/// # Errors
/// There are none, or another line is no row.
pub fn rows(folder: &Path) -> Result<Vec<Row>, Failure> {
    let path = folder.join(ROWS);
    let text = file::read(&path)?;
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    let mut rows = Vec::with_capacity(lines.len());
    for (index, line) in lines.iter().enumerate() {
        match serde_json::from_str(line) {
            Ok(row) => rows.push(row),
            Err(_) if index + 1 == lines.len() => {}
            Err(error) => {
                let path = path.display();
                return Err(Failure::input(format!(
                    "{path}, line {}: expected the row of a case, got {error}",
                    index + 1
                )));
            }
        }
    }
    Ok(rows)
}

/// Cases with another outcome.
fn outcomes(a: &[Row], b: &[Row]) -> Vec<[String; 4]> {
    let others: BTreeMap<_, _> = b.iter().map(|row| ((&row.kernel, row.case), row)).collect();
    let pairs = a.iter().filter_map(|row| Some((row, *others.get(&(&row.kernel, row.case))?)));
    let differing = pairs.filter(|(a, b)| a.outcome != b.outcome);
    differing
        .map(|(a, b)| [a.kernel.clone(), a.case.to_string(), a.outcome.to_string(), b.outcome.to_string()])
        .collect()
}

/// Kernels whose largest error, where both are right, differs by more than half.
fn errors(a: &[Row], b: &[Row]) -> Vec<[String; 3]> {
    let others: BTreeMap<String, f64> =
        summarise(b).into_iter().map(|summary| (summary.kernel, summary.worst.severity().1)).collect();
    let pairs = summarise(a).into_iter().filter_map(|summary| {
        let other = *others.get(&summary.kernel)?;
        Some((summary.kernel, summary.worst.severity().1, other))
    });
    let differing = pairs.filter(|(_, a, b)| a.max(*b) > 0.01 && (a > &(1.5 * b) || b > &(1.5 * a)));
    differing.map(|(kernel, a, b)| [kernel, format!("{a:.3}"), format!("{b:.3}")]).collect()
}

#[cfg(test)]
mod tests {
    use super::super::row::Kind;
    use super::*;

    #[test]
    fn cases_with_another_outcome_are_listed() {
        let row = |case, kind| Row::of("softmax", case, kind, "");
        let (a, b) = ([row(0, Kind::Right), row(1, Kind::Right)], [row(0, Kind::Right), row(1, Kind::Hung)]);
        assert_eq!(outcomes(&a, &b), [["softmax", "1", "right", "hung"].map(str::to_owned)]);
        assert!(outcomes(&a, &a).is_empty());
    }
}
