//! 64 cart-poles, swung up by a trained policy and drawn by a pipeline of the application's own: 60 lines in all.
//! `cargo run --release -p fourfold-demos --example headless` leaves the last frame in `cart_poles.pam`.

use fourfold::models::TrainedPolicy;
use fourfold::rollout::{PolicyBuffers, VectorEnvironment, VectorSettings, environments::CartPoleSwingUp};
use fourfold::{Gpu, shaders::Element, wgpu};

const SHADER: &str = "
@group(0) @binding(0) var<storage, read> state: array<f32>; // (x, speed, angle, spin, score; 64 lanes)
@group(0) @binding(1) var<storage, read_write> pixels: array<u32>; // (512, 512)

@compute @workgroup_size(16, 16) fn draw(@builtin(global_invocation_id) at: vec3<u32>) {
    let lane = at.x / 64u + 8u * (at.y / 64u);
    let pole = -24.0 * vec2(sin(state[128u + lane]), cos(state[128u + lane]));
    let away = vec2<f32>(at.xy % 64u) - vec2(32.0 + 10.0 * state[lane], 36.0);
    let along = clamp(dot(away, pole) / 576.0, 0.0, 1.0);
    let ink = length(away - along * pole) < 2.0 || all(abs(away) < vec2(6.0, 3.0));
    pixels[at.y * 512u + at.x] = select(0xFFF4F4F4u, 0xFF905030u, ink);
}";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle_from_env());
    let adapter = pollster::block_on(instance.request_adapter(&Default::default()))?;
    let (device, queue) = pollster::block_on(adapter.request_device(&Default::default()))?;

    let gpu = Gpu::adopt(device.clone(), queue.clone());
    let settings = VectorSettings { automatic: true, ..VectorSettings::new(64, 1_000, 7) };
    let world = VectorEnvironment::new(&gpu, CartPoleSwingUp::default(), &settings)?;
    let trained = TrainedPolicy::load(concat!(env!("CARGO_MANIFEST_DIR"), "/weights/attention_neuron.safetensors"))?;
    let policy = trained.on_buffers(&gpu, PolicyBuffers::of(&world))?;
    let (source, pixels) = (wgpu::ShaderSource::Wgsl(SHADER.into()), gpu.zeros("pixels", 512 * 512)?);
    let module = &device.create_shader_module(wgpu::ShaderModuleDescriptor { label: None, source });
    let (label, layout, entry_point, cache, compilation_options) = (None, None, None, None, Default::default());
    let drawn = wgpu::ComputePipelineDescriptor { label, layout, module, entry_point, cache, compilation_options };
    let draw = device.create_compute_pipeline(&drawn);
    let entries = [(0, world.state()), (1, &pixels)]
        .map(|(binding, view)| wgpu::BindGroupEntry { binding, resource: view.buffer.as_entire_binding() });
    let layout = &draw.get_bind_group_layout(0);
    let group = device.create_bind_group(&wgpu::BindGroupDescriptor { label, layout, entries: &entries });

    for frame in 0..900 {
        let mut encoder = device.create_command_encoder(&Default::default());
        let mut pass = encoder.begin_compute_pass(&Default::default());
        if frame == 0 {
            world.record_reset(&mut pass);
        }
        policy.record(&mut pass);
        world.record(&mut pass);
        pass.set_pipeline(&draw);
        pass.set_bind_group(0, &group, &[]);
        pass.dispatch_workgroups(32, 32, 1);
        drop(pass);
        queue.submit([encoder.finish()]);
    }
    let mut encoder = device.create_command_encoder(&Default::default());
    let ticket = gpu.encode_readback(&mut encoder, &[(pixels, Element::U32)])?;
    queue.submit([encoder.finish()]);
    let header = b"P7\nWIDTH 512\nHEIGHT 512\nDEPTH 4\nMAXVAL 255\nTUPLTYPE RGB_ALPHA\nENDHDR\n";
    Ok(std::fs::write("cart_poles.pam", [header, ticket.wait()?[0].bytes()].concat())?)
}
