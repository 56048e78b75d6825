//! Episodes side by side, with actions from outside: the steps of a rollout, traces as data, and what is said of mistakes.

use std::sync::Arc;

use fourfold::Gpu;
use fourfold::data::Actions;
use fourfold::rollout::environments::{Acrobot, CartPole, CartPoleSwingUp, Pendulum};
use fourfold::rollout::policies::Linear;
use fourfold::rollout::{
    Composition, End, Environment, EpisodeRandom, Error, Operands, Outcome, Plan, Rollout, Settings, VectorBuffers,
    VectorEnvironment, VectorSettings, WeightSource, Weights,
};
use fourfold::shaders::Data;

fn gpu() -> Gpu {
    Gpu::open().unwrap_or_else(|error| panic!("{error}"))
}

/// Plays the actions that a rollout of a linear policy took, and asks for its rewards, ends and observations.
fn steps_as_the_rollout(environment: impl Environment + Copy + 'static, horizon: usize) {
    const LANES: usize = 12;
    let gpu = gpu();
    let composition =
        Composition { weights: WeightSource::Given { trace: true }, ..Composition::new(environment, Linear) };
    let weights = (0..composition.parameters()).map(|i| [0.4, -0.7, 0.9, 0.3, -0.2][i % 5]).collect();
    let plan = Plan::new(&composition, &Settings::new(1, LANES, horizon), &gpu.target()).unwrap();
    let operands = Operands {
        seed: gpu.upload("seed", &Data::U32(vec![9, 4])).unwrap(),
        weights: Weights::Given(gpu.upload("weights", &Data::F32(weights)).unwrap()),
        wiring: None,
    };
    let (played, trace) = Rollout::new(&gpu, plan, operands).unwrap().trace().unwrap();

    let settings = VectorSettings { trace: true, ..VectorSettings::new(LANES, horizon, 9) };
    let mut lanes = VectorEnvironment::new(&gpu, environment, &settings).unwrap();
    let mut seen = lanes.reset(4).unwrap();
    let width = environment.actions();
    for time in 0..horizon {
        let mut actions = vec![0.0; LANES * width];
        for (lane, steps) in trace.episodes.iter().enumerate() {
            if let Some(step) = steps.get(time) {
                let observed = &seen.observations[lane * environment.observations()..][..environment.observations()];
                assert_eq!(observed, step.observation, "lane {lane} before step {time}");
                actions[lane * width..][..width].copy_from_slice(&step.action);
            }
        }
        seen = lanes.step(&actions).unwrap();
        for (lane, steps) in trace.episodes.iter().enumerate() {
            let (reward, end) = (seen.rewards[lane], seen.ends[lane]);
            match steps.get(time) {
                Some(step) => assert_eq!((reward, end), (step.reward, step.end as u32), "lane {lane} step {time}"),
                None => assert!(reward == 0.0 && end != 0, "lane {lane} waits in step {time}"),
            }
        }
    }
    assert!(lanes.is_over().unwrap());
    assert_eq!(lanes.episodes().unwrap(), played);
    assert_eq!(lanes.trace().unwrap(), trace);
}

#[test]
fn lanes_take_the_very_steps_of_a_rollout() {
    steps_as_the_rollout(CartPole, 60);
    steps_as_the_rollout(CartPoleSwingUp::default(), 70);
    steps_as_the_rollout(Pendulum, 20);
    steps_as_the_rollout(Acrobot, 30);
}

#[test]
fn a_trace_becomes_trajectories_with_the_ends_of_its_episodes() {
    let settings = VectorSettings { trace: true, ..VectorSettings::new(5, 30, 1) };
    let mut lanes = VectorEnvironment::new(&gpu(), CartPole, &settings).unwrap();
    let mut seen = lanes.reset(0).unwrap();
    for step in 0..30 {
        // The first two lanes push one way until they fall, the others balance.
        let angle = |lane: usize| seen.observations[4 * lane + 2] + seen.observations[4 * lane + 3];
        let actions: Vec<f32> = (0..5).map(|lane| if lane < 2 || angle(lane) > 0.0 { 1.0 } else { 0.0 }).collect();
        assert!(!lanes.is_over().unwrap(), "before step {step}");
        seen = lanes.step(&actions).unwrap();
    }
    let (episodes, trace) = (lanes.episodes().unwrap(), lanes.trace().unwrap());
    let data = trace.trajectories("balance", Actions::Discrete(2)).unwrap();
    assert_eq!(data.returns(), episodes.returns.iter().map(|&sum| f64::from(sum)).collect::<Vec<_>>());
    assert_eq!(data.columns().terminated, [true, true, false, false, false]);
    assert!(data.range(0).len() < 30 && data.range(4).len() == 30);
    assert_eq!(trace.episodes[4][29].end, End::Truncated);
    assert_eq!(data.observation(data.range(3).start), trace.episodes[3][0].observation);
}

#[test]
fn generations_are_other_episodes_and_a_reset_forgets_the_last_ones() {
    let mut lanes = VectorEnvironment::new(&gpu(), Pendulum, &VectorSettings::new(6, 4, 2)).unwrap();
    let first = lanes.reset(0).unwrap();
    for _ in 0..4 {
        lanes.step(&[0.0; 6]).unwrap();
    }
    assert!(lanes.is_over().unwrap());
    let second = lanes.reset(1).unwrap();
    assert!(first.observations != second.observations && second.ends == [0; 6]);
    assert_eq!(lanes.reset(0).unwrap(), first);
    assert_eq!(lanes.episodes().unwrap().lengths, [0; 6]);
}

#[test]
fn lanes_on_a_hosts_buffers_read_its_actions_there_and_leave_their_results() {
    let gpu = gpu();
    let view = |values: Vec<f32>| gpu.upload("host", &Data::F32(values)).unwrap();
    let (actions, observations) = (view(vec![1.0; 3]), view(vec![f32::NAN; 12]));
    let buffers =
        VectorBuffers { actions: Some(actions), observations: Some(observations.clone()), ..VectorBuffers::default() };
    let settings = VectorSettings::new(3, 500, 5);
    let lanes = VectorEnvironment::on_buffers(&gpu, Arc::new(CartPole), &settings, buffers).unwrap();
    // One submission of the host's: a reset and four steps with the same actions.
    let mut encoder = gpu.device().create_command_encoder(&Default::default());
    {
        let mut pass = encoder.begin_compute_pass(&Default::default());
        lanes.record_reset(&mut pass);
        (0..4).for_each(|_| lanes.record(&mut pass));
    }
    gpu.queue().submit([encoder.finish()]);
    assert_eq!(lanes.episodes().unwrap().lengths, [4; 3]);
    let mut other = VectorEnvironment::new(&gpu, CartPole, &settings).unwrap();
    other.reset(0).unwrap();
    let mut seen = None;
    for _ in 0..4 {
        seen = Some(other.step(&[1.0; 3]).unwrap());
    }
    assert_eq!(lanes.observations().buffer, observations.buffer);
    let ticket = {
        let mut encoder = gpu.device().create_command_encoder(&Default::default());
        let views = [(observations, fourfold::shaders::Element::F32)];
        let ticket = gpu.encode_readback(&mut encoder, &views).unwrap();
        gpu.queue().submit([encoder.finish()]);
        ticket
    };
    assert_eq!(ticket.wait().unwrap()[0].f32(), seen.unwrap().observations);
}

/// The observations of each lane before each step of `generation`, all pushing one way.
fn pushed(gpu: &Gpu, settings: &VectorSettings, generation: u32) -> Vec<Vec<f32>> {
    let mut lanes = VectorEnvironment::new(gpu, CartPole, &VectorSettings { automatic: false, ..*settings }).unwrap();
    let first = lanes.reset(generation).unwrap().observations;
    let next = (0..settings.horizon).map(|_| lanes.step(&vec![1.0; settings.lanes]).unwrap().observations);
    [first].into_iter().chain(next).collect()
}

#[test]
fn lanes_that_reset_themselves_play_one_generation_after_the_other_in_a_buffer_of_the_host() {
    const LANES: usize = 4;
    let gpu = gpu();
    let settings = VectorSettings { automatic: true, ..VectorSettings::new(LANES, 12, 3) };
    let generations: Vec<_> = (0..4).map(|generation| pushed(&gpu, &settings, generation)).collect();
    let state = gpu.zeros("the host's", 5 * LANES).unwrap();
    let buffers = VectorBuffers { state: Some(state.clone()), ..VectorBuffers::default() };
    let mut lanes = VectorEnvironment::on_buffers(&gpu, Arc::new(CartPole), &settings, buffers).unwrap();
    assert_eq!(lanes.state().buffer, state.buffer);
    let mut seen = lanes.reset(0).unwrap();
    let (mut episode, mut time) = ([0; LANES], [0; LANES]);
    for step in 0..30 {
        if step == 5 {
            lanes.reset_lanes(&[2]).unwrap();
        }
        seen = lanes.step(&[1.0; LANES]).unwrap();
        for lane in 0..LANES {
            time[lane] += 1;
            if (step, lane) == (5, 2) {
                assert_eq!((seen.ends[lane], seen.rewards[lane]), (3, 0.0), "lane 2 was asked to begin anew");
            } else {
                assert_eq!(seen.rewards[lane], 1.0, "lane {lane} is alive in step {step}");
            }
            if seen.ends[lane] != 0 {
                (episode[lane], time[lane]) = (episode[lane] + 1, 0);
            }
            let expected: &Vec<f32> = &generations[episode[lane]][time[lane]];
            let part = 4 * lane..4 * (lane + 1);
            assert_eq!(seen.observations[part.clone()], expected[part], "lane {lane} after step {step}");
        }
    }
    assert!(episode.iter().all(|&episode| episode >= 2), "{episode:?}");
    assert_eq!(lanes.episodes().unwrap().lengths, time.map(|time| time as u32));
    assert!(!lanes.is_over().unwrap());
    // An observation of the cart-pole is its state; here it lies number by number.
    let mut encoder = gpu.device().create_command_encoder(&Default::default());
    let ticket = gpu.encode_readback(&mut encoder, &[(state, fourfold::shaders::Element::F32)]).unwrap();
    gpu.queue().submit([encoder.finish()]);
    let state = ticket.wait().unwrap().remove(0);
    for (index, number) in seen.observations.iter().enumerate() {
        assert_eq!(state.f32()[index % 4 * LANES + index / 4], *number);
    }
}

#[test]
fn resets_that_cannot_be_are_refused() {
    let gpu = gpu();
    let traced = VectorSettings { automatic: true, trace: true, ..VectorSettings::new(2, 5, 0) };
    let refused = VectorEnvironment::new(&gpu, CartPole, &traced).unwrap_err().to_string();
    assert_eq!(refused, "a trace holds one episode of each lane: expected `automatic: false` beside `trace: true`");
    let lanes = VectorEnvironment::new(&gpu, CartPole, &VectorSettings::new(2, 5, 0)).unwrap();
    assert_eq!(lanes.reset_lanes(&[1, 2]).unwrap_err().to_string(), "lanes: expected numbers below 2, got 2");
}

/// Speed grows tenfold in each step without a push.
#[derive(Debug)]
struct Runaway;

impl Environment for Runaway {
    fn file(&self) -> &str {
        "runaway.wgsl"
    }

    fn source(&self) -> &str {
        "fn environment_reset(random: ptr<function, Random>) -> array<f32, STATE> {
             return array<f32, STATE>(1.0e30);
         }
         fn environment_observe(state: array<f32, STATE>) -> array<f32, OBSERVATIONS> {
             return array<f32, OBSERVATIONS>(0.0);
         }
         fn environment_step(
             state: ptr<function, array<f32, STATE>>, action: array<f32, ACTIONS>, random: ptr<function, Random>,
         ) -> Outcome {
             (*state)[0] *= 1.0e3 * action[0];
             return Outcome(1.0, false);
         }"
    }

    fn states(&self) -> usize {
        1
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
        state[0] = 1.0e30;
    }

    fn observe(&self, _: &[f64], observation: &mut [f64]) {
        observation[0] = 0.0;
    }

    fn step(&self, state: &mut [f64], action: &[f64], _: &mut EpisodeRandom) -> Outcome {
        state[0] *= 1.0e3 * action[0];
        Outcome { reward: 1.0, done: false }
    }
}

#[test]
fn numbers_that_are_not_finite_are_named_with_their_lane_and_step() {
    let mut lanes = VectorEnvironment::new(&gpu(), Runaway, &VectorSettings::new(3, 10, 0)).unwrap();
    lanes.reset(0).unwrap();
    for _ in 0..10 {
        lanes.step(&[0.0, 1.0, 0.0]).unwrap();
    }
    assert!(lanes.is_over().unwrap(), "a lane that stopped counts as over");
    let Err(Error::Fault { file, function, episode, step, .. }) = lanes.episodes() else { panic!("a fault") };
    assert_eq!((file.as_str(), function, episode, step), ("runaway.wgsl", "environment_step", 1, 2));
    lanes.reset(0).unwrap();
    lanes.step(&[0.0; 3]).unwrap();
    lanes.step(&[0.0, 0.0, f32::NAN]).unwrap();
    assert!(matches!(lanes.episodes(), Err(Error::Action { lane: 2, step: 1 })));
    assert!(matches!(lanes.step(&[0.0; 2]), Err(Error::Settings { .. })));
}
