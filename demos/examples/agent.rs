//! A decision transformer in a simulation of the application's own: 32 pucks on ice, each to be brought to rest at the
//! middle of its rink.
//!
//! Each frame is one compute pass, the application's: its kernel `slide` moves the pucks and says which of them begin anew,
//! the agent reads what they see and have earned, and writes the pushes of the next frame. The context of each puck, its
//! return-to-go and its restarts stay on the GPU; nothing is read back until the end.
//!
//! The weights are not trained, so that the example needs no file: take those of `fourfold dt train` for a world of yours.
//!
//! Run it with `cargo run --release -p fourfold-demos --example agent`.

use std::error::Error;

use fourfold::data::Actions;
use fourfold::models::SequenceModel;
use fourfold::models::agent::{Agent, AgentBuffers, AgentSettings};
use fourfold::models::decision_transformer::{DecisionTransformer, Settings};
use fourfold::shaders::{Data, Element};
use fourfold::{BufferView, Gpu, wgpu};

const PUCKS: usize = 32;
const FRAMES: usize = 120;

/// The application's own shader.
const SHADER: &str = "
@group(0) @binding(0) var<storage, read> pushes: array<f32>;             // (32)
@group(0) @binding(1) var<storage, read_write> pucks: array<vec2<f32>>;  // (32): position, speed; what the agent sees
@group(0) @binding(2) var<storage, read_write> rewards: array<f32>;      // (32)
@group(0) @binding(3) var<storage, read_write> begins: array<u32>;       // (32): 1 where a puck was put back
@group(0) @binding(4) var<storage, read_write> scores: array<f32>;       // (32)

@compute @workgroup_size(32)
fn slide(@builtin(local_invocation_id) id: vec3<u32>) {
    let i = id.x;
    var puck = pucks[i];
    puck.y = 0.99 * puck.y + 0.05 * clamp(pushes[i], -1.0, 1.0);
    puck.x += 0.1 * puck.y;
    begins[i] = select(0u, 1u, abs(puck.x) > 1.0);
    rewards[i] = select(1.0 - abs(puck.x), 0.0, begins[i] == 1u);
    scores[i] += rewards[i];
    pucks[i] = select(puck, vec2(f32(i) / 16.0 - 1.0, 0.0), begins[i] == 1u);
}";

fn main() -> Result<(), Box<dyn Error>> {
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle_from_env());
    let adapter = pollster::block_on(instance.request_adapter(&Default::default()))?;
    println!("the application runs on {}", adapter.get_info().name);
    let (device, queue) = pollster::block_on(adapter.request_device(&Default::default()))?;

    // Once: Fourfold adopts the device, and the agent acts on the application's buffers.
    let gpu = Gpu::adopt(device.clone(), queue.clone());
    let starts = (0..PUCKS).flat_map(|puck| [puck as f32 / 16.0 - 1.0, 0.0]).collect();
    let pucks = gpu.upload("pucks", &Data::F32(starts))?;
    let [pushes, rewards, begins, scores] =
        ["pushes", "rewards", "begins", "scores"].map(|name| gpu.zeros(name, PUCKS));
    let (pushes, rewards, begins, scores) = (pushes?, rewards?, begins?, scores?);
    let model = DecisionTransformer::new(Settings::gym(2, Actions::Continuous(1), 8).sized(32, 2, 2))?;
    let buffers = AgentBuffers {
        observations: Some(pucks.clone()),
        rewards: Some(rewards.clone()),
        actions: Some(pushes.clone()),
        begins: Some(begins.clone()),
    };
    // A puck that rests in the middle earns 1 in each frame: that is what is asked of each.
    let settings = AgentSettings { return_scale: 100.0, ..AgentSettings::new(PUCKS, FRAMES as f32) };
    let agent = Agent::on_buffers(&gpu, &model, model.parameters().initial(1), &settings, buffers)?;
    println!("a step of the agent is {} dispatches", agent.plan().kernels().values().sum::<usize>());

    let (slide, group) = application(&device, &[&pushes, &pucks, &rewards, &begins, &scores]);
    for _ in 0..FRAMES {
        let mut encoder = device.create_command_encoder(&Default::default());
        {
            let mut pass = encoder.begin_compute_pass(&Default::default());
            agent.record(&mut pass);
            pass.set_pipeline(&slide);
            pass.set_bind_group(0, &group, &[]);
            pass.dispatch_workgroups(1, 1, 1);
        }
        queue.submit([encoder.finish()]);
    }

    let mut encoder = device.create_command_encoder(&Default::default());
    let ticket = gpu.encode_readback(&mut encoder, &[(scores, Element::F32)])?;
    queue.submit([encoder.finish()]);
    let scores = ticket.wait()?;
    let mean = scores[0].f32().iter().sum::<f32>() / PUCKS as f32;
    if !mean.is_finite() {
        return Err(format!("the mean score: expected a finite number, got {mean}").into());
    }
    println!("after {FRAMES} frames a puck has earned {mean:.1} of {FRAMES}, by an agent that has learnt nothing yet");
    Ok(())
}

/// The application's pipeline and its bindings.
fn application(device: &wgpu::Device, buffers: &[&BufferView]) -> (wgpu::ComputePipeline, wgpu::BindGroup) {
    let source = wgpu::ShaderSource::Wgsl(SHADER.into());
    let module = device.create_shader_module(wgpu::ShaderModuleDescriptor { label: None, source });
    let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
        label: Some("slide"),
        layout: None,
        module: &module,
        entry_point: None,
        compilation_options: Default::default(),
        cache: None,
    });
    let entries: Vec<_> = (0..)
        .zip(buffers)
        .map(|(binding, view)| wgpu::BindGroupEntry { binding, resource: view.buffer.as_entire_binding() })
        .collect();
    let layout = &pipeline.get_bind_group_layout(0);
    let group = device.create_bind_group(&wgpu::BindGroupDescriptor { label: None, layout, entries: &entries });
    (pipeline, group)
}
