//! `fourfold data collect`: data sets of our own, from the environments on the GPU.

use clap::Args;
use fourfold::data::Trajectories;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Collector, CourseFlags, Stage, World};
use crate::experiment::Experiment;
use crate::failure::Failure;
use crate::limits;
use crate::picture::plot::{Level, Line, LinePlot};
use crate::run::Run;
use crate::run::report::Report;
use crate::statistics::quantile;

/// Train a policy and record episodes of it at several stages, in D4RL's sense
#[derive(Debug, Clone, PartialEq, Args, Serialize, Deserialize)]
pub struct Settings {
    /// Environment
    #[arg(value_enum, value_name = "ENV")]
    pub environment: World,
    /// Stages of training, separated by commas
    #[arg(long, value_enum, value_name = "STAGES", value_delimiter = ',', default_values_t = Stage::ALL)]
    pub stage: Vec<Stage>,
    /// Episodes of each stage
    #[arg(long, value_name = "COUNT", default_value_t = 500)]
    pub episodes: usize,
    #[command(flatten)]
    #[serde(flatten)]
    pub course: CourseFlags,
}

/// The file of one stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Recorded {
    file: String,
    episodes: usize,
    steps: usize,
    return_quartiles: [f64; 5],
}

impl Experiment for Settings {
    const NAME: &'static str = "data collect";
    const SEEDS: Option<&'static str> = Some("1");
    const QUICK: &'static [(&'static str, &'static str)] = &[("policy_share", "0.5"), ("policy_tries", "1")];

    fn check(&self) -> Result<(), Failure> {
        limits::counts([("--episodes", self.episodes, 1..=100_000)])?;
        limits::distinct("--stage", self.stage.iter().map(|stage| stage.name()))?;
        self.course.check()
    }

    fn run(&self, run: &mut Run) -> Result<Report, Failure> {
        let (world, seeds) = (self.environment, run.seeds());
        let mut report = Report::new(format!("Episodes of {} at several stages of a training", world.name()));
        let mut policies = Vec::new();
        for &seed in &seeds {
            let collector = Collector::new(run, world, self.course.course(world), seed)?;
            // The files of one seed are named without it.
            let suffix = if seeds.len() > 1 { format!("-{seed}") } else { String::new() };
            run.progress("recording", self.stage.len() as u64);
            let mut files = Vec::new();
            for &stage in &self.stage {
                run.say(stage.name());
                files.push(run.stage(&format!("episodes, seed {seed}, {}", stage.name()), 1, |run| {
                    let collected = collector.collect(stage, self.episodes)?;
                    let recorded = Recorded::new(&collected, &suffix);
                    run.write_checkpoint(&recorded.file, &collected.checkpoint())?;
                    Ok(recorded)
                })?);
            }
            run.end_progress();
            if seeds.len() > 1 {
                report.heading(format!("Seed {seed}"));
            }
            report.table(
                &["file", "episodes", "steps", "least", "25 %", "median", "75 %", "most"],
                files.iter().map(Recorded::row),
            );
            let (medium, expert) = (collector.medium, collector.expert);
            report.paragraph(format!(
                "Mean returns of the policies without noise: random {:.1}, medium {:.1} (generation {medium}), expert {:.1} \
                 (generation {expert}).",
                collector.random,
                collector.returns[medium],
                collector.best(),
            ));
            if let Some(last) = files.last() {
                report.next(format!("fourfold dt train {} --quick", run.path().join(&last.file).display()));
            }
            report.picture(format!("learning{suffix}.png"), "learning", learning(&collector).png(900, 480)?);
            policies.push(json!({
                "seed": seed,
                "random_return": collector.random,
                "medium_return": collector.returns[medium],
                "medium_generation": medium,
                "expert_return": collector.best(),
                "expert_generation": expert,
                "files": files,
            }));
        }
        report.result("policies", policies.into());
        Ok(report)
    }
}

impl Recorded {
    fn new(collected: &Trajectories, suffix: &str) -> Self {
        let returns = collected.returns();
        Self {
            file: format!("{}{suffix}.safetensors", collected.name()),
            episodes: collected.episodes(),
            steps: collected.steps(),
            return_quartiles: [0.0, 0.25, 0.5, 0.75, 1.0].map(|share| quantile(&returns, share)),
        }
    }

    fn row(&self) -> Vec<String> {
        let quartiles = self.return_quartiles.iter().map(|value| format!("{value:.1}"));
        [self.file.clone(), self.episodes.to_string(), self.steps.to_string()].into_iter().chain(quartiles).collect()
    }
}

fn learning(collector: &Collector) -> LinePlot {
    let points = collector.returns.iter().enumerate().map(|(at, &value)| (at as f64, value));
    LinePlot {
        levels: vec![
            Level::across("random", collector.random),
            Level::across("medium", collector.returns[collector.medium]),
            Level::across("expert", collector.best()),
        ],
        ..LinePlot::new(
            format!("{}: mean return of the policy while it learns", collector.world().name()),
            "generation",
            "mean return",
            vec![Line::new("", points)],
        )
    }
}
