//! The ceiling of the adapter: its copy bandwidth and its rate of fused multiply-adds, measured on the spot.

use std::time::Duration;

use fourfold::Gpu;
use fourfold::shaders::Data;
use fourfold::wgpu;

use super::measure::measure;

/// The best rates of a few simple programs.
#[derive(Debug, Clone, Copy)]
pub struct Ceiling {
    /// Bytes read and written per second by a copy.
    pub bytes: f64,
    /// Floating-point operations per second in registers, a multiply-add counted as two.
    pub flops: f64,
}

/// Independent chains of multiply-adds that hide each other's latency.
const CHAINS: usize = 8;
const ROUNDS: usize = 512;
const LANES: usize = 4;

/// Measures both rates.
///
/// # Errors
/// The driver refuses a program, or the device is lost.
pub fn measure_ceiling(gpu: &Gpu, quick: bool) -> Result<Ceiling, fourfold::Error> {
    let budget = Duration::from_millis(if quick { 150 } else { 600 });
    let software = gpu.target().software;

    // Larger than any cache; a software driver's memory is the machine's.
    let vectors: usize = if quick || software { 1 << 21 } else { 1 << 23 };
    let mut bytes = 0f64;
    // Vectors that one invocation copies: hardware wants many invocations, a software driver few.
    for each in [1usize, 4, 16, 64] {
        let workgroups = vectors / 64 / each;
        let rows = workgroups.div_ceil(32_768);
        let dispatch =
            Dispatch::new(gpu, &copy_source(each), &[vectors * 4; 2], [(workgroups / rows) as u32, rows as u32])?;
        let times = measure(gpu, budget / 4, |pass| dispatch.record(pass))?;
        bytes = bytes.max(2.0 * (vectors * 16) as f64 / times.shortest());
    }

    let invocations: usize = if software { 1 << 13 } else { 1 << 20 };
    let operations = (invocations * ROUNDS * CHAINS * LANES * 2) as f64;
    let mut flops = 0f64;
    // Drivers without a fused instruction emulate `fma`, and compilers fuse a product and a sum where they have one.
    for step in ["fma(x, m, a)", "x * m + a"] {
        let dispatch =
            Dispatch::new(gpu, &multiply_add_source(step), &[invocations * 4], [(invocations / 64) as u32, 1])?;
        let times = measure(gpu, budget, |pass| dispatch.record(pass))?;
        flops = flops.max(operations / times.shortest());
    }
    Ok(Ceiling { bytes, flops })
}

fn copy_source(each: usize) -> String {
    format!(
        "@group(0) @binding(0) var<storage, read> source: array<vec4<f32>>;
         @group(0) @binding(1) var<storage, read_write> copied: array<vec4<f32>>;
         @compute @workgroup_size(64)
         fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
                 @builtin(local_invocation_index) lane: u32) {{
             let first = (group.x + group.y * groups.x) * {each}u * 64u + lane;
             for (var step = 0u; step < {each}u; step++) {{
                 copied[first + step * 64u] = source[first + step * 64u];
             }}
         }}"
    )
}

fn multiply_add_source(step: &str) -> String {
    let chains = |text: &dyn Fn(usize) -> String| (0..CHAINS).map(text).collect::<Vec<_>>().join("\n");
    let begin = chains(&|chain| format!("var x{chain} = values[id.x] + {chain}.0;"));
    let work = chains(&|chain| format!("x{chain} = {};", step.replace('x', &format!("x{chain}"))));
    let sum = (0..CHAINS).map(|chain| format!("x{chain}")).collect::<Vec<_>>().join(" + ");
    format!(
        "@group(0) @binding(0) var<storage, read_write> values: array<vec4<f32>>;
         @compute @workgroup_size(64)
         fn main(@builtin(global_invocation_id) id: vec3<u32>) {{
             // Below 1, so that the numbers stay finite; read from memory, so that nothing is known beforehand.
             let m = values[id.x] * 0.5;
             let a = values[id.x] * 0.25;
             {begin}
             for (var round = 0u; round < {ROUNDS}u; round++) {{
                 {work}
             }}
             // The result must be used, and the values must not change between repetitions.
             values[id.x] = min(values[id.x], {sum});
         }}"
    )
}

/// A program of our own with its buffers.
struct Dispatch {
    pipeline: wgpu::ComputePipeline,
    operands: wgpu::BindGroup,
    grid: [u32; 2],
}

impl Dispatch {
    /// `lengths` are the elements of the buffers, all of ones.
    #[expect(unsafe_code, reason = "compiles its programs without runtime checks")]
    fn new(gpu: &Gpu, source: &str, lengths: &[usize], grid: [u32; 2]) -> Result<Self, fourfold::Error> {
        let device = gpu.device();
        let descriptor =
            wgpu::ShaderModuleDescriptor { label: Some("ceiling"), source: wgpu::ShaderSource::Wgsl(source.into()) };
        // SAFETY: the programs index below their buffers' lengths, which the grid divides, and their loops end.
        let module = unsafe { device.create_shader_module_trusted(descriptor, wgpu::ShaderRuntimeChecks::unchecked()) };
        let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some("ceiling"),
            layout: None,
            module: &module,
            entry_point: Some("main"),
            compilation_options: Default::default(),
            cache: None,
        });
        let mut views = Vec::new();
        for &length in lengths {
            views.push(gpu.upload("ceiling", &Data::F32(vec![1.0; length]))?);
        }
        let entries: Vec<_> = (0..)
            .zip(&views)
            .map(|(binding, view)| wgpu::BindGroupEntry { binding, resource: view.buffer.as_entire_binding() })
            .collect();
        let operands = device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some("ceiling"),
            layout: &pipeline.get_bind_group_layout(0),
            entries: &entries,
        });
        Ok(Self { pipeline, operands, grid })
    }

    fn record(&self, pass: &mut wgpu::ComputePass<'_>) {
        pass.set_pipeline(&self.pipeline);
        pass.set_bind_group(0, &self.operands, &[]);
        pass.dispatch_workgroups(self.grid[0], self.grid[1], 1);
    }
}
