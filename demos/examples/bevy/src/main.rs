//! 64 cart-poles in bevy: a system of the render world steps them and their trained policy in bevy's own encoder, and 64
//! entities of the main world turn as the poles do. It opens no window.
//!
//! ```text
//! cargo run --ignore-rust-version --manifest-path demos/examples/Cargo.toml --package fourfold-bevy
//! ```
//!
//! bevy 0.20 is on wgpu 30, as this Fourfold is. It asks for Rust 1.97.1, and compiles with 1.95 if told to ignore that.
//! `.ci/run --all` compiles and runs it; a plain `.ci/run` leaves bevy's 250 crates out.
//!
//! On Mesa's software driver 36 of the 64 poles stand at the end: they start anywhere, and this policy scores 425 of 1,000
//! (29 November 2026).

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bevy::app::ScheduleRunnerPlugin;
use bevy::prelude::*;
use bevy::render::renderer::{
    FlushCommands, RenderContext, RenderDevice, RenderGraph, RenderGraphSystems, RenderQueue,
};
use bevy::render::{RenderApp, RenderStartup};
use bevy::window::ExitCondition;
use fourfold::gpu::Ticket;
use fourfold::models::TrainedPolicy;
use fourfold::rollout::environments::CartPoleSwingUp;
use fourfold::rollout::{PolicyBuffers, VectorEnvironment, VectorPolicy, VectorSettings};
use fourfold::{Gpu, shaders::Element};

const WEIGHTS: &[u8] = include_bytes!("../../../weights/attention_neuron.safetensors");
const LANES: usize = 64;
const FRAMES: usize = 1_000;

/// The poles on the device: a resource of the render world.
#[derive(Resource)]
struct Poles {
    gpu: Gpu,
    world: VectorEnvironment,
    policy: VectorPolicy,
    frame: usize,
    /// States on their way to the main world.
    reading: Option<Ticket>,
}

/// The states that arrived last, (x, speed, angle, spin, score; lanes), with their frame: shared by both worlds.
#[derive(Resource, Clone, Default)]
struct States(Arc<Mutex<(usize, Vec<f32>)>>);

/// The lane that an entity shows.
#[derive(Component)]
struct Lane(usize);

fn main() -> AppExit {
    let states = States::default();
    let windowless =
        WindowPlugin { primary_window: None, exit_condition: ExitCondition::DontExit, ..Default::default() };
    let mut app = App::new();
    app.add_plugins(DefaultPlugins.set(windowless))
        .add_plugins(ScheduleRunnerPlugin::run_loop(Duration::from_millis(5)))
        .insert_resource(states.clone())
        .add_systems(Startup, spawn)
        .add_systems(Update, follow);
    app.sub_app_mut(RenderApp)
        .insert_resource(states)
        .add_systems(RenderStartup, adopt)
        .add_systems(RenderGraph, step.in_set(RenderGraphSystems::Render))
        .add_systems(RenderGraph, submit.in_set(RenderGraphSystems::Submit));
    app.run()
}

/// Adopts bevy's device once.
fn adopt(mut commands: Commands, device: Res<RenderDevice>, queue: Res<RenderQueue>) -> Result {
    let gpu = Gpu::adopt(device.wgpu_device().clone(), (**queue).clone());
    let settings = VectorSettings { automatic: true, ..VectorSettings::new(LANES, 1 << 29, 7) };
    let world = VectorEnvironment::new(&gpu, CartPoleSwingUp::default(), &settings)?;
    let trained = TrainedPolicy::from_bytes("attention_neuron.safetensors", WEIGHTS)?;
    let policy = trained.on_buffers(&gpu, PolicyBuffers::of(&world))?;
    commands.insert_resource(Poles { gpu, world, policy, frame: 0, reading: None });
    Ok(())
}

/// Records a step into bevy's encoder, and a copy of the states where none is on its way.
fn step(mut context: RenderContext, mut poles: ResMut<Poles>, states: Res<States>) -> Result {
    let poles = &mut *poles;
    let encoder = context.command_encoder();
    let mut pass = encoder.begin_compute_pass(&Default::default());
    if poles.frame == 0 {
        poles.world.record_reset(&mut pass);
    }
    poles.policy.record(&mut pass);
    poles.world.record(&mut pass);
    drop(pass);
    poles.frame += 1;
    if let Some(answer) = poles.reading.as_ref().and_then(Ticket::try_take) {
        poles.reading = None;
        *states.0.lock().map_err(|_| "another system panicked")? = (poles.frame, answer?[0].f32().to_vec());
    }
    if poles.reading.is_none() {
        let state = (poles.world.state().clone(), Element::F32);
        poles.reading = Some(poles.gpu.encode_readback(encoder, &[state])?);
    }
    Ok(())
}

/// Submits what systems recorded. bevy's core pipeline does it in an application that draws; this one has none.
fn submit(mut commands: FlushCommands) {
    commands.flush();
}

fn spawn(mut commands: Commands) {
    for lane in 0..LANES {
        commands.spawn((Lane(lane), Transform::default()));
    }
}

/// Places every entity as its cart-pole is, and ends the application after so many frames.
fn follow(states: Res<States>, mut carts: Query<(&Lane, &mut Transform)>, mut exit: MessageWriter<AppExit>) -> Result {
    let states = states.0.lock().map_err(|_| "another system panicked")?;
    let (frame, state) = &*states;
    if state.is_empty() {
        return Ok(());
    }
    let mut upright = 0;
    for (&Lane(lane), mut transform) in &mut carts {
        let [x, angle] = [state[lane], state[2 * LANES + lane]];
        *transform = Transform::from_xyz(x, 0.0, 0.0).with_rotation(Quat::from_rotation_z(angle));
        upright += usize::from(transform.up().y > 0.9);
    }
    if *frame >= FRAMES {
        println!("after {frame} frames {upright} of {LANES} poles stand");
        exit.write(if upright > LANES / 4 { AppExit::Success } else { AppExit::error() });
    }
    Ok(())
}
