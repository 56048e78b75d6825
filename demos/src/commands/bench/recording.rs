//! `fourfold bench recording`: the processor's time for recording a dispatch, beside bare wgpu.

use std::time::Instant;

use clap::Args;
use fourfold::shaders::elementwise::{Unary, unary};
use fourfold::wgpu;
use fourfold::{Gpu, Launch};
use serde_json::json;

use crate::adapter::adapter_json;
use crate::failure::Failure;
use crate::options::Common;
use crate::run::Run;
use crate::statistics::median;
use crate::table::table;

/// Measure recording: the processor's time for a dispatch, beside the same commands written by hand with wgpu
#[derive(Debug, Clone, Args)]
pub struct Arguments {
    /// Dispatches in a compute pass; each binds other buffers than the one before
    #[arg(long, value_name = "COUNT", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(2..=100_000))]
    dispatches: u32,
    /// Timed passes of either kind, by turns
    #[arg(long, value_name = "COUNT", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    passes: u32,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Two bindings and a uniform block, as the kernel of the other side has.
const BARE: &str = "
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(1) @binding(0) var<uniform> size: vec4<u32>;
@compute @workgroup_size(64) fn negate(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x < size.x { y[id.x] = -x[id.x]; }
}";

/// Times that the device is asked whether it is lost.
const QUESTIONS: u32 = 1_000;

/// Measures recording; `json` asks for JSON as the flag does.
pub fn run(common: &Common, arguments: &Arguments, json: bool) -> Result<(), Failure> {
    let gpu = common.open()?;
    let passes = if common.quick { arguments.passes.min(10) } else { arguments.passes };
    let dispatches = arguments.dispatches / 2 * 2;
    let work = json!({ "dispatches": dispatches, "passes": passes });
    let mut run = Run::of_command(common, "bench-recording", &gpu, work.clone())?;

    let [a, b] = [gpu.zeros("a", 64)?, gpu.zeros("b", 64)?];
    let negation = unary(Unary::Neg, 64).map_err(Failure::run)?;
    let (there, back) = ([a.clone(), b.clone()], [b, a]);
    let launches: Vec<_> =
        (0..dispatches).map(|i| Launch::new(&negation, if i % 2 == 0 { &there } else { &back })).collect();
    let ours = gpu.prepare(&launches)?;
    let bare = Bare::new(&gpu, &there);
    let mut seconds = [Vec::new(), Vec::new()];
    for pass in 0..passes + 2 {
        let ours = recorded(&gpu, |pass| ours.record(pass));
        let bare = recorded(&gpu, |pass| bare.record(pass, dispatches));
        gpu.wait()?;
        // The first passes compile and grow what wgpu keeps.
        if pass >= 2 {
            seconds[0].push(ours / f64::from(dispatches));
            seconds[1].push(bare / f64::from(dispatches));
        }
    }
    let begun = Instant::now();
    (0..QUESTIONS).for_each(|_| drop(gpu.lost()));
    let question = begun.elapsed().as_secs_f64() / f64::from(QUESTIONS);
    let best = |seconds: &[f64]| seconds.iter().copied().fold(f64::INFINITY, f64::min);
    let [ours, bare] = seconds.each_ref().map(|seconds| [best(seconds), median(seconds)]);
    let result = json!({ "adapter": adapter_json(gpu.info()), "work": work, "fourfold_s": ours, "bare_wgpu_s": bare,
        "lost_s": question });
    run.write_json("result.json", &result)?;
    if json || arguments.json {
        crate::show!("{result:#}");
        return Ok(());
    }
    let row = |name: &str, seconds: [f64; 2]| {
        let [best, median] = seconds.map(|seconds| format!("{:.3} us", seconds * 1e6));
        [name.to_string(), best, median]
    };
    let more = [ours[0] - bare[0], ours[1] - bare[1]];
    let rows = [row("fourfold", ours), row("bare wgpu", bare), row("more", more)];
    crate::show!("{}", table(["a dispatch", "best", "median"], rows));
    crate::show_paragraph!(
        "{dispatches} dispatches in a pass, until the encoder is finished; {} ({}).",
        gpu.info().name,
        gpu.info().backend
    );
    crate::show_paragraph!(
        "To ask whether the device is lost, as every submission does, takes {:.1} us.",
        question * 1e6
    );
    crate::show!("{}", run.ending());
    Ok(())
}

/// Seconds until a pass is recorded and its encoder finished; then it is submitted.
fn recorded(gpu: &Gpu, record: impl FnOnce(&mut wgpu::ComputePass<'_>)) -> f64 {
    let begun = Instant::now();
    let mut encoder = gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    record(&mut encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default()));
    let commands = encoder.finish();
    let seconds = begun.elapsed().as_secs_f64();
    gpu.queue().submit([commands]);
    seconds
}

/// The same commands by hand.
struct Bare {
    pipeline: wgpu::ComputePipeline,
    operands: [wgpu::BindGroup; 2],
    size: wgpu::BindGroup,
}

impl Bare {
    fn new(gpu: &Gpu, [a, b]: &[fourfold::BufferView; 2]) -> Self {
        let device = gpu.device();
        let source = wgpu::ShaderSource::Wgsl(BARE.into());
        let module = &device.create_shader_module(wgpu::ShaderModuleDescriptor { label: None, source });
        let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: None,
            layout: None,
            module,
            entry_point: None,
            compilation_options: wgpu::PipelineCompilationOptions::default(),
            cache: None,
        });
        let group = |index: u32, buffers: &[&wgpu::Buffer]| {
            let entries = (0..).zip(buffers);
            let entries: Vec<_> = entries
                .map(|(binding, buffer)| wgpu::BindGroupEntry { binding, resource: buffer.as_entire_binding() })
                .collect();
            let layout = &pipeline.get_bind_group_layout(index);
            device.create_bind_group(&wgpu::BindGroupDescriptor { label: None, layout, entries: &entries })
        };
        let usage = wgpu::BufferUsages::UNIFORM;
        let descriptor = wgpu::BufferDescriptor { label: None, size: 16, usage, mapped_at_creation: false };
        let size = group(1, &[&device.create_buffer(&descriptor)]);
        let operands = [group(0, &[&a.buffer, &b.buffer]), group(0, &[&b.buffer, &a.buffer])];
        Self { pipeline, operands, size }
    }

    fn record(&self, pass: &mut wgpu::ComputePass<'_>, dispatches: u32) {
        pass.set_pipeline(&self.pipeline);
        pass.set_bind_group(1, &self.size, &[]);
        for dispatch in 0..dispatches {
            pass.set_bind_group(0, &self.operands[dispatch as usize % 2], &[]);
            pass.dispatch_workgroups(1, 1, 1);
        }
    }
}
