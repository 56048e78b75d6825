//! A `wgpu` application with a kernel of ours inside its own frame.
//!
//! Agents in the plane are drawn to landmarks. Each frame is one compute pass of the application's, on its own device
//! with WebGPU's default limits: its kernel `score` writes how much each agent likes each landmark, our softmax turns
//! the scores into shares, its kernel `step` moves each agent towards the mean of the landmarks by these shares. The
//! application submits and polls; Fourfold only records.
//!
//! Run it with `cargo run --release -p fourfold-demos --example host`.

use std::error::Error;

use fourfold::shaders::{Element, normalisation::softmax};
use fourfold::wgpu;
use fourfold::{BufferView, Gpu, Launch};

const AGENTS: u32 = 1000;
const LANDMARKS: u32 = 7;
const FRAMES: u32 = 120;

/// The application's own shader.
const SHADER: &str = "
const AGENTS = 1000u;
const LANDMARKS = 7u;

@group(0) @binding(0) var<storage, read> landmarks: array<vec2<f32>>;        // (LANDMARKS)
@group(0) @binding(1) var<storage, read_write> agents: array<vec2<f32>>;     // (AGENTS)
@group(0) @binding(2) var<storage, read_write> scores: array<f32>;           // (AGENTS, LANDMARKS)
@group(0) @binding(3) var<storage, read_write> shares: array<f32>;           // (AGENTS, LANDMARKS)

@compute @workgroup_size(64)
fn score(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x < AGENTS {
        for (var i = 0u; i < LANDMARKS; i++) {
            let away = landmarks[i] - agents[id.x];
            scores[id.x * LANDMARKS + i] = -8.0 * dot(away, away);
        }
    }
}

@compute @workgroup_size(64)
fn step(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x < AGENTS {
        var target_point = vec2(0.0);
        for (var i = 0u; i < LANDMARKS; i++) {
            target_point += shares[id.x * LANDMARKS + i] * landmarks[i];
        }
        agents[id.x] += 0.1 * (target_point - agents[id.x]);
    }
}";

/// The application: everything of `wgpu` is its own.
struct Application {
    device: wgpu::Device,
    queue: wgpu::Queue,
    score: wgpu::ComputePipeline,
    step: wgpu::ComputePipeline,
    group: wgpu::BindGroup,
    agents: wgpu::Buffer,
    scores: wgpu::Buffer,
    shares: wgpu::Buffer,
}

impl Application {
    fn new() -> Result<Self, Box<dyn Error>> {
        let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle_from_env());
        let adapter = pollster::block_on(instance.request_adapter(&wgpu::RequestAdapterOptions::default()))?;
        println!("the application runs on {}", adapter.get_info().name);
        let (device, queue) = pollster::block_on(adapter.request_device(&wgpu::DeviceDescriptor::default()))?;

        let source = wgpu::ShaderSource::Wgsl(SHADER.into());
        let module = device.create_shader_module(wgpu::ShaderModuleDescriptor { label: Some("application"), source });
        let storage = |binding, read_only| wgpu::BindGroupLayoutEntry {
            binding,
            visibility: wgpu::ShaderStages::COMPUTE,
            ty: wgpu::BindingType::Buffer {
                ty: wgpu::BufferBindingType::Storage { read_only },
                has_dynamic_offset: false,
                min_binding_size: None,
            },
            count: None,
        };
        let layout = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
            label: None,
            entries: &[storage(0, true), storage(1, false), storage(2, false), storage(3, false)],
        });
        let pipeline_layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: None,
            bind_group_layouts: &[Some(&layout)],
            immediate_size: 0,
        });
        let pipeline = |entry_point| {
            device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                label: Some(entry_point),
                layout: Some(&pipeline_layout),
                module: &module,
                entry_point: Some(entry_point),
                compilation_options: wgpu::PipelineCompilationOptions::default(),
                cache: None,
            })
        };
        let (score, step) = (pipeline("score"), pipeline("step"));

        let landmarks = points(&device, LANDMARKS, 1.0, wgpu::BufferUsages::STORAGE)?;
        let agents = points(&device, AGENTS, 0.37, wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC)?;
        let table = || {
            device.create_buffer(&wgpu::BufferDescriptor {
                label: None,
                size: u64::from(AGENTS * LANDMARKS * 4),
                usage: wgpu::BufferUsages::STORAGE,
                mapped_at_creation: false,
            })
        };
        let (scores, shares) = (table(), table());
        let buffers = [&landmarks, &agents, &scores, &shares];
        let entries: Vec<_> = (0..)
            .zip(buffers)
            .map(|(binding, buffer)| wgpu::BindGroupEntry { binding, resource: buffer.as_entire_binding() })
            .collect();
        let group =
            device.create_bind_group(&wgpu::BindGroupDescriptor { label: None, layout: &layout, entries: &entries });
        Ok(Self { device, queue, score, step, group, agents, scores, shares })
    }

    fn record(&self, pass: &mut wgpu::ComputePass<'_>, pipeline: &wgpu::ComputePipeline) {
        pass.set_pipeline(pipeline);
        pass.set_bind_group(0, &self.group, &[]);
        pass.dispatch_workgroups(AGENTS.div_ceil(64), 1, 1);
    }
}

/// A buffer of points on a spiral around the origin.
fn points(
    device: &wgpu::Device,
    count: u32,
    turn: f32,
    usage: wgpu::BufferUsages,
) -> Result<wgpu::Buffer, Box<dyn Error>> {
    let size = u64::from(count * 8);
    let buffer = device.create_buffer(&wgpu::BufferDescriptor { label: None, size, usage, mapped_at_creation: true });
    let bytes: Vec<u8> = (0..count)
        .flat_map(|index| {
            let (radius, angle) = (2.0 * ((index + 1) as f32 / count as f32).sqrt(), turn * index as f32);
            [radius * angle.cos(), radius * angle.sin()]
        })
        .flat_map(f32::to_le_bytes)
        .collect();
    buffer.get_mapped_range_mut(..)?.copy_from_slice(&bytes);
    buffer.unmap();
    Ok(buffer)
}

fn main() -> Result<(), Box<dyn Error>> {
    let application = Application::new()?;

    // Once: Fourfold adopts the device, checks the buffers and prepares its dispatch.
    let gpu = Gpu::adopt(application.device.clone(), application.queue.clone());
    let problem = softmax::Problem { rows: AGENTS as usize, columns: LANDMARKS as usize, log: false };
    let call = problem.call(&gpu.target());
    let views = [BufferView::from(&application.scores), BufferView::from(&application.shares)];
    let softmax = gpu.prepare(&[Launch::new(&call, &views)])?;

    // Every frame: one pass and one submission, both the application's.
    for frame in 0..FRAMES {
        let mut encoder = application.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        {
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
            application.record(&mut pass, &application.score);
            softmax.record(&mut pass);
            application.record(&mut pass, &application.step);
        }
        // Now and then the application wants to know where its agents are: the ticket rides on its own submission.
        let ticket = match frame % 30 {
            29 => Some(gpu.encode_readback(&mut encoder, &[(BufferView::from(&application.agents), Element::F32)])?),
            _ => None,
        };
        application.queue.submit([encoder.finish()]);
        let Some(ticket) = ticket else { continue };
        let agents = loop {
            application.device.poll(wgpu::PollType::wait_indefinitely())?;
            if let Some(values) = ticket.try_take() {
                break values?.remove(0);
            }
        };
        println!("frame {:3}: agents in {} places", frame + 1, places(agents.f32()));
    }
    Ok(())
}

/// Squares of a tenth in which there is an agent.
fn places(agents: &[f32]) -> usize {
    let square = |point: &[f32]| [(point[0] * 10.0).floor() as i32, (point[1] * 10.0).floor() as i32];
    let mut squares: Vec<_> = agents.chunks_exact(2).map(square).collect();
    squares.sort_unstable();
    squares.dedup();
    squares.len()
}
