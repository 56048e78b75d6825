//! Prepared dispatches, ready to be recorded into any compute pass.

use std::collections::HashMap;
use std::ops::Range;

use super::launch::{self, Extent};
use super::pipeline::Prepared;
use super::{BufferView, Error, Gpu, Launch};

/// Dispatches with their pipelines, bind groups and uniform blocks. Immutable: it can be recorded any number of times.
#[derive(Debug, Default)]
pub struct Recording {
    dispatches: Vec<Dispatch>,
    /// Bytes of uniform blocks and of scratch buffers that belong to this recording.
    bytes: u64,
    /// The name of its debug group; without one it has no group.
    group: String,
}

#[derive(Debug)]
struct Dispatch {
    pipeline: wgpu::ComputePipeline,
    operands: wgpu::BindGroup,
    uniform: wgpu::BindGroup,
    uniform_offset: u32,
    grid: [u32; 3],
    /// The name for debuggers; empty where the caller gave none.
    label: String,
}

impl Recording {
    /// Dispatches in it.
    pub fn len(&self) -> usize {
        self.dispatches.len()
    }

    /// Returns true if there is nothing to dispatch.
    pub fn is_empty(&self) -> bool {
        self.dispatches.is_empty()
    }

    /// Bytes of GPU memory that the recording holds beyond the caller's buffers.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The same recording, which a debugger shows as a group of this name.
    pub fn grouped(self, name: impl Into<String>) -> Recording {
        Self { group: name.into(), ..self }
    }

    /// Records every dispatch into the pass.
    ///
    /// The pass keeps the last pipeline and the bind groups 0 and 1 that were set: a host sets its own again after it.
    pub fn record(&self, pass: &mut wgpu::ComputePass<'_>) {
        self.record_range(pass, 0..self.len());
    }

    /// Records the dispatches of the given indices.
    ///
    /// # Panics
    /// If the range reaches past the last dispatch.
    pub fn record_range(&self, pass: &mut wgpu::ComputePass<'_>, range: Range<usize>) {
        if !self.group.is_empty() {
            pass.push_debug_group(&self.group);
        }
        let mut previous: Option<&Dispatch> = None;
        for dispatch in &self.dispatches[range] {
            if previous.is_none_or(|previous| previous.pipeline != dispatch.pipeline) {
                pass.set_pipeline(&dispatch.pipeline);
            }
            if previous.is_none_or(|previous| previous.operands != dispatch.operands) {
                pass.set_bind_group(0, &dispatch.operands, &[]);
            }
            if previous.is_none_or(|previous| {
                (&previous.uniform, previous.uniform_offset) != (&dispatch.uniform, dispatch.uniform_offset)
            }) {
                pass.set_bind_group(1, &dispatch.uniform, &[dispatch.uniform_offset]);
            }
            if !dispatch.label.is_empty() {
                pass.insert_debug_marker(&dispatch.label);
            }
            let [x, y, z] = dispatch.grid;
            pass.dispatch_workgroups(x, y, z);
            previous = Some(dispatch);
        }
        if !self.group.is_empty() {
            pass.pop_debug_group();
        }
    }

    /// The dispatches of both, one after the other, in the group of the first.
    pub fn then(mut self, other: Recording) -> Recording {
        self.dispatches.extend(other.dispatches);
        self.bytes += other.bytes;
        self
    }
}

/// The uniform blocks of one recording, in one buffer.
#[derive(Debug, Default)]
struct Slab {
    bytes: Vec<u8>,
    /// Equal blocks are stored once.
    offsets: HashMap<Vec<u8>, u32>,
}

impl Slab {
    fn push(&mut self, block: &[u8], alignment: usize) -> u32 {
        if let Some(&offset) = self.offsets.get(block) {
            return offset;
        }
        let offset = self.bytes.len();
        self.bytes.extend_from_slice(block);
        self.bytes.resize(self.bytes.len().next_multiple_of(alignment), 0);
        self.offsets.insert(block.to_vec(), offset as u32);
        offset as u32
    }
}

/// Uniform blocks are bound in multiples of this many bytes, the alignment of WGSL's uniform structures.
const BLOCK: usize = 16;

impl Gpu {
    /// Checks the launches, problems and single calls in any mixture, and builds what recording them takes: scratch
    /// buffers too.
    ///
    /// # Errors
    /// A view that is missing or of the wrong usage, alignment, length or size, views that alias, a grid or a kernel beyond the
    /// device's limits or features, a shader that the driver refuses, or no memory for uniform blocks and scratch.
    pub fn prepare(&self, launches: &[Launch<'_>]) -> Result<Recording, Error> {
        self.prepare_with(launches, Extent::Call)
    }

    pub(crate) fn prepare_with(&self, launches: &[Launch<'_>], extent: Extent) -> Result<Recording, Error> {
        self.alive()?;
        let alignment = self.limits().min_uniform_buffer_offset_alignment as usize;
        let mut slab = Slab::default();
        let (mut launched, mut scratch) = (Vec::with_capacity(launches.len()), 0);
        for launch in launches {
            scratch += launch.dispatches(self, &mut launched)?;
        }
        let mut pipelines = Vec::with_capacity(launched.len());
        let mut offsets = Vec::with_capacity(launched.len());
        for launch in &launched {
            launch.check(self, extent)?;
            pipelines.push(self.pipeline(launch.call)?);
            // An empty uniform block still needs something to bind.
            let mut block = launch.call.uniform.clone();
            block.resize(block.len().next_multiple_of(BLOCK).max(BLOCK), 0);
            offsets.push((slab.push(&block, alignment.max(BLOCK)), block.len() as u64));
        }
        if launched.is_empty() {
            return Ok(Recording::default());
        }

        let usage = wgpu::BufferUsages::UNIFORM;
        let uniforms = self.allocate("fourfold uniform blocks", slab.bytes.len() as u64, usage, true)?;
        self.fill("writing the uniform blocks", &uniforms, |mut mapped| {
            mapped.slice(..slab.bytes.len()).copy_from_slice(&slab.bytes);
        })?;

        let mut groups = Groups { gpu: self, uniforms: &uniforms, operands: HashMap::new(), uniform: HashMap::new() };
        let mut dispatches = Vec::with_capacity(launched.len());
        for ((launch, prepared), (uniform_offset, size)) in launched.iter().zip(pipelines).zip(offsets) {
            if launch.call.grid.contains(&0) {
                continue;
            }
            dispatches.push(Dispatch {
                operands: groups.operands(launch, &prepared, extent)?,
                uniform: groups.uniform(&prepared, size)?,
                pipeline: prepared.pipeline,
                uniform_offset,
                grid: launch.call.grid,
                label: launch.label.into(),
            });
        }
        Ok(Recording { dispatches, bytes: uniforms.size() + scratch, group: String::new() })
    }
}

/// The bind groups of one recording: identical ones are made once.
struct Groups<'a> {
    gpu: &'a Gpu,
    uniforms: &'a wgpu::Buffer,
    operands: HashMap<(Vec<bool>, Vec<BufferView>), wgpu::BindGroup>,
    uniform: HashMap<u64, wgpu::BindGroup>,
}

impl Groups<'_> {
    fn operands(
        &mut self,
        launch: &launch::Dispatch<'_>,
        prepared: &Prepared,
        extent: Extent,
    ) -> Result<wgpu::BindGroup, Error> {
        let signature = launch.call.kernel.bindings.iter().map(|binding| binding.access.writes()).collect();
        let bound = launch.views.iter().zip(launch.sizes(extent));
        let bound: Vec<_> = bound.map(|(view, size)| BufferView { size, ..view.clone() }).collect();
        let key = (signature, bound);
        if let Some(group) = self.operands.get(&key) {
            return Ok(group.clone());
        }
        let entries: Vec<_> = (0..)
            .zip(&key.1)
            .map(|(binding, view)| wgpu::BindGroupEntry {
                binding,
                resource: resource(&view.buffer, view.offset, view.size),
            })
            .collect();
        let group = self.group(&launch.call.kernel.name, &prepared.layouts.operands, &entries)?;
        self.operands.insert(key, group.clone());
        Ok(group)
    }

    fn uniform(&mut self, prepared: &Prepared, size: u64) -> Result<wgpu::BindGroup, Error> {
        if let Some(group) = self.uniform.get(&size) {
            return Ok(group.clone());
        }
        let entries = [wgpu::BindGroupEntry { binding: 0, resource: resource(self.uniforms, 0, size) }];
        let group = self.group("fourfold uniform block", &prepared.layouts.uniform, &entries)?;
        self.uniform.insert(size, group.clone());
        Ok(group)
    }

    fn group(
        &self,
        label: &str,
        layout: &wgpu::BindGroupLayout,
        entries: &[wgpu::BindGroupEntry<'_>],
    ) -> Result<wgpu::BindGroup, Error> {
        let descriptor = wgpu::BindGroupDescriptor { label: Some(label), layout, entries };
        let operation = format!("the bind group of `{label}`");
        self.gpu.attempt(&operation, || self.gpu.device().create_bind_group(&descriptor))
    }
}

fn resource(buffer: &wgpu::Buffer, offset: u64, size: u64) -> wgpu::BindingResource<'_> {
    wgpu::BindingResource::Buffer(wgpu::BufferBinding { buffer, offset, size: wgpu::BufferSize::new(size) })
}
