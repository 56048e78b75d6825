//! `fourfold data inspect`: the content of a file of trajectories.

use std::fmt::Write;
use std::path::PathBuf;

use clap::Args;
use fourfold::data::{Actions, Format, Trajectories, printable};

use crate::entry::Plain;
use crate::failure::Failure;
use crate::guide::ending;
use crate::options::Common;
use crate::statistics::quantile;
use crate::table::{broken, table, width};

/// Statistics of so many numbers of an observation or action are shown if not all are asked for.
const SHOWN: usize = 40;

/// The longest note that is shown whole; specifications of environments are longer.
const LONGEST_NOTE: usize = 300;

/// Columns of the names of what is said of a file.
const KEYS: usize = 14;

/// Show the content of a file of trajectories: D4RL or Minari (HDF5), imitation (npz), or our own (safetensors)
#[derive(Debug, Clone, Args)]
pub struct Arguments {
    /// The file, a folder with one such file, or a data set of Minari
    #[arg(value_name = "FILE")]
    pub path: PathBuf,
    /// Show all numbers of an observation, however many, and all of each note
    #[arg(long)]
    pub all: bool,
}

impl Plain for Arguments {
    const NAME: &'static str = "data inspect";
    const COMMON: &'static [&'static str] = &[];

    fn run(&self, _: &Common) -> Result<(), Failure> {
        let (trajectories, format) = Trajectories::load_with_format(&self.path)?;
        crate::output::write(format_args!("{}", description(&trajectories, format, self.all)));
        let next = format!("fourfold dt train {} --quick", self.path.display());
        crate::show!("{}", ending(Self::NAME, None, Some(&next)));
        Ok(())
    }
}

/// Everything about the trajectories, as a user reads it.
fn description(trajectories: &Trajectories, format: Format, all: bool) -> String {
    let terminated = trajectories.columns().terminated.iter().filter(|&&terminated| terminated).count();
    let episodes = trajectories.episodes();
    let actions = match trajectories.actions() {
        Actions::Continuous(width) => real_numbers(width),
        Actions::Discrete(choices) => format!("one of {choices} choices"),
    };
    let mut text = String::new();
    let mut line = |key: &str, value: String| {
        let value = folded(&value, width() - KEYS).replace('\n', &format!("\n{:KEYS$}", ""));
        writeln!(text, "{key:<0$} {value}", KEYS - 1).expect("strings take every text");
    };
    line("name", trajectories.name().to_owned());
    line("format", format.to_string());
    line("episodes", format!("{episodes} ({terminated} terminated, {} truncated)", episodes - terminated));
    line("steps", trajectories.steps().to_string());
    line("observations", real_numbers(trajectories.observations()));
    line("actions", actions);
    for (index, (key, note)) in trajectories.notes().iter().enumerate() {
        line(
            if index == 0 { "notes" } else { "" },
            format!("{}: {}", printable(key), shortened(&printable(note), all)),
        );
    }

    let lengths: Vec<f64> = trajectories.ranges().map(|range| range.len() as f64).collect();
    let rewards: Vec<f64> = trajectories.columns().rewards.iter().map(|&reward| f64::from(reward)).collect();
    let rows = [("length", lengths), ("return", trajectories.returns()), ("reward of a step", rewards)];
    let spread = table(
        ["", "min", "25 %", "median", "75 %", "max", "mean"],
        rows.map(|(name, values)| {
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            let [min, low, middle, high, max] = [0.0, 0.25, 0.5, 0.75, 1.0].map(|share| quantile(&values, share));
            let [min, low, middle, high, max, mean] = [min, low, middle, high, max, mean].map(number);
            [name.to_owned(), min, low, middle, high, max, mean]
        }),
    );
    let columns = trajectories.columns();
    let observations = numbers("observation", &moments(&columns.observations, trajectories.observations()), all);
    let actions = match trajectories.actions() {
        Actions::Continuous(width) => numbers("action", &moments(&columns.actions, width), all),
        Actions::Discrete(choices) => taken(&columns.actions, choices, all),
    };
    format!("{text}\n{spread}\n\n{observations}\n\n{actions}\n")
}

fn real_numbers(count: usize) -> String {
    if count == 1 { "1 real number".to_owned() } else { format!("{count} real numbers") }
}

/// Mean, deviation, least and most of a number.
type Moments = [f64; 4];

/// (numbers) from (rows, numbers).
fn moments(rows: &[f32], width: usize) -> Vec<Moments> {
    let count = (rows.len() / width) as f64;
    let moments = |index: usize| {
        let column = || rows.iter().skip(index).step_by(width).map(|&value| f64::from(value));
        let mean = column().sum::<f64>() / count;
        let variance = column().map(|value| (value - mean).powi(2)).sum::<f64>() / count;
        let (least, most) = column().fold((f64::MAX, f64::MIN), |(least, most), x| (least.min(x), most.max(x)));
        [mean, variance.sqrt(), least, most]
    };
    (0..width).map(moments).collect()
}

/// A row for each number of an observation or action.
fn numbers(kind: &str, moments: &[Moments], all: bool) -> String {
    let shown = if all { moments.len() } else { moments.len().min(SHOWN) };
    let rows = moments[..shown].iter().enumerate().map(|(index, moments)| {
        let [mean, deviation, least, most] = moments.map(number);
        [index.to_string(), mean, deviation, least, most]
    });
    table([kind, "mean", "deviation", "min", "max"], rows) + &further(moments.len() - shown)
}

/// The number of times that each choice was taken.
fn taken(choices: &[f32], count: usize, all: bool) -> String {
    let mut counts = vec![0; count];
    choices.iter().for_each(|&choice| counts[choice as usize] += 1);
    let shown = if all { count } else { count.min(SHOWN) };
    let rows = counts[..shown].iter().enumerate().map(|(choice, &taken)| {
        let share = 100.0 * f64::from(taken) / choices.len() as f64;
        [choice.to_string(), taken.to_string(), format!("{share:.1} %")]
    });
    table(["action", "taken", "share"], rows) + &further(count - shown)
}

fn further(count: usize) -> String {
    if count == 0 { String::new() } else { format!("\n{count} more (--all shows them)") }
}

fn shortened(note: &str, all: bool) -> String {
    match note.char_indices().nth(LONGEST_NOTE) {
        Some((place, _)) if !all => format!("{}… ({} bytes)", &note[..place], note.len()),
        _ => note.to_owned(),
    }
}

/// Breaks a text into lines of so many letters: at blanks, or within a word that is longer.
fn folded(text: &str, width: usize) -> String {
    let cut = |line: &str| {
        let letters: Vec<char> = line.chars().collect();
        letters.chunks(width).map(|chunk| chunk.iter().collect::<String>()).collect::<Vec<_>>()
    };
    broken(text, width).lines().flat_map(cut).collect::<Vec<_>>().join("\n")
}

/// Five digits or so, as powers of ten where they would be lost otherwise.
fn number(value: f64) -> String {
    let size = value.abs();
    if value == value.trunc() && size < 1e9 {
        format!("{value}")
    } else if !(1e-3..1e6).contains(&size) {
        format!("{value:.3e}")
    } else if size >= 1000.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.4}")
    }
}

#[cfg(test)]
mod tests {
    use fourfold::data::Steps;

    use super::*;

    fn trajectories(actions: Actions) -> Trajectories {
        let steps = Steps {
            observations: vec![0.0, 2.0, 4.0, 6.0],
            actions: vec![1.0, 0.0, 1.0, 1.0],
            rewards: vec![1.0, 2.0, 3.0, 0.5],
            ends: vec![3, 4],
            terminated: vec![true, false],
        };
        Trajectories::new("two", 1, actions, steps).unwrap()
    }

    fn lines(text: &str) -> Vec<Vec<&str>> {
        text.lines().map(|line| line.split_whitespace().collect()).collect()
    }

    #[test]
    fn episodes_ends_returns_and_statistics_are_told() {
        let text = description(&trajectories(Actions::Continuous(1)), Format::D4rl, false);
        let lines = lines(&text);
        assert!(text.contains("2 (1 terminated, 1 truncated)"), "{text}");
        assert!(text.contains("D4RL (HDF5)"), "{text}");
        assert!(lines.contains(&vec!["return", "0.5000", "1.8750", "3.2500", "4.6250", "6", "3.2500"]), "{text}");
        assert!(lines.contains(&vec!["length", "1", "1.5000", "2", "2.5000", "3", "2"]), "{text}");
        // The variance of 0, 2, 4, 6 is 5.
        assert!(lines.contains(&vec!["0", "3", "2.2361", "0", "6"]), "{text}");
    }

    #[test]
    fn notes_are_shown_without_control_characters() {
        let mut set = trajectories(Actions::Discrete(2));
        set.set_note("a\u{1b}[31m", "b\nc\u{9b}");
        let text = description(&set, Format::Minari, true);
        assert!(text.contains(r"a\u{1b}[31m: b\nc\u{9b}"), "{text}");
    }

    #[test]
    fn long_notes_fit_the_terminal() {
        let mut set = trajectories(Actions::Discrete(2));
        set.set_note("specification", format!("{} {}", "some words ".repeat(20), "é".repeat(200)));
        let text = description(&set, Format::Minari, true);
        assert!(text.lines().all(|line| line.chars().count() <= width()), "{text}");
        assert_eq!(text.matches('é').count(), 200);
    }

    #[test]
    fn choices_are_counted() {
        let text = description(&trajectories(Actions::Discrete(3)), Format::Imitation, false);
        assert!(lines(&text).contains(&vec!["1", "3", "75.0", "%"]), "{text}");
        assert!(lines(&text).contains(&vec!["2", "0", "0.0", "%"]), "{text}");
    }

    #[test]
    fn long_notes_and_observations_are_shortened_unless_all_is_asked_for() {
        assert_eq!(shortened("short", false), "short");
        let note = "é".repeat(400);
        assert_eq!(shortened(&note, false), format!("{}… (800 bytes)", "é".repeat(300)));
        assert_eq!(shortened(&note, true), note);
        let many = vec![[0.0; 4]; 100];
        assert!(numbers("observation", &many, false).ends_with("60 more (--all shows them)"));
        assert_eq!(numbers("observation", &many, true).lines().count(), 102);
    }
}
