//! Tables and pages of compiled pipelines.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::exceptions::Exceptions;
use super::judges::Verdict;
use super::row::{Outcome, Row, Rule};
use super::statistics::Statistics;
use crate::table::table;

/// The numbers of each chip and of each other compiler, and the pipelines that break a rule and are not known to.
pub fn summary(rows: &[Row], exceptions: &Exceptions, verdicts: &[Verdict]) -> String {
    let line = |chip: &str| {
        let own: Vec<&Row> = rows.iter().filter(|row| row.chip == chip).collect();
        let seconds: f64 = own.iter().filter_map(|row| Some(compiled(row)?.0)).sum();
        let broken = own.iter().filter(|row| !row.broken().is_empty()).count();
        let unexpected = own.iter().filter(|row| !exceptions.unexpected(row).is_empty()).count();
        let [all, broken, unexpected] = [own.len(), broken, unexpected].map(|count| count.to_string());
        [chip.to_owned(), all, broken, unexpected, format!("{seconds:.0}")]
    };
    let header = ["chip", "pipelines", "break a rule", "not known to", "seconds"];
    let chips = if rows.is_empty() { String::new() } else { table(header, chips(rows).into_iter().map(line)) + "\n" };
    let others = table(["compiler", "variants", "refused"], verdicts.iter().map(judged));
    let sentences: Vec<String> = rows
        .iter()
        .map(|row| (row, exceptions.unexpected(row)))
        .filter(|(_, broken)| !broken.is_empty())
        .map(|(row, broken)| format!("{}: {}: {}", row.chip, row.variant, broken.join(", ")))
        .collect();
    let refusals = verdicts.iter().flat_map(|verdict| {
        verdict
            .refused
            .iter()
            .map(|refusal| format!("{} refuses {}: {}", verdict.judge, refusal.variant, refusal.message))
    });
    let sentences: Vec<String> = sentences.into_iter().chain(refusals).collect();
    format!("{chips}{others}\n{}", sentences.join("\n")).trim_end().to_owned()
}

/// The row of a compiler other than AMD's.
fn judged(verdict: &Verdict) -> [String; 3] {
    let refused = verdict.refused.len().to_string();
    let (variants, refused) = match verdict.at_hand {
        true => (verdict.variants.to_string(), refused),
        false => ("not at hand".to_owned(), "not checked".to_owned()),
    };
    [verdict.judge.to_owned(), variants, refused]
}

/// A page with a table of kernels: of each its worst pipeline on each chip.
pub fn markdown(devices: &[String], pipelines: usize, rows: &[Row], verdicts: &[Verdict]) -> String {
    let chips = chips(rows);
    let mut page = format!(
        "# Every kernel through AMD's compiler\n\nMesa's driver for AMD with devices that compile and run nothing: {}. \
         {pipelines} pipelines, which are the variants of every kernel that a plan chooses for GPUs. By kernel and chip, \
         each number from the pipeline where it is worst: vector registers of a lane, bytes of scratch memory with the \
         registers spilled to it, waves that a SIMD unit holds at a time (of 64 lanes), and the share of multiply-adds \
         among all instructions of the loop that has most of them.\n",
        devices.join(", ")
    );
    let broken: Vec<&Row> = rows.iter().filter(|row| !row.broken().is_empty()).collect();
    let _ = match broken.len() {
        0 => writeln!(
            page,
            "\nNone of {} compilations breaks a rule: no spills, no scratch, four waves on RDNA, workgroups that fill a wave.",
            rows.len()
        ),
        many => writeln!(page, "\n{many} of {} compilations break a rule:\n", rows.len()),
    };
    let mut kinds: BTreeMap<(&str, Rule), BTreeSet<&str>> = BTreeMap::new();
    for row in broken {
        for (rule, _) in row.broken() {
            kinds.entry((&row.variant.kernel, rule)).or_default().insert(&row.chip);
        }
    }
    for ((kernel, rule), chips) in kinds {
        let chips: Vec<&str> = chips.into_iter().collect();
        let _ = writeln!(page, "* `{kernel}`: {} ({})", rule.name(), chips.join(", "));
    }
    let _ = write!(page, "\n| kernel | pipelines |");
    for chip in &chips {
        let _ = write!(page, " {chip}: registers | scratch (spilled) | waves | multiply-adds |");
    }
    let _ = writeln!(page, "\n|---|---|{}", "---|".repeat(4 * chips.len()));
    let mut kernels: BTreeMap<&str, Vec<&Row>> = BTreeMap::new();
    rows.iter().for_each(|row| kernels.entry(&row.variant.kernel).or_default().push(row));
    for (kernel, rows) in kernels {
        let _ = write!(page, "| `{kernel}` | {} |", rows.len() / chips.len().max(1));
        for chip in &chips {
            let own: Vec<_> = rows.iter().filter(|row| row.chip == *chip).filter_map(|row| compiled(row)).collect();
            let most = |of: fn(&Statistics) -> u32| own.iter().map(|(_, all, _)| of(all)).max();
            let waves = own.iter().map(|(_, all, _)| all.waves).min();
            let shares = own.iter().filter_map(|(_, _, share)| *share);
            let share = shares.min_by(f64::total_cmp).map_or(String::new(), |share| format!("{:.0} %", 100.0 * share));
            let number = |value: Option<u32>| value.map_or("none".to_owned(), |value| value.to_string());
            let (scratch, spilled) = (most(|all| all.scratch), most(|all| all.spilled));
            let scratch = match (scratch, spilled) {
                (Some(0), Some(0)) => "0".to_owned(),
                _ => format!("{} ({})", number(scratch), number(spilled)),
            };
            let _ = write!(page, " {} | {scratch} | {} | {share} |", number(most(|all| all.registers)), number(waves));
        }
        page.push('\n');
    }
    page += "\n## Other compilers\n\nEvery variant, those of software drivers too; for browsers' rules, which know no constants, every source. \
             DXC compiles naga's HLSL. Metal's text goes through a C++ compiler with a header in the place of Metal's \
             library: syntax and types, no semantics.\n\n| compiler | variants | refused |\n|---|---|---|\n";
    for verdict in verdicts {
        let [judge, variants, refused] = judged(verdict);
        let _ = writeln!(page, "| {judge} | {variants} | {refused} |");
    }
    for (verdict, refusal) in verdicts.iter().flat_map(|verdict| verdict.refused.iter().map(move |one| (verdict, one)))
    {
        let _ = writeln!(page, "\n* {} refuses `{}`: {}", verdict.judge, refusal.variant, refusal.message);
    }
    page
}

/// The chips in the order of the rows.
fn chips(rows: &[Row]) -> Vec<&str> {
    let mut chips: Vec<&str> = rows.iter().map(|row| &*row.chip).collect();
    chips.dedup();
    chips
}

/// The seconds, the statistics and the share of multiply-adds of a row that compiled.
fn compiled(row: &Row) -> Option<(f64, &Statistics, Option<f64>)> {
    match &row.outcome {
        Outcome::Compiled { seconds, statistics, hot_loop } => {
            Some((*seconds, statistics, hot_loop.map(|hot_loop| hot_loop.share())))
        }
        Outcome::Refused(_) => None,
    }
}
