//! `fourfold bench sam`: time of a training step of a classifier of images with SGD and with SAM, and of PyTorch's turn and
//! turn about with them.

use std::time::Duration;

use clap::Args;
use fourfold::data::Dataset;
use fourfold::graph::Plan;
use fourfold::models::{Architecture, Classifier};
use fourfold::optim::{Optimiser, Sam, Schedule, Sgd};
use fourfold::shaders::random::threefry::Random;
use serde_json::json;

use super::training_step::{self, Options, Subject, Training};
use crate::experiments::sam::trainer::{Method, Recipe, RunningFrom, Trainer};
use crate::experiments::sam::variant::Ascent;
use crate::failure::Failure;
use crate::options::Common;

/// The networks and their training in PyTorch, and the loop that answers.
const SCRIPT: &str = include_str!("../../../../benches/peers/torch_sam.py");

/// Measure a training step of a classifier of 28 x 28 grey images with SGD, and with SAM
#[derive(Debug, Clone, Args)]
pub struct Arguments {
    /// Network, as `fourfold sam` takes it; PyTorch's script has `cnn` and `resnet`
    #[arg(long, value_name = "NAME", default_value = "cnn")]
    model: String,
    /// Images of a step
    #[arg(long, value_name = "COUNT", default_value_t = 128, value_parser = clap::value_parser!(u32).range(2..=65_536))]
    batch: u32,
    #[command(flatten)]
    options: Options,
}

const IMAGE: [usize; 2] = [28, 28];
const CLASSES: usize = 10;

/// Measures training steps; `json` asks for JSON as the flag does.
pub fn run(common: &Common, arguments: &Arguments, json: bool) -> Result<(), Failure> {
    let Arguments { model, batch, options } = arguments;
    let architecture: Architecture = model.parse().map_err(Failure::input)?;
    if options.torch.python.is_some()
        && !matches!(architecture, Architecture::SmallConvNet | Architecture::ResNet { .. })
    {
        return Err(Failure::Input(format!(
            "--torch: PyTorch's script has the networks `cnn` and `resnet`, got --model {model}; leave it out"
        )));
    }
    let gpu = common.open()?;
    let rows = *batch as usize * options.steps(common);
    let mut random = Random::new(common.seed as u32, 0);
    let images = (0..rows * IMAGE[0] * IMAGE[1]).map(|_| random.normal()).collect();
    let labels = (0..rows).map(|_| random.below(CLASSES as u32)).collect();
    let data = Dataset::new("noise", IMAGE, CLASSES, images, labels)?;
    let classifier = Classifier::new(&architecture, IMAGE, CLASSES, 0.0).map_err(Failure::Input)?;
    let trainer = |method| {
        let recipe = Recipe {
            method,
            optimiser: Optimiser::Sgd(Sgd { momentum: 0.9, nesterov: true, weight_decay: 5e-4 }),
            rate: 0.1,
            schedule: Schedule::Constant,
            batch: *batch as usize,
            smoothing: 0.0,
            clip: None,
            running_from: RunningFrom::First,
            synchronised: false,
            augmentation: None,
            chunks: 1,
            ascent: Ascent::default(),
        };
        Trainer::new(&gpu, &common.ranks, &classifier, &data, &recipe, common.seed)
    };
    let sam = Method::SharpnessAware { sam: Sam::default(), rho: 0.1 };
    let subject = Subject {
        command: "bench sam",
        work: json!({ "model": model, "batch": batch, "parameters": classifier.parameters().length() }),
        sizes: format!("`{model}`, {batch} images of {} x {}", IMAGE[0], IMAGE[1]),
        script: SCRIPT,
        arguments: ["--model".into(), model.clone(), "--batch".into(), batch.to_string()].into(),
        trainings: vec![("SGD", Box::new(trainer(Method::Plain)?)), ("SAM", Box::new(trainer(sam)?))],
    };
    training_step::run(common, options, &gpu, subject, json)
}

impl Training for Trainer {
    fn plan(&self) -> &Plan {
        self.plan()
    }

    fn submit(&mut self, steps: usize) -> Result<(), Failure> {
        self.rewind()?;
        self.submit(steps)
    }

    fn profile(&mut self) -> Result<Option<Vec<Duration>>, Failure> {
        self.rewind()?;
        self.profile()
    }

    fn loss(&mut self) -> Result<f64, Failure> {
        Ok(self.losses()?.loss)
    }
}
