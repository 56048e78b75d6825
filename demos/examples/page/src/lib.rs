//! 64 cart-poles in a web page, swung up by a trained policy on WebGPU and drawn by a pipeline of the page's own.
//! `index.html` beside this folder is the page; with the target wasm32-unknown-unknown and wasm-bindgen-cli of the version in
//! `demos/examples/Cargo.lock`, from the root of the repository:
//!
//! ```text
//! cargo build --profile page --manifest-path demos/examples/Cargo.toml --package fourfold-page --target wasm32-unknown-unknown
//! wasm-bindgen --target web --out-dir demos/examples/page \
//!     demos/examples/target/wasm32-unknown-unknown/page/fourfold_page.wasm
//! python3 -m http.server --directory demos/examples/page
//! ```
//!
//! In Chromium 156 without a GPU, over SwiftShader, it takes 60 steps a second; the page is 0.7 MB
//! (29 November 2026). CI checks that it compiles where the target is installed.
#![cfg(target_arch = "wasm32")]

use fourfold::models::TrainedPolicy;
use fourfold::rollout::environments::CartPoleSwingUp;
use fourfold::rollout::{PolicyBuffers, VectorEnvironment, VectorPolicy, VectorSettings};
use fourfold::{BufferView, Gpu, shaders::Element, wgpu};
use wasm_bindgen::prelude::*;

const WEIGHTS: &[u8] = include_bytes!("../../../weights/attention_neuron.safetensors");

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

/// The poles on the page's device.
#[wasm_bindgen]
pub struct Poles {
    gpu: Gpu,
    world: VectorEnvironment,
    policy: VectorPolicy,
    draw: wgpu::ComputePipeline,
    group: wgpu::BindGroup,
    pixels: BufferView,
}

#[wasm_bindgen]
impl Poles {
    /// Opens WebGPU and prepares everything.
    pub async fn open() -> Result<Poles, JsError> {
        let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
        let adapter = instance.request_adapter(&Default::default()).await?;
        let (device, queue) = adapter.request_device(&Default::default()).await?;
        let gpu = Gpu::adopt(device.clone(), queue);
        let loss = gpu.loss();
        device.set_device_lost_callback(move |reason, message| loss.mark(reason, message));

        let settings = VectorSettings { automatic: true, ..VectorSettings::new(64, 1 << 29, 7) };
        let mut world = VectorEnvironment::new(&gpu, CartPoleSwingUp::default(), &settings)?;
        let trained = TrainedPolicy::from_bytes("attention_neuron.safetensors", WEIGHTS)?;
        let policy = trained.on_buffers(&gpu, PolicyBuffers::of(&world))?;
        world.reset_async(0).await?;

        let pixels = gpu.zeros("pixels", 512 * 512)?;
        let source = wgpu::ShaderSource::Wgsl(SHADER.into());
        let module = &device.create_shader_module(wgpu::ShaderModuleDescriptor { label: None, source });
        let draw = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some("draw"),
            layout: None,
            module,
            entry_point: None,
            compilation_options: Default::default(),
            cache: None,
        });
        let entries = [(0, world.state()), (1, &pixels)]
            .map(|(binding, view)| wgpu::BindGroupEntry { binding, resource: view.buffer.as_entire_binding() });
        let layout = &draw.get_bind_group_layout(0);
        let group = device.create_bind_group(&wgpu::BindGroupDescriptor { label: None, layout, entries: &entries });
        // A browser tells later what it refused.
        gpu.settled().await?;
        Ok(Poles { gpu, world, policy, draw, group, pixels })
    }

    /// Takes some steps of all poles, and returns their picture: 512 rows of 512 pixels of red, green, blue and alpha.
    pub async fn frame(&self, steps: usize) -> Result<Vec<u8>, JsError> {
        let mut encoder = self.gpu.device().create_command_encoder(&Default::default());
        let mut pass = encoder.begin_compute_pass(&Default::default());
        for _ in 0..steps {
            self.policy.record(&mut pass);
            self.world.record(&mut pass);
        }
        pass.set_pipeline(&self.draw);
        pass.set_bind_group(0, &self.group, &[]);
        pass.dispatch_workgroups(32, 32, 1);
        drop(pass);
        let ticket = self.gpu.encode_readback(&mut encoder, &[(self.pixels.clone(), Element::U32)])?;
        self.gpu.queue().submit([encoder.finish()]);
        Ok(ticket.await?[0].bytes().to_vec())
    }
}
