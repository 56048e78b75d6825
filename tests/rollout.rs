//! Rollouts on the GPU: the same bits however they are cut, their twins over whole episodes, and what is said of bad
//! environments and policies.

use std::sync::Arc;

use fourfold::Gpu;
use fourfold::rollout::environments::{
    Acrobot, CartPole, CartPoleSwingUp, KeyToDoor, MountainCarContinuous, Pendulum, Pong,
};
use fourfold::rollout::policies::{AttentionNeuron, Linear, Perceptron};
use fourfold::rollout::{
    Composition, End, Environment, EpisodeRandom, Episodes, Error, Interface, Operands, Outcome, Plan, Policy, Rollout,
    Sensors, Settings, WeightSource, Weights, Wiring, shuffled,
};
use fourfold::shaders::random::threefry::Random;
use fourfold::shaders::{Data, Target};

fn gpu() -> Gpu {
    Gpu::open().unwrap_or_else(|error| panic!("{error}"))
}

fn weights(count: usize, scale: f32) -> Vec<f32> {
    let mut random = Random::new(11, 0);
    (0..count).map(|_| scale * random.normal()).collect()
}

/// A rollout with given weights, and a wiring where the sensors want one.
fn rollout(gpu: &Gpu, composition: &Composition, settings: &Settings, weights: &[f32]) -> Result<Rollout, Error> {
    planned(gpu, &gpu.target(), composition, settings, weights)
}

/// The same in the form of a target.
fn planned(
    gpu: &Gpu,
    target: &Target,
    composition: &Composition,
    settings: &Settings,
    weights: &[f32],
) -> Result<Rollout, Error> {
    let plan = Plan::new(composition, settings, target)?;
    let inputs = composition.interface().inputs;
    let wiring = composition.sensors.wiring.map(|wiring| shuffled(1, settings.episodes, wiring.phases, inputs, false));
    let operands = Operands {
        seed: gpu.upload("seed", &Data::U32(vec![3, 0]))?,
        weights: Weights::Given(gpu.upload("weights", &Data::F32(weights.to_vec()))?),
        wiring: wiring.map(|wiring| gpu.upload("wiring", &wiring)).transpose()?,
    };
    Rollout::new(gpu, plan, operands)
}

fn play(composition: &Composition, settings: &Settings, weights: &[f32]) -> Result<Episodes, Error> {
    rollout(&gpu(), composition, settings, weights)?.run()
}

fn swing_up() -> Composition {
    Composition::new(CartPoleSwingUp::default(), Linear)
}

#[test]
fn a_rollout_gives_the_same_bits_however_it_is_cut_into_dispatches() {
    let sensors = Sensors { noise_channels: 2, noise: 0.1, ..Sensors::default() };
    let composition = Composition { sensors, ..swing_up() };
    let settings = Settings::new(10, 3, 150);
    let weights = weights(10 * composition.parameters(), 0.5);
    let whole = play(&composition, &settings, &weights).unwrap();
    assert!(whole.lengths.iter().any(|&length| length < 150), "some episodes end early: {:?}", whole.lengths);
    for steps in [1, 7, 449] {
        assert_eq!(play(&composition, &Settings { steps, ..settings }, &weights).unwrap(), whole, "cut after {steps}");
    }
}

/// Software drivers leave the loops of a long dispatch without an error: the plan must cut it before.
#[test]
fn long_dispatches_of_a_network_with_memory_give_the_bits_of_short_ones() {
    for copies in [1, 2] {
        let sensors = Sensors { copies, ..Sensors::default() };
        let world = CartPoleSwingUp { easy: true };
        let composition = Composition { sensors, ..Composition::new(world, AttentionNeuron::cart_pole()) };
        let weights = weights(8 * composition.parameters(), 0.02);
        let settings = Settings { steps: 20_000, ..Settings::new(8, 4, 1_000) };
        let long = play(&composition, &settings, &weights).unwrap();
        assert!(long.lengths.contains(&1_000), "some episodes last: {:?}", long.lengths);
        assert_eq!(play(&composition, &Settings { steps: 90, ..settings }, &weights).unwrap(), long, "{copies} copies");
    }
}

/// The form of GPUs on any adapter: the bits of a run depend on nothing but the seed, and whole episodes end as those of
/// single invocations do.
#[test]
fn teams_of_invocations_play_the_episodes_that_single_ones_play() {
    fn judge(policy: impl Policy + 'static, scale: f32) {
        let wiring = Some(Wiring { interval: 7, phases: 3, forget: true });
        let sensors = Sensors { copies: 2, noise_channels: 1, noise: 0.1, wiring };
        let composition = Composition { sensors, ..Composition::new(CartPoleSwingUp { easy: true }, policy) };
        let (gpu, weights) = (gpu(), weights(6 * composition.parameters(), scale));
        for episodes in [1, 5, 16] {
            let settings = Settings::new(6, episodes, 40);
            let play = |target: &Target, steps| {
                let settings = Settings { steps, ..settings };
                let rollout = planned(&gpu, target, &composition, &settings, &weights).unwrap();
                assert_eq!(rollout.plan().storage.has_teams(), !target.software);
                rollout.run().unwrap()
            };
            // Few steps in a dispatch, for the sake of software drivers.
            let team = play(&Target::default(), 20);
            for steps in [20, 1, 13] {
                assert_eq!(play(&Target::default(), steps), team, "cut after {steps}");
            }
            let alone = play(&Target { software: true, ..Target::default() }, 1_000);
            assert_eq!(team.lengths, alone.lengths);
            for (team, alone) in team.returns.iter().zip(&alone.returns) {
                assert!((team - alone).abs() < 2e-3, "{team} and {alone} with {episodes} episodes");
            }
        }
    }
    judge(AttentionNeuron::cart_pole(), 0.1);
    judge(AttentionNeuron::evojax(), 0.1);
    judge(Perceptron::new(&[9, 40]), 0.3);
    // More weights than workgroup memory holds.
    judge(Perceptron::new(&[64, 64]), 0.3);
}

#[test]
fn members_of_equal_weights_play_equal_episodes_where_they_start_alike_and_others_where_not() {
    let composition = swing_up();
    let weights = weights(composition.parameters(), 0.5).repeat(6);
    let alike = play(&composition, &Settings::new(6, 4, 100), &weights).unwrap();
    assert!(alike.returns.chunks(4).all(|returns| *returns == alike.returns[..4]));
    assert!(alike.returns[0] != alike.returns[1], "the episodes of a member differ");
    let apart = Settings { common_random_numbers: false, ..Settings::new(6, 4, 100) };
    let apart = play(&composition, &apart, &weights).unwrap();
    assert!(apart.returns[..4] != apart.returns[4..8]);
}

/// The state that the kernel left is the twin's next state from the state that it found, in every step of whole
/// episodes: rounding does not add up, so that the bound is that of one step.
fn follows_its_twin(composition: Composition) {
    let composition = Composition { weights: WeightSource::Given { trace: true }, ..composition };
    let environment = composition.environment.clone();
    let settings = Settings { steps: 100, ..Settings::new(4, 4, environment.horizon().min(400)) };
    let weights = weights(4 * composition.parameters(), 0.7);
    let (episodes, trace) = rollout(&gpu(), &composition, &settings, &weights).unwrap().trace().unwrap();
    let bound = environment.rounding() * 2.0_f64.powi(-24);
    // Members start alike: episode `number` of a member has the deviates of that number, those of steps in stream 2.
    let random =
        |number: usize, step: usize| EpisodeRandom::new(3, 2, (number % settings.episodes) as u32, step as u32);
    let close = |got: f32, expected: f64| (f64::from(got) - expected).abs() <= bound * (1.0 + expected.abs());
    for (number, steps) in trace.episodes.iter().enumerate() {
        assert_eq!(steps.len(), episodes.lengths[number] as usize);
        assert!(steps[..steps.len() - 1].iter().all(|step| step.end == End::No));
        let sum: f64 = steps.iter().map(|step| f64::from(step.reward)).sum();
        assert!((sum - f64::from(episodes.returns[number])).abs() < 1e-4 * (1.0 + sum.abs()));
        for (index, step) in steps.iter().enumerate() {
            let mut state: Vec<f64> = step.state.iter().map(|&number| number.into()).collect();
            let mut observation = vec![0.0; environment.observations()];
            environment.observe(&state, &mut observation);
            let seen = step.observation.iter().zip(&observation);
            assert!(seen.clone().all(|(&got, &expected)| close(got, expected)), "episode {number} step {index}");
            let action: Vec<f64> = step.action.iter().map(|&number| number.into()).collect();
            let outcome = environment.step(&mut state, &action, &mut random(number, index));
            assert!(close(step.reward, outcome.reward), "episode {number} step {index}: {step:?} {outcome:?}");
            assert_eq!(outcome.done, step.end == End::Terminated, "episode {number} step {index}: {step:?}");
            let Some(next) = steps.get(index + 1) else { continue };
            for (&got, expected) in next.state.iter().zip(&state) {
                assert!(close(got, *expected), "episode {number} step {index}: {step:?} {next:?} {state:?}");
            }
        }
    }
}

#[test]
fn the_cart_pole_swing_up_follows_its_twin_over_whole_episodes() {
    follows_its_twin(swing_up());
    follows_its_twin(Composition::new(CartPoleSwingUp { easy: true }, Linear));
}

#[test]
fn the_classic_control_follows_its_twins_over_whole_episodes() {
    follows_its_twin(Composition::new(CartPole, Linear));
    follows_its_twin(Composition::new(Pendulum, Linear));
    follows_its_twin(Composition::new(Acrobot, Linear));
    follows_its_twin(Composition::new(MountainCarContinuous, Linear));
}

#[test]
fn the_rooms_of_key_to_door_follow_their_twin_over_whole_episodes() {
    follows_its_twin(Composition::new(KeyToDoor::full(), Linear));
    follows_its_twin(Composition::new(KeyToDoor::square(4, 5), Linear));
    follows_its_twin(Composition::new(KeyToDoor::square(6, 12), Linear));
}

#[test]
fn pong_follows_its_twin_over_whole_episodes() {
    follows_its_twin(Composition::new(Pong, Linear));
}

/// The policy's twin, fed what the kernel saw from the start of each episode on, acts as the kernel did: its memory
/// forgets old rounding faster than it gathers new.
fn acts_as_its_twin(policy: impl Policy + 'static, scale: f32) {
    let trace = WeightSource::Given { trace: true };
    let composition = Composition { weights: trace, ..Composition::new(CartPoleSwingUp { easy: true }, policy) };
    let (policy, interface) = (composition.policy.clone(), composition.interface());
    let count = composition.parameters();
    let weights = weights(2 * count, scale);
    let settings = Settings { steps: 100, ..Settings::new(2, 2, 200) };
    let (_, trace) = rollout(&gpu(), &composition, &settings, &weights).unwrap().trace().unwrap();
    let bound = 16.0 * policy.rounding() * 2.0_f64.powi(-24);
    for (number, steps) in trace.episodes.iter().enumerate() {
        let weights: Vec<f64> = weights[number / 2 * count..][..count].iter().map(|&weight| weight.into()).collect();
        let mut memory = vec![0.0; policy.memory(interface)];
        for (index, step) in steps.iter().enumerate() {
            let inputs: Vec<f64> = step.observation.iter().map(|&number| number.into()).collect();
            let mut action = [0.0];
            policy.act(&weights, &mut memory, &inputs, &mut action);
            let off = (f64::from(step.action[0]) - action[0]).abs();
            assert!(off <= bound * (1.0 + action[0].abs()), "episode {number} step {index}: {off:e} of {bound:e}");
        }
    }
}

#[test]
fn every_policy_acts_as_its_twin_over_whole_episodes() {
    acts_as_its_twin(Linear, 0.5);
    acts_as_its_twin(Perceptron::new(&[16, 7]), 0.5);
    acts_as_its_twin(AttentionNeuron::cart_pole(), 0.4);
}

#[test]
fn shuffled_inputs_reach_the_policy_in_the_order_of_the_wiring() {
    // A policy that acts on its first input alone: with the wiring's source there, the action is that observation.
    let wiring = Wiring { interval: 10, phases: 3, forget: false };
    let sensors = Sensors { wiring: Some(wiring), ..Sensors::default() };
    let composition = Composition { sensors, weights: WeightSource::Given { trace: true }, ..swing_up() };
    let settings = Settings::new(1, 3, 40);
    let (_, trace) =
        rollout(&gpu(), &composition, &settings, &[1.0, 0.0, 0.0, 0.0, 0.0, 0.0]).unwrap().trace().unwrap();
    let wiring = shuffled(1, 3, 3, 5, false);
    for (episode, steps) in trace.episodes.iter().enumerate() {
        for (time, step) in steps.iter().enumerate() {
            let source = wiring.u32()[(episode * 3 + (time / 10).min(2)) * 5];
            assert_eq!(step.action[0], step.observation[source as usize], "episode {episode} step {time}");
        }
    }
}

/// A world made of any text.
#[derive(Debug)]
struct World(&'static str);

impl Environment for World {
    fn file(&self) -> &str {
        "drift.wgsl"
    }
    fn source(&self) -> &str {
        self.0
    }
    fn states(&self) -> usize {
        2
    }
    fn observations(&self) -> usize {
        1
    }
    fn actions(&self) -> usize {
        1
    }
    fn horizon(&self) -> usize {
        10
    }
    fn reset(&self, _: &mut EpisodeRandom, state: &mut [f64]) {
        state.fill(0.0);
    }
    fn observe(&self, state: &[f64], observation: &mut [f64]) {
        observation[0] = state[0];
    }
    fn step(&self, state: &mut [f64], action: &[f64], _: &mut EpisodeRandom) -> Outcome {
        state[0] += action[0];
        Outcome { reward: 1.0, done: false }
    }
}

const DRIFT: &str = "
fn environment_reset(random: ptr<function, Random>) -> array<f32, STATE> { return array<f32, STATE>(); }
fn environment_observe(state: array<f32, STATE>) -> array<f32, OBSERVATIONS> { return array<f32, 1>(state[0]); }
fn environment_step(
    state: ptr<function, array<f32, STATE>>, action: array<f32, ACTIONS>, random: ptr<function, Random>,
) -> Outcome {
    (*state)[0] += action[0];
    return Outcome(1.0, false);
}
";

fn complaint(source: String) -> String {
    let composition = Composition::new(World(Box::leak(source.into_boxed_str())), Linear);
    play(&composition, &Settings::new(2, 1, 10), &[0.0, 1.0, 0.0, 1.0]).expect_err("a bad file").to_string()
}

#[test]
fn a_world_of_ones_own_is_played() {
    let composition = Composition::new(World(DRIFT), Linear);
    let episodes = play(&composition, &Settings::new(2, 1, 10), &[0.0, 1.0, 0.0, 1.0]).unwrap();
    assert_eq!(episodes, Episodes { returns: vec![10.0; 2], lengths: vec![10; 2] });
}

#[test]
fn a_missing_function_is_named_with_its_file() {
    let complaint = complaint(DRIFT.replace("environment_observe", "environment_watch"));
    assert!(complaint.starts_with("drift.wgsl: it lacks the function `environment_observe`"), "{complaint}");
}

#[test]
fn a_wrong_size_of_the_state_is_named_with_function_and_file() {
    let complaint = complaint(DRIFT.replace("ptr<function, array<f32, STATE>>", "ptr<function, array<f32, 3>>"));
    assert!(
        complaint.starts_with("drift.wgsl: expected `fn environment_step(ptr<function, array<f32, 2>>"),
        "{complaint}"
    );
    assert!(complaint.contains("found `fn environment_step(ptr<function, array<f32, 3>>"), "{complaint}");
}

#[test]
fn a_mistake_in_the_text_is_named_with_its_line() {
    let complaint = complaint(DRIFT.replace("(*state)[0] += action[0];", "(*state)[0] += nonsense;"));
    assert!(complaint.starts_with("drift.wgsl:7: "), "{complaint}");
    assert!(complaint.contains("nonsense"), "{complaint}");
}

#[test]
fn a_number_that_is_not_finite_names_the_function_the_member_and_the_step() {
    let source = DRIFT.replace("action[0];", "select(action[0], log(-1.0 - action[0]), (*state)[0] > 2.5);");
    let complaint = complaint(source);
    let expected =
        "drift.wgsl: `environment_step` returned a number that is not finite, for member 0 in step 4 of its episode 0";
    assert_eq!(complaint, expected);
}

#[test]
fn a_policy_that_is_not_finite_is_named() {
    let composition = Composition::new(World(DRIFT), Linear);
    let error = play(&composition, &Settings::new(2, 1, 10), &[0.0, 1.0, f32::NAN, 1.0]).unwrap_err();
    assert!(
        error.to_string().starts_with("linear.wgsl: `policy_act` returned a number that is not finite, for member 1")
    );
    // Whose hyperbolic tangents and clamps would make an ordinary action of it.
    for environment in [Arc::new(Pendulum) as Arc<dyn Environment>, Arc::new(CartPole)] {
        let perceptron = Perceptron::new(&[4]);
        let composition = Composition { environment, ..Composition::new(CartPole, perceptron) };
        let mut weights = weights(2 * composition.parameters(), 0.1);
        weights[0] = f32::NAN;
        let error = play(&composition, &Settings::new(2, 1, 10), &weights).unwrap_err().to_string();
        let expected = "perceptron.wgsl: `policy_act` returned a number that is not finite, for member 0";
        assert!(error.starts_with(expected), "{error}");
    }
}

/// A policy that says it has more weights than a buffer holds.
#[derive(Debug)]
struct Huge;

impl Policy for Huge {
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
fn ten_thousand_members_of_a_hundred_thousand_parameters_take_a_few_megabytes() {
    let composition = Composition {
        policy: Arc::new(Huge),
        weights: WeightSource::Perturbed,
        ..Composition::new(CartPoleSwingUp::default(), Linear)
    };
    let plan = Plan::new(&composition, &Settings::new(10_000, 16, 1_000), &Target::default()).unwrap();
    assert!(plan.bytes() < 10_000_000, "{:?}", plan.buffers());

    // A software driver would leave its loops unfinished, and the plan says so.
    let software = Target { software: true, ..Target::default() };
    let refused = Plan::new(&composition, &Settings::new(2, 1, 10), &software).expect_err("too many passes");
    assert!(refused.to_string().starts_with("linear.wgsl: one step takes more passes through loops"), "{refused}");
}

#[test]
fn settings_without_sense_are_refused() {
    let refused = |settings: Settings, weights: WeightSource| {
        let composition = Composition { weights, ..swing_up() };
        Plan::new(&composition, &settings, &gpu().target()).expect_err("no sense").to_string()
    };
    let given = WeightSource::Given { trace: false };
    assert!(refused(Settings::new(0, 1, 1), given).contains("members must be between 1 and 2^30 but is 0"));
    assert!(refused(Settings::new(1, 1, 0), given).contains("horizon must be between"));
    assert!(refused(Settings::new(3, 1, 1), WeightSource::Perturbed).contains("mirrored members come in twos"));
}
