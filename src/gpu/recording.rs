//! Prepared dispatches, ready to be recorded into any compute pass.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use super::launch::{self, Extent, Launched};
use super::pipeline::Layouts;
use super::{BufferView, Error, Gpu, Launch};

/// Dispatches with their pipelines, bind groups and uniform blocks. Immutable: it can be recorded any number of times.
#[derive(Debug, Default)]
pub struct Recording {
    dispatches: Vec<Dispatch>,
    /// The launches that they came from, for other buffers.
    launches: Vec<Launched>,
    /// Bytes of uniform blocks and of scratch buffers that belong to this recording.
    bytes: u64,
    /// The name of its debug group; without one it has no group.
    group: String,
}

#[derive(Debug, Clone)]
struct Dispatch {
    pipeline: wgpu::ComputePipeline,
    operands: wgpu::BindGroup,
    uniform: wgpu::BindGroup,
    layouts: Arc<Layouts>,
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

    /// The same dispatches on other buffers, as in ping-pong: each launch takes as many views as [`Gpu::prepare`] was given
    /// for it, in order. Pipelines, uniform blocks and scratch are those of this recording, so that nothing is compiled or
    /// allocated but bind groups.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use fourfold::shaders::normalisation::softmax;
    /// use fourfold::{Gpu, Launch};
    ///
    /// # let gpu = Gpu::open()?;
    /// let [a, b] = [gpu.zeros("a", 1_000)?, gpu.zeros("b", 1_000)?];
    /// let rows = softmax::Problem { rows: 100, columns: 10, log: false }.sequence(&gpu.target())?;
    /// let there = gpu.prepare(&[Launch::new(&rows, &[a.clone(), b.clone()])])?;
    /// let back = there.rebind(&gpu, &[&[b, a]])?; // record `there` in even frames and `back` in odd ones
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Views for more or fewer launches than there are, views that [`Gpu::prepare`] would refuse, or the device was lost.
    pub fn rebind(&self, gpu: &Gpu, views: &[&[BufferView]]) -> Result<Recording, Error> {
        gpu.alive()?;
        if views.len() != self.launches.len() {
            let message = format!("expected views for {} launches, got {}", self.launches.len(), views.len());
            return Err(Error::Validation { operation: "the rebinding of a recording".into(), message });
        }
        let mut launched = Vec::with_capacity(self.dispatches.len());
        for (launch, views) in self.launches.iter().zip(views) {
            launch.dispatches(views, &mut launched)?;
        }
        let mut groups = Groups { gpu, operands: HashMap::new(), uniform: HashMap::new() };
        let mut dispatches = Vec::with_capacity(self.dispatches.len());
        let mut prepared = self.dispatches.iter();
        for launch in &launched {
            launch.check(gpu, Extent::Call)?;
            if launch.call.grid.contains(&0) {
                continue;
            }
            let Some(dispatch) = prepared.next() else { break };
            let operands = groups.operands(launch, &dispatch.layouts, Extent::Call)?;
            dispatches.push(Dispatch { operands, ..dispatch.clone() });
        }
        Ok(Recording { dispatches, launches: self.launches.clone(), bytes: self.bytes, group: self.group.clone() })
    }

    /// The dispatches of both, one after the other, in the group of the first.
    pub fn then(mut self, other: Recording) -> Recording {
        self.dispatches.extend(other.dispatches);
        self.launches.extend(other.launches);
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
        let kept = launches.iter().map(|launch| launch.launched(self)).collect::<Result<Vec<_>, _>>()?;
        let scratch: u64 = kept.iter().map(Launched::bytes).sum();
        let mut launched = Vec::with_capacity(launches.len());
        for (launch, given) in kept.iter().zip(launches) {
            launch.dispatches(given.views, &mut launched)?;
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

        let mut groups = Groups { gpu: self, operands: HashMap::new(), uniform: HashMap::new() };
        let mut dispatches = Vec::with_capacity(launched.len());
        for ((launch, prepared), (uniform_offset, size)) in launched.iter().zip(pipelines).zip(offsets) {
            if launch.call.grid.contains(&0) {
                continue;
            }
            dispatches.push(Dispatch {
                operands: groups.operands(launch, &prepared.layouts, extent)?,
                uniform: groups.uniform(&prepared.layouts, &uniforms, size)?,
                layouts: prepared.layouts,
                pipeline: prepared.pipeline,
                uniform_offset,
                grid: launch.call.grid,
                label: launch.label.into(),
            });
        }
        Ok(Recording { dispatches, launches: kept, bytes: uniforms.size() + scratch, group: String::new() })
    }
}

/// The bind groups of one recording: identical ones are made once.
struct Groups<'a> {
    gpu: &'a Gpu,
    operands: HashMap<(Vec<bool>, Vec<BufferView>), wgpu::BindGroup>,
    uniform: HashMap<u64, wgpu::BindGroup>,
}

impl Groups<'_> {
    fn operands(
        &mut self,
        launch: &launch::Dispatch<'_>,
        layouts: &Layouts,
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
        let group = self.group(&launch.call.kernel.name, &layouts.operands, &entries)?;
        self.operands.insert(key, group.clone());
        Ok(group)
    }

    fn uniform(&mut self, layouts: &Layouts, block: &wgpu::Buffer, size: u64) -> Result<wgpu::BindGroup, Error> {
        if let Some(group) = self.uniform.get(&size) {
            return Ok(group.clone());
        }
        let entries = [wgpu::BindGroupEntry { binding: 0, resource: resource(block, 0, size) }];
        let group = self.group("fourfold uniform block", &layouts.uniform, &entries)?;
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
