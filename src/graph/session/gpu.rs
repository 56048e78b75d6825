//! A session on the GPU.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
#[cfg(not(target_arch = "wasm32"))]
use std::time::Duration;

use fourfold_shaders::{Data, Element};

use super::{SessionError, Values};
#[cfg(not(target_arch = "wasm32"))]
use crate::gpu::Timestamps;
use crate::gpu::{BufferView, Gpu, Launch, Recording, Ticket};
use crate::graph::plan::{Plan, Region};

/// Counts of a session's requests to the queue so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Traffic {
    /// Submissions to the queue.
    pub submissions: usize,
    /// Tensors written by the host after the session was made.
    pub uploads: usize,
    /// Submissions that copied something back to the host.
    pub readbacks: usize,
}

/// A plan with its buffers on a GPU. Parameters and optimiser state stay there from step to step.
#[derive(Debug)]
pub struct Session {
    gpu: Gpu,
    plan: Arc<Plan>,
    buffers: Vec<BufferView>,
    recording: Recording,
    traffic: Traffic,
}

impl Session {
    /// A session whose inputs and states begin as `values`, or as zeros where no value is given.
    ///
    /// Creates buffers, pipelines and bind groups, but neither submits nor polls: a host may do this on its own device
    /// and [record](Self::record) the steps into its own passes.
    ///
    /// # Errors
    /// A value for a name that the plan lacks, or of another type; or the GPU floor fails: see [`Gpu::prepare`].
    pub fn new(gpu: &Gpu, plan: impl Into<Arc<Plan>>, values: &Values) -> Result<Self, SessionError> {
        Self::on_buffers(gpu, plan, values, &BTreeMap::new())
    }

    /// A session some of whose inputs, states and outputs lie in buffers that are given: a host's own, or those of
    /// another session, so that both see the same weights.
    ///
    /// A given buffer keeps what it holds: `values` begin only the buffers that the session makes. Gaps between the parts
    /// of a flat tensor are never written, so a buffer that is given for one should hold zeros.
    ///
    /// # Errors
    /// As [`Session::new`]; also a given buffer that is too short, or one for a tensor that has none of its own.
    pub fn on_buffers(
        gpu: &Gpu,
        plan: impl Into<Arc<Plan>>,
        values: &Values,
        given: &BTreeMap<String, BufferView>,
    ) -> Result<Self, SessionError> {
        let plan = plan.into();
        let mut shared: Vec<Option<BufferView>> = vec![None; plan.buffers.len()];
        for (name, view) in given {
            let binding = plan.readable(name)?;
            let bytes = (binding.region.length * Element::BYTES) as u64;
            if !plan.is_alone(binding) {
                return Err(SessionError::SharedBuffer { name: name.clone() });
            }
            let filled = plan.buffers[binding.region.buffer].fill.is_some();
            if filled && !plan.writes(binding.region.buffer) {
                return Err(SessionError::ConstantTensor { name: name.clone() });
            }
            check_usage(name, view, wgpu::BufferUsages::STORAGE)?;
            if view.size < bytes {
                return Err(SessionError::ShortBuffer { name: name.clone(), bytes, got: view.size });
            }
            shared[binding.region.buffer] = Some(view.clone());
        }
        let mut initial: Vec<Option<Data>> = vec![None; plan.buffers.len()];
        for (name, data) in values {
            initial[plan.writable(name, data)?.region.buffer] = Some(padded(data, &plan, name)?);
        }
        let persistent = plan.inputs.values().chain(plan.states.values());
        let persistent: std::collections::HashSet<usize> = persistent.map(|binding| binding.region.buffer).collect();
        let buffers = plan
            .buffers
            .iter()
            .zip(&initial)
            .enumerate()
            .map(|(index, (buffer, initial))| {
                let label = format!("fourfold {:?} {index}", buffer.tag);
                match (&shared[index], initial, buffer.fill) {
                    (Some(given), ..) => Ok(given.clone()),
                    (None, Some(data), _) => gpu.upload(&label, data),
                    (None, None, Some(0.0)) => gpu.zeros(&label, buffer.words),
                    (None, None, Some(value)) => gpu.upload(&label, &Data::F32(vec![value; buffer.words])),
                    (None, None, None) if persistent.contains(&index) => gpu.zeros(&label, buffer.words),
                    (None, None, None) => gpu.uninitialised(&label, buffer.words),
                }
            })
            .collect::<Result<Vec<_>, _>>()?;
        let recording = prepare(gpu, &plan, &buffers)?;
        Ok(Self { gpu: gpu.clone(), plan, buffers, recording, traffic: Traffic::default() })
    }

    /// Returns the plan that the session runs.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Returns the GPU that it runs on.
    pub fn gpu(&self) -> &Gpu {
        &self.gpu
    }

    /// Returns the requests to the queue so far.
    pub fn traffic(&self) -> Traffic {
        self.traffic
    }

    /// Records one step into a pass. The caller submits.
    pub fn record(&self, pass: &mut wgpu::ComputePass<'_>) {
        self.recording.record(pass);
    }

    /// Runs `steps` steps in one submission, without waiting for them.
    ///
    /// # Errors
    /// The device is lost.
    pub fn run(&mut self, steps: usize) -> Result<(), SessionError> {
        self.submit(|recording, pass| (0..steps).for_each(|_| recording.record(pass)))
    }

    /// Runs the dispatches of a range, without waiting for them.
    #[cfg(not(target_arch = "wasm32"))]
    pub(super) fn run_range(&mut self, range: Range<usize>) -> Result<(), SessionError> {
        self.submit(|recording, pass| recording.record_range(pass, range))
    }

    /// Runs one step and returns how long each of the plan's dispatches took by the GPU's own clock; `None` where the
    /// device was opened without timestamps. Every dispatch is a pass of its own, so the sum is more than a step takes.
    ///
    /// # Errors
    /// The device is lost, or there is no memory for the timestamps.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn profile(&mut self) -> Result<Option<Vec<Duration>>, SessionError> {
        let count = self.plan.dispatches.len();
        let Some(timestamps) = Timestamps::new(&self.gpu, count as u32)? else { return Ok(None) };
        let most = timestamps.passes() as usize;
        let mut times = Vec::with_capacity(count);
        for first in (0..count).step_by(most) {
            let passes = most.min(count - first);
            let ticket = self.gpu.submit("fourfold profile", |encoder| {
                for pass in 0..passes {
                    let timestamp_writes = timestamps.writes(pass as u32);
                    let descriptor = wgpu::ComputePassDescriptor { label: None, timestamp_writes };
                    let dispatch = first + pass;
                    self.recording.record_range(&mut encoder.begin_compute_pass(&descriptor), dispatch..dispatch + 1);
                }
                timestamps.readback(&self.gpu, encoder, passes as u32)
            })?;
            self.traffic.submissions += 1;
            self.traffic.readbacks += 1;
            times.extend(ticket.wait()?);
        }
        Ok(Some(times))
    }

    /// Submits one pass.
    fn submit(&mut self, record: impl FnOnce(&Recording, &mut wgpu::ComputePass<'_>)) -> Result<(), SessionError> {
        self.gpu.submit_pass("fourfold session", |pass| record(&self.recording, pass))?;
        self.traffic.submissions += 1;
        Ok(())
    }

    /// Sets an input or a state before the next submission.
    ///
    /// # Errors
    /// The plan has no input or state of this name, or one of another type; it lies in a given buffer without the usage
    /// `COPY_DST`; the device is lost.
    pub fn write(&mut self, name: &str, data: &Data) -> Result<(), SessionError> {
        let region = self.plan.writable(name, data)?.region;
        let view = self.view(region);
        check_usage(name, &view, wgpu::BufferUsages::COPY_DST)?;
        self.gpu.write(name, &view, data.bytes())?;
        self.traffic.uploads += 1;
        Ok(())
    }

    /// Returns the buffer of an output, a state or an input, for a host's own kernels and copies.
    ///
    /// # Errors
    /// The plan has no tensor of this name.
    pub fn buffer(&self, name: &str) -> Result<BufferView, SessionError> {
        Ok(self.view(self.plan.readable(name)?.region))
    }

    /// Copies the named tensors to the host; the ticket has them when the GPU is done.
    ///
    /// # Errors
    /// The plan has no tensor of such a name, or it lies in a given buffer without the usage `COPY_SRC`; no memory for the
    /// copies; the device is lost.
    pub fn readback(&mut self, names: &[&str]) -> Result<Ticket, SessionError> {
        let view = |name: &&str| {
            let binding = self.plan.readable(name)?;
            let view = self.view(binding.region);
            check_usage(name, &view, wgpu::BufferUsages::COPY_SRC)?;
            Ok((view, binding.element))
        };
        let views = names.iter().map(view).collect::<Result<Vec<_>, SessionError>>()?;
        self.copy_back(&views)
    }

    fn copy_back(&mut self, views: &[(BufferView, Element)]) -> Result<Ticket, SessionError> {
        let ticket = self.gpu.submit_readback(views)?;
        self.traffic.submissions += 1;
        self.traffic.readbacks += 1;
        Ok(ticket)
    }

    /// Waits for everything submitted and returns the values of an output, a state or an input.
    ///
    /// # Errors
    /// As [`Session::readback`]; also if the device is lost.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn read(&mut self, name: &str) -> Result<Data, SessionError> {
        let mut values = self.readback(&[name])?.wait()?;
        Ok(values.pop().unwrap_or_else(|| Data::zeros(Element::F32, 0)))
    }

    /// Waits for everything submitted and returns all states: what a checkpoint holds.
    ///
    /// # Errors
    /// As [`Session::read`].
    #[cfg(not(target_arch = "wasm32"))]
    pub fn states(&mut self) -> Result<Values, SessionError> {
        let names: Vec<String> = self.plan.states.keys().cloned().collect();
        let borrowed: Vec<&str> = names.iter().map(String::as_str).collect();
        let values = self.readback(&borrowed)?.wait()?;
        Ok(names.into_iter().zip(values).collect())
    }

    fn view(&self, region: Region) -> BufferView {
        self.buffers[region.buffer].part(region.offset, region.length)
    }

    /// Every buffer as it is, gaps included.
    #[cfg(not(target_arch = "wasm32"))]
    pub(super) fn snapshot(&mut self) -> Result<Vec<Data>, SessionError> {
        let views: Vec<_> = self.buffers.iter().map(|buffer| (buffer.clone(), Element::U32)).collect();
        Ok(self.copy_back(&views)?.wait()?)
    }

    /// Overwrites every buffer.
    pub(super) fn restore(&self, buffers: &[Vec<u32>]) -> Result<(), SessionError> {
        let mut each = self.buffers.iter().zip(buffers);
        Ok(each.try_for_each(|(view, words)| self.gpu.write("every buffer", view, words))?)
    }
}

/// Checks that the buffer of a tensor, which may be a given one, has a usage.
fn check_usage(name: &str, view: &BufferView, expected: wgpu::BufferUsages) -> Result<(), SessionError> {
    let got = view.buffer.usage();
    if got.contains(expected) { Ok(()) } else { Err(SessionError::Usage { name: name.into(), expected, got }) }
}

/// A tensor's values, followed by zeros up to the size of its buffer.
fn padded(data: &Data, plan: &Plan, name: &str) -> Result<Data, SessionError> {
    let words = plan.buffers[plan.writable(name, data)?.region.buffer].words;
    let mut padded = Data::zeros(data.element(), words);
    match (&mut padded, data) {
        (Data::F32(padded), Data::F32(data)) => padded[..data.len()].copy_from_slice(data),
        (Data::U32(padded), Data::U32(data)) => padded[..data.len()].copy_from_slice(data),
        _ => unreachable!("both have the element type of the data"),
    }
    Ok(padded)
}

fn prepare(gpu: &Gpu, plan: &Plan, buffers: &[BufferView]) -> Result<Recording, SessionError> {
    // A view is rounded up to a vec4 where its buffer has room for it; our own are multiples of it.
    let view = |region: &Region| {
        let buffer = &buffers[region.buffer];
        buffer.part(region.offset, region.length.next_multiple_of(4).min(buffer.elements() - region.offset))
    };
    let views: Vec<Vec<BufferView>> =
        plan.dispatches.iter().map(|dispatch| dispatch.operands.iter().map(view).collect()).collect();
    let launches: Vec<_> = plan
        .dispatches
        .iter()
        .zip(&views)
        .map(|(dispatch, views)| Launch { call: &dispatch.call, views, label: &dispatch.label })
        .collect();
    Ok(gpu.prepare(&launches)?)
}
