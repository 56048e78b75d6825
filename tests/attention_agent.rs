//! The AttentionAgent against its reference, of the file in `tests/goldens/attention_agent`, whose README says what it holds;
//! and in the car race, whose picture has an order to it.

use std::path::Path;
use std::sync::Arc;

use fourfold::data::Checkpoint;
use fourfold::rollout::environments::car_racing::{CarRacing, Picture};
use fourfold::rollout::{Environment, PatchWiring, VectorSettings, VisionBuffers, VisionPolicy, VisionRollout};
use fourfold::shaders::vision::{AttentionAgent, DrivingNetwork, VisionNetwork};
use fourfold::shaders::{Data, Element};
use fourfold::{Gpu, gpu::BufferView, wgpu};

const STEPS: usize = 4;
const PATCHES: usize = 529;
const BYTES: usize = 96 * 96 * 3;
const EPISODES: [&str; 2] = ["plain", "shuffled"];

/// The golden file, and the pictures of both episodes as the network sees them.
fn golden() -> (Checkpoint, [Vec<Vec<u8>>; 2]) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/attention_agent");
    let file = Checkpoint::load(&folder.join("steps.safetensors")).unwrap();
    let pictures: &[u8] = bytemuck::cast_slice(file.u32("pictures", &[STEPS, BYTES / 4]).unwrap());
    let wiring = file.u32("wiring", &[256]).unwrap();
    let plain: Vec<Vec<u8>> = pictures.chunks_exact(BYTES).map(<[u8]>::to_vec).collect();
    let agent = AttentionAgent::car_racing();
    let shuffled = plain.iter().map(|picture| agent.shuffled(picture, wiring)).collect();
    let pictures = [plain, shuffled];
    (file, pictures)
}

fn tensor<'a>(file: &'a Checkpoint, episode: &str, name: &str, shape: &[usize]) -> &'a [f64] {
    file.f64(&format!("{episode}.{name}"), shape).unwrap()
}

#[test]
fn the_plain_form_gives_the_numbers_of_the_reference() {
    let (file, pictures) = golden();
    let agent = AttentionAgent::car_racing();
    let weights: Vec<f64> = file.f32("weights", &[3_667]).unwrap().iter().map(|&weight| weight.into()).collect();
    for (episode, pictures) in EPISODES.into_iter().zip(&pictures) {
        let mut memory = agent.blank();
        let near = |got: &[f64], expected: &[f64], what: &str| {
            assert_eq!(got.len(), expected.len());
            for (got, expected) in got.iter().zip(expected) {
                assert!(
                    (got - expected).abs() <= 1e-11 * expected.abs().max(1.0),
                    "{episode} {what}: {got} for {expected}"
                );
            }
        };
        for (step, picture) in pictures.iter().enumerate() {
            let importance = tensor(&file, episode, "importance", &[STEPS, PATCHES]);
            near(&agent.importance(&weights, picture), &importance[step * PATCHES..][..PATCHES], "importance");
            let action = agent.act(&weights, picture, &mut memory);
            near(&action, &tensor(&file, episode, "actions", &[STEPS, 3])[step * 3..][..3], "action");
        }
        near(&memory.hidden, tensor(&file, episode, "hidden", &[16]), "hidden state");
        near(&memory.cell, tensor(&file, episode, "cell", &[16]), "cell");
    }
}

fn open() -> Gpu {
    Gpu::open().unwrap_or_else(|error| panic!("{error}"))
}

fn submit(gpu: &Gpu, record: impl FnOnce(&mut wgpu::ComputePass<'_>)) {
    let mut encoder = gpu.device().create_command_encoder(&Default::default());
    record(&mut encoder.begin_compute_pass(&Default::default()));
    gpu.queue().submit([encoder.finish()]);
}

fn read(gpu: &Gpu, views: &[(&BufferView, Element)]) -> Vec<Data> {
    let views: Vec<_> = views.iter().map(|(view, element)| ((*view).clone(), *element)).collect();
    let mut encoder = gpu.device().create_command_encoder(&Default::default());
    let ticket = gpu.encode_readback(&mut encoder, &views).unwrap();
    gpu.queue().submit([encoder.finish()]);
    ticket.wait().unwrap()
}

/// Scores of a few dozen are sums of 147 products in f32, and importances sums of 529 shares of them.
const IMPORTANCE: f64 = 1e-4;
const ACTION: f64 = 1e-5;

#[test]
fn the_kernels_choose_and_do_what_the_reference_does() {
    let (gpu, (file, pictures)) = (open(), golden());
    let agent = AttentionAgent::car_racing();
    let words = |name: &str, length: usize| {
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST;
        let size = 4 * length as u64;
        gpu.device().create_buffer(&wgpu::BufferDescriptor {
            label: Some(name),
            size,
            usage,
            mapped_at_creation: false,
        })
    };
    let (seen, times, ends) = (words("pictures", 2 * BYTES / 4), words("times", 2), words("ends", 2));
    let weights = file.f32("weights", &[3_667]).unwrap();
    let wiring = PatchWiring::plain(2, agent.blocks());
    let buffers =
        VisionBuffers { pictures: (&seen).into(), times: (&times).into(), ends: (&ends).into(), actions: None };
    let policy = VisionPolicy::new(&gpu, agent.into(), weights, wiring, false, buffers).unwrap();
    let [plain, shuffled] = &pictures;
    for (step, (plain, shuffled)) in plain.iter().zip(shuffled).enumerate() {
        gpu.queue().write_buffer(&seen, 0, &[&plain[..], shuffled].concat());
        gpu.queue().write_buffer(&times, 0, bytemuck::cast_slice(&[step as u32; 2]));
        submit(&gpu, |pass| {
            policy.record_tables(pass);
            policy.record(pass);
        });
        let views = [
            (policy.importance().unwrap(), Element::F32),
            (policy.chosen().unwrap(), Element::U32),
            (policy.memory().unwrap(), Element::F32),
        ];
        let read = read(&gpu, &views);
        for (lane, episode) in EPISODES.into_iter().enumerate() {
            let chosen = &file.u32(&format!("{episode}.chosen"), &[STEPS, 10]).unwrap()[step * 10..][..10];
            assert_eq!(&read[1].u32()[lane * 10..][..10], chosen, "{episode} step {step}");
            let importance = &tensor(&file, episode, "importance", &[STEPS, PATCHES])[step * PATCHES..][..PATCHES];
            for (got, expected) in read[0].f32()[lane * PATCHES..].iter().zip(importance) {
                let error = (f64::from(*got) - expected).abs();
                assert!(error < IMPORTANCE * expected.max(1.0), "{episode} step {step}: {got} for {expected}");
            }
            let action = &tensor(&file, episode, "actions", &[STEPS, 3])[step * 3..][..3];
            for (got, expected) in read[2].f32()[lane * 35 + 32..].iter().zip(action) {
                let error = (f64::from(*got) - expected).abs();
                assert!(error < ACTION, "{episode} step {step}: {got} for {expected}");
            }
        }
    }
}

/// An agent of pictures of 24 x 24, of which a patch is a fifth.
fn small() -> AttentionAgent {
    AttentionAgent { size: 24, patch: 5, stride: 3, block: 3, ..AttentionAgent::car_racing() }
}

fn rollout(gpu: &Gpu, wiring: PatchWiring) -> VisionRollout {
    let mut world = CarRacing::new(1, 1, 2);
    world.picture = Picture { size: 24, ..Picture::original() };
    let world: Arc<dyn Environment> = Arc::new(world);
    VisionRollout::new(gpu, world, &VectorSettings::new(2, 60, 7), small().into(), &weights(), wiring).unwrap()
}

fn weights() -> Vec<f32> {
    (0..small().parameters()).map(|index| (0.3 * (2.07 * index as f64).sin()) as f32).collect()
}

#[test]
fn a_rollout_drives_as_the_plain_network_does() {
    let (gpu, agent) = (open(), small());
    let rollout = rollout(&gpu, PatchWiring::plain(2, agent.blocks()));
    let weights: Vec<f64> = weights().into_iter().map(f64::from).collect();
    let mut plain = [agent.blank(), agent.blank()];
    submit(&gpu, |pass| rollout.record_reset(pass));
    for step in 0..10 {
        let pictures = rollout.pictures().read().unwrap();
        submit(&gpu, |pass| rollout.record(pass));
        let actions = read(&gpu, &[(rollout.environment().actions(), Element::F32)]).swap_remove(0);
        for (lane, memory) in plain.iter_mut().enumerate() {
            assert_eq!(pictures[lane].len(), 24 * 24 * 3);
            let [steer, gas, brake] = agent.act(&weights, &pictures[lane], memory)[..] else { unreachable!("three") };
            let expected = DrivingNetwork::car_action([steer, gas, brake]);
            for (got, expected) in actions.f32()[3 * lane..].iter().zip(expected) {
                let error = (f64::from(*got) - expected).abs();
                assert!(error < 1e-4, "step {step}, lane {lane}: {got} for {expected}");
            }
        }
    }
}

#[test]
fn shuffled_squares_change_its_drive() {
    let (gpu, blocks) = (open(), small().blocks());
    let mut plain = rollout(&gpu, PatchWiring::plain(2, blocks));
    let mut shuffled = rollout(&gpu, PatchWiring::shuffled(5, 2, blocks, None, 60));
    let [plain, shuffled] = [&mut plain, &mut shuffled].map(|rollout| rollout.run(0, 20, |_| ()).unwrap());
    assert_ne!(plain.returns, shuffled.returns);
}

#[test]
fn a_grey_picture_is_not_what_it_sees() {
    let gpu = open();
    let world: Arc<dyn Environment> = Arc::new(CarRacing::new(1, 1, 1));
    let agent = AttentionAgent::car_racing();
    let (settings, wiring) = (VectorSettings::new(1, 30, 7), PatchWiring::plain(1, agent.blocks()));
    let network = VisionNetwork::Agent(agent);
    let refused = VisionRollout::new(&gpu, world, &settings, network, &vec![0.0; 3_667], wiring).unwrap_err();
    assert_eq!(refused.to_string(), "car_racing.wgsl: expected a picture of 96 x 96 in colour, got 96 x 96");
}
