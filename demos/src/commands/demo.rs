//! `fourfold demo`: a tour of everything, on any adapter.

use std::path::Path;
use std::sync::Arc;

use clap::Args;
use fourfold::Gpu;
use fourfold::evolution::problems::ToyRegression;
use fourfold::evolution::{
    Descent, Estimator, Evaluator, EvaluatorSettings, OuterLoop, OuterSettings, OuterTensors, UnrollSettings,
    UnrolledGradient,
};
use fourfold::shaders::rollout::policies::AttentionNeuron;
use serde_json::json;

use crate::adapter::describe;
use crate::animation::{self, Animation};
use crate::commands::verify;
use crate::entry::Plain;
use crate::estimate;
use crate::experiment;
use crate::experiments::dt::key_to_door::{self, Method};
use crate::experiments::neuron::evaluation::{Order, Protocol};
use crate::experiments::neuron::input_order::InputOrder;
use crate::experiments::neuron::network::trained;
use crate::experiments::neuron::sight::{self, Sight};
use crate::experiments::neuron::strip::strip;
use crate::experiments::sam;
use crate::failure::Failure;
use crate::options::{Common, FLAGS, Preset, Seeds};
use crate::picture::bitmap::Bitmap;
use crate::picture::film::Format;
use crate::player::NeuronPlayer;
use crate::run::Run;
use crate::run::report::Report;
use crate::table::{broken, width};

/// Take a tour: kernels against twins, SGD against SAM, a policy whose inputs are shuffled, a driver whose picture is, truncated
/// unrolls, a grid task learnt from random play; about two minutes on a software driver
#[derive(Debug, Clone, Args)]
pub struct Arguments {}

impl Plain for Arguments {
    const NAME: &'static str = "demo";
    const COMMON: &'static [&'static str] = FLAGS;

    fn run(&self, common: &Common) -> Result<(), Failure> {
        run(common)
    }
}

/// Cases of each kernel: enough to see a broken driver.
const CASES: u32 = 3;

/// Episodes of the policy.
const EPISODES: usize = 200;

/// Tracks of the driver, and steps on each.
const TRACKS: usize = 8;
const STEPS: usize = 300;

/// Judges the kernels, trains on handwritten digits, nearly half of whose labels are wrong, shuffles the inputs of a
/// trained policy and the picture of a driver, learns a schedule from truncated unrolls, and a grid task from random play.
///
/// # Errors
/// If a step fails, with its own sentence.
pub fn run(common: &Common) -> Result<(), Failure> {
    let gpu = common.open()?;
    estimate::tell(gpu.info(), Arguments::NAME, 1.0, common);
    let mut run = Run::of_command(common, Arguments::NAME, &gpu, json!({}))?;
    let folder = run.path().to_owned();
    let preset = if common.quick { Preset::Quick } else { Preset::Default };
    let within = |name: &str| Common { out: Some(folder.join(name)), ..common.clone() };
    say(&format!("1. The adapter: {}", describe(gpu.info())));
    say("2. Every kernel against its CPU twin, on this adapter:");
    say(&verify::glance(common, &gpu, if common.quick { 1 } else { CASES })?);
    say(
        "3. A perceptron learns 1,438 real handwritten digits of which 40 % bear a wrong label, and is asked about 359 \
         others: with SGD, and with SAM, which looks for flat minima by a second backward pass (Foret et al. 2021). SGD \
         learns the wrong labels by heart; SAM less so.",
    );
    let settings = sam::Settings {
        label_noise: 0.4,
        rho: 0.3,
        epochs: if common.quick { 10 } else { 40 },
        lanczos: 20,
        ..experiment::defaults(preset)?
    };
    let seeds = Seeds::Count(if common.quick { 1 } else { 3 });
    experiment::start(&within("sam"), &settings, seeds.list(common.seed)?)?;

    say(
        "\n4. The same digits by a convolutional network with batch norm, whose running statistics are those of the first of \
         SAM's two passes alone:",
    );
    let settings = sam::Settings {
        model: "cnn".into(),
        label_noise: 0.4,
        rho: 0.1,
        epochs: if common.quick { 2 } else { 8 },
        lanczos: 0,
        ..experiment::defaults(preset)?
    };
    experiment::start(&within("sam-cnn"), &settings, Seeds::Count(1).list(common.seed)?)?;

    say(&format!(
        "\n5. An attention neuron (Tang & Ha 2021), trained before, swings a pole up and balances it, {EPISODES} times at \
         once on the GPU. Then its five inputs come in another order in every episode:"
    ));
    let network = AttentionNeuron::cart_pole();
    let weights = trained()?;
    let plain = Protocol::plain(EPISODES, common.seed as u32);
    for (order, name) in [(Order::Plain, "as trained"), (Order::Shuffled, "shuffled")] {
        let scores = Protocol { order, ..plain }.scores(&gpu, Arc::new(network), &weights)?;
        crate::show!("   {name:<10}  mean score {:.0}, standard error {:.0}", scores.mean(), scores.error());
    }
    let film = NeuronPlayer::new(gpu.clone(), network, weights, vec![400], 0).episode(common.seed)?;

    let horizon = if common.quick { 60 } else { STEPS };
    say(&format!(
        "\n6. Another attention neuron sees: it drives by a picture of 48 x 48 in 64 patches, {horizon} steps on each of {TRACKS} \
         tracks that nobody learnt on. Then the patches come in another order in every race:"
    ));
    let driver = sight::driver()?;
    let race = Sight { seed: common.seed as u32, shuffles: Vec::new(), horizon };
    for (order, name) in [(InputOrder::Plain, "in order"), (InputOrder::Shuffled, "shuffled")] {
        crate::show!("   {name:<10}  mean score {:.0}", race.score(&gpu, &driver, TRACKS, order)?);
    }
    let drive = Sight { shuffles: vec![horizon / 3, 2 * horizon / 3], ..race }.film(&gpu, &driver)?;

    say(
        "\n7. A schedule of learning rates is learned from unrolls of 10 of its 100 steps (Vicol et al. 2021): by evolution \
         strategies on the truncated unrolls alone, and by persistent ones, which remember what came before:",
    );
    let problem = Arc::new(ToyRegression::default());
    let evaluator = Evaluator::new(&gpu, problem.clone(), &EvaluatorSettings::new(2, 0))?;
    for (estimator, name) in [(Estimator::TRUNCATED_ES, "truncated"), (Estimator::PES, "persistent")] {
        let theta = schedule(&gpu, problem.clone(), estimator, common.seed as u32)?;
        let [before, after] = evaluator.run(&[ToyRegression::START, theta].concat())?[..] else {
            unreachable!("an objective for each of two points")
        };
        crate::show!("   {name:<10}  sum of losses {:.0}, from {:.0}", after.sum, before.sum);
    }

    say(
        "\n8. Whoever takes the key in the first of three rooms can open the door in the last. Networks learn it from the \
         episodes of somebody who walked at random: by cloning what was done, and as a decision transformer (Chen, Lu et \
         al. 2021), which is asked for a return of 1 and then plays 200 episodes at once:",
    );
    let settings = key_to_door::Settings {
        episodes: vec![if common.quick { 600 } else { 10_000 }],
        methods: vec![Method::Cloning, Method::Transformer],
        steps: if common.quick { 40 } else { 300 },
        batch: 64,
        points: 1,
        no_critic: true,
        ..experiment::defaults(preset)?
    };
    experiment::start(&within("key-to-door"), &settings, Seeds::Count(1).list(common.seed)?)?;

    let mut report =
        Report::new("\nAll of it on one sheet, sheet.png; the cart and the car as films, cart.gif and car.gif.");
    let pictures =
        ["sam/accuracy.png", "key-to-door/success.png", "sam-cnn/accuracy.png"].map(|name| picture(&folder.join(name)));
    let pictures: Vec<Bitmap> = pictures.into_iter().collect::<Result<_, _>>()?;
    let stills = [strip(&film), drive.frame(drive.length() - 1)];
    let sheet = Bitmap::sheet(&[&pictures[..], &stills].concat(), 2, 900);
    report.picture("sheet.png", "what the demo measured", sheet.png()?);
    let every = if common.quick { 40 } else { 8 };
    let films: [(&str, &dyn Animation); 2] = [("cart", &film), ("car", &drive)];
    run.progress("films", films.iter().map(|(_, film)| film.frames(every).len() as u64).sum());
    for (name, film) in films {
        let encoded = animation::encode(film, Format::Gif, every, || run.advance(1))?;
        report.picture(format!("{name}.gif"), format!("the {name}"), encoded);
    }
    crate::show!("{}", run.publish(&report)?);
    crate::show!("      fourfold pes compare toy --quick\n      fourfold sam --label-noise 0.4");
    Ok(())
}

/// Shows a paragraph and a line below it.
fn say(text: &str) {
    crate::show!("{}\n", broken(text, width()));
}

/// Reads a picture of a run.
fn picture(path: &Path) -> Result<Bitmap, Failure> {
    let bytes = std::fs::read(path).map_err(|error| Failure::run(format!("{}: {error}", path.display())))?;
    Bitmap::from_png(&bytes)
}

/// Outer iterations.
const ITERATIONS: usize = 1_500;

/// Returns the theta that an estimator learns in [`ITERATIONS`] outer iterations with the settings of the paper.
fn schedule(
    gpu: &Gpu,
    problem: Arc<ToyRegression>,
    estimator: Estimator,
    key: u32,
) -> Result<[f32; 2], fourfold::evolution::Error> {
    let settings = UnrollSettings::new(estimator, 100, 10, 0.3);
    let outer = OuterTensors::new(gpu, &ToyRegression::START, key)?;
    let source = UnrolledGradient::new(gpu, problem, &settings, &outer)?;
    let descent = OuterSettings { descent: Descent::adam(0.99), rate: 0.01, clip: None, ring: 1 };
    let progress = OuterLoop::new(gpu, outer, Box::new(source), descent)?.run(ITERATIONS)?;
    Ok([progress.centers[0][0], progress.centers[0][1]])
}
