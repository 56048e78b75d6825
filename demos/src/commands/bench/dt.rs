//! `fourfold bench dt`: time of a training step of the decision transformer on this adapter, and of PyTorch's turn and turn
//! about with it.

use std::time::Duration;

use clap::Args;
use fourfold::Gpu;
use fourfold::data::{Actions, Steps, Trajectories};
use fourfold::graph::Plan;
use fourfold::models::decision_transformer::{DecisionTransformer, Settings};
use fourfold::models::offline_training::{OfflineSettings, OfflineTraining};
use fourfold::shaders::random::threefry::Random;
use serde_json::json;

use super::training_step::{self, Options, Subject, Training};
use crate::failure::Failure;
use crate::options::Common;

/// The network and its training in PyTorch, and the loop that answers.
const SCRIPT: &str = include_str!("../../../../benches/peers/torch_dt.py");

/// Measure a training step of the decision transformer at the paper's sizes for Hopper: 3 layers of width 128, dropout
/// 0.1, AdamW, clipping
#[derive(Debug, Clone, Args)]
pub struct Arguments {
    /// Windows of a step
    #[arg(long, value_name = "COUNT", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    batch: u32,
    /// Steps of a window
    #[arg(long, value_name = "COUNT", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    context: u32,
    #[command(flatten)]
    options: Options,
}

const OBSERVATIONS: usize = 11;
const ACTIONS: usize = 3;
const EPISODES: usize = 50;
const LENGTH: usize = 1_000;

/// Measures training steps; `json` asks for JSON as the flag does.
pub fn run(common: &Common, arguments: &Arguments, json: bool) -> Result<(), Failure> {
    let Arguments { batch, context, options } = arguments;
    let gpu = common.open()?;
    let training = training(&gpu, arguments, common.seed, options.steps(common))?;
    let subject = Subject {
        command: "bench dt",
        work: json!({ "batch": batch, "context": context, "observations": OBSERVATIONS, "actions": ACTIONS }),
        sizes: format!("{batch} windows of {context} steps"),
        script: SCRIPT,
        arguments: ["--batch".into(), batch.to_string(), "--context".into(), context.to_string()].into(),
        trainings: vec![("AdamW", Box::new(training))],
    };
    training_step::run(common, options, &gpu, subject, json)
}

impl Training for OfflineTraining {
    fn plan(&self) -> &Plan {
        self.session().plan()
    }

    fn submit(&mut self, steps: usize) -> Result<(), Failure> {
        self.submit(steps).map_err(Failure::run)
    }

    fn profile(&mut self) -> Result<Option<Vec<Duration>>, Failure> {
        self.profile().map_err(Failure::run)
    }

    fn loss(&mut self) -> Result<f64, Failure> {
        let losses = self.losses().map_err(Failure::run)?;
        losses.last().map(|loss| f64::from(*loss)).ok_or_else(|| Failure::run("no step has run"))
    }
}

/// The paper's network in training on episodes of noise.
fn training(gpu: &Gpu, arguments: &Arguments, seed: u64, steps: usize) -> Result<OfflineTraining, Failure> {
    let mut random = Random::new(seed as u32, 0);
    let count = EPISODES * LENGTH;
    let columns = Steps {
        observations: (0..count * OBSERVATIONS).map(|_| random.normal()).collect(),
        actions: (0..count * ACTIONS).map(|_| 2.0 * random.uniform() - 1.0).collect(),
        rewards: (0..count).map(|_| random.uniform()).collect(),
        ends: (1..=EPISODES).map(|episode| episode * LENGTH).collect(),
        terminated: vec![false; EPISODES],
    };
    let data = Trajectories::new("noise", OBSERVATIONS, Actions::Continuous(ACTIONS), columns)?;
    let settings = Settings::gym(OBSERVATIONS, data.actions(), arguments.context as usize);
    let model = DecisionTransformer::new(settings).map_err(Failure::input)?;
    let settings = OfflineSettings {
        batch: arguments.batch as usize,
        return_scale: 1_000.0,
        seed: seed as u32,
        steps_per_submission: steps,
        ..OfflineSettings::gym(&data)
    };
    OfflineTraining::new(gpu, &model, &data, settings).map_err(Failure::run)
}
