//! `fourfold tune`: which variants of the kernels are the fastest on this adapter.

mod contest;
mod subjects;

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use fourfold::data::file;
use fourfold::gpu::Tuning;
use fourfold::shaders::{Choices, Family};
use serde_json::{Value, json};

use crate::adapter::adapter_json;
use crate::content_hash::hexadecimal;
use crate::entry::Plain;
use crate::estimate;
use crate::failure::Failure;
use crate::guide::ending;
use crate::options::Common;
use crate::progress::{Progress, duration};
use crate::run::stop;
use crate::table::table;
use crate::tuning;
use contest::{Contest, Ranking};
use subjects::shapes;

/// Measure which variants of the kernels are fastest on this adapter
///
/// Every variant is verified against its CPU twin once, and timed in turns with the others. What beats the rule by 3 % or
/// more goes into a file of this adapter and driver, which every later command loads; `--no-tune` ignores it.
#[derive(Debug, Clone, Args)]
pub struct Arguments {
    /// Families whose names begin with this, as in `matrix product`; others keep what was measured before [default: all]
    #[arg(long, value_name = "NAME")]
    family: Option<String>,
    /// Write the tuning here [default: the file of this adapter and driver in the user's cache folder]
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Plain for Arguments {
    const NAME: &'static str = "tune";
    const COMMON: &'static [&'static str] = &["adapter", "quick"];

    fn run(&self, common: &Common) -> Result<(), Failure> {
        run(common, self)
    }
}

/// Measures, and writes the file.
///
/// # Errors
/// There is no such family, the file cannot be written, or the device fails.
pub fn run(common: &Common, arguments: &Arguments) -> Result<(), Failure> {
    let families = families(arguments.family.as_deref())?;
    let gpu = common.open_untuned(false)?;
    let path = place(arguments.file.clone().or_else(|| tuning::path(gpu.info())))?;
    let target = gpu.target();
    let shapes: Vec<_> = families.iter().flat_map(|&family| shapes(family, &target, common.quick)).collect();
    estimate::tell(gpu.info(), Arguments::NAME, families.len() as f64 / Family::ALL.len() as f64, common);

    let before = tuning::load(gpu.clone()).tuning().map_or(Choices::NONE, Tuning::choices);
    let kept = before.iter().filter(|choice| !families.contains(&choice.family));
    let mut choices = kept.fold(Choices::NONE, Choices::with);
    let mut contest = Contest::new(&gpu, common.quick)?;
    let mut rankings = Vec::new();
    let mut progress = Progress::new("tune", shapes.len() as u64, common.quiet);
    stop::listen()?;
    for shape in shapes {
        if stop::asked() {
            progress.finish();
            crate::tell!("Stopped: nothing is written.");
            return Err(Failure::Stopped);
        }
        progress.say(format!("{} {}", shape.family().name(), shape.name()));
        let ranking = contest.hold(shape)?;
        contest.refused.drain(..).for_each(|sentence| progress.note(&sentence));
        choices = ranking.choice.into_iter().fold(choices, Choices::with);
        rankings.push(ranking);
        progress.advance(1);
    }
    progress.finish();

    let bytes = Tuning::new(gpu.info(), choices).to_bytes();
    file::write(&path, &bytes)?;
    let hash = hexadecimal(&bytes);
    if arguments.json {
        let shapes: Vec<Value> = rankings.iter().map(Ranking::json).collect();
        let result = json!({ "adapter": adapter_json(gpu.info()), "file": path, "tuning": hash, "shapes": shapes });
        crate::show!("{result:#}");
        return Ok(());
    }
    crate::show!("{}", table(["shape", "variant", "time", "of the rule's"], rankings.iter().map(cells)));
    crate::show_paragraph!(
        "{} of {} classes of shapes leave the rule. The tuning is in {}, SHA-256 {hash}.",
        rankings.iter().filter(|ranking| ranking.choice.is_some()).count(),
        rankings.len(),
        path.display()
    );
    crate::show!("{}", ending(Arguments::NAME, None, None));
    Ok(())
}

/// Returns the families whose names begin with a word.
fn families(asked: Option<&str>) -> Result<Vec<Family>, Failure> {
    let matching = |family: &Family| asked.is_none_or(|asked| family.name().starts_with(asked));
    let families: Vec<Family> = Family::ALL.into_iter().filter(matching).collect();
    if families.is_empty() {
        let names = Family::ALL.map(Family::name).join(", ");
        let asked = asked.unwrap_or_default();
        return Err(Failure::Input(format!("--family: expected the beginning of one of {names}, got `{asked}`")));
    }
    Ok(families)
}

/// Makes the folder of the file, before minutes of measuring.
fn place(path: Option<PathBuf>) -> Result<PathBuf, Failure> {
    let path = path.ok_or_else(|| {
        Failure::input(
            "--file: expected a file, since neither XDG_CACHE_HOME nor HOME (LOCALAPPDATA on Windows) is set",
        )
    })?;
    let refuse = |path: &Path, error: &dyn std::fmt::Display| {
        Failure::Input(format!("--file: expected a file that can be written, got {}: {error}", path.display()))
    };
    if path.is_dir() {
        return Err(refuse(&path, &"it is a folder"));
    }
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(|error| refuse(&path, &error))?;
    }
    file::check_writable(&path)?;
    Ok(path)
}

/// The fastest variant on a shape, beside that of the rule.
fn cells(ranking: &Ranking) -> [String; 4] {
    let shape = format!("{} {}", ranking.shape.family().name(), ranking.shape.name());
    let seconds = |name: &str| ranking.seconds.get(name).copied().unwrap_or(f64::NAN);
    let time = |name: &str| duration(Duration::from_secs_f64(seconds(name)));
    match ranking.choice {
        None => [shape, ranking.rule.clone(), time(&ranking.rule), String::new()],
        Some(choice) => {
            let name = choice.to_string();
            let share = format!("{:.0} %", 100.0 * seconds(&name) / seconds(&ranking.rule));
            [shape, name.clone(), time(&name), share]
        }
    }
}
