//! Experiments of one shape.

use std::fmt::Debug;
use std::path::{Path, PathBuf};

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Args, Command, ValueEnum, value_parser};
use fourfold::data::file;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::content_hash;
use crate::entry::Entry;
use crate::estimate;
use crate::failure::Failure;
use crate::options::{self, Common, Preset, Seeds};
use crate::run::folder::CONFIGURATION;
use crate::run::report::Report;
use crate::run::{Configuration, Earlier, REPORT, Run, refuse_change, refuse_out, stop};

/// An experiment: the struct is its settings, and the first screen of its file is all its flags with their defaults.
///
/// # Add an experiment
/// 1. `experiments/NAME/mod.rs`: a struct `Settings` that derives `Debug, Clone, Args, Serialize, Deserialize`. Its doc
///    comment is the line of `--help`, each field a flag of the same name. Nothing else decides a run: no second
///    struct. Then `impl Experiment for Settings`.
/// 2. `experiments/mod.rs`: `pub mod NAME;` and one line of `ALL`. A test names an experiment that is missing there.
///
/// The command line then has `fourfold NAME` with `--seeds`, `--preset`, `--config` and `--resume`.
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

    /// Defaults of `--quick` where another flag has a value: flag, other flag, its value, default.
    const QUICK_IF: &'static [(&'static str, &'static str, &'static str, &'static str)] = &[];

    /// The defaults that `--preset paper` sets, none where the paper's experiment is not the one that is here.
    const PAPER: Option<&'static [(&'static str, &'static str)]> = None;

    /// Presets beside `quick`, `default` and `paper`.
    const PRESETS: &'static [NamedPreset] = &[];

    /// True if [`Run::ranks`] divide the work: several processes, as `mpirun` starts them, can share a run.
    const RANKS: bool = false;

    /// Flags that have an effect only where another has one of some values: flag, other flag, its values.
    const ACTS_WITH: &'static [(&'static str, &'static str, &'static [&'static str])] = &[];

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

    /// Returns the name of the run's folder, which a number follows.
    fn folder(&self) -> String {
        Self::NAME.to_owned()
    }

    /// Runs the experiment.
    ///
    /// # Errors
    /// Input that only the library can refuse, or the loss of the device.
    fn run(&self, run: &mut Run) -> Result<Report, Failure>;
}

/// Defaults of an experiment under a name of their own.
#[derive(Debug, Clone, Copy)]
pub struct NamedPreset {
    /// The value of `--preset`.
    pub name: &'static str,
    /// Its line in `--help`.
    pub about: &'static str,
    /// The defaults, by flag.
    pub sets: &'static [(&'static str, &'static str)],
}

/// Registers an experiment.
pub const fn entry<E: Experiment>() -> Entry {
    let (command, check, run) = (command::<E>, check::<E>, perform::<E>);
    Entry { path: E::NAME, command, check, run, common: options::FLAGS, ranks: E::RANKS }
}

/// Returns the settings of a command line without flags, or with a preset alone.
///
/// # Errors
/// The experiment has an argument without a default.
pub fn defaults<E: Experiment>(preset: Preset) -> Result<E, Failure> {
    let matches = command::<E>(preset).no_binary_name(true).try_get_matches_from([""; 0]).map_err(Failure::input)?;
    E::from_arg_matches(&matches).map_err(Failure::input)
}

/// Runs an experiment in a new folder and prints its report.
///
/// # Errors
/// Wrong input, a folder that cannot be written, or the loss of the device.
pub fn start<E: Experiment>(common: &Common, settings: &E, seeds: Vec<u32>) -> Result<(), Failure> {
    debug_assert_eq!(unnamed(settings), Vec::<String>::new(), "flags that serde knows by other names");
    let prepare = || {
        settings.check()?;
        let configuration = Configuration {
            command: E::NAME.to_owned(),
            seed: common.seed,
            seeds,
            quick: common.quick,
            inputs: content_hash::named(settings.inputs())?,
            settings: serde_json::to_value(settings).map_err(Failure::run)?,
            tuning: None,
        };
        Ok((configuration, common.open()?))
    };
    let (configuration, gpu) = common.ranks.agreed(prepare())?;
    if !common.quiet {
        let preset = if common.quick { Preset::Quick } else { Preset::Default };
        let seeds = configuration.seeds.len();
        let values = &configuration.settings;
        let flags = command::<E>(preset);
        let told = estimate::sentence(gpu.info(), &settings.folder(), values, seeds, &flags, common.quick);
        crate::tell!("{told}");
    }
    finish(Run::create(common, gpu, &settings.folder(), configuration)?, settings, common)
}

fn finish<E: Experiment>(mut run: Run, settings: &E, common: &Common) -> Result<(), Failure> {
    stop::listen()?;
    let mut outcome = settings.run(&mut run).map_err(|failure| run.explained(failure));
    // Several ranks would have to go back to the checkpoint together: they end, and are started again.
    if let Err(lost @ Failure::Lost(_)) = &outcome
        && !common.ranks.are_several()
    {
        crate::tell!("{lost}\nThe device is opened again, to go on from the last checkpoint.");
        run = run.reopened(common)?;
        outcome = settings.run(&mut run).map_err(|failure| run.explained(failure));
    }
    let report = outcome.inspect_err(|failure| run.abandon(failure))?;
    let text = run.publish(&report)?;
    if common.ranks.is_root() {
        crate::show!("{text}");
    }
    report.failure().cloned().map_or(Ok(()), Err)
}

/// Defines the flags; `--resume` alone needs no other argument.
fn command<E: Experiment>(preset: Preset) -> Command {
    let resume = Arg::new("resume").long("resume").value_name("FOLDER").value_parser(value_parser!(PathBuf));
    let mut command = E::augment_args(Command::new(E::NAME.rsplit(' ').next().unwrap_or(E::NAME)));
    if let Some(seeds) = E::SEEDS {
        let arg = Arg::new("seeds").long("seeds").value_parser(str::parse::<Seeds>).default_value(seeds);
        command = command.arg(arg.help("Number of seeds, from --seed on, or a list, as in `0,1,2`"));
    }
    command = command.mut_args(|arg| match arg.is_required_set() {
        true => arg.required(false).required_unless_present_any(["resume", "config"]),
        false => arg,
    });
    command = command.arg(resume.help("Resume the run in this folder, to the same bits, with the flags it began with"));
    let config = Arg::new("config").long("config").value_name("FILE").value_parser(value_parser!(PathBuf));
    let config = config.conflicts_with_all(["resume", "preset"]);
    command = command.arg(config.help("Take all flags that are not given from the config.json of a run"));
    let sizes = Arg::new("preset").long("preset").value_name("SIZES").value_parser(presets::<E>());
    command = command.arg(sizes.help("Sizes for all flags that are not given; --quick is `--preset quick`"));
    let quick = [E::QUICK, E::SHARED_QUICK].concat();
    let paper = E::PAPER.unwrap_or_default();
    let listed = |defaults: &[(&str, &str)]| {
        let sizes = defaults.iter().map(|(flag, value)| format!("--{} {value}", kebab(flag)));
        if defaults.is_empty() {
            "nothing: the defaults are the paper's".to_owned()
        } else {
            sizes.collect::<Vec<_>>().join(", ")
        }
    };
    let mut sets = format!("--preset quick sets, where they are not given: {}", listed(&quick));
    for (flag, other, has, value) in E::QUICK_IF {
        sets += &format!("; with --{other} {has} --{} {value}", kebab(flag));
    }
    if E::PAPER.is_some() {
        sets += &format!("\n\n--preset paper sets: {}", listed(paper));
    }
    for NamedPreset { name, about, sets: own } in E::PRESETS {
        sets += &format!("\n\n--preset {name} ({about}) sets: {}", listed(own));
    }
    let chosen = match preset {
        Preset::Quick => &quick[..],
        Preset::Default => &[],
        Preset::Paper => paper,
        Preset::Named(name) => E::PRESETS.iter().find(|own| own.name == name).map_or(&[][..], |own| own.sets),
    };
    for &(flag, value) in chosen {
        command = command.mut_arg(flag, |arg| arg.default_value(value));
    }
    for &(flag, other, has, value) in E::QUICK_IF.iter().filter(|_| preset == Preset::Quick) {
        command = command.mut_arg(flag, |arg| arg.default_value_if(other, has, value));
    }
    command.after_help(sets)
}

/// Parses the name of a preset.
fn presets<E: Experiment>() -> impl TypedValueParser<Value = Preset> {
    let common = Preset::value_variants().iter().filter_map(ValueEnum::to_possible_value);
    let own = E::PRESETS.iter().map(|preset| PossibleValue::new(preset.name).help(preset.about));
    PossibleValuesParser::new(common.chain(own)).map(|name: String| {
        let own = E::PRESETS.iter().find(|preset| preset.name == name);
        own.map_or_else(|| Preset::from_str(&name, false).unwrap_or_default(), |preset| Preset::Named(preset.name))
    })
}

fn kebab(id: &str) -> String {
    id.replace('_', "-")
}

fn check<E: Experiment>(matches: &ArgMatches) -> Result<(), Failure> {
    E::from_arg_matches(matches).map_err(Failure::input)?.check()
}

/// Starts or resumes what the command line asks for.
fn perform<E: Experiment>(common: &Common, matches: &ArgMatches) -> Result<(), Failure> {
    let preset = matches.get_one::<Preset>("preset").copied();
    if common.quick && preset.is_some_and(|preset| preset != Preset::Quick) {
        return Err(Failure::input("--quick: expected no other --preset beside it"));
    }
    if preset == Some(Preset::Paper) && E::PAPER.is_none() {
        let sentence =
            format!("--preset paper: expected quick or default; `fourfold {}` has no sizes of a paper", E::NAME);
        return Err(Failure::Input(sentence));
    }
    let common = &Common { quick: common.quick || preset == Some(Preset::Quick), ..common.clone() };
    if let Some(path) = matches.get_one::<PathBuf>("config") {
        return configured::<E>(path, common, matches);
    }
    let seeds = match E::SEEDS {
        Some(_) => matches.get_one::<Seeds>("seeds").cloned().unwrap_or(Seeds::Count(1)).list(common.seed)?,
        None => Seeds::Count(1).list(common.seed)?,
    };
    let Some(path) = matches.get_one::<PathBuf>("resume") else {
        let settings = E::from_arg_matches(matches).map_err(Failure::input)?;
        refuse_idle(matches, &settings)?;
        return start(common, &settings, seeds);
    };
    let prepare = || {
        refuse_out(common)?;
        let earlier = Earlier::open(path, E::NAME)?;
        let wrong = |error| Failure::Input(format!("{}: settings of the run: {error}", path.display()));
        let settings: E = serde_json::from_value(earlier.configuration.settings.clone()).map_err(wrong)?;
        let asked = Configuration { seed: common.seed, seeds, quick: common.quick, ..earlier.configuration.clone() };
        refuse_changes(path, matches, &settings, &earlier.configuration, &asked)?;
        content_hash::check(&earlier.configuration.inputs)?;
        if earlier.is_finished() {
            return Ok((earlier, settings, None));
        }
        settings.check()?;
        let gpu = common.reopen(path, earlier.configuration.tuning.as_deref())?;
        Ok((earlier, settings, Some(gpu)))
    };
    // All ranks have read the folder before the root writes into it.
    let (earlier, settings, gpu) = common.ranks.agreed(prepare())?;
    let Some(gpu) = gpu else {
        if common.ranks.is_root() {
            crate::show!("The run in {} is finished: read {}", path.display(), path.join(REPORT).display());
        }
        return Ok(());
    };
    finish(earlier.resume(common, gpu)?, &settings, common)
}

/// Starts a run with the settings of another one, but for the flags that are given.
fn configured<E: Experiment>(path: &Path, common: &Common, matches: &ArgMatches) -> Result<(), Failure> {
    let wrong = |error: &dyn std::fmt::Display| {
        let expected = format!("expected the {CONFIGURATION} of a run of `fourfold {}`", E::NAME);
        Failure::Input(format!("--config {}: {expected}, got {error}", path.display()))
    };
    let file = if path.is_dir() { path.join(CONFIGURATION) } else { path.to_owned() };
    let own: Configuration = serde_json::from_slice(&file::read(&file)?).map_err(|error| wrong(&error))?;
    if own.command != E::NAME {
        return Err(wrong(&format!("one of `fourfold {}`", own.command)));
    }
    let settings: E = serde_json::from_value(own.settings.clone()).map_err(|error| wrong(&error))?;
    let given = |id: &str| matches.value_source(id) == Some(ValueSource::CommandLine);
    let mut changed = settings.clone();
    changed.update_from_arg_matches(matches).map_err(Failure::input)?;
    let changed = serde_json::to_value(&changed).map_err(Failure::run)?;
    let mut merged = own.settings;
    for id in matches.ids().map(clap::Id::as_str).filter(|id| given(id) && changed.get(id).is_some()) {
        merged[id] = changed[id].clone();
    }
    let settings: E = serde_json::from_value(merged).map_err(|error| wrong(&error))?;
    refuse_idle(matches, &settings)?;
    let common = Common {
        seed: if given("seed") { common.seed } else { own.seed },
        quick: common.quick || own.quick,
        ..common.clone()
    };
    let seeds = match matches.try_get_one::<Seeds>("seeds").ok().flatten() {
        Some(seeds) if given("seeds") || (given("seed") && E::SEEDS.is_some()) || own.seeds.is_empty() => {
            seeds.list(common.seed)?
        }
        Some(_) => own.seeds,
        None => Seeds::Count(1).list(common.seed)?,
    };
    start(&common, &settings, seeds)
}

/// Refuses flags beside `--resume` that would change the run.
fn refuse_changes<E: Experiment>(
    path: &Path,
    matches: &ArgMatches,
    settings: &E,
    has: &Configuration,
    asked: &Configuration,
) -> Result<(), Failure> {
    let given = |id: &str| matches.value_source(id) == Some(ValueSource::CommandLine);
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
            return Err(refuse_change(path, &flag, &old, &new));
        }
    }
    Ok(())
}

/// Refuses flags that have no effect with these settings.
fn refuse_idle<E: Experiment>(matches: &ArgMatches, settings: &E) -> Result<(), Failure> {
    let values = serde_json::to_value(settings).map_err(Failure::run)?;
    let given = |id: &str| matches.value_source(id) == Some(ValueSource::CommandLine);
    for &(flag, other, acts) in E::ACTS_WITH {
        let value = shown(&values[other]);
        if given(flag) && !acts.contains(&&*value) {
            let (flag, other) = (kebab(flag), kebab(other));
            let with = match &*value {
                "true" => format!("with --{other}"),
                "false" | "null" => format!("without --{other}"),
                value => format!("with --{other} {value}"),
            };
            return Err(Failure::Input(format!("--{flag} has no effect {with}: leave it out")));
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
