//! Evolution of networks that see: members, their episodes, and what a generation makes of them.

use std::sync::Arc;

use fourfold::evolution::{
    Descent, EvolutionStrategy, OuterLoop, OuterSettings, OuterTensors, RolloutGradient, VisionGradient,
    VisionGradientSettings,
};
use fourfold::rollout::{Environment, EpisodeRandom, Outcome, PatchWiring, PictureSize, VectorSettings, VisionRollout};
use fourfold::shaders::vision::{
    AttentionAgent, Convolution, DrivingNetwork, ReactiveNetwork, VisionNetwork, VisionNeuron,
};
use fourfold::{Gpu, gpu::BufferView};

const MEMBERS: usize = 4;
const EPISODES: usize = 2;
const HORIZON: usize = 6;

fn gpu() -> Gpu {
    Gpu::open().unwrap_or_else(|error| panic!("{error}"))
}

/// Small networks of each kind, for pictures of 24 x 24.
fn networks() -> [VisionNetwork; 3] {
    let layer = VisionNeuron { rows: 24, columns: 24, patch: 3, messages: 36, ..VisionNeuron::car_racing() };
    let driving = DrivingNetwork { layer, top: 4, hidden: 6, ..DrivingNetwork::car_racing() };
    let student = ReactiveNetwork::car_student();
    let layer = VisionNeuron { rows: 24, columns: 24, patch: 6, messages: 36, ..student.layer };
    let convolutions = vec![Convolution { channels: 5, kernel: 3, stride: 2 }];
    let reactive = ReactiveNetwork { layer, convolutions, hidden: 7, ..student };
    let agent = AttentionAgent { size: 24, channels: 1, patch: 5, stride: 3, block: 3, ..AttentionAgent::car_racing() };
    [driving.into(), reactive.into(), agent.into()]
}

/// A bar in a picture that the first number of an action moves; where it begins is drawn.
#[derive(Debug)]
struct Bar;

const BAR: &str = "
fn environment_reset(random: ptr<function, Random>) -> array<f32, STATE> {
    return array<f32, STATE>(4.0 + 16.0 * random_uniform(random));
}

fn environment_observe(state: array<f32, STATE>) -> array<f32, OBSERVATIONS> {
    return state;
}

fn environment_step(
    state: ptr<function, array<f32, STATE>>, action: array<f32, ACTIONS>, random: ptr<function, Random>,
) -> Outcome {
    (*state)[0] = clamp((*state)[0] + action[0], 0.0, 24.0);
    return Outcome(0.1 * ((*state)[0] + action[1] - action[2]), false);
}

fn environment_pixel(scene: array<f32, OBSERVATIONS>, row: u32, column: u32) -> f32 {
    return 10.0 * clamp(f32(column) - scene[0] + f32(row) * 0.25, 0.0, 20.0);
}
";

impl Environment for Bar {
    fn file(&self) -> &str {
        "bar.wgsl"
    }
    fn source(&self) -> &str {
        BAR
    }
    fn states(&self) -> usize {
        1
    }
    fn observations(&self) -> usize {
        1
    }
    fn actions(&self) -> usize {
        3
    }
    fn horizon(&self) -> usize {
        100
    }
    fn picture(&self) -> Option<PictureSize> {
        Some(PictureSize::grey(24, 24))
    }
    fn reset(&self, random: &mut EpisodeRandom, state: &mut [f64]) {
        state[0] = 4.0 + 16.0 * random.uniform();
    }
    fn observe(&self, state: &[f64], observation: &mut [f64]) {
        observation.copy_from_slice(state);
    }
    fn step(&self, state: &mut [f64], action: &[f64], _: &mut EpisodeRandom) -> Outcome {
        state[0] = (state[0] + action[0]).clamp(0.0, 24.0);
        Outcome { reward: 0.1 * (state[0] + action[1] - action[2]), done: false }
    }
    fn pixel(&self, scene: &[f64], row: usize, column: usize) -> f64 {
        10.0 * (column as f64 - scene[0] + row as f64 * 0.25).clamp(0.0, 20.0)
    }
}

fn waves(count: usize) -> Vec<f32> {
    (0..count).map(|index| (0.4 * (1.7 * index as f64).sin()) as f32).collect()
}

const STRATEGY: EvolutionStrategy = EvolutionStrategy::Pgpe { deviation: 0.05, rate: 0.1, fraction: 0.2 };

const SETTINGS: VisionGradientSettings =
    VisionGradientSettings { strategy: STRATEGY, members: MEMBERS, episodes: EPISODES, horizon: HORIZON, stream: 4 };

fn evolution(gpu: &Gpu, network: &VisionNetwork) -> OuterLoop<VisionGradient> {
    let outer = OuterTensors::new(gpu, &waves(network.parameters()), 9).unwrap();
    let source = VisionGradient::new(gpu, Arc::new(Bar), network.clone(), &SETTINGS, &outer).unwrap();
    let descent = OuterSettings { descent: Descent::adam(0.9), rate: 0.02, clip: None, ring: 3 };
    OuterLoop::new(gpu, outer, Box::new(source), descent).unwrap()
}

/// The members around the waves in the first generation, as the gradient draws them again.
fn members(network: &VisionNetwork) -> Vec<Vec<f32>> {
    use fourfold::shaders::evolution::mirrored;
    let parameters = network.parameters();
    let problem = mirrored::Problem { parameters, directions: MEMBERS / 2, stream: SETTINGS.stream };
    let call = problem.sequence(&Default::default()).unwrap().steps.swap_remove(0).call;
    let data = fourfold::shaders::Data::F32;
    let mut operands = [
        data(waves(parameters)),
        data(vec![0.05; parameters]),
        fourfold::shaders::Data::U32(vec![9, 0]),
        data(vec![0.0; MEMBERS * parameters]),
    ];
    call.run_twin(&mut operands.iter_mut().map(|operand| operand.operand()).collect::<Vec<_>>());
    operands[3].f32().chunks(parameters).map(<[f32]>::to_vec).collect()
}

/// Mean returns of a member by itself, in the episodes of the first generation.
fn fitness(gpu: &Gpu, network: &VisionNetwork, weights: &[f32]) -> f32 {
    let settings = VectorSettings { stream: SETTINGS.stream, ..VectorSettings::new(EPISODES, HORIZON, 9) };
    let wiring = PatchWiring::plain(EPISODES, network.patches());
    let mut rollout = VisionRollout::new(gpu, Arc::new(Bar), &settings, network.clone(), weights, wiring).unwrap();
    rollout.run(0, HORIZON, |_| ()).unwrap().returns.iter().sum::<f32>() / EPISODES as f32
}

#[test]
fn a_member_of_a_population_earns_what_it_earns_alone() {
    let gpu = gpu();
    for network in networks() {
        let mut evolution = evolution(&gpu, &network);
        let summary = RolloutGradient::summaries(&evolution.run(1).unwrap()).swap_remove(0);
        let alone: Vec<f32> = members(&network).iter().map(|weights| fitness(&gpu, &network, weights)).collect();
        let mean = alone.iter().sum::<f32>() / MEMBERS as f32;
        let [least, most] =
            [alone.iter().copied().fold(f32::INFINITY, f32::min), alone.iter().copied().fold(-1e9, f32::max)];
        // The deviates of the kernel are those of the twin but for a rounding, which steering magnifies.
        for (name, got, expected) in
            [("mean", summary.mean, mean), ("worst", summary.worst, least), ("best", summary.best, most)]
        {
            assert!((got - expected).abs() < 1e-3, "{name} of {network:?}: {got} for {expected} of {alone:?}");
        }
        assert!(most - least > 1e-3, "members of {network:?} differ: {alone:?}");
    }
}

#[test]
fn a_generation_moves_the_centre_and_the_same_key_to_the_same_bits() {
    let gpu = gpu();
    let [network, ..] = networks();
    let run = || {
        let progress = evolution(&gpu, &network).run(2).unwrap();
        let bits = |center: &Vec<f32>| center.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        progress.centers.iter().map(bits).collect::<Vec<_>>()
    };
    let first = run();
    assert!(first == run(), "the same key gave other centres");
    assert!(first[0] != first[1], "the second generation moved nothing");
}

#[test]
fn an_evolution_that_is_resumed_goes_on_to_the_same_bits() {
    let gpu = gpu();
    let [network, ..] = networks();
    let mut whole = evolution(&gpu, &network);
    whole.run(1).unwrap();
    let mut checkpoint = fourfold::data::Checkpoint::new();
    whole.save(&mut checkpoint).unwrap();
    let mut resumed = evolution(&gpu, &network);
    resumed.restore(&checkpoint).unwrap();
    assert!(whole.run(1).unwrap().centers.last() == resumed.run(1).unwrap().centers.last());
}

#[test]
fn populations_that_do_not_fit_are_refused_by_name() {
    let gpu = gpu();
    let [network, ..] = networks();
    let refused = |settings: VisionGradientSettings, theta: usize| {
        let outer = OuterTensors::new(&gpu, &vec![0.0; theta], 9).unwrap();
        VisionGradient::new(&gpu, Arc::new(Bar), network.clone(), &settings, &outer).unwrap_err().to_string()
    };
    let parameters = network.parameters();
    let odd = refused(VisionGradientSettings { members: 3, ..SETTINGS }, parameters);
    assert_eq!(odd, "mirrored members come in twos, but the population has 3");
    let none = refused(VisionGradientSettings { episodes: 0, ..SETTINGS }, parameters);
    assert!(none.contains("4 members with 0 episodes each"), "{none}");
    let short = refused(SETTINGS, parameters - 1);
    assert!(short.contains(&format!("has {parameters} outer parameters, but theta has {}", parameters - 1)), "{short}");
}

#[test]
fn the_head_of_a_network_that_remembers_nothing_takes_the_weights_that_lie_there_at_the_step() {
    let gpu = gpu();
    let [_, network, _] = networks();
    let settings = VectorSettings::new(EPISODES, HORIZON, 9);
    let theta: BufferView =
        gpu.upload("theta", &fourfold::shaders::Data::F32(vec![0.0; network.parameters()])).unwrap();
    let wiring = PatchWiring::plain(EPISODES, network.patches());
    let mut rollout =
        VisionRollout::on_weights(&gpu, Arc::new(Bar), &settings, network.clone(), theta.clone(), wiring, None)
            .unwrap();
    let still = rollout.run(0, HORIZON, |_| ()).unwrap();
    gpu.queue().write_buffer(&theta.buffer, theta.offset, bytemuck::cast_slice(&waves(network.parameters())));
    let moved = rollout.run(0, HORIZON, |_| ()).unwrap();
    assert_ne!(still.returns, moved.returns);
}
