//! 64 cart-poles in an egui window: a trained policy drives them, recorded into egui's own encoder, and a pipeline of the
//! application's own draws them into egui's own pass. Nothing is read back. `--frames COUNT` closes the window by itself.
//!
//! At any moment about half of the poles stand: they start anywhere, and this policy scores 425 of 1,000.

use eframe::egui;
use eframe::egui_wgpu::{Callback, CallbackResources, CallbackTrait, RenderState, ScreenDescriptor};
use fourfold::models::TrainedPolicy;
use fourfold::rollout::{
    PolicyBuffers, VectorEnvironment, VectorPolicy, VectorSettings, environments::CartPoleSwingUp,
};
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

@fragment fn ink() -> @location(0) vec4<f32> { return vec4(0.9, 0.55, 0.2, 1.0); }";

/// The application's state on the device, kept where egui's callbacks find it.
struct Poles {
    world: VectorEnvironment,
    policy: VectorPolicy,
    pipeline: wgpu::RenderPipeline,
    state: wgpu::BindGroup,
}

impl Poles {
    fn new(RenderState { device, queue, target_format, .. }: &RenderState) -> Result<Self, Failure> {
        let gpu = Gpu::adopt(device.clone(), queue.clone());
        // A pole plays until its cart leaves the track.
        let settings = VectorSettings { automatic: true, ..VectorSettings::new(64, 1 << 29, 7) };
        let mut world = VectorEnvironment::new(&gpu, CartPoleSwingUp::default(), &settings)?;
        let trained = TrainedPolicy::from_bytes("attention_neuron.safetensors", WEIGHTS)?;
        let policy = trained.on_buffers(&gpu, PolicyBuffers::of(&world))?;
        world.reset(0)?;

        let (label, source) = (Some("poles"), wgpu::ShaderSource::Wgsl(SHADER.into()));
        let module = &device.create_shader_module(wgpu::ShaderModuleDescriptor { label, source });
        let (entry_point, buffers, targets) = (None, &[][..], &[Some((*target_format).into())]);
        let [vertex_options, fragment_options] = Default::default();
        let pipeline = device.create_render_pipeline(&wgpu::RenderPipelineDescriptor {
            label,
            layout: None,
            vertex: wgpu::VertexState { module, entry_point, compilation_options: vertex_options, buffers },
            primitive: Default::default(),
            depth_stencil: None,
            multisample: Default::default(),
            fragment: Some(wgpu::FragmentState { module, entry_point, compilation_options: fragment_options, targets }),
            multiview_mask: None,
            cache: None,
        });
        let resource = world.state().buffer.as_entire_binding();
        let (layout, entries) = (&pipeline.get_bind_group_layout(0), &[wgpu::BindGroupEntry { binding: 0, resource }]);
        let state = device.create_bind_group(&wgpu::BindGroupDescriptor { label, layout, entries });
        Ok(Self { world, policy, pipeline, state })
    }
}

/// One frame of the window: so many steps of all poles, then their picture.
struct Frame(usize);

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
        let mut pass = encoder.begin_compute_pass(&Default::default());
        for _ in 0..self.0 {
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

/// The user interface: the steps a frame, and after which frame the window closes.
struct Application(usize, Option<u64>);

impl eframe::App for Application {
    fn ui(&mut self, ui: &mut egui::Ui, _: &mut eframe::Frame) {
        ui.add(egui::Slider::new(&mut self.0, 0..=10).text("steps a frame"));
        let (rect, _) = ui.allocate_exact_size(egui::Vec2::splat(ui.available_size().min_elem()), egui::Sense::hover());
        ui.painter().add(Callback::new_paint_callback(rect, Frame(self.0)));
        ui.ctx().request_repaint();
        if self.1.is_some_and(|frames| ui.ctx().cumulative_frame_nr() >= frames) {
            ui.ctx().send_viewport_cmd(egui::ViewportCommand::Close);
        }
    }
}

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip_while(|argument| argument != "--frames").skip(1);
    let frames = arguments.next().map(|count| count.parse()).transpose()?;
    let open = move |context: &eframe::CreationContext<'_>| -> Result<Box<dyn eframe::App>, Failure> {
        let render = context.wgpu_render_state.as_ref().ok_or("eframe runs without wgpu")?;
        render.renderer.write().callback_resources.insert(Poles::new(render)?);
        Ok(Box::new(Application(2, frames)))
    };
    let options = eframe::NativeOptions { renderer: eframe::Renderer::Wgpu, ..Default::default() };
    eframe::run_native("Fourfold: 64 cart-poles", options, Box::new(open)).map_err(|error| error.to_string().into())
}
