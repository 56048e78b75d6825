//! Networks that see, driving in the car race: the kernels on a device against the plain form, and what shuffled and missing
//! patches change.

use std::sync::Arc;

use fourfold::graph::{Graph, Reference, Tag, TensorType};
use fourfold::models::ReactiveModel;
use fourfold::rollout::environments::Pong;
use fourfold::rollout::environments::car_racing::{CarRacing, Picture};
use fourfold::rollout::{Environment, Episodes, PatchWiring, VectorSettings, VisionRollout};
use fourfold::shaders::vision::{Answer, Convolution, DrivingNetwork, ReactiveNetwork, VisionNetwork, VisionNeuron};
use fourfold::shaders::{Data, Element};
use fourfold::{Gpu, gpu::BufferView, wgpu};

/// A network for pictures of 24 x 24.
fn network() -> DrivingNetwork {
    let layer = VisionNeuron { rows: 24, columns: 24, patch: 3, messages: 36, ..VisionNeuron::car_racing() };
    DrivingNetwork { layer, top: 4, hidden: 6, ..DrivingNetwork::car_racing() }
}

fn world() -> Arc<dyn Environment> {
    let mut world = CarRacing::new(1, 1, 3);
    world.picture = Picture { size: 24, zoom_in: true, ..Picture::default() };
    Arc::new(world)
}

fn waves(count: usize) -> Vec<f32> {
    (0..count).map(|index| (0.4 * (1.7 * index as f64).sin()) as f32).collect()
}

const LANES: usize = 3;
const PATCHES: usize = 64;

fn rollout(gpu: &Gpu, horizon: usize, wiring: PatchWiring) -> VisionRollout {
    let settings = VectorSettings::new(LANES, horizon, 7);
    let weights = waves(network().parameters());
    VisionRollout::new(gpu, world(), &settings, VisionNetwork::Driving(network()), &weights, wiring).unwrap()
}

fn submit(gpu: &Gpu, record: impl FnOnce(&mut wgpu::ComputePass<'_>)) {
    let mut encoder = gpu.device().create_command_encoder(&Default::default());
    record(&mut encoder.begin_compute_pass(&Default::default()));
    gpu.queue().submit([encoder.finish()]);
}

fn read(gpu: &Gpu, views: &[(BufferView, Element)]) -> Vec<Data> {
    let mut encoder = gpu.device().create_command_encoder(&Default::default());
    let ticket = gpu.encode_readback(&mut encoder, views).unwrap();
    gpu.queue().submit([encoder.finish()]);
    ticket.wait().unwrap()
}

/// A message passes through two normalisations in f32, and 12 steps of a rolling average and an LSTM follow each other.
const CLOSE: f64 = 1e-4;

#[test]
fn a_rollout_drives_as_the_plain_network_does() {
    let gpu = Gpu::open().unwrap_or_else(|error| panic!("{error}"));
    let rollout = rollout(&gpu, 100, PatchWiring::plain(LANES, PATCHES));
    let network = network();
    let weights: Vec<f64> = waves(network.parameters()).into_iter().map(f64::from).collect();
    let mut plain: Vec<_> = (0..LANES).map(|_| (network.blank(), Vec::<Vec<u8>>::new())).collect();
    submit(&gpu, |pass| rollout.record_reset(pass));
    let mut moved = false;
    for step in 0..12 {
        let pictures = rollout.pictures().read().unwrap();
        submit(&gpu, |pass| rollout.record(pass));
        let view = (rollout.environment().actions().clone(), Element::F32);
        let actions = read(&gpu, &[view]).swap_remove(0);
        for (lane, (memory, frames)) in plain.iter_mut().enumerate() {
            frames.push(pictures[lane].clone());
            moved |= frames[0] != pictures[lane];
            let before = |back: usize| &frames[frames.len().saturating_sub(1 + back)][..];
            let stack: Vec<&[u8]> = (0..4).rev().map(before).collect();
            let [steer, gas, brake] = network.act(&weights, &stack, None, memory, None)[..] else {
                unreachable!("three")
            };
            let expected = DrivingNetwork::car_action([steer, gas, brake]);
            for (got, expected) in actions.f32()[3 * lane..].iter().zip(expected) {
                let error = (f64::from(*got) - expected).abs();
                assert!(error < CLOSE, "step {step}, lane {lane}: {got} for {expected}");
            }
        }
    }
    assert!(moved, "the car stands still");
}

fn played(gpu: &Gpu, steps: usize, wiring: PatchWiring) -> Episodes {
    rollout(gpu, 30, wiring).run(0, steps, |_| ()).unwrap()
}

#[test]
fn shuffled_patches_drive_alike_to_the_bit() {
    let gpu = Gpu::open().unwrap_or_else(|error| panic!("{error}"));
    let plain = played(&gpu, 30, PatchWiring::plain(LANES, PATCHES));
    assert_eq!(plain.lengths, [30; LANES]);
    let shuffled = || PatchWiring::shuffled(5, LANES, PATCHES, None, 30);
    assert_eq!(played(&gpu, 30, shuffled()), plain);
    // Nor does it matter how many steps are one submission.
    assert_eq!(played(&gpu, 7, shuffled()), plain);
}

#[test]
fn patches_that_are_shuffled_again_or_missing_change_what_is_done() {
    let gpu = Gpu::open().unwrap_or_else(|error| panic!("{error}"));
    let run = |wiring| {
        let rollout = rollout(&gpu, 30, wiring);
        submit(&gpu, |pass| {
            rollout.record_reset(pass);
            (0..8).for_each(|_| rollout.record(pass));
        });
        let views = [rollout.policy().memory().unwrap(), rollout.policy().listed()];
        let views = [(views[0].clone(), Element::F32), (views[1].clone(), Element::U32)];
        let read = read(&gpu, &views);
        (read[0].f32().to_vec(), read[1].u32().to_vec())
    };
    let (plain, listed) = run(PatchWiring::plain(LANES, PATCHES));
    let (again, _) = run(PatchWiring::shuffled(5, LANES, PATCHES, Some(3), 30));
    assert_ne!(plain, again);
    let (missing, occluded) = run(PatchWiring::plain(LANES, PATCHES).occluded(3, 0.25));
    assert_ne!(plain, missing);
    let patches = |listed: &[u32]| listed.chunks_exact(3 + PATCHES).map(|list| list[1] + list[2]).collect::<Vec<_>>();
    assert_eq!(patches(&listed), [64; LANES]);
    assert_eq!(patches(&occluded), [48; LANES]);
}

#[test]
fn patches_rewired_between_two_submissions_are_those_of_a_phase() {
    let gpu = Gpu::open().unwrap_or_else(|error| panic!("{error}"));
    let orders = [3, 4].map(|seed| PatchWiring::shuffled(seed, LANES, PATCHES, None, 1));
    let record = |rollout: &VisionRollout, reset: bool| {
        submit(&gpu, |pass| {
            if reset {
                rollout.record_reset(pass);
            }
            (0..6).for_each(|_| rollout.record(pass));
        });
    };
    let memory = |rollout: &VisionRollout| {
        let view = rollout.policy().memory().unwrap().clone();
        read(&gpu, &[(view, Element::F32)]).swap_remove(0)
    };
    let rewired = rollout(&gpu, 30, orders[0].clone());
    record(&rewired, true);
    let before = memory(&rewired);
    rewired.policy().rewire(&orders[1]).unwrap();
    record(&rewired, false);
    let lanes = |wiring: &PatchWiring| wiring.orders().chunks_exact(PATCHES).map(<[u32]>::to_vec).collect::<Vec<_>>();
    let [first, second] = [0, 1].map(|phase| lanes(&orders[phase]));
    let both = first.into_iter().zip(second).flat_map(|(first, second)| [first, second].concat()).collect();
    let planned = rollout(&gpu, 30, PatchWiring::given(PATCHES, 2, 6, both));
    record(&planned, true);
    assert_eq!(memory(&planned), before);
    record(&planned, false);
    assert_eq!(memory(&planned), memory(&rewired));
    let refused = rewired.policy().rewire(&PatchWiring::plain(1, PATCHES)).unwrap_err().to_string();
    let [three, one] = ["3 lanes, 64 patches, phases: 1 of 1 steps", "1 lanes, 64 patches, phases: 1 of 1 steps"];
    assert_eq!(refused, format!("wiring: expected {three}, got {one}"));
}

#[test]
fn sizes_that_do_not_fit_are_named() {
    let gpu = Gpu::open().unwrap_or_else(|error| panic!("{error}"));
    let refused = |network: DrivingNetwork, weights: usize, lanes: usize| {
        let settings = VectorSettings::new(LANES, 30, 7);
        let wiring = PatchWiring::plain(lanes, network.layer.patches());
        let network = VisionNetwork::Driving(network);
        VisionRollout::new(&gpu, world(), &settings, network, &waves(weights), wiring).unwrap_err().to_string()
    };
    let small = network();
    let published = DrivingNetwork::car_racing();
    let got = refused(published, published.parameters(), LANES);
    assert_eq!(got, "car_racing.wgsl: expected a picture of 96 x 96, got 24 x 24");
    let expected = small.parameters();
    let got = refused(small, expected - 1, LANES);
    assert_eq!(got, format!("weights: expected {expected} numbers for each member, got {}", expected - 1));
    assert_eq!(refused(small, expected, 2), "wiring: expected 3 lanes, got 2");
}

/// A network that remembers nothing, for pictures of 24 x 24.
fn reactive(time_last: bool) -> ReactiveNetwork {
    let layer = VisionNeuron { time_last, learned_norms: !time_last, dimension: 8, ..network().layer };
    let convolutions = vec![Convolution { channels: 5, kernel: 3, stride: 2 }];
    ReactiveNetwork { layer, convolutions, hidden: 7, outputs: 3, answer: Answer::Numbers }
}

#[test]
fn the_graph_of_a_network_that_remembers_nothing_is_its_plain_form() {
    const BATCH: usize = 2;
    for time_last in [false, true] {
        let network = reactive(time_last);
        let (stack, pixels) = (network.layer.stack, 24 * 24);
        let model = ReactiveModel::new(network.clone()).unwrap();
        let graph = Graph::new();
        let weights = graph.state("weights", Tag::Weights, TensorType::f32([model.parameters().length()]));
        let weighted = model.parameters().of(weights);
        let frames = graph.input("frames", TensorType::f32([BATCH, pixels, stack]));
        let kept = graph.input("kept", TensorType::f32([BATCH, PATCHES]));
        let positions = model.neuron().positions(&graph, "positions");
        let seen = model.neuron().forward(&weighted, positions, frames, Some(kept));
        let outputs = model.outputs(&weighted, seen.messages);
        assert_eq!(graph.check(), Ok(()));

        let dense = waves(network.parameters());
        let byte = |sample: usize, time: usize, pixel: usize| (7 * pixel + 90 * sample + pixel * time % 50) as u8;
        let is_there = |sample: usize, patch: usize| !(patch + sample).is_multiple_of(3);
        let mut values = vec![0.0; frames.elements()];
        for (index, value) in values.iter_mut().enumerate() {
            let (sample, pixel, time) = (index / stack / pixels, index / stack % pixels, index % stack);
            *value = f64::from(byte(sample, time, pixel)) / 255.0;
        }
        let there = (0..BATCH * PATCHES).map(|index| f64::from(u8::from(is_there(index / PATCHES, index % PATCHES))));
        let flat = model.parameters().from_dense(&dense).unwrap();
        let reference = Reference::new([
            ("weights", flat.f32().iter().map(|&weight| weight.into()).collect()),
            ("positions", network.layer.position_table()),
            ("frames", values),
            ("kept", there.collect()),
        ]);
        let found = reference.evaluate(outputs).unwrap();
        let weights: Vec<f64> = dense.iter().map(|&weight| weight.into()).collect();
        for (sample, found) in found.chunks_exact(network.outputs).enumerate() {
            let picture = |time| (0..pixels).map(|pixel| byte(sample, time, pixel)).collect::<Vec<_>>();
            let pictures: Vec<Vec<u8>> = (0..stack).map(picture).collect();
            let frames: Vec<&[u8]> = pictures.iter().map(|picture| &picture[..]).collect();
            let keep: Vec<bool> = (0..PATCHES).map(|patch| is_there(sample, patch)).collect();
            // What the dead parts of a key are given does not matter.
            let expected = network.outputs(&weights, &frames, &vec![0.7; network.layer.actions], Some(&keep));
            for (found, expected) in found.iter().zip(expected) {
                // Epsilon of a norm is an f32 in the graph.
                assert!((found - expected).abs() < 1e-5, "sample {sample}: {found} for {expected}");
            }
        }
    }
}

#[test]
fn a_network_that_remembers_nothing_drives_as_its_plain_form_does() {
    let gpu = Gpu::open().unwrap_or_else(|error| panic!("{error}"));
    let network = reactive(false);
    let dense = waves(network.parameters());
    let weights: Vec<f64> = dense.iter().map(|&weight| weight.into()).collect();
    let settings = VectorSettings::new(LANES, 100, 7);
    let wiring = PatchWiring::shuffled(5, LANES, PATCHES, None, 100);
    let rollout = VisionRollout::new(&gpu, world(), &settings, network.clone().into(), &dense, wiring).unwrap();
    submit(&gpu, |pass| rollout.record_reset(pass));
    let mut frames: Vec<Vec<Vec<u8>>> = vec![Vec::new(); LANES];
    for step in 0..6 {
        let pictures = rollout.pictures().read().unwrap();
        submit(&gpu, |pass| rollout.record(pass));
        let actions = read(&gpu, &[(rollout.environment().actions().clone(), Element::F32)]).swap_remove(0);
        for (lane, frames) in frames.iter_mut().enumerate() {
            frames.push(pictures[lane].clone());
            let before = |back: usize| &frames[frames.len().saturating_sub(1 + back)][..];
            let stack: Vec<&[u8]> = (0..4).rev().map(before).collect();
            let outputs = network.outputs(&weights, &stack, &[0.0; 3], None);
            let [steer, gas, brake] = outputs.iter().map(|x| x.tanh()).collect::<Vec<_>>()[..] else {
                unreachable!("three")
            };
            let expected = DrivingNetwork::car_action([steer, gas, brake]);
            for (got, expected) in actions.f32()[3 * lane..].iter().zip(expected) {
                let error = (f64::from(*got) - expected).abs();
                assert!(error < CLOSE, "step {step}, lane {lane}: {got} for {expected}");
            }
        }
    }
}

#[test]
fn a_network_that_chooses_names_the_action_of_the_world() {
    let gpu = Gpu::open().unwrap_or_else(|error| panic!("{error}"));
    let network = ReactiveNetwork::pong_student();
    let dense = waves(network.parameters());
    let weights: Vec<f64> = dense.iter().map(|&weight| weight.into()).collect();
    let settings = VectorSettings::new(2, 100, 7);
    let wiring = PatchWiring::plain(2, network.layer.patches());
    let rollout = VisionRollout::new(&gpu, Arc::new(Pong), &settings, network.clone().into(), &dense, wiring).unwrap();
    submit(&gpu, |pass| rollout.record_reset(pass));
    let picture = rollout.pictures().read().unwrap().swap_remove(1);
    submit(&gpu, |pass| rollout.record(pass));
    let actions = read(&gpu, &[(rollout.environment().actions().clone(), Element::F32)]).swap_remove(0);
    let outputs = network.outputs(&weights, &[&picture[..]; 4], &[], None);
    let best = (0..3).max_by(|&a, &b| outputs[a].total_cmp(&outputs[b])).unwrap();
    assert_eq!(actions.f32()[1], [1.0, 4.0, 5.0][best]);
}
