//! Evolution strategies on the GPU: they learn, repeat themselves to the last bit, and go on after a restart.

use std::time::Duration;

use fourfold::Gpu;
use fourfold::data::Checkpoint;
use fourfold::evolution::{
    Descent, EvolutionStrategy, OuterLoop, OuterSettings, OuterTensors, RolloutGradient, RolloutGradientPlan, Summary,
};
use fourfold::rollout::environments::CartPoleSwingUp;
use fourfold::rollout::policies::Linear;
use fourfold::rollout::{self, Composition, Environment, EpisodeRandom, Interface, Outcome, Policy};
use fourfold::shaders::Target;

fn gpu() -> Gpu {
    Gpu::open().unwrap_or_else(|error| panic!("{error}"))
}

const DESCENT: OuterSettings = OuterSettings { descent: Descent::adam(0.9), rate: 0.1, clip: None, ring: 8 };

const STRATEGIES: [EvolutionStrategy; 2] =
    [EvolutionStrategy::OpenAiEs { sigma: 0.1 }, EvolutionStrategy::Pgpe { deviation: 0.1, rate: 0.1, fraction: 0.2 }];

/// A loop whose dispatches are cut to last `pace`.
fn paced_loop(
    composition: &Composition,
    strategy: EvolutionStrategy,
    rollout: rollout::Settings,
    initial: &[f32],
    pace: Option<Duration>,
) -> OuterLoop<RolloutGradient> {
    let gpu = gpu();
    let outer = OuterTensors::new(&gpu, initial, 5).unwrap();
    let plan = RolloutGradientPlan::new(composition, strategy, &rollout, &gpu.target()).unwrap();
    let mut source = RolloutGradient::new(&gpu, plan, &outer).unwrap();
    if let Some(pace) = pace {
        source = source.paced(pace).unwrap();
    }
    OuterLoop::new(&gpu, outer, Box::new(source), DESCENT).unwrap()
}

fn outer_loop(composition: &Composition, strategy: EvolutionStrategy, initial: &[f32]) -> OuterLoop<RolloutGradient> {
    paced_loop(composition, strategy, rollout::Settings::new(64, 2, 20), initial, None)
}

/// The state holds one number for each action; the reward is how near the action comes to a target of its own.
#[derive(Debug)]
struct Quadratic;

impl Environment for Quadratic {
    fn file(&self) -> &str {
        "quadratic.wgsl"
    }
    fn source(&self) -> &str {
        "
fn environment_reset(random: ptr<function, Random>) -> array<f32, STATE> { return array<f32, STATE>(1.0); }
fn environment_observe(state: array<f32, STATE>) -> array<f32, OBSERVATIONS> { return state; }
fn environment_step(
    state: ptr<function, array<f32, STATE>>, action: array<f32, ACTIONS>, random: ptr<function, Random>,
) -> Outcome {
    let a = action[0] - 1.5;
    let b = action[1] + 0.5;
    return Outcome(-a * a - b * b, true);
}
"
    }
    fn states(&self) -> usize {
        1
    }
    fn observations(&self) -> usize {
        1
    }
    fn actions(&self) -> usize {
        2
    }
    fn horizon(&self) -> usize {
        1
    }
    fn reset(&self, _: &mut EpisodeRandom, state: &mut [f64]) {
        state.fill(1.0);
    }
    fn observe(&self, state: &[f64], observation: &mut [f64]) {
        observation.copy_from_slice(state);
    }
    fn step(&self, _: &mut [f64], action: &[f64], _: &mut EpisodeRandom) -> Outcome {
        Outcome { reward: -(action[0] - 1.5).powi(2) - (action[1] + 0.5).powi(2), done: true }
    }
}

#[test]
fn both_strategies_climb_to_the_top_of_a_quadratic() {
    let composition = Composition::new(Quadratic, Linear);
    for strategy in STRATEGIES {
        let mut outer = outer_loop(&composition, strategy, &[0.0; 4]);
        let progress = outer.run(150).unwrap();
        let summaries = RolloutGradient::summaries(&progress);
        assert_eq!((progress.iteration, summaries.len()), (150, 8));
        // Weights (2, 1), then biases: the action is their sum.
        let center = outer.parameters().unwrap();
        let reached = [center[0] + center[2], center[1] + center[3]];
        let off = (reached[0] - 1.5).abs().max((reached[1] + 0.5).abs());
        assert!(off < 0.1, "{strategy:?} reached {reached:?}");
        assert!(summaries.iter().all(|summary| summary.steps == 128 && summary.failed == 0));
    }
}

#[test]
fn a_strategy_improves_the_cart_pole_swing_up() {
    let composition = Composition::new(CartPoleSwingUp::default(), Linear);
    let rollout = rollout::Settings::new(64, 4, 200);
    let mut outer = paced_loop(&composition, STRATEGIES[1], rollout, &[0.0; 6], None);
    let mean = |outer: &mut OuterLoop<RolloutGradient>, generations| {
        let summaries = RolloutGradient::summaries(&outer.run(generations).unwrap());
        summaries.iter().map(|summary| f64::from(summary.mean)).sum::<f64>() / summaries.len() as f64
    };
    let (first, last) = (mean(&mut outer, 4), mean(&mut outer, 60));
    assert!(last > first + 5.0, "mean fitness from {first} to {last}");
}

#[test]
fn a_seed_gives_the_same_bits_however_generations_are_submitted_and_after_a_restart() {
    let composition = Composition::new(CartPoleSwingUp::default(), Linear);
    for strategy in STRATEGIES {
        let fresh = |pace| paced_loop(&composition, strategy, rollout::Settings::new(64, 2, 20), &[0.1; 6], pace);
        let mut whole = fresh(None);
        let progress = whole.run(6).unwrap();

        let mut first = fresh(Some(Duration::from_millis(5)));
        first.run(2).unwrap();
        let mut checkpoint = Checkpoint::new();
        first.save(&mut checkpoint).unwrap();
        let mut second = fresh(None);
        second.restore(&Checkpoint::from_bytes("memory", &checkpoint.to_bytes()).unwrap()).unwrap();
        let resumed = second.run(4).unwrap();
        assert_eq!(progress, resumed, "{strategy:?}: iteration and rings");
        let bits = |outer: &OuterLoop<RolloutGradient>| -> Vec<u32> {
            outer.parameters().unwrap().into_iter().map(f32::to_bits).collect()
        };
        assert_eq!(bits(&whole), bits(&second), "{strategy:?}");
    }
}

#[test]
fn a_checkpoint_of_another_policy_is_refused_and_changes_nothing() {
    let composition = Composition::new(Quadratic, Linear);
    let mut checkpoint = Checkpoint::new();
    outer_loop(&composition, STRATEGIES[0], &[0.0; 4]).save(&mut checkpoint).unwrap();
    let swing_up = Composition::new(CartPoleSwingUp::default(), Linear);
    let mut outer = outer_loop(&swing_up, STRATEGIES[0], &[0.5; 6]);
    let error = outer.restore(&checkpoint).unwrap_err().to_string();
    assert!(error.contains("center") && error.contains('6') && error.contains('4'), "{error}");
    assert_eq!(outer.parameters().unwrap(), [0.5; 6]);
}

/// A policy of any size, to be planned and not to be run.
#[derive(Debug)]
struct Large;

impl Policy for Large {
    fn file(&self) -> &str {
        "linear.wgsl"
    }
    fn source(&self) -> &str {
        Linear.source()
    }
    fn weights(&self, _: Interface) -> usize {
        100_000
    }
    fn act(&self, _: &[f64], _: &mut [f64], _: &[f64], _: &mut [f64]) {
        unreachable!("it is only planned")
    }
}

#[test]
fn ten_thousand_members_of_a_hundred_thousand_parameters_take_less_than_a_hundred_megabytes() {
    let composition = Composition::new(CartPoleSwingUp::default(), Large);
    for strategy in STRATEGIES {
        let settings = rollout::Settings::new(10_000, 16, 1_000);
        let plan = RolloutGradientPlan::new(&composition, strategy, &settings, &Target::default()).unwrap();
        let bytes = plan.bytes() + DESCENT.bytes(100_000, Summary::COLUMNS.len());
        assert!(bytes < 100_000_000, "{bytes} bytes: {plan:?}");
    }
}
