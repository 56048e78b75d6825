//! `fourfold demo`: a tour of everything, on any adapter.

use std::sync::Arc;

use clap::Args;
use fourfold::Gpu;
use fourfold::evolution::problems::ToyRegression;
use fourfold::evolution::{
    Descent, Estimator, Evaluator, EvaluatorSettings, OuterLoop, OuterSettings, OuterTensors, UnrollSettings,
    UnrolledGradient,
};
use fourfold::shaders::rollout::policies::AttentionNeuron;

use crate::adapter::describe;
use crate::commands::verify;
use crate::entry::Plain;
use crate::experiment;
use crate::experiments::dt::key_to_door::{self, Method};
use crate::experiments::neuron::evaluation::{Order, Protocol};
use crate::experiments::neuron::network::trained;
use crate::experiments::sam;
use crate::failure::Failure;
use crate::options::{Common, Seeds};

/// Take a tour: kernels against twins, SGD against SAM, a policy whose inputs are shuffled, truncated unrolls, a
/// grid task learnt from random play; some three minutes on a software driver
#[derive(Debug, Clone, Args)]
pub struct Arguments {}

impl Plain for Arguments {
    const NAME: &'static str = "demo";

    fn run(&self, common: &Common) -> Result<(), Failure> {
        run(common)
    }
}

/// Cases of each kernel: enough to see a broken driver.
const CASES: u32 = 3;

/// Episodes of the policy.
const EPISODES: usize = 200;

/// Judges the kernels, trains on handwritten digits, nearly half of whose labels are wrong, shuffles the inputs of a
/// trained policy, learns a schedule from truncated unrolls, and a grid task from random play.
///
/// # Errors
/// If a step fails, with its own sentence.
pub fn run(common: &Common) -> Result<(), Failure> {
    let gpu = common.open(false)?;
    crate::show!("1. The adapter: {}\n", describe(gpu.info()));

    crate::show!("2. Every kernel against its CPU twin, on this adapter");
    crate::show!("   {}\n", verify::glance(common, &gpu, if common.quick { 1 } else { CASES })?);

    crate::show!(
        "3. A perceptron learns 1,438 real handwritten digits of which 40 % bear a wrong label, and is asked about\n   \
         359 others: with SGD, and with SAM, which looks for flat minima by a second backward pass (Foret et al.\n   \
         2021). SGD learns the wrong labels by heart; SAM less so.\n"
    );
    let settings = sam::Settings {
        label_noise: 0.4,
        rho: 0.3,
        epochs: if common.quick { 10 } else { 40 },
        lanczos: 20,
        ..experiment::defaults(common.quick)?
    };
    let seeds = Seeds::Count(if common.quick { 1 } else { 3 });
    experiment::start(common, &settings, seeds.list(common.seed)?)?;
    crate::show!("The pictures accuracy.png and loss.png there show the epochs.\n");

    crate::show!(
        "4. An attention neuron (Tang & Ha 2021), trained before, swings a pole up and balances it, {EPISODES} times\n   \
         at once on the GPU. Then its five inputs come in another order in every episode:\n"
    );
    let network = AttentionNeuron::cart_pole();
    let weights = trained()?;
    let plain = Protocol::plain(EPISODES, common.seed as u32);
    for (order, name) in [(Order::Plain, "as trained"), (Order::Shuffled, "shuffled")] {
        let scores = Protocol { order, ..plain }.scores(&gpu, Arc::new(network), &weights)?;
        crate::show!("   {name:<10}  mean score {:.0}, standard error {:.0}", scores.mean(), scores.error());
    }

    crate::show!(
        "\n5. A schedule of learning rates is learned from unrolls of 10 of its 100 steps (Vicol et al. 2021): by evolution\n   \
         strategies on the truncated unrolls alone, and by persistent ones, which remember what came before:\n"
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

    crate::show!(
        "\n6. Whoever takes the key in the first of three rooms can open the door in the last. Networks learn it from the\n   \
         episodes of somebody who walked at random: by cloning what was done, and as a decision transformer (Chen, Lu\n   \
         et al. 2021), which is asked for a return of 1 and then plays 200 episodes at once:\n"
    );
    let settings = key_to_door::Settings {
        episodes: vec![if common.quick { 600 } else { 10_000 }],
        methods: vec![Method::Cloning, Method::Transformer],
        steps: if common.quick { 40 } else { 300 },
        batch: 64,
        points: 1,
        no_critic: true,
        ..experiment::defaults(common.quick)?
    };
    let common = Common { out: common.out.as_ref().map(|out| out.join("key-to-door")), ..common.clone() };
    experiment::start(&common, &settings, Seeds::Count(1).list(common.seed)?)?;
    crate::show!(
        "\nNext: `fourfold dt --help`, `fourfold pes --help`, `fourfold neuron --help`, `fourfold sam --help`, `fourfold verify`."
    );
    Ok(())
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
