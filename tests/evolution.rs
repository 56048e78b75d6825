//! Evolution strategies on the GPU: they learn, repeat themselves to the last bit, and go on after a restart.

use fourfold::Gpu;
use fourfold::data::Checkpoint;
use fourfold::evolution::{Method, Plan, Settings, Strategy};
use fourfold::rollout::environments::CartPoleSwingUp;
use fourfold::rollout::policies::Linear;
use fourfold::rollout::{self, Composition, Environment, EpisodeRandom, Interface, Outcome, Policy};
use fourfold::shaders::Target;

fn gpu() -> Gpu {
    Gpu::open().unwrap_or_else(|error| panic!("{error}"))
}

fn settings(method: Method) -> Settings {
    let rollout = rollout::Settings::new(64, 2, 20);
    Settings { method, rate: 0.1, weight_decay: 0.0, rollout, key: 5, ring: 8 }
}

const METHODS: [Method; 2] =
    [Method::OpenAiEs { sigma: 0.1 }, Method::Pgpe { deviation: 0.1, rate: 0.1, fraction: 0.2 }];

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
    let gpu = gpu();
    let composition = Composition::new(Quadratic, Linear);
    for method in METHODS {
        let mut strategy = Strategy::new(&gpu, &composition, settings(method), &[0.0; 4]).unwrap();
        let values = strategy.submit(150).unwrap().wait().unwrap();
        let (generation, summaries) = strategy.progress(&values).unwrap();
        assert_eq!((generation, summaries.len()), (150, 8));
        // Weights (2, 1), then biases: the action is their sum.
        let center = strategy.parameters().unwrap();
        let reached = [center[0] + center[2], center[1] + center[3]];
        let off = (reached[0] - 1.5).abs().max((reached[1] + 0.5).abs());
        assert!(off < 0.1, "{method:?} reached {reached:?}");
        assert!(summaries.iter().all(|summary| summary.steps == 128 && summary.failed == 0));
    }
}

#[test]
fn a_strategy_improves_the_cart_pole_swing_up() {
    let gpu = gpu();
    let composition = Composition::new(CartPoleSwingUp::default(), Linear);
    let settings = Settings { rollout: rollout::Settings::new(64, 4, 200), ..settings(METHODS[1]) };
    let mut strategy = Strategy::new(&gpu, &composition, settings, &[0.0; 6]).unwrap();
    let mean = |strategy: &mut Strategy, generations| {
        let values = strategy.submit(generations).unwrap().wait().unwrap();
        let (_, summaries) = strategy.progress(&values).unwrap();
        summaries.iter().map(|summary| f64::from(summary.mean)).sum::<f64>() / summaries.len() as f64
    };
    let (first, last) = (mean(&mut strategy, 4), mean(&mut strategy, 60));
    assert!(last > first + 5.0, "mean fitness from {first} to {last}");
}

#[test]
fn a_seed_gives_the_same_bits_however_generations_are_submitted_and_after_a_restart() {
    let gpu = gpu();
    let composition = Composition::new(CartPoleSwingUp::default(), Linear);
    for method in METHODS {
        let fresh = || Strategy::new(&gpu, &composition, settings(method), &[0.1; 6]).unwrap();
        let mut whole = fresh();
        let progress = whole.submit(6).unwrap().wait().unwrap();

        let mut first = fresh();
        first.pace(std::time::Duration::from_millis(5)).unwrap();
        drop(first.submit(2).unwrap().wait().unwrap());
        let mut checkpoint = Checkpoint::new();
        first.save(&mut checkpoint).unwrap();
        let mut second = fresh();
        second.restore(&Checkpoint::from_bytes("memory", &checkpoint.to_bytes()).unwrap()).unwrap();
        let resumed = second.submit(4).unwrap().wait().unwrap();
        assert_eq!(progress[..2], resumed[..2], "{method:?}: step and ring");
        let bits = |strategy: &Strategy| -> Vec<u32> {
            strategy.parameters().unwrap().into_iter().map(f32::to_bits).collect()
        };
        assert_eq!(bits(&whole), bits(&second), "{method:?}");
    }
}

#[test]
fn a_checkpoint_of_another_policy_is_refused_and_changes_nothing() {
    let gpu = gpu();
    let composition = Composition::new(Quadratic, Linear);
    let mut checkpoint = Checkpoint::new();
    Strategy::new(&gpu, &composition, settings(METHODS[0]), &[0.0; 4]).unwrap().save(&mut checkpoint).unwrap();
    let swing_up = Composition::new(CartPoleSwingUp::default(), Linear);
    let mut strategy = Strategy::new(&gpu, &swing_up, settings(METHODS[0]), &[0.5; 6]).unwrap();
    let error = strategy.restore(&checkpoint).unwrap_err().to_string();
    assert!(error.contains("center") && error.contains('6') && error.contains('4'), "{error}");
    assert_eq!(strategy.parameters().unwrap(), [0.5; 6]);
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
    for method in METHODS {
        let settings = Settings { rollout: rollout::Settings::new(10_000, 16, 1_000), ..settings(method) };
        let plan = Plan::new(&composition, &settings, &Target::default()).unwrap();
        assert!(plan.bytes() < 100_000_000, "{} bytes: {:?}", plan.bytes(), plan.buffers);
    }
}
