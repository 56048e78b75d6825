//! Experiments of one shape.

use std::fmt::Debug;
use std::path::PathBuf;

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Args, Command, value_parser};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::content_hash;
use crate::entry::Entry;
use crate::failure::Failure;
use crate::options::{Common, Seeds};
use crate::run::report::Report;
use crate::run::{Configuration, Earlier, REPORT, Run, stop};

/// An experiment: the struct is its settings, and the first screen of its file is all its flags with their defaults.
///
/// # Add an experiment
/// 1. `experiments/NAME/mod.rs`: a struct `Settings` that derives `Debug, Clone, Args, Serialize, Deserialize`. Its doc
///    comment is the line of `--help`, each field a flag of the same name. Nothing else decides a run: no second
///    struct. Then `impl Experiment for Settings`.
/// 2. `experiments/mod.rs`: `pub mod NAME;` and one line of `ALL`. A test names an experiment that is missing there.
///
/// The command line then has `fourfold NAME` with `--seeds`, `--quick` and `--resume`.
///
/// * [`check`](Self::check) says what is wrong with the settings: ranges, names, files. It needs no GPU and builds no
///   trainer. Input that only the library refuses (inside [`run`](Self::run)) also leaves no folder behind.
/// * [`run`](Self::run) takes everything else from [`Run`]: [`gpu`](Run::gpu), [`seeds`](Run::seeds),
///   [`progress`](Run::progress), [`log`](Run::log). It cuts the work into stages, mostly one for each training:
///   [`stage`](Run::stage) skips what an earlier process finished. A stage that can last longer than a minute calls
///   [`save_if_due`](Run::save_if_due) as it goes, and begins with [`restored`](Run::restored).
/// * It returns a [`Report`], which becomes the text on the terminal, `report.md` with its pictures, and `results.json`.
///
/// `experiments/sam` is the model.
pub trait Experiment: Args + Clone + Debug + Serialize + DeserializeOwned {
    /// The words of the command line, as in `dt control`.
    const NAME: &'static str;
    /// The default of `--seeds`; `None` for an experiment that trains nothing and has only `--seed`.
    const SEEDS: Option<&'static str>;
    /// The defaults that `--quick` sets, by flag (`seeds` too), as on the command line: flags that are given stay.
    const QUICK: &'static [(&'static str, &'static str)];
    /// The same for settings that several experiments share; those of [`QUICK`](Self::QUICK) come before them.
    const SHARED_QUICK: &'static [(&'static str, &'static str)] = &[];

    /// Checks the settings without a GPU.
    ///
    /// # Errors
    /// The first value that is wrong, by the name of its flag.
    fn check(&self) -> Result<(), Failure>;

    /// Lists the files and folders that the run reads. Its configuration names them by their content: it is not resumed
    /// with others.
    fn inputs(&self) -> Vec<PathBuf> {
        Vec::new()
    }

    /// Runs the experiment.
    ///
    /// # Errors
    /// Input that only the library can refuse, or the loss of the device.
    fn run(&self, run: &mut Run) -> Result<Report, Failure>;
}

/// Registers an experiment.
pub const fn entry<E: Experiment>() -> Entry {
    Entry { path: E::NAME, command: command::<E>, run: perform::<E> }
}

/// Returns the settings of a command line without flags, or with `--quick` alone.
///
/// # Errors
/// The experiment has an argument without a default.
pub fn defaults<E: Experiment>(quick: bool) -> Result<E, Failure> {
    let matches = command::<E>(quick).no_binary_name(true).try_get_matches_from([""; 0]).map_err(Failure::input)?;
    E::from_arg_matches(&matches).map_err(Failure::input)
}

/// Runs an experiment in a new folder and prints its report.
///
/// # Errors
/// Wrong input, a folder that cannot be written, or the loss of the device.
pub fn start<E: Experiment>(common: &Common, settings: &E, seeds: Vec<u32>) -> Result<(), Failure> {
    settings.check()?;
    debug_assert_eq!(unnamed(settings), Vec::<String>::new(), "flags that serde knows by other names");
    let configuration = Configuration {
        command: E::NAME.to_owned(),
        seed: common.seed,
        seeds,
        quick: common.quick,
        inputs: content_hash::named(settings.inputs())?,
        settings: serde_json::to_value(settings).map_err(Failure::run)?,
    };
    finish(Run::create(common, common.open(false)?, configuration)?, settings)
}

fn finish<E: Experiment>(mut run: Run, settings: &E) -> Result<(), Failure> {
    stop::listen()?;
    let report = settings.run(&mut run).inspect_err(|failure| run.abandon(failure))?;
    crate::show!("{}", run.publish(&report)?);
    report.failure().cloned().map_or(Ok(()), Err)
}

/// Defines the flags; `--resume` alone needs no other argument.
fn command<E: Experiment>(quick: bool) -> Command {
    let resume = Arg::new("resume").long("resume").value_name("FOLDER").value_parser(value_parser!(PathBuf));
    let mut command = E::augment_args(Command::new(E::NAME.rsplit(' ').next().unwrap_or(E::NAME)));
    if let Some(seeds) = E::SEEDS {
        let arg = Arg::new("seeds").long("seeds").value_parser(str::parse::<Seeds>).default_value(seeds);
        command = command.arg(arg.help("Number of seeds, from --seed on, or a list, as in `0,1,2`"));
    }
    command = command.mut_args(|arg| match arg.is_required_set() {
        true => arg.required(false).required_unless_present("resume"),
        false => arg,
    });
    command = command.arg(resume.help("Resume the run in this folder, to the same bits, with the flags it began with"));
    let defaults = [E::QUICK, E::SHARED_QUICK].concat();
    let sizes: Vec<String> = defaults.iter().map(|(flag, value)| format!("--{} {value}", kebab(flag))).collect();
    if quick {
        for (flag, value) in defaults {
            command = command.mut_arg(flag, |arg| arg.default_value(value));
        }
    }
    command.after_help(format!("--quick sets, where they are not given: {}", sizes.join(", ")))
}

fn kebab(id: &str) -> String {
    id.replace('_', "-")
}

/// Starts or resumes what the command line asks for.
fn perform<E: Experiment>(common: &Common, matches: &ArgMatches) -> Result<(), Failure> {
    let seeds = match E::SEEDS {
        Some(_) => matches.get_one::<Seeds>("seeds").cloned().unwrap_or(Seeds::Count(1)).list(common.seed)?,
        None => Seeds::Count(1).list(common.seed)?,
    };
    let Some(path) = matches.get_one::<PathBuf>("resume") else {
        let settings = E::from_arg_matches(matches).map_err(Failure::input)?;
        return start(common, &settings, seeds);
    };
    let earlier = Earlier::open(path, E::NAME)?;
    let wrong = |error| Failure::Input(format!("{}: settings of the run: {error}", path.display()));
    let settings: E = serde_json::from_value(earlier.configuration.settings.clone()).map_err(wrong)?;
    let asked = Configuration { seed: common.seed, seeds, quick: common.quick, ..earlier.configuration.clone() };
    refuse_changes(path, matches, &settings, &earlier.configuration, &asked)?;
    content_hash::check(&earlier.configuration.inputs)?;
    if earlier.is_finished() {
        crate::show!("The run in {} is finished: read {}", path.display(), path.join(REPORT).display());
        return Ok(());
    }
    settings.check()?;
    finish(earlier.resume(common, common.open(false)?)?, &settings)
}

/// Refuses flags beside `--resume` that would change the run.
fn refuse_changes<E: Experiment>(
    path: &std::path::Path,
    matches: &ArgMatches,
    settings: &E,
    has: &Configuration,
    asked: &Configuration,
) -> Result<(), Failure> {
    let given = |id: &str| matches.value_source(id) == Some(ValueSource::CommandLine);
    if given("out") {
        return Err(Failure::input("--out: a resumed run stays in its folder; leave it out beside --resume"));
    }
    let mut changed = settings.clone();
    changed.update_from_arg_matches(matches).map_err(Failure::input)?;
    let [mut old, mut new] = [settings, &changed].map(|settings| serde_json::to_value(settings).unwrap_or_default());
    for (value, configuration) in [(&mut old, has), (&mut new, asked)] {
        value["seed"] = configuration.seed.into();
        value["seeds"] = configuration.seeds.clone().into();
        value["quick"] = configuration.quick.into();
    }
    for id in matches.ids().map(clap::Id::as_str).filter(|id| given(id)) {
        let (old, new) = (&old[id], &new[id]);
        if old != new {
            let (flag, old, new) = (kebab(id), shown(old), shown(new));
            return Err(Failure::Input(format!(
                "{}: --{flag} is `{old}` in {} and {}, got `{new}`: leave it out to resume, or start another run",
                path.display(),
                crate::run::folder::CONFIGURATION,
                crate::run::CHECKPOINT,
            )));
        }
    }
    Ok(())
}

/// Lists the flags that serde knows by other names: `--resume` could not compare them.
fn unnamed<E: Experiment>(settings: &E) -> Vec<String> {
    let value = serde_json::to_value(settings).unwrap_or_default();
    let arguments = E::augment_args(Command::new("settings"));
    let ids = arguments.get_arguments().map(|arg| arg.get_id().to_string());
    ids.filter(|id| value.get(id).is_none()).collect()
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(values) => values.iter().map(shown).collect::<Vec<_>>().join(","),
        value => value.to_string(),
    }
}
