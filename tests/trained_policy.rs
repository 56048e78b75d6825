//! Trained policies from files, on the buffers of a host: the steps of their twins, lanes that begin anew, and mistakes.

mod host;

use fourfold::models::{PolicyNetwork, TrainedPolicy};
use fourfold::rollout::environments::CartPoleSwingUp;
use fourfold::rollout::policies::{AttentionNeuron, Perceptron};
use fourfold::rollout::{Interface, PolicyBuffers, VectorEnvironment, VectorSettings};
use fourfold::shaders::Element;
use fourfold::{BufferView, Gpu};
use host::Host;
use host::witness::{alone, frame, objects, threads};

const LANES: usize = 3;
const CHANNELS: usize = 5;

/// The cart-pole network under the weights `0.3 sin(1.7 i)`.
fn neuron() -> TrainedPolicy {
    let network = AttentionNeuron::cart_pole();
    let weights = (0..network.parameters()).map(|index| (0.3 * (1.7 * index as f64).sin()) as f32).collect();
    let interface = Interface { inputs: CHANNELS, actions: 1 };
    TrainedPolicy::new(PolicyNetwork::AttentionNeuron(network), interface, weights).unwrap()
}

/// The observations of all lanes, the same in every step.
fn observations() -> Vec<f32> {
    (0..LANES * CHANNELS).map(|index| (0.9 * index as f32).cos()).collect()
}

/// The actions of one lane in its first steps, by the twin.
fn expected(lane: usize, steps: usize) -> Vec<f64> {
    let weights: Vec<f64> = neuron().weights().iter().map(|&weight| weight.into()).collect();
    let inputs: Vec<f64> = observations()[lane * CHANNELS..][..CHANNELS].iter().map(|&input| input.into()).collect();
    let (mut hidden, mut cell, mut action) = (vec![0.0; 8 * CHANNELS], vec![0.0; 8 * CHANNELS], [0.0]);
    let step = |_| {
        let previous = action;
        let network = AttentionNeuron::cart_pole();
        network.act(&weights, &mut hidden, &mut cell, &previous, &inputs, &mut action, None);
        action[0]
    };
    (0..steps).map(step).collect()
}

#[test]
fn a_policy_from_a_file_acts_in_the_frames_of_a_host_and_lanes_begin_anew() {
    let _alone = alone();
    let host = Host::new();
    let path = std::env::temp_dir().join(format!("fourfold-trained-policy-{}.safetensors", std::process::id()));
    neuron().to_checkpoint().save(&path).unwrap();
    let (seen, acted) = (host.buffer(&observations()), host.buffer(&[f32::NAN; LANES]));

    let warm = host.buffer(&[0.0; 64]);
    let alone = frame(&host, |encoder| host.record(&mut encoder.begin_compute_pass(&Default::default()), &warm));
    let mut policy = None;
    for step in 1..=4 {
        let together = frame(&host, |encoder| {
            let (existing, running) = (objects(&host), threads());
            let policy = policy.get_or_insert_with(|| {
                let gpu = Gpu::adopt(host.device.clone(), host.queue.clone());
                let trained = TrainedPolicy::load(&path).unwrap();
                trained.on_buffers(&gpu, PolicyBuffers::new(&seen, &acted)).unwrap()
            });
            if step == 3 {
                policy.encode_restart(encoder, 1..2).unwrap();
            }
            policy.record(&mut encoder.begin_compute_pass(&Default::default()));
            assert_eq!(threads(), running, "the library started a thread");
            assert_eq!(objects(&host), existing, "the library made a device, a queue, an encoder or a command buffer");
        });
        assert_eq!(together, alone, "the library submitted or polled in step {step}");
        for (lane, got) in host.read(&acted).into_iter().enumerate() {
            let age = if lane == 1 && step >= 3 { step - 2 } else { step };
            let expected = expected(lane, age)[age - 1];
            assert!((f64::from(got) - expected).abs() < 1e-5, "lane {lane} in step {step}: {got} for {expected}");
        }
    }
    std::fs::remove_file(&path).unwrap();
    let policy = policy.unwrap();
    let mut encoder = host.device.create_command_encoder(&Default::default());
    assert!(policy.encode_restart(&mut encoder, 0..0).is_ok());
    assert_eq!(
        policy.encode_restart(&mut encoder, 2..4).unwrap_err().to_string(),
        "lanes: expected a range within 0..3, got 2..4"
    );
}

#[test]
fn buffers_that_do_not_fit_are_named() {
    let _alone = alone();
    let gpu = Gpu::open().unwrap();
    let zeros = |length: usize| gpu.zeros("host", length).unwrap();
    let refused = |trained: &TrainedPolicy, buffers: PolicyBuffers| {
        trained.on_buffers(&gpu, buffers).expect_err("buffers that do not fit").to_string()
    };
    assert_eq!(
        refused(&neuron(), PolicyBuffers::new(zeros(14), zeros(3))),
        "observations: expected 15 numbers, 5 for each of 3 lanes of actions, got 14"
    );
    let begins: Option<BufferView> = Some(zeros(2));
    assert_eq!(
        refused(&neuron(), PolicyBuffers { begins, ..PolicyBuffers::new(zeros(15), zeros(3)) }),
        "begins: expected 3 numbers, 1 for each of 3 lanes of actions, got 2"
    );
    let network = PolicyNetwork::Perceptron(Perceptron::new(&[2]));
    let pairs = TrainedPolicy::new(network, Interface { inputs: 3, actions: 2 }, vec![0.5; 14]).unwrap();
    assert_eq!(
        refused(&pairs, PolicyBuffers::new(zeros(3), zeros(3))),
        "actions: expected 2 numbers for each of at least one lane, got 3"
    );
}

#[test]
fn the_memory_of_a_lane_ends_with_its_episode_without_a_readback() {
    let _alone = alone();
    const SEEN: usize = 4;
    let gpu = Gpu::open().unwrap();
    let settings = VectorSettings { automatic: true, ..VectorSettings::new(SEEN, 2, 5) };
    let lanes = VectorEnvironment::new(&gpu, CartPoleSwingUp::default(), &settings).unwrap();
    let policy = neuron().on_buffers(&gpu, PolicyBuffers::of(&lanes)).unwrap();
    let weights: Vec<f64> = neuron().weights().iter().map(|&weight| weight.into()).collect();
    let first = |seen: &[f32]| {
        let inputs: Vec<f64> = seen.iter().map(|&input| input.into()).collect();
        let (mut hidden, mut cell, mut action) = (vec![0.0; 8 * CHANNELS], vec![0.0; 8 * CHANNELS], [0.0]);
        let network = AttentionNeuron::cart_pole();
        network.act(&weights, &mut hidden, &mut cell, &[0.0], &inputs, &mut action, None);
        action[0]
    };
    for step in 0..6 {
        let mut encoder = gpu.device().create_command_encoder(&Default::default());
        {
            let mut pass = encoder.begin_compute_pass(&Default::default());
            match step {
                0 => lanes.record_reset(&mut pass),
                _ => lanes.record(&mut pass),
            }
            policy.record(&mut pass);
        }
        let views = [lanes.observations(), lanes.actions()].map(|view| (view.clone(), Element::F32));
        let ticket = gpu.encode_readback(&mut encoder, &views).unwrap();
        gpu.queue().submit([encoder.finish()]);
        let values = ticket.wait().unwrap();
        for (seen, action) in values[0].f32().chunks(CHANNELS).zip(values[1].f32()) {
            let forgotten = (first(seen) - f64::from(*action)).abs() < 1e-5;
            assert_eq!(forgotten, step % 2 == 0, "step {step}");
        }
    }
}

/// The weights that the command has built in swing a pole up.
#[test]
fn the_built_in_policy_scores_in_a_vector_environment() {
    let _alone = alone();
    const STEPS: usize = 300;
    let gpu = Gpu::open().unwrap();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/demos/weights/attention_neuron.safetensors");
    let world = CartPoleSwingUp { easy: true };
    let lanes = VectorEnvironment::new(&gpu, world, &VectorSettings::new(8, STEPS, 3)).unwrap();
    let policy = TrainedPolicy::load(path).unwrap().on_buffers(&gpu, PolicyBuffers::of(&lanes)).unwrap();
    let mut encoder = gpu.device().create_command_encoder(&Default::default());
    {
        let mut pass = encoder.begin_compute_pass(&Default::default());
        lanes.record_reset(&mut pass);
        for _ in 0..STEPS {
            policy.record(&mut pass);
            lanes.record(&mut pass);
        }
    }
    gpu.queue().submit([encoder.finish()]);
    let episodes = lanes.episodes().unwrap();
    let mean = episodes.returns.iter().sum::<f32>() / 8.0;
    assert!(mean > 100.0, "{:?}", episodes.returns);
}
