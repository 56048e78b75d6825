//! A trained network inside the frame loop of a `wgpu` application.
//!
//! A handwritten digit trembles; the network says in each frame which one it sees. Each frame is one compute pass
//! and one submission, both the application's, on its own device with WebGPU's default limits: its kernel `show` draws
//! the digit into its own image buffer, our network turns the image into logits in its own buffer, its kernel `vote`
//! counts the answers. Nothing goes through the host between them.
//!
//! The network comes from a file that `fourfold sam` leaves in its folder:
//!
//! ```text
//! cargo run --release --bin fourfold -- sam --seeds 1 --epochs 20 --out trained
//! cargo run --release -p fourfold-demos --example frame_loop -- trained/sam-0.safetensors
//! ```

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;
use std::process::ExitCode;

use fourfold::data::digits;
use fourfold::graph::{Graph, Plan, Session, TensorType, Values};
use fourfold::models::TrainedClassifier;
use fourfold::nn::Noise;
use fourfold::shaders::Element;
use fourfold::wgpu;
use fourfold::{BufferView, Gpu};
use wgpu::util::{BufferInitDescriptor, DeviceExt};

/// Frames for which a digit is shown.
const DWELL: u32 = 24;
const DIGITS: u32 = 10;

/// The application's own shader.
const SHADER: &str = "
const DWELL = 24u;

@group(0) @binding(0) var<storage, read> digits: array<f32>;             // (n, 8, 8)
@group(0) @binding(1) var<storage, read> mean: array<f32>;               // (8, 8)
@group(0) @binding(2) var<storage, read> deviation: array<f32>;          // (8, 8)
@group(0) @binding(3) var<storage, read_write> frame: array<u32>;        // (1)
@group(0) @binding(4) var<storage, read_write> image: array<f32>;        // (8, 8)
@group(0) @binding(5) var<storage, read_write> logits: array<f32>;       // (10)
@group(0) @binding(6) var<storage, read_write> votes: array<u32>;        // (10)

// A pixel of the digit, 0 beyond its edge.
fn pixel(digit: u32, y: i32, x: i32) -> f32 {
    if y < 0 || y > 7 || x < 0 || x > 7 {
        return 0.0;
    }
    return digits[digit * 64u + u32(y * 8 + x)];
}

// Draws the digit where it is now, on a circle of a third of a pixel, standardised as the network was taught.
@compute @workgroup_size(64)
fn show(@builtin(local_invocation_id) id: vec3<u32>) {
    let digit = frame[0] / DWELL;
    let angle = 6.2831853 * f32(frame[0] % DWELL) / f32(DWELL);
    let at = vec2(f32(id.x % 8u), f32(id.x / 8u)) - 0.33 * vec2(cos(angle), sin(angle));
    let corner = vec2<i32>(floor(at));
    let part = at - floor(at);
    let above = mix(pixel(digit, corner.y, corner.x), pixel(digit, corner.y, corner.x + 1), part.x);
    let below = mix(pixel(digit, corner.y + 1, corner.x), pixel(digit, corner.y + 1, corner.x + 1), part.x);
    // Clamped, since pixels at the edge that are hardly ever lit have a tiny deviation.
    image[id.x] = clamp((mix(above, below, part.y) - mean[id.x]) / deviation[id.x], -3.0, 3.0);
}

// Counts the network's answer, anew for each digit, and goes on to the next frame.
@compute @workgroup_size(1)
fn vote() {
    var best = 0u;
    for (var answer = 0u; answer < 10u; answer++) {
        if frame[0] % DWELL == 0u {
            votes[answer] = 0u;
        }
        if logits[answer] > logits[best] {
            best = answer;
        }
    }
    votes[best] += 1u;
    frame[0] += 1u;
}";

/// The application: everything of `wgpu` is its own.
struct Application {
    device: wgpu::Device,
    queue: wgpu::Queue,
    show: wgpu::ComputePipeline,
    vote: wgpu::ComputePipeline,
    group: wgpu::BindGroup,
    image: wgpu::Buffer,
    logits: wgpu::Buffer,
    votes: wgpu::Buffer,
}

impl Application {
    fn new(digits: &[f32], mean: &[f32], deviation: &[f32]) -> Result<Self, Box<dyn Error>> {
        let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle_from_env());
        let adapter = pollster::block_on(instance.request_adapter(&wgpu::RequestAdapterOptions::default()))?;
        println!("the application runs on {}", adapter.get_info().name);
        let (device, queue) = pollster::block_on(adapter.request_device(&wgpu::DeviceDescriptor::default()))?;

        let source = wgpu::ShaderSource::Wgsl(SHADER.into());
        let module = device.create_shader_module(wgpu::ShaderModuleDescriptor { label: Some("application"), source });
        let storage = |binding| wgpu::BindGroupLayoutEntry {
            binding,
            visibility: wgpu::ShaderStages::COMPUTE,
            ty: wgpu::BindingType::Buffer {
                ty: wgpu::BufferBindingType::Storage { read_only: binding < 3 },
                has_dynamic_offset: false,
                min_binding_size: None,
            },
            count: None,
        };
        let entries: Vec<_> = (0..7).map(storage).collect();
        let layout =
            device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label: None, entries: &entries });
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
        let (show, vote) = (pipeline("show"), pipeline("vote"));

        let buffer = |contents: &[f32]| {
            device.create_buffer_init(&BufferInitDescriptor {
                label: None,
                contents: bytemuck::cast_slice(contents),
                usage: wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC,
            })
        };
        let (image, logits, votes) = (buffer(&[0.0; 64]), buffer(&[0.0; 10]), buffer(&[0.0; 10]));
        let buffers = [&buffer(digits), &buffer(mean), &buffer(deviation), &buffer(&[0.0]), &image, &logits, &votes];
        let entries: Vec<_> = (0..)
            .zip(buffers)
            .map(|(binding, buffer)| wgpu::BindGroupEntry { binding, resource: buffer.as_entire_binding() })
            .collect();
        let group =
            device.create_bind_group(&wgpu::BindGroupDescriptor { label: None, layout: &layout, entries: &entries });
        Ok(Self { device, queue, show, vote, group, image, logits, votes })
    }

    fn record(&self, pass: &mut wgpu::ComputePass<'_>, pipeline: &wgpu::ComputePipeline) {
        pass.set_pipeline(pipeline);
        pass.set_bind_group(0, &self.group, &[]);
        pass.dispatch_workgroups(1, 1, 1);
    }
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let path =
        std::env::args().nth(1).ok_or("name a trained network: a file `sam-SEED.safetensors` of `fourfold sam`")?;
    let trained = TrainedClassifier::load(Path::new(&path))?;
    let (classifier, standardisation) = (&trained.classifier, &trained.standardisation);
    if classifier.image_shape() != [8, 8] || classifier.classes() != 10 {
        let ([height, width], classes) = (classifier.image_shape(), classifier.classes());
        return Err(
            format!("{path}: expected 8 x 8 pixels and 10 classes, got {height} x {width} and {classes}").into()
        );
    }
    let digits = digits().truncated(DIGITS as usize);
    let application = Application::new(digits.images(), &standardisation.mean, &standardisation.deviation)?;

    // Once: Fourfold adopts the device, plans the network and lays it onto the application's buffers.
    let gpu = Gpu::adopt(application.device.clone(), application.queue.clone());
    let graph = Graph::new();
    let image = graph.input("image", TensorType::f32([1, 64]));
    let weights = classifier.parameters().state(&graph, "weights");
    graph.output("logits", classifier.forward(weights, image, Noise::NONE));
    let network = Session::on_buffers(
        &gpu,
        Plan::new(&graph, &gpu.target())?,
        &Values::from([("weights".into(), trained.weights.clone())]),
        &BTreeMap::from([
            ("image".into(), BufferView::from(&application.image)),
            ("logits".into(), BufferView::from(&application.logits)),
        ]),
    )?;

    // Every frame: one pass and one submission, both the application's.
    for frame in 0..DIGITS * DWELL {
        let mut encoder = application.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        {
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
            application.record(&mut pass, &application.show);
            network.record(&mut pass);
            application.record(&mut pass, &application.vote);
        }
        // After each digit the application wants to know the votes: the ticket rides on its own submission.
        let ticket = match (frame + 1) % DWELL {
            0 => Some(gpu.encode_readback(&mut encoder, &[(BufferView::from(&application.votes), Element::U32)])?),
            _ => None,
        };
        application.queue.submit([encoder.finish()]);
        let Some(ticket) = ticket else { continue };
        let votes = loop {
            application.device.poll(wgpu::PollType::wait_indefinitely())?;
            if let Some(values) = ticket.try_take() {
                break values?.remove(0);
            }
        };
        let digit = (frame / DWELL) as usize;
        println!("a {} in {DWELL} frames, votes for 0 to 9: {:?}", digits.labels()[digit], votes.u32());
    }
    Ok(())
}
