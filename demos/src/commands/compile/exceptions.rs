//! Rules that kernels are known to break: each is asserted, so that its mending is noticed.

use std::collections::BTreeSet;

use super::row::{Row, Rule};
use crate::failure::Failure;

/// The list that the command brings along.
const BUILT_IN: &str = include_str!("exceptions.txt");

/// Pairs of a kernel and a rule that it breaks.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Exceptions(BTreeSet<(String, Rule)>);

impl Exceptions {
    /// Reads the list that is built in.
    ///
    /// # Errors
    /// None, unless the list is broken.
    pub fn built_in() -> Result<Self, Failure> {
        Self::parse(BUILT_IN)
    }

    fn parse(text: &str) -> Result<Self, Failure> {
        let lines = (1..).zip(text.lines()).filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
        let exception = |(number, line): (usize, &str)| {
            let parts: Vec<&str> = line.split('|').map(str::trim).collect();
            let rule = parts.get(1).and_then(|name| Rule::NAMED.iter().find(|(_, known)| known == name));
            match (&parts[..], rule) {
                ([kernel, _, _], Some((rule, _))) => Ok(((*kernel).to_owned(), *rule)),
                _ => Err(Failure::Input(format!(
                    "the list of exceptions, line {number}: expected `KERNEL | RULE | REASON`, got `{line}`"
                ))),
            }
        };
        lines.map(exception).collect::<Result<_, _>>().map(Self)
    }

    /// Returns the rules that a pipeline breaks and is not known to, in words.
    pub fn unexpected(&self, row: &Row) -> Vec<String> {
        let known = |rule: Rule| self.0.contains(&(row.variant.kernel.clone(), rule));
        row.broken().into_iter().filter(|(rule, _)| !known(*rule)).map(|(_, how)| how).collect()
    }

    /// Returns the exceptions of kernels among the rows that no row needs, as the list names them.
    pub fn mended(&self, rows: &[Row]) -> Vec<String> {
        let compiled: BTreeSet<&str> = rows.iter().map(|row| &*row.variant.kernel).collect();
        let needed: BTreeSet<(&str, Rule)> = rows
            .iter()
            .flat_map(|row| row.broken().into_iter().map(|(rule, _)| (&*row.variant.kernel, rule)))
            .collect();
        let mended = self
            .0
            .iter()
            .filter(|(kernel, rule)| compiled.contains(&**kernel) && !needed.contains(&(&**kernel, *rule)));
        mended.map(|(kernel, rule)| format!("{kernel} ({})", rule.name())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::row::tests::row;
    use super::super::statistics::Statistics;
    use super::*;

    const SPILLS: Statistics = Statistics {
        registers: 256,
        spilled: 9,
        scratch: 0,
        workgroup_memory: 0,
        waves: 4,
        instructions: 100,
        latency: 0,
        inverse_throughput: 0,
    };

    #[test]
    fn the_list_names_kernels_and_rules() {
        let built_in = Exceptions::built_in().unwrap();
        let known = ("unroll(car_racing)".to_owned(), Rule::Scratch);
        assert_eq!(built_in.0, BTreeSet::from([known]), "every other kernel keeps every rule");
        let known = Exceptions::parse("# A comment.\n\na | waves | big").unwrap();
        assert_eq!(known.0, BTreeSet::from([("a".to_owned(), Rule::Waves)]));
        let failure = Exceptions::parse("a | frob | b").unwrap_err();
        assert!(failure.to_string().contains("line 1: expected `KERNEL | RULE | REASON`"), "{failure}");
    }

    #[test]
    fn what_is_known_is_expected_and_what_is_mended_is_named() {
        let exceptions = Exceptions::parse("a | spilled | big\nb | scratch | big").unwrap();
        let rows = [row("a", "navi21", SPILLS), row("b", "navi21", Statistics { spilled: 0, ..SPILLS })];
        assert_eq!(exceptions.unexpected(&rows[0]), [""; 0]);
        assert_eq!(Exceptions::default().unexpected(&rows[0]), ["9 registers spilled"]);
        assert_eq!(exceptions.mended(&rows), ["b (scratch)"]);
        assert_eq!(exceptions.mended(&rows[..1]), [""; 0]);
    }
}
