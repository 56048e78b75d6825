//! A session on the GPU.

use std::collections::BTreeMap;
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
    /// A session whose inputs and states begin as `values`, or as zeros where no value is given; see
    /// [`Session::builder`] for the others.
    ///
    /// Creates buffers, pipelines and bind groups, but neither submits nor polls: a host may do this on its own device
    /// and [record](Self::record) the steps into its own passes.
    ///
    /// # Errors
    /// A value for a name that the plan lacks, or of another type; or the GPU floor fails: see [`Gpu::prepare`].
    pub fn new(gpu: &Gpu, plan: impl Into<Arc<Plan>>, values: &Values) -> Result<Self, SessionError> {
        Self::builder(gpu, plan).values(values).build()
    }

    /// A session some of whose inputs, states and outputs lie in buffers that are given, see
    /// [`SessionBuilder::on_buffer`](super::SessionBuilder::on_buffer).
    ///
    /// # Errors
    /// As [`SessionBuilder::build`](super::SessionBuilder::build).
    pub fn on_buffers(
        gpu: &Gpu,
        plan: impl Into<Arc<Plan>>,
        values: &Values,
        given: &BTreeMap<String, BufferView>,
    ) -> Result<Self, SessionError> {
        Self::builder(gpu, plan).values(values).on_buffers(given).build()
    }

    /// Prepares the plan on these buffers, one for each of its own.
    pub(super) fn on(gpu: Gpu, plan: Arc<Plan>, buffers: Vec<BufferView>) -> Result<Self, SessionError> {
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
            .map(|(dispatch, views)| Launch { label: &dispatch.label, ..Launch::new(&dispatch.call, views) })
            .collect();
        let recording = gpu.prepare(&launches)?.grouped("session");
        Ok(Self { gpu, plan, buffers, recording, traffic: Traffic::default() })
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

    /// Submits `steps` steps in one submission, and waits for nothing.
    ///
    /// # Errors
    /// The device is lost.
    pub fn submit(&mut self, steps: usize) -> Result<(), SessionError> {
        self.submit_pass(|recording, pass| (0..steps).for_each(|_| recording.record(pass)))
    }

    pub(super) fn submit_pass(
        &mut self,
        record: impl FnOnce(&Recording, &mut wgpu::ComputePass<'_>),
    ) -> Result<(), SessionError> {
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
        check_usage(name, &self.view(region), wgpu::BufferUsages::COPY_DST)?;
        self.overwrite(name, region, data)
    }

    /// Writes a region, called `name` in errors.
    pub(super) fn overwrite(&mut self, name: &str, region: Region, data: &Data) -> Result<(), SessionError> {
        self.gpu.write(name, &self.view(region), data.bytes())?;
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

    /// Submits copies of the named tensors to the host; the ticket has them when the GPU is done.
    ///
    /// # Errors
    /// The plan has no tensor of such a name, or it lies in a given buffer without the usage `COPY_SRC`; no memory for the
    /// copies; the device is lost.
    pub fn submit_readback(&mut self, names: &[&str]) -> Result<Ticket, SessionError> {
        let view = |name: &&str| {
            let binding = self.plan.readable(name)?;
            let view = self.view(binding.region);
            check_usage(name, &view, wgpu::BufferUsages::COPY_SRC)?;
            Ok((view, binding.element))
        };
        let views = names.iter().map(view).collect::<Result<Vec<_>, SessionError>>()?;
        self.copy_back(&views)
    }

    pub(super) fn copy_back(&mut self, views: &[(BufferView, Element)]) -> Result<Ticket, SessionError> {
        let ticket = self.gpu.submit_readback(views)?;
        self.traffic.submissions += 1;
        self.traffic.readbacks += 1;
        Ok(ticket)
    }

    /// Waits for everything submitted and returns the values of an output, a state or an input.
    ///
    /// # Errors
    /// As [`Session::submit_readback`]; also if the device is lost.
    pub async fn read_async(&mut self, name: &str) -> Result<Data, SessionError> {
        let mut values = self.submit_readback(&[name])?.await?;
        Ok(values.pop().unwrap_or_else(|| Data::zeros(Element::F32, 0)))
    }

    /// Waits for everything submitted and returns all states: what a checkpoint holds.
    ///
    /// # Errors
    /// As [`Session::read_async`].
    pub async fn states_async(&mut self) -> Result<Values, SessionError> {
        let names: Vec<String> = self.plan.states.keys().cloned().collect();
        let borrowed: Vec<&str> = names.iter().map(String::as_str).collect();
        let values = self.submit_readback(&borrowed)?.await?;
        Ok(names.into_iter().zip(values).collect())
    }

    pub(super) fn view(&self, region: Region) -> BufferView {
        self.buffers[region.buffer].part(region.offset, region.length)
    }

    /// Overwrites every buffer.
    #[cfg(all(not(target_arch = "wasm32"), feature = "twins"))]
    pub(super) fn restore(&self, buffers: &[Vec<u32>]) -> Result<(), SessionError> {
        let mut each = self.buffers.iter().zip(buffers);
        Ok(each.try_for_each(|(view, words)| self.gpu.write("every buffer", view, words))?)
    }
}

/// The blocking forms.
#[cfg(not(target_arch = "wasm32"))]
impl Session {
    /// Blocks, as [`Session::read_async`].
    ///
    /// # Errors
    /// As [`Session::read_async`].
    pub fn read(&mut self, name: &str) -> Result<Data, SessionError> {
        self.gpu.clone().block_on(self.read_async(name))
    }

    /// Blocks, as [`Session::states_async`].
    ///
    /// # Errors
    /// As [`Session::read_async`].
    pub fn states(&mut self) -> Result<Values, SessionError> {
        self.gpu.clone().block_on(self.states_async())
    }

    /// Runs one step, waits for it and returns how long each of the plan's dispatches took by the GPU's own clock; `None`
    /// where the device was opened without timestamps. Every dispatch is a pass of its own, so the sum is more than a
    /// step takes.
    ///
    /// # Errors
    /// The device is lost, or there is no memory for the timestamps.
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
                timestamps.encode_readback(&self.gpu, encoder, passes as u32)
            })?;
            self.traffic.submissions += 1;
            self.traffic.readbacks += 1;
            times.extend(ticket.wait()?);
        }
        Ok(Some(times))
    }

    /// Every buffer as it is, gaps included.
    #[cfg(feature = "twins")]
    pub(super) fn snapshot(&mut self) -> Result<Vec<Data>, SessionError> {
        let views: Vec<_> = self.buffers.iter().map(|buffer| (buffer.clone(), Element::U32)).collect();
        Ok(self.copy_back(&views)?.wait()?)
    }
}

/// Checks that the buffer of a tensor, which may be a given one, has a usage.
fn check_usage(name: &str, view: &BufferView, expected: wgpu::BufferUsages) -> Result<(), SessionError> {
    let got = view.buffer.usage();
    if got.contains(expected) { Ok(()) } else { Err(SessionError::Usage { name: name.into(), expected, got }) }
}
