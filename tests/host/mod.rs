//! A host application with a device of its own, for the tests of embedding.

// Each test file uses a part of it.
#![allow(dead_code)]

pub mod witness;

use fourfold::shaders::{Data, Target, normalisation::softmax};
use fourfold::wgpu;

pub const ROWS: usize = 37;
pub const COLUMNS: usize = 100;
pub const LENGTH: usize = ROWS * COLUMNS;

/// A host application: it made its instance, device and queue long before it heard of us.
pub struct Host {
    pub instance: wgpu::Instance,
    pub device: wgpu::Device,
    pub queue: wgpu::Queue,
    /// Its own kernel: `values[i] = 2 values[i] + 1`.
    pipeline: wgpu::ComputePipeline,
}

const HOST_KERNEL: &str = "
@group(0) @binding(0) var<storage, read_write> values: array<f32>;

@compute @workgroup_size(64)
fn double_and_increment(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x < arrayLength(&values) {
        values[id.x] = 2.0 * values[id.x] + 1.0;
    }
}";

impl Host {
    /// WebGPU's default limits and no features at all.
    pub fn new() -> Self {
        let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle_from_env());
        let adapter = pollster::block_on(instance.request_adapter(&wgpu::RequestAdapterOptions::default()));
        let adapter = adapter.expect("an adapter: `cargo xtask test` installs a software driver where there is none");
        let descriptor = wgpu::DeviceDescriptor {
            required_features: wgpu::Features::empty(),
            required_limits: wgpu::Limits::defaults(),
            ..wgpu::DeviceDescriptor::default()
        };
        let (device, queue) = pollster::block_on(adapter.request_device(&descriptor)).expect("default limits");
        let pipeline = pipeline(&device, HOST_KERNEL);
        Self { instance, device, queue, pipeline }
    }

    /// A buffer of the host's own making, with no more usages than it needs itself.
    pub fn buffer(&self, values: &[f32]) -> wgpu::Buffer {
        let buffer = self.device.create_buffer(&wgpu::BufferDescriptor {
            label: None,
            size: size_of_val(values) as u64,
            usage: wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC,
            mapped_at_creation: true,
        });
        buffer.get_mapped_range_mut(..).expect("mapped at creation").copy_from_slice(bytemuck::cast_slice(values));
        buffer.unmap();
        buffer
    }

    pub fn record(&self, pass: &mut wgpu::ComputePass<'_>, buffer: &wgpu::Buffer) {
        self.dispatch(pass, &self.pipeline, &[buffer], (buffer.size() / 4).div_ceil(64) as u32);
    }

    /// Another kernel of the host's own.
    pub fn pipeline(&self, source: &str) -> wgpu::ComputePipeline {
        pipeline(&self.device, source)
    }

    /// Records `workgroups` of a kernel, `buffers[i]` at binding i.
    pub fn dispatch(
        &self,
        pass: &mut wgpu::ComputePass<'_>,
        pipeline: &wgpu::ComputePipeline,
        buffers: &[&wgpu::Buffer],
        workgroups: u32,
    ) {
        let entries: Vec<_> = (0..)
            .zip(buffers)
            .map(|(binding, buffer)| wgpu::BindGroupEntry { binding, resource: buffer.as_entire_binding() })
            .collect();
        let group = self.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: None,
            layout: &pipeline.get_bind_group_layout(0),
            entries: &entries,
        });
        pass.set_pipeline(pipeline);
        pass.set_bind_group(0, &group, &[]);
        pass.dispatch_workgroups(workgroups, 1, 1);
    }

    /// The number of a submission: wgpu shows it in no other way.
    pub fn submit(&self, commands: Option<wgpu::CommandBuffer>) -> u64 {
        let index = format!("{:?}", self.queue.submit(commands));
        let digits: String = index.chars().filter(char::is_ascii_digit).collect();
        digits.parse().expect("a submission has a number")
    }

    pub fn poll(&self) {
        self.device.poll(wgpu::PollType::wait_indefinitely()).expect("the device is there");
    }

    pub fn read(&self, buffer: &wgpu::Buffer) -> Vec<f32> {
        let staging = self.device.create_buffer(&wgpu::BufferDescriptor {
            label: None,
            size: buffer.size(),
            usage: wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::MAP_READ,
            mapped_at_creation: false,
        });
        let mut encoder = self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        encoder.copy_buffer_to_buffer(buffer, 0, &staging, 0, buffer.size());
        self.submit(Some(encoder.finish()));
        staging.map_async(wgpu::MapMode::Read, .., |result| result.expect("a readable buffer"));
        self.poll();
        let view = staging.get_mapped_range(..).expect("mapped");
        bytemuck::pod_collect_to_vec(&view)
    }
}

fn pipeline(device: &wgpu::Device, source: &str) -> wgpu::ComputePipeline {
    let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
        label: None,
        source: wgpu::ShaderSource::Wgsl(source.into()),
    });
    device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
        label: None,
        layout: None,
        module: &module,
        entry_point: None,
        compilation_options: wgpu::PipelineCompilationOptions::default(),
        cache: None,
    })
}

pub fn input() -> Vec<f32> {
    (0..LENGTH).map(|index| ((index * 7919) % 1000) as f32 * 0.004 - 2.0).collect()
}

/// The input after host kernel, our softmax and host kernel again.
pub fn expected() -> Vec<f32> {
    let doubled: Vec<f32> = input().iter().map(|value| 2.0 * value + 1.0).collect();
    let problem = softmax::Problem { rows: ROWS, columns: COLUMNS, log: false };
    let sequence = problem.sequence(&Target::default()).expect("valid sizes");
    let mut operands = [Data::F32(doubled), Data::F32(vec![f32::NAN; LENGTH])];
    sequence.run_twins(&mut operands);
    operands[1].f32().iter().map(|value| 2.0 * value + 1.0).collect()
}
