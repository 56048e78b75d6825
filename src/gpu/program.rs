//! Programs, which run on the GPU again and again: their buffers, which of them a checkpoint holds, and their recordings.
//!
//! A [`ProgramPlan`] is pure data: it gives an id for each buffer and each recording, and states the bytes before any
//! device is there. A [`Program`] is that plan on a device.

use std::borrow::Cow;
use std::ops::Range;

use bytemuck::NoUninit;
use fourfold_shaders::{Call, Data, Element, Sequence, Slot, packed};

use super::{BufferView, Error, Gpu, Launch, Recording, Ticket};

/// A buffer of a [`ProgramPlan`], and of the programs made of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BufferId(usize);

/// A recording of a [`ProgramPlan`], and of the programs made of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordingId(usize);

/// The contents of a buffer before the first dispatch.
#[derive(Debug, Clone, PartialEq)]
enum Contents {
    /// NaN in debug builds, see [`Gpu::uninitialised`].
    Uninitialised,
    Zeros,
    Values(Data),
    /// The buffer belongs to somebody else.
    Given,
    /// Lies in another buffer of the plan, from this element on.
    Part(BufferId, usize),
}

/// A buffer as a plan describes it.
#[derive(Debug, Clone, PartialEq)]
pub struct Allocation {
    /// Must be unique among the buffers that a checkpoint holds.
    pub name: Cow<'static, str>,
    /// The type of an element.
    pub element: Element,
    /// Elements.
    pub length: usize,
    contents: Contents,
    kept: bool,
}

impl Allocation {
    fn new(name: impl Into<Cow<'static, str>>, element: Element, length: usize) -> Self {
        Self { name: name.into(), element, length, contents: Contents::Uninitialised, kept: false }
    }

    /// `length` numbers that the first dispatch writes.
    pub fn f32(name: impl Into<Cow<'static, str>>, length: usize) -> Self {
        Self::new(name, Element::F32, length)
    }

    /// `length` integers that the first dispatch writes.
    pub fn u32(name: impl Into<Cow<'static, str>>, length: usize) -> Self {
        Self::new(name, Element::U32, length)
    }

    /// A buffer that starts with these values.
    pub fn values(name: impl Into<Cow<'static, str>>, values: Data) -> Self {
        let (element, length) = (values.element(), values.len());
        Self { contents: Contents::Values(values), ..Self::new(name, element, length) }
    }

    /// Starts as zeros.
    pub fn zeros(self) -> Self {
        Self { contents: Contents::Zeros, ..self }
    }

    /// Lies in a buffer that [`Program::new`] is given, and counts no bytes.
    pub fn given(self) -> Self {
        Self { contents: Contents::Given, ..self }
    }

    /// Goes on from run to run, so that a checkpoint must hold it.
    pub fn kept(self) -> Self {
        Self { kept: true, ..self }
    }

    /// Bytes that the program allocates for it.
    pub fn bytes(&self) -> u64 {
        match self.contents {
            Contents::Given | Contents::Part(..) => 0,
            _ => (self.length as u64).saturating_mul(Element::BYTES as u64),
        }
    }
}

#[derive(Debug, Clone)]
struct Dispatch {
    call: Call,
    operands: Vec<BufferId>,
}

/// The buffers and dispatches of a program, as pure data.
#[derive(Debug, Clone, Default)]
pub struct ProgramPlan {
    buffers: Vec<Allocation>,
    recordings: Vec<Vec<Dispatch>>,
    /// The first problem that no kernel computes.
    refused: Option<Box<fourfold_shaders::Error>>,
}

impl ProgramPlan {
    /// Adds a buffer.
    pub fn buffer(&mut self, allocation: Allocation) -> BufferId {
        self.buffers.push(allocation);
        BufferId(self.buffers.len() - 1)
    }

    /// Puts buffers that start as zeros into one, which it returns and which is zeros too: a dispatch binds it as a whole,
    /// with its parts where [`packed`] says.
    ///
    /// # Panics
    /// If one of the buffers does not start as zeros.
    pub fn pack(&mut self, name: &'static str, parts: &[BufferId]) -> BufferId {
        let lengths: Vec<_> = parts.iter().map(|part| self.buffers[part.0].length).collect();
        let (places, length) = packed(&lengths);
        let whole = self.buffer(Allocation::f32(name, length).zeros());
        for (part, place) in parts.iter().zip(places) {
            let buffer = &mut self.buffers[part.0];
            assert_eq!(buffer.contents, Contents::Zeros, "`{}` starts as zeros", buffer.name);
            buffer.contents = Contents::Part(whole, place);
        }
        whole
    }

    /// Adds a recording without dispatches.
    pub fn recording(&mut self) -> RecordingId {
        self.recordings.push(Vec::new());
        RecordingId(self.recordings.len() - 1)
    }

    /// Adds a dispatch to a recording: a call with a buffer for each binding.
    ///
    /// # Panics
    /// If the recording is of another plan.
    pub fn dispatch(&mut self, recording: RecordingId, call: Call, operands: &[BufferId]) {
        self.recordings[recording.0].push(Dispatch { call, operands: operands.to_vec() });
    }

    /// Adds the dispatches of another recording to a recording.
    ///
    /// # Panics
    /// If a recording is of another plan.
    pub fn extend(&mut self, recording: RecordingId, other: RecordingId) {
        let dispatches = self.recordings[other.0].clone();
        self.recordings[recording.0].extend(dispatches);
    }

    /// Adds the dispatches of a problem's sequence to a recording, and its scratch buffers to the plan. The plan keeps the
    /// error of a problem that no kernel computes, which [`check`](Self::check) and [`Program::new`] return.
    ///
    /// # Panics
    /// If the sequence names an argument that is not there, or the recording is of another plan.
    pub fn sequence(
        &mut self,
        recording: RecordingId,
        sequence: Result<Sequence, fourfold_shaders::Error>,
        arguments: &[BufferId],
    ) {
        let sequence = match sequence {
            Ok(sequence) => sequence,
            Err(error) => {
                self.refused.get_or_insert_with(|| Box::new(error));
                return;
            }
        };
        let scratch: Vec<_> =
            sequence.scratch.iter().map(|buffer| self.buffer(Allocation::f32("scratch", buffer.length))).collect();
        for step in sequence.steps {
            let operands = step.operands.iter().map(|slot| match *slot {
                Slot::Argument(index) => arguments[index],
                Slot::Scratch(index) => scratch[index],
            });
            self.dispatch(recording, step.call, &operands.collect::<Vec<_>>());
        }
    }

    /// Checks that kernels compute every problem whose sequence was added.
    ///
    /// # Errors
    /// The first problem that no kernel computes.
    pub fn check(&self) -> Result<(), Error> {
        match &self.refused {
            Some(error) => Err(fourfold_shaders::Error::clone(error).into()),
            None => Ok(()),
        }
    }

    /// The buffers in the order in which they were added.
    pub fn buffers(&self) -> &[Allocation] {
        &self.buffers
    }

    /// Dispatches of a recording.
    ///
    /// # Panics
    /// If the recording is of another plan.
    pub fn dispatches(&self, recording: RecordingId) -> usize {
        self.recordings[recording.0].len()
    }

    /// Bytes of all buffers that a program allocates.
    pub fn bytes(&self) -> u64 {
        self.buffers.iter().map(Allocation::bytes).fold(0, u64::saturating_add)
    }
}

/// A tensor that a checkpoint holds.
#[derive(Debug, Clone)]
pub struct CheckpointTensor {
    /// Must be unique within the checkpoint.
    pub name: String,
    /// The buffer, which may be longer than the tensor.
    pub view: BufferView,
    /// The type of an element.
    pub element: Element,
    /// Elements.
    pub length: usize,
}

/// A plan on a device.
///
/// Its methods panic for ids of another plan.
#[derive(Debug)]
pub struct Program {
    gpu: Gpu,
    label: &'static str,
    plan: ProgramPlan,
    views: Vec<BufferView>,
    recordings: Vec<Recording>,
}

impl Program {
    /// Creates the buffers and prepares the recordings of a plan; neither submits nor polls. `given` has the buffers
    /// that the plan marks as [given](Allocation::given).
    ///
    /// # Errors
    /// A problem that no kernel computes, a given buffer is missing, a buffer does not fit a binding, out of memory, or a shader that the driver refuses.
    pub fn new(
        gpu: &Gpu,
        label: &'static str,
        plan: ProgramPlan,
        given: &[(BufferId, &BufferView)],
    ) -> Result<Self, Error> {
        plan.check()?;
        let mut views = Vec::with_capacity(plan.buffers.len());
        for (index, buffer) in plan.buffers.iter().enumerate() {
            let Allocation { name, length, .. } = buffer;
            views.push(Some(match &buffer.contents {
                Contents::Part(..) => {
                    views.push(None);
                    continue;
                }
                Contents::Uninitialised => gpu.uninitialised(name, *length)?,
                Contents::Zeros => gpu.zeros(name, *length)?,
                Contents::Values(values) => gpu.upload(name, values)?,
                Contents::Given => match given.iter().find(|(id, _)| id.0 == index) {
                    Some((_, view)) => (*view).clone(),
                    None => {
                        let message = format!("the buffer `{name}` must be given");
                        return Err(Error::Validation { operation: format!("the program `{label}`"), message });
                    }
                },
            }));
        }
        // A part may come before the buffer that holds it.
        let part = |buffer: &Allocation| match buffer.contents {
            Contents::Part(whole, first) => views[whole.0].as_ref().map(|view| view.part(first, buffer.length)),
            _ => None,
        };
        let views: Vec<BufferView> =
            plan.buffers.iter().zip(&views).filter_map(|(b, view)| view.clone().or_else(|| part(b))).collect();
        let mut recordings = Vec::with_capacity(plan.recordings.len());
        for dispatches in &plan.recordings {
            let view = |id: &BufferId| views[id.0].clone();
            let operands: Vec<Vec<BufferView>> =
                dispatches.iter().map(|dispatch| dispatch.operands.iter().map(view).collect()).collect();
            let launches = dispatches.iter().zip(&operands);
            let launches: Vec<_> = launches.map(|(dispatch, views)| Launch::new(&dispatch.call, views)).collect();
            recordings.push(gpu.prepare(&launches)?.grouped(label));
        }
        Ok(Self { gpu: gpu.clone(), label, plan, views, recordings })
    }

    /// The device.
    pub fn gpu(&self) -> &Gpu {
        &self.gpu
    }

    /// A buffer, for kernels and copies of somebody else.
    pub fn view(&self, id: BufferId) -> &BufferView {
        &self.views[id.0]
    }

    /// Dispatches of a recording.
    pub fn dispatches(&self, recording: RecordingId) -> usize {
        self.recordings[recording.0].len()
    }

    /// Records all dispatches of a recording. The caller submits.
    pub fn record(&self, recording: RecordingId, pass: &mut wgpu::ComputePass<'_>) {
        self.recordings[recording.0].record(pass);
    }

    /// Records some dispatches of a recording.
    ///
    /// # Panics
    /// If the range reaches past the last dispatch.
    pub fn record_range(&self, recording: RecordingId, pass: &mut wgpu::ComputePass<'_>, range: Range<usize>) {
        self.recordings[recording.0].record_range(pass, range);
    }

    /// Bytes of the buffers that it allocated.
    pub fn bytes(&self) -> u64 {
        self.plan.bytes()
    }

    /// The tensors that a checkpoint holds, named after `prefix`.
    pub fn kept(&self, prefix: &str) -> Vec<CheckpointTensor> {
        let kept = self.plan.buffers.iter().zip(&self.views).filter(|(buffer, _)| buffer.kept);
        kept.map(|(buffer, view)| CheckpointTensor {
            name: format!("{prefix}{}", buffer.name),
            view: view.clone(),
            element: buffer.element,
            length: buffer.length,
        })
        .collect()
    }

    /// Writes the first elements of a buffer before the next submission.
    ///
    /// # Errors
    /// The device was lost, a given buffer has not the usage `COPY_DST`, or the values reach past the buffer's end.
    pub fn write<T: NoUninit>(&self, id: BufferId, values: &[T]) -> Result<(), Error> {
        self.gpu.write(&self.plan.buffers[id.0].name, self.view(id), values)
    }

    /// Submits a pass, and waits for nothing.
    ///
    /// # Errors
    /// The device was lost, or the driver refused what was recorded.
    pub fn submit_pass(&self, record: impl FnOnce(&mut wgpu::ComputePass<'_>)) -> Result<(), Error> {
        self.gpu.submit_pass(self.label, record)
    }

    /// Submits the dispatches of a recording one by one, and waits for none: a long one must not hold up the others.
    ///
    /// # Errors
    /// The device was lost.
    pub fn submit(&self, recording: RecordingId) -> Result<(), Error> {
        (0..self.dispatches(recording)).try_for_each(|dispatch| self.submit_range(recording, dispatch..dispatch + 1))
    }

    /// Submits some dispatches of a recording together, and waits for none.
    ///
    /// # Errors
    /// The device was lost.
    ///
    /// # Panics
    /// If the range reaches past the last dispatch.
    pub fn submit_range(&self, recording: RecordingId, range: Range<usize>) -> Result<(), Error> {
        self.submit_pass(|pass| self.record_range(recording, pass, range))
    }
}

impl Program {
    /// Waits for the values of buffers.
    ///
    /// # Errors
    /// The device was lost, or a given buffer has not the usage `COPY_SRC`.
    pub async fn read_async<const N: usize>(&self, ids: [BufferId; N]) -> Result<[Data; N], Error> {
        let view = |id: &BufferId| (self.view(*id).clone(), self.plan.buffers[id.0].element);
        let values = self.gpu.submit_readback(&ids.each_ref().map(view))?.await?;
        Ok(values.try_into().unwrap_or_else(|_| unreachable!("a tensor for each buffer")))
    }

    /// Blocks, as [`Program::read_async`].
    ///
    /// # Errors
    /// As [`Program::read_async`].
    #[cfg(not(target_arch = "wasm32"))]
    pub fn read<const N: usize>(&self, ids: [BufferId; N]) -> Result<[Data; N], Error> {
        self.gpu.block_on(self.read_async(ids))
    }
}

impl CheckpointTensor {
    /// Submits copies of the tensors' values to the host, for [`CheckpointTensor::write`] of a later run.
    ///
    /// # Errors
    /// Out of memory.
    pub(crate) fn submit_readback(gpu: &Gpu, tensors: &[Self]) -> Result<Ticket, Error> {
        let views = tensors.iter().map(|tensor| (tensor.view.part(0, tensor.length), tensor.element));
        gpu.submit_readback(&views.collect::<Vec<_>>())
    }

    /// Writes values of the tensor's type before the next submission.
    ///
    /// # Errors
    /// The device was lost, or the buffer has not the usage `COPY_DST`.
    pub(crate) fn write(&self, gpu: &Gpu, values: &Data) -> Result<(), Error> {
        gpu.write(&self.name, &self.view, values.bytes())
    }
}
