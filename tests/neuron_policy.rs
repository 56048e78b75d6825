//! The attention neuron as a policy of the unroll kernel, against values of the authors' PyTorch code.

use fourfold::Gpu;
use fourfold::rollout::policies::AttentionNeuron;
use fourfold::rollout::{
    Composition, Environment, EpisodeRandom, Operands, Outcome, Plan, Rollout, Sensors, Settings, WeightSource, Weights,
};
use fourfold::shaders::{Data, RuntimeChecks};

/// Shows the observations of the published values, one after the other, whatever the action.
#[derive(Debug)]
struct Show;

impl Environment for Show {
    fn file(&self) -> &str {
        "show.wgsl"
    }

    fn source(&self) -> &str {
        "
fn environment_reset(random: ptr<function, Random>) -> array<f32, STATE> {
    return array<f32, STATE>();
}

fn environment_observe(state: array<f32, STATE>) -> array<f32, OBSERVATIONS> {
    let t = state[0];
    let turn = cosine_and_sine_of(3.0 + 0.1 * t);
    return array<f32, OBSERVATIONS>(0.1 * (t + 1.0), -0.5 + 0.2 * t, turn.x, turn.y, 1.0 - 0.3 * t);
}

fn environment_step(
    state: ptr<function, array<f32, STATE>>, action: array<f32, ACTIONS>, random: ptr<function, Random>,
) -> Outcome {
    (*state)[0] += 1.0;
    return Outcome(0.0, false);
}
"
    }

    fn states(&self) -> usize {
        1
    }

    fn observations(&self) -> usize {
        5
    }

    fn actions(&self) -> usize {
        1
    }

    fn horizon(&self) -> usize {
        3
    }

    #[expect(unsafe_code, reason = "turns off the checks of a WGSL of its own")]
    fn runtime_checks(&self) -> RuntimeChecks {
        // SAFETY: every index is a constant below the sizes above, and there are no loops.
        unsafe { RuntimeChecks::off::<Self>() }
    }

    fn reset(&self, _: &mut EpisodeRandom, state: &mut [f64]) {
        state[0] = 0.0;
    }

    fn observe(&self, state: &[f64], observation: &mut [f64]) {
        let t = state[0];
        let numbers = [0.1 * (t + 1.0), -0.5 + 0.2 * t, (3.0 + 0.1 * t).cos(), (3.0 + 0.1 * t).sin(), 1.0 - 0.3 * t];
        observation.copy_from_slice(&numbers);
    }

    fn step(&self, state: &mut [f64], _: &[f64], _: &mut EpisodeRandom) -> Outcome {
        state[0] += 1.0;
        Outcome { reward: 0.0, done: false }
    }
}

/// The actions of three steps under the weights 0.3 sin(1.7 i).
fn actions(network: AttentionNeuron, sensors: Sensors) -> Vec<f32> {
    let gpu = Gpu::open().unwrap_or_else(|error| panic!("{error}"));
    let source = WeightSource::Given { trace: true };
    let composition = Composition { weights: source, sensors, ..Composition::new(Show, network) };
    let weights = (0..network.parameters()).map(|index| (0.3 * (1.7 * index as f64).sin()) as f32).collect();
    let upload = |name, data| gpu.upload(name, &data).unwrap_or_else(|error| panic!("{error}"));
    let operands = Operands {
        seed: upload("seed", Data::U32(vec![0, 0])),
        weights: Weights::Given(upload("weights", Data::F32(weights))),
        wiring: None,
    };
    let settings = Settings { steps: 2, ..Settings::new(1, 1, 3) };
    let plan = Plan::new(&composition, &settings, &gpu.target()).unwrap_or_else(|error| panic!("{error}"));
    let rollout = Rollout::new(&gpu, plan, operands).unwrap_or_else(|error| panic!("{error}"));
    let (_, trace) = rollout.trace().unwrap_or_else(|error| panic!("{error}"));
    trace.episodes[0].iter().map(|step| step.action[0]).collect()
}

const GOLDEN: [f32; 3] = [-0.303_321_5, -0.325_315, -0.336_157];

#[track_caller]
fn assert_golden(actions: &[f32]) {
    assert_eq!(actions.len(), GOLDEN.len());
    for (got, expected) in actions.iter().zip(GOLDEN) {
        assert!((got - expected).abs() < 1e-5, "{actions:?} are not {GOLDEN:?}");
    }
}

#[test]
fn three_steps_of_the_cart_pole_network_are_those_of_pytorch() {
    assert_golden(&actions(AttentionNeuron::cart_pole(), Sensors::default()));
}

#[test]
fn doubled_inputs_with_half_the_factor_give_the_same_actions_from_the_same_weights() {
    let network = AttentionNeuron { factor: 0.5, ..AttentionNeuron::cart_pole() };
    assert_golden(&actions(network, Sensors { copies: 2, ..Sensors::default() }));
}
