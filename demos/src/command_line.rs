//! The command line: every command and experiment, found by its words.

use std::ffi::OsString;

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgMatches, Args, Command, FromArgMatches};

use crate::entry::Entry;
use crate::failure::Failure;
use crate::guide::guided;
use crate::options::{self, Common, Preset};
use crate::run::folder;
use crate::{commands, experiments};

/// Families of commands, and what they are about.
const FAMILIES: &[(&str, &str)] = &[
    ("data", "Collect or inspect recorded trajectories"),
    ("dt", "Learn from recorded episodes by decision transformers, and compare with behaviour cloning"),
    (
        "neuron",
        "Experiments with the attention neuron: on the cart-pole swing-up, and by pictures in the car race and Pong",
    ),
];

/// A command with its flags.
#[derive(Debug)]
pub struct Call {
    pub common: Common,
    entry: &'static Entry,
    matches: ArgMatches,
}

/// The request of a command line.
#[derive(Debug)]
pub enum Parsed {
    Run(Box<Call>),
    /// Help or version: text for the standard output.
    Print(String),
}

impl Call {
    /// Does what was asked for.
    ///
    /// # Errors
    /// Wrong input, or a run that failed.
    pub fn run(&self) -> Result<(), Failure> {
        let Entry { path, common, .. } = self.entry;
        if let Some(flag) = options::FLAGS.iter().find(|flag| self.common.is_given(flag) && !common.contains(flag)) {
            return Err(Failure::Input(format!("--{flag} has no effect on `fourfold {path}`: leave it out")));
        }
        if self.common.ranks.are_several() && !self.entry.ranks {
            return self.common.ranks.agreed(Err(Failure::Input(format!(
                "fourfold {path}: expected one process, got {}: it does not divide its work",
                self.common.ranks.size()
            ))));
        }
        // The root makes the folder, perhaps before others come here.
        let out = self.common.out.as_deref().filter(|_| self.common.ranks.is_root());
        self.common.ranks.agreed(out.map_or(Ok(()), folder::check))?;
        (self.entry.run)(&self.common, &self.matches)
    }

    /// Returns the flags.
    pub fn matches(&self) -> &ArgMatches {
        &self.matches
    }
}

/// Lists all commands, those first whose words begin others.
fn entries() -> Vec<&'static Entry> {
    let mut entries: Vec<&Entry> = commands::ALL.iter().chain(experiments::ALL).collect();
    entries.sort_by_key(|entry| entry.path);
    entries
}

/// Defines the command line, with the defaults of a preset.
fn command(preset: Preset) -> Command {
    let mut root = Command::new("fourfold")
        .version(env!("CARGO_PKG_VERSION"))
        .subcommand_required(true)
        .arg_required_else_help(false);
    root =
        Common::augment_args(root).about("GPU compute kernels with CPU twins, and learning methods that run on them");
    root = root.mut_args(|arg| if arg.get_action().takes_values() { arg.allow_negative_numbers(true) } else { arg });
    for (name, about) in FAMILIES {
        root =
            root.subcommand(Command::new(*name).about(*about).subcommand_required(true).arg_required_else_help(true));
    }
    for entry in entries() {
        // A number below 0 is a value, which its range refuses, and no unknown flag.
        let child = guided(entry.path, (entry.command)(preset)).mut_args(|arg| match arg.get_action().takes_values() {
            true => arg.allow_negative_numbers(true),
            false => arg,
        });
        // Its help offers only flags that have an effect.
        let idle = Common::augment_args(Command::new("")).get_arguments().cloned().collect::<Vec<_>>();
        let idle = idle.into_iter().filter(|arg| {
            let id = arg.get_id().as_str();
            options::FLAGS.contains(&id) && !entry.common.contains(&id)
        });
        let child = child.args(idle.map(|arg| arg.global(false).hide(true)));
        let words: Vec<&str> = entry.path.split(' ').collect();
        root = placed(root, &words[..words.len() - 1], child);
    }
    root
}

/// Places a command below the one that the words name, whose own flags are then not needed.
fn placed(root: Command, words: &[&str], child: Command) -> Command {
    match words {
        [] => root.subcommand(child).subcommand_negates_reqs(true),
        [first, rest @ ..] => root.mut_subcommand(*first, |inner| placed(inner, rest, child)),
    }
}

/// Parses a command line, the name of the program first.
///
/// # Errors
/// A flag or value that is not known, in one sentence.
pub fn parse(line: impl IntoIterator<Item = OsString>) -> Result<Parsed, Failure> {
    let line: Vec<OsString> = line.into_iter().collect();
    let mut matches = command(Preset::Default).try_get_matches_from(&line);
    if let Some(preset) = matches.as_ref().ok().and_then(preset) {
        matches = command(preset).try_get_matches_from(&line);
    }
    match matches {
        Ok(matches) => find(matches).map(|call| Parsed::Run(Box::new(call))),
        Err(error) => match error.kind() {
            ErrorKind::DisplayHelp
            | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
            | ErrorKind::DisplayVersion => Ok(Parsed::Print(error.render().to_string())),
            _ => Err(Failure::Input(condensed(&error, &line))),
        },
    }
}

/// Returns the preset of a command line, if it names one.
fn preset(matches: &ArgMatches) -> Option<Preset> {
    let mut last = matches;
    while let Some((_, inner)) = last.subcommand() {
        last = inner;
    }
    let quick = matches.get_flag("quick").then_some(Preset::Quick);
    quick.or_else(|| last.try_get_one::<Preset>("preset").ok().flatten().copied())
}

/// Finds the command that the words name.
fn find(matches: ArgMatches) -> Result<Call, Failure> {
    let mut common = Common::from_arg_matches(&matches).map_err(Failure::input)?;
    let (name, family) =
        matches.subcommand().ok_or_else(|| Failure::input("expected a command (see `fourfold --help`)"))?;
    common.update_from_arg_matches(family).map_err(Failure::input)?;
    let entries = entries();
    let (mut path, mut matches, mut outer) = (name.to_owned(), family, Vec::new());
    while let Some((member, inner)) = matches.subcommand() {
        let longer = format!("{path} {member}");
        if !entries.iter().any(|entry| entry.path == longer || entry.path.starts_with(&format!("{longer} "))) {
            break;
        }
        outer.push((std::mem::replace(&mut path, longer), matches));
        matches = inner;
    }
    let is_own = |id: &clap::Id| Common::augment_args(Command::new("")).get_arguments().all(|arg| arg.get_id() != id);
    for (name, outer) in outer {
        let is_given = |id: &&clap::Id| outer.value_source(id.as_str()) == Some(ValueSource::CommandLine);
        if let Some(flag) = outer.ids().filter(is_given).find(|id| is_own(id)) {
            return Err(Failure::Input(format!(
                "--{}: subcommands come right after `{name}`, as in `fourfold {path}`; do not mix them with the flags of \
                 `fourfold {name}`",
                flag.as_str().replace('_', "-")
            )));
        }
        common.update_from_arg_matches(matches).map_err(Failure::input)?;
    }
    let entry = entries.iter().find(|entry| entry.path == path);
    let entry = *entry.ok_or_else(|| Failure::Input(format!("no command is named `{path}`")))?;
    common.given = given(matches);
    Ok(Call { common, entry, matches: matches.clone() })
}

/// Lists the common flags that the command line gives.
fn given(matches: &ArgMatches) -> Vec<String> {
    let is_given = |flag: &&&str| matches.value_source(flag) == Some(ValueSource::CommandLine);
    options::FLAGS.iter().filter(is_given).map(|flag| (*flag).to_owned()).collect()
}

/// clap's message without its tips and usage, on one line, with the command whose help says more.
fn condensed(error: &clap::Error, line: &[OsString]) -> String {
    let text = error.render().to_string();
    let sentence = text.split("\n\n").next().unwrap_or_default();
    let words: Vec<&str> = sentence.split_whitespace().collect();
    let sentence = words.join(" ");
    let usage = text.lines().find_map(|line| line.trim().strip_prefix("Usage: ")).unwrap_or_default();
    let command: Vec<&str> = usage.split(' ').take_while(|word| !word.starts_with(['[', '<', '-'])).collect();
    let command = if command == [""] { typed(line) } else { command.join(" ") };
    format!("{} (see `{command} --help`)", sentence.strip_prefix("error: ").unwrap_or(&sentence))
}

/// The command of a line that clap refused for a value.
fn typed(line: &[OsString]) -> String {
    let words: Vec<&str> = line.iter().skip(1).filter_map(|word| word.to_str()).collect();
    let begins = |entry: &&Entry| {
        let path: Vec<&str> = entry.path.split(' ').collect();
        words.starts_with(&path)
    };
    let entry = entries().into_iter().filter(begins).max_by_key(|entry| entry.path.len());
    entry.map_or("fourfold".to_owned(), |entry| format!("fourfold {}", entry.path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guide::Guide;

    fn failure(line: &str) -> String {
        match parse(line.split(' ').map(OsString::from)) {
            Err(Failure::Input(sentence)) => sentence,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_definition_is_consistent() {
        for preset in [Preset::Quick, Preset::Default, Preset::Paper] {
            command(preset).debug_assert();
        }
    }

    #[test]
    fn an_unknown_flag_is_one_sentence() {
        assert_eq!(
            failure("fourfold verify --frobnicate"),
            "unexpected argument '--frobnicate' found (see `fourfold verify --help`)"
        );
        assert!(failure("fourfold dt control --frobnicate").ends_with("(see `fourfold dt control --help`)"));
    }

    #[test]
    fn a_wrong_value_points_to_the_help_of_its_command() {
        assert!(failure("fourfold pes schedule --data frob").ends_with("(see `fourfold pes schedule --help`)"));
        assert!(failure("fourfold dt control --steps frob").ends_with("(see `fourfold dt control --help`)"));
    }

    #[test]
    fn a_family_alone_prints_its_help() {
        let Ok(Parsed::Print(text)) = parse(["fourfold".into(), "neuron".into()]) else { panic!("no help") };
        assert!(text.contains("watch"), "{text}");
    }

    #[test]
    fn a_number_below_0_is_a_value() {
        let sentence = failure("fourfold verify --cases -1");
        assert!(sentence.starts_with("invalid value '-1' for '--cases"), "{sentence}");
    }

    #[test]
    fn a_wrong_value_is_one_sentence_that_names_the_flag() {
        let sentence = failure("fourfold --seed many adapters");
        assert!(sentence.starts_with("invalid value 'many' for '--seed <NUMBER>': "), "{sentence}");
        assert!(!sentence.contains('\n'));
    }

    #[test]
    fn a_missing_command_names_those_there_are() {
        let sentence = failure("fourfold");
        assert!(sentence.contains("adapters") && sentence.contains("verify"), "{sentence}");
    }

    #[test]
    fn common_flags_may_stand_before_and_behind_the_command() {
        for line in ["fourfold --seed 7 adapters", "fourfold adapters --seed 7"] {
            let Ok(Parsed::Run(call)) = parse(line.split(' ').map(OsString::from)) else { panic!("{line}") };
            assert_eq!(call.common.seed, 7);
        }
    }

    #[test]
    fn every_command_has_a_guide_whose_lines_can_be_typed() {
        for entry in entries() {
            let guide = Guide::to(entry.path).unwrap_or_else(|| panic!("no guide to `{}`", entry.path));
            assert!(guide.example.starts_with(&format!("fourfold {}", entry.path)), "{}", guide.example);
            for line in [guide.example, guide.next] {
                parse(line.split(' ').map(OsString::from)).unwrap_or_else(|failure| panic!("{line}: {failure}"));
            }
        }
        assert_eq!(entries().len(), crate::guide::ALL.len());
    }

    #[test]
    fn help_shows_defaults_as_they_are_typed_with_a_paper_and_an_example() {
        let Ok(Parsed::Print(text)) = parse(["fourfold", "neuron", "reshuffle", "--help"].map(OsString::from)) else {
            panic!("no help")
        };
        assert!(text.contains("Paper: ") && text.contains("Example: fourfold neuron reshuffle"), "{text}");
        assert!(text.contains("Flags of every command:"), "{text}");
        assert!(text.contains("[default: 25,50,100,200,500]"), "{text}");
    }

    #[test]
    fn help_is_printed_and_no_error() {
        assert!(matches!(parse(["fourfold".into(), "--help".into()]), Ok(Parsed::Print(_))));
    }
}
