//! `fourfold data collect`: data sets of our own, from the environments on the GPU.

use clap::Args;
use serde::Serialize;
use serde_json::json;

use crate::dt::collection::{Collector, Stage, World};
use crate::failure::Failure;
use crate::options::Common;
use crate::picture::plot::{Axis, Line, LinePlot};
use crate::progress::Progress;
use crate::run::folder::RunFolder;
use crate::statistics::quantile;
use crate::table::table;

/// Which data sets.
#[derive(Debug, Clone, Args, Serialize)]
pub struct Arguments {
    /// The environment
    #[arg(value_enum, value_name = "ENV")]
    #[serde(serialize_with = "world_name")]
    pub environment: World,
    /// The stages of training, with commas between them [default: all]
    #[arg(long = "stage", value_enum, value_name = "STAGES", value_delimiter = ',')]
    #[serde(serialize_with = "stage_names")]
    pub stages: Vec<Stage>,
    /// Episodes of each stage
    #[arg(long, value_name = "COUNT", default_value_t = 500)]
    pub episodes: usize,
}

fn world_name<S: serde::Serializer>(world: &World, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(world.name())
}

fn stage_names<S: serde::Serializer>(stages: &[Stage], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(stages.iter().map(|stage| stage.name()))
}

/// Trains, records and writes a file for each stage.
///
/// # Errors
/// If an argument is out of range, the device fails or the folder cannot be written.
pub fn run(common: &Common, arguments: &Arguments) -> Result<(), Failure> {
    let Arguments { environment: world, ref stages, episodes } = *arguments;
    if !(1..=100_000).contains(&episodes) {
        return Err(Failure::Input(format!("--episodes: expected 1 to 100000, got {episodes}")));
    }
    let stages = if stages.is_empty() { Stage::ALL.to_vec() } else { stages.clone() };
    let course = if common.quick { world.course().quick() } else { world.course() };
    let gpu = common.open(false)?;
    let settings = serde_json::to_value(arguments).map_err(Failure::run)?;
    let folder = RunFolder::create(common, "data-collect", &gpu, settings)?;
    let collector = Collector::new(&gpu, world, course, common.seed as u32, common.quiet)?;

    let mut rows = Vec::new();
    let mut results = Vec::new();
    let mut progress = Progress::new("recording", stages.len() as u64, common.quiet);
    for stage in stages {
        progress.say(stage.name());
        let collected = collector.collect(stage, episodes)?;
        let file = format!("{}.safetensors", collected.name());
        collected.save(&folder.path().join(&file))?;
        let returns = collected.returns();
        let quantiles = [0.0, 0.25, 0.5, 0.75, 1.0].map(|share| quantile(&returns, share));
        let [least, first, median, third, most] = quantiles.map(|value| format!("{value:.1}"));
        let (episodes, steps) = (collected.episodes(), collected.steps());
        results.push(json!({ "file": file, "episodes": episodes, "steps": steps, "return_quartiles": quantiles }));
        rows.push([file, episodes.to_string(), steps.to_string(), least, first, median, third, most]);
        progress.advance(1);
    }
    progress.finish();

    let learning = LinePlot {
        title: format!("{}: mean return of the policy while it learns", world.name()),
        x: Axis::new("generation"),
        y: Axis::new("mean return"),
        lines: vec![Line {
            points: collector.returns.iter().enumerate().map(|(at, &value)| (at as f64, value)).collect(),
            ..Line::default()
        }],
        marks: vec![collector.random, collector.returns[collector.medium], collector.best()],
        ..LinePlot::default()
    };
    folder.write("learning.png", &learning.png(900, 480)?)?;
    let summary = json!({
        "random_return": collector.random,
        "medium_return": collector.returns[collector.medium],
        "medium_generation": collector.medium,
        "expert_return": collector.best(),
        "expert_generation": collector.expert,
        "files": results,
    });
    folder.write_json("results.json", &summary)?;
    crate::show!(
        "{}\n\nMean returns of the policies without noise: random {:.1}, medium {:.1} (generation {}), expert {:.1} \
         (generation {}).\nThe files are in {}",
        table(["file", "episodes", "steps", "least", "25 %", "median", "75 %", "most"], rows),
        collector.random,
        collector.returns[collector.medium],
        collector.medium,
        collector.best(),
        collector.expert,
        folder.path().display()
    );
    Ok(())
}
