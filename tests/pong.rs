//! Pong: the kernel is the twin to the last bit over whole games, and its pictures are the twin's.

use std::sync::Arc;

use fourfold::Gpu;
use fourfold::rollout::environments::{CartPole, Pong, PongMachine, PongTeacher};
use fourfold::rollout::{
    Environment, EpisodeRandom, Error, Outcome, PictureSize, Pictures, PongPlayer, VectorEnvironment, VectorSettings,
};

fn gpu() -> Gpu {
    Gpu::open().unwrap_or_else(|error| panic!("{error}"))
}

/// An action for a lane and a step: held for some steps, as players do.
fn action(lane: usize, step: usize) -> f32 {
    let held = step / (1 + lane % 7);
    let word = (held as u32).wrapping_mul(2_654_435_761) ^ (lane as u32).wrapping_mul(40_503);
    (word.wrapping_mul(2_246_822_519) >> 16) as f32 * 6.0 / 65_536.0
}

#[test]
fn whole_games_of_the_kernel_are_the_twins_to_the_last_bit() {
    const LANES: usize = 16;
    let horizon = Pong.horizon();
    let settings = VectorSettings { trace: true, ..VectorSettings::new(LANES, horizon, 5) };
    let mut lanes = VectorEnvironment::new(&gpu(), Pong, &settings).unwrap();
    let mut states = Vec::new();
    for lane in 0..LANES {
        let mut state = vec![0.0; Pong.states()];
        Pong.reset(&mut EpisodeRandom::new(5, 1, lane as u32, 0), &mut state);
        states.push(state);
    }
    lanes.reset(0).unwrap();
    let steps = (0..horizon).find(|&step| {
        let actions: Vec<f32> = (0..LANES).map(|lane| action(lane, step)).collect();
        lanes.step(&actions).unwrap().ends.iter().all(|&end| end != 0)
    });
    let steps = steps.expect("whoever moves at random loses") + 1;
    let trace = lanes.trace().unwrap();
    let mut differences = 0;
    let (mut won, mut lost) = (0.0, 0.0);
    for (lane, (played, state)) in trace.episodes.iter().zip(&mut states).enumerate() {
        assert!(played.len() <= steps && played.len() > 600, "lane {lane}: {} steps", played.len());
        for (time, step) in played.iter().enumerate() {
            let mut seen = vec![0.0; 8];
            Pong.observe(state, &mut seen);
            let same = |got: &[f32], expected: &[f64]| {
                got.iter().zip(expected).all(|(got, expected)| got.to_bits() == (*expected as f32).to_bits())
            };
            differences += usize::from(!same(&step.state, state) || !same(&step.observation, &seen));
            let random = &mut EpisodeRandom::new(5, 2, lane as u32, time as u32);
            let Outcome { reward, done } = Pong.step(state, &[f64::from(action(lane, time))], random);
            differences += usize::from(f64::from(step.reward) != reward || done != (time + 1 == played.len()));
            won += reward.max(0.0);
            lost -= reward.min(0.0);
        }
    }
    assert_eq!(differences, 0);
    assert!(lost == 21.0 * LANES as f64 && won > 0.0, "{won} won and {lost} lost");
}

#[test]
fn the_player_that_looks_ahead_wins_every_point_on_the_device_as_its_twin_does() {
    const LANES: usize = 4;
    let settings = VectorSettings { trace: true, ..VectorSettings::new(LANES, 2_000, 11) };
    let mut lanes = VectorEnvironment::new(&gpu(), Pong, &settings).unwrap();
    let player = PongPlayer::new(&lanes, PongTeacher::LookAhead, None).unwrap();
    lanes.reset(0).unwrap();
    for _ in 0..2_000 {
        let actions = player.decide().unwrap();
        if lanes.step(&actions).unwrap().ends.iter().all(|&end| end != 0) {
            break;
        }
    }
    assert_eq!(lanes.episodes().unwrap().returns, [21.0; LANES]);
    for step in lanes.trace().unwrap().episodes.iter().flatten() {
        let state: Vec<f64> = step.state.iter().map(|&number| number.into()).collect();
        assert_eq!(PongTeacher::LookAhead.action(&PongMachine::of(&state)), step.action[0] as i32);
    }

    let poles = VectorEnvironment::new(&gpu(), CartPole, &VectorSettings::new(3, 400, 2)).unwrap();
    let refused = PongPlayer::new(&poles, PongTeacher::Greedy, None).unwrap_err().to_string();
    assert_eq!(refused, "the player's environment must be pong.wgsl, got cart_pole.wgsl");
}

#[test]
fn pictures_of_lanes_are_those_of_the_twin() {
    let gpu = gpu();
    let mut lanes = VectorEnvironment::new(&gpu, Pong, &VectorSettings::new(3, 400, 2)).unwrap();
    let pictures = Pictures::of(&lanes).unwrap();
    assert_eq!(pictures.size(), PictureSize::grey(84, 84));
    let mut seen = lanes.reset(0).unwrap();
    for step in 0..60 {
        seen = lanes.step(&[action(0, step), action(3, step), action(6, step)]).unwrap();
    }
    for (lane, picture) in pictures.read().unwrap().into_iter().enumerate() {
        let scene: Vec<f64> = seen.observations[8 * lane..][..8].iter().map(|&number| number.into()).collect();
        for (i, &grey) in picture.iter().enumerate() {
            let expected = Pong.pixel(&scene, i / 84, i % 84);
            // A grey half-way between two numbers may be rounded either way.
            assert!((f64::from(grey) - expected).abs() <= 0.5 + 1e-3, "lane {lane} pixel {i}: {grey}, {expected}");
        }
    }
}

#[test]
fn a_world_without_a_picture_is_refused_by_name() {
    let lanes = VectorEnvironment::new(&gpu(), CartPole, &VectorSettings::new(3, 400, 2)).unwrap();
    let message = Pictures::of(&lanes).unwrap_err().to_string();
    assert_eq!(message, "picture: the environment must be one with a picture, got cart_pole.wgsl");
}

/// A world of a user's: a dot on a line, seen as three rows of five pixels.
#[derive(Debug)]
struct Dot(&'static str);

const DOT: &str = "
fn environment_reset(random: ptr<function, Random>) -> array<f32, STATE> {
    return array<f32, STATE>(floor(5.0 * random_uniform(random)));
}

fn environment_observe(state: array<f32, STATE>) -> array<f32, OBSERVATIONS> {
    return state;
}

fn environment_step(
    state: ptr<function, array<f32, STATE>>, action: array<f32, ACTIONS>, random: ptr<function, Random>,
) -> Outcome {
    return Outcome(0.0, false);
}
";

const DOT_PIXEL: &str = "
fn environment_pixel(scene: array<f32, OBSERVATIONS>, row: u32, column: u32) -> f32 {
    return select(20.0, 200.0, row == 1u && f32(column) == scene[0]);
}
";

impl Environment for Dot {
    fn file(&self) -> &str {
        "dot.wgsl"
    }
    fn source(&self) -> &str {
        self.0
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
        9
    }
    fn picture(&self) -> Option<PictureSize> {
        Some(PictureSize::grey(3, 5))
    }
    fn reset(&self, random: &mut EpisodeRandom, state: &mut [f64]) {
        state[0] = (5.0 * random.uniform()).floor();
    }
    fn observe(&self, state: &[f64], observation: &mut [f64]) {
        observation[0] = state[0];
    }
    fn step(&self, _: &mut [f64], _: &[f64], _: &mut EpisodeRandom) -> Outcome {
        Outcome { reward: 0.0, done: false }
    }
    fn pixel(&self, scene: &[f64], row: usize, column: usize) -> f64 {
        if row == 1 && column as f64 == scene[0] { 200.0 } else { 20.0 }
    }
}

#[test]
fn a_users_world_is_seen_and_one_that_lacks_its_pixel_is_refused_by_name() {
    let gpu = gpu();
    let text: &'static str = format!("{DOT}{DOT_PIXEL}").leak();
    let mut lanes = VectorEnvironment::new(&gpu, Dot(text), &VectorSettings::new(6, 9, 1)).unwrap();
    let pictures = Pictures::of(&lanes).unwrap();
    let seen = lanes.reset(0).unwrap();
    for (picture, &place) in pictures.read().unwrap().iter().zip(&seen.observations) {
        let mut expected = [20; 15];
        expected[5 + place as usize] = 200;
        assert_eq!(*picture, expected);
    }

    let refused = VectorEnvironment::new(&gpu, Dot(DOT), &VectorSettings::new(6, 9, 1)).unwrap_err();
    let expected = "dot.wgsl: it lacks the function `environment_pixel`: expected `fn environment_pixel(array<f32, 1>, u32, \
                    u32) -> f32`";
    assert_eq!(refused.to_string(), expected);

    let odd = gpu.upload("odd", &fourfold::shaders::Data::F32(vec![0.0; 9])).unwrap();
    let refused = Pictures::on_buffer(&gpu, Arc::new(Pong), odd).unwrap_err();
    assert!(matches!(refused, Error::Settings { .. }), "{refused}");
}
