//! 64 cart-poles in an egui window: a trained policy drives them, recorded into egui's own encoder, and a pipeline of the
//! application's own draws them into egui's own pass. Nothing is read back. `--frames COUNT` closes the window by itself.

use eframe::egui;
use eframe::egui_wgpu::{Callback, CallbackResources, CallbackTrait, ScreenDescriptor};
use fourfold::models::TrainedPolicy;
use fourfold::rollout::environments::CartPoleSwingUp;
use fourfold::rollout::{PolicyBuffers, VectorEnvironment, VectorPolicy, VectorSettings};
use fourfold::{Gpu, wgpu};

type Failure = Box<dyn std::error::Error + Send + Sync>;

const WEIGHTS: &[u8] = include_bytes!("../../../weights/attention_neuron.safetensors");

const SHADER: &str = "
@group(0) @binding(0) var<storage, read> state: array<f32>; // (x, speed, angle, spin, score; 64 lanes)

// Two triangles for each pole, in a grid of 8 by 8.
@vertex fn pole(@builtin(vertex_index) vertex: u32, @builtin(instance_index) lane: u32) -> @builtin(position) vec4<f32> {
    let cell = vec2(f32(lane % 8u), f32(lane / 8u)) / 4.0 - 0.875;
    let foot = cell + vec2(0.04 * state[lane], 0.0);
    let up = vec2(-sin(state[128u + lane]), cos(state[128u + lane]));
    let corner = vec2(f32(vertex & 1u) - 0.5, f32(vertex == 2u || vertex == 4u || vertex == 5u));
    return vec4(foot + 0.1 * corner.y * up + 0.015 * corner.x * vec2(up.y, -up.x), 0.0, 1.0);
}

@fragment fn ink() -> @location(0) vec4<f32> {
    return vec4(0.9, 0.55, 0.2, 1.0);
}";

/// The application's state on the device, kept where egui's callbacks find it.
struct Poles {
    world: VectorEnvironment,
    policy: VectorPolicy,
    pipeline: wgpu::RenderPipeline,
    state: wgpu::BindGroup,
}

impl Poles {
    fn new(device: &wgpu::Device, queue: &wgpu::Queue, format: wgpu::TextureFormat) -> Result<Self, Failure> {
        let gpu = Gpu::adopt(device.clone(), queue.clone());
        let settings = VectorSettings { automatic: true, ..VectorSettings::new(64, 1_000, 7) };
        let world = VectorEnvironment::new(&gpu, CartPoleSwingUp::default(), &settings)?;
        let trained = TrainedPolicy::from_bytes("attention_neuron.safetensors", WEIGHTS)?;
        let policy = trained.on_buffers(&gpu, PolicyBuffers::of(&world))?;

        let source = wgpu::ShaderSource::Wgsl(SHADER.into());
        let module = &device.create_shader_module(wgpu::ShaderModuleDescriptor { label: None, source });
        let pipeline = device.create_render_pipeline(&wgpu::RenderPipelineDescriptor {
            label: Some("poles"),
            layout: None,
            vertex: wgpu::VertexState {
                module,
                entry_point: None,
                compilation_options: Default::default(),
                buffers: &[],
            },
            primitive: Default::default(),
            depth_stencil: None,
            multisample: Default::default(),
            fragment: Some(wgpu::FragmentState {
                module,
                entry_point: None,
                compilation_options: Default::default(),
                targets: &[Some(format.into())],
            }),
            multiview_mask: None,
            cache: None,
        });
        let resource = world.state().buffer.as_entire_binding();
        let state = device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: None,
            layout: &pipeline.get_bind_group_layout(0),
            entries: &[wgpu::BindGroupEntry { binding: 0, resource }],
        });
        Ok(Self { world, policy, pipeline, state })
    }
}

/// One frame of the window: some steps of all poles, then their picture.
struct Frame {
    steps: usize,
    restart: bool,
}

impl CallbackTrait for Frame {
    fn prepare(
        &self,
        _: &wgpu::Device,
        _: &wgpu::Queue,
        _: &ScreenDescriptor,
        encoder: &mut wgpu::CommandEncoder,
        resources: &mut CallbackResources,
    ) -> Vec<wgpu::CommandBuffer> {
        let Some(Poles { world, policy, .. }) = resources.get() else { return Vec::new() };
        if self.restart {
            let _all_lanes_are_there = policy.encode_restart(encoder, 0..policy.lanes());
        }
        let mut pass = encoder.begin_compute_pass(&Default::default());
        if self.restart {
            world.record_reset(&mut pass);
        }
        for _ in 0..self.steps {
            policy.record(&mut pass);
            world.record(&mut pass);
        }
        Vec::new()
    }

    fn paint(&self, _: egui::PaintCallbackInfo, pass: &mut wgpu::RenderPass<'static>, resources: &CallbackResources) {
        let Some(Poles { pipeline, state, .. }) = resources.get() else { return };
        pass.set_pipeline(pipeline);
        pass.set_bind_group(0, state, &[]);
        pass.draw(0..6, 0..64);
    }
}

/// The user interface.
struct Application {
    steps: usize,
    restart: bool,
    frames: Option<u64>,
}

impl eframe::App for Application {
    fn ui(&mut self, ui: &mut egui::Ui, _: &mut eframe::Frame) {
        ui.horizontal(|ui| {
            self.restart |= ui.button("Restart").clicked();
            ui.add(egui::Slider::new(&mut self.steps, 0..=10).text("steps a frame"));
        });
        let (rect, _) = ui.allocate_exact_size(egui::Vec2::splat(ui.available_size().min_elem()), egui::Sense::hover());
        let frame = Frame { steps: self.steps, restart: std::mem::take(&mut self.restart) };
        ui.painter().add(Callback::new_paint_callback(rect, frame));
        ui.ctx().request_repaint();
        if self.frames.is_some_and(|frames| ui.ctx().cumulative_frame_nr() >= frames) {
            ui.ctx().send_viewport_cmd(egui::ViewportCommand::Close);
        }
    }
}

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let frames = match &arguments[..] {
        [] => None,
        [flag, count] if flag == "--frames" => {
            Some(count.parse().map_err(|_| format!("--frames: expected a number, got `{count}`"))?)
        }
        other => return Err(format!("expected nothing or `--frames COUNT`, got {other:?}").into()),
    };
    let open = move |context: &eframe::CreationContext<'_>| -> Result<Box<dyn eframe::App>, Failure> {
        let render = context.wgpu_render_state.as_ref().ok_or("eframe runs without wgpu")?;
        let poles = Poles::new(&render.device, &render.queue, render.target_format)?;
        render.renderer.write().callback_resources.insert(poles);
        Ok(Box::new(Application { steps: 2, restart: true, frames }))
    };
    let options = eframe::NativeOptions { renderer: eframe::Renderer::Wgpu, ..Default::default() };
    eframe::run_native("Fourfold: 64 cart-poles", options, Box::new(open)).map_err(|error| error.to_string().into())
}
