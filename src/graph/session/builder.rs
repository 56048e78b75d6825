//! Building a session: the tensors that begin with values, and those that lie in buffers of somebody else.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use fourfold_shaders::{Data, Element};

use super::{Session, SessionError, Values};
use crate::gpu::{BindingProblem, BufferView, Gpu};
use crate::graph::plan::{Binding, Plan};

/// A session before its buffers are made.
///
/// ```
/// use fourfold::graph::{Graph, Plan, Session, Tag, TensorType};
/// use fourfold::shaders::Data;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let gpu = fourfold::Gpu::open()?;
/// let graph = Graph::new();
/// let x = graph.input("x", TensorType::f32([4]));
/// let scale = graph.state("scale", Tag::Weights, TensorType::f32([4]));
/// graph.output("y", x * scale);
///
/// let y = gpu.zeros("y", 4)?;
/// let mut session = Session::builder(&gpu, Plan::new(&graph, &gpu.target())?)
///     .value("scale", Data::F32(vec![2.0; 4]))
///     .on_buffer("y", y)
///     .build()?;
/// session.write("x", &Data::F32(vec![1.0, 2.0, 3.0, 4.0]))?;
/// session.submit(1)?;
/// assert_eq!(session.read("y")?.f32(), [2.0, 4.0, 6.0, 8.0]);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use = "`build` makes the session"]
pub struct SessionBuilder {
    gpu: Gpu,
    plan: Arc<Plan>,
    values: Values,
    given: BTreeMap<String, BufferView>,
}

impl Session {
    /// Begins to build a session, whose inputs and states are zeros in buffers of its own unless the builder is told
    /// otherwise.
    pub fn builder(gpu: &Gpu, plan: impl Into<Arc<Plan>>) -> SessionBuilder {
        SessionBuilder { gpu: gpu.clone(), plan: plan.into(), values: Values::new(), given: BTreeMap::new() }
    }
}

impl SessionBuilder {
    /// Begins an input or a state with these values.
    pub fn value(mut self, name: impl Into<String>, data: Data) -> Self {
        self.values.insert(name.into(), data);
        self
    }

    /// Begins several inputs and states with these values.
    pub fn values(mut self, values: &Values) -> Self {
        self.values.extend(values.iter().map(|(name, data)| (name.clone(), data.clone())));
        self
    }

    /// Places an input, a state or an output in a buffer of a host's or of another session's, so that both see the same
    /// tensor. The buffer keeps what it holds.
    ///
    /// Gaps between the parts of a flat tensor are never written, so a buffer for one should hold zeros.
    pub fn on_buffer(mut self, name: impl Into<String>, view: impl Into<BufferView>) -> Self {
        self.given.insert(name.into(), view.into());
        self
    }

    /// Places several tensors, as [`on_buffer`](Self::on_buffer).
    pub fn on_buffers(mut self, given: &BTreeMap<String, BufferView>) -> Self {
        self.given.extend(given.iter().map(|(name, view)| (name.clone(), view.clone())));
        self
    }

    /// Creates buffers, pipelines and bind groups; neither submits nor polls.
    ///
    /// # Errors
    /// A name that the plan lacks, values of another type, or values for a tensor in a given buffer; a given buffer that
    /// is too short, misaligned, without the usage `STORAGE`, for a tensor that has no buffer of its own, or that overlaps
    /// another one; or the GPU floor fails: see [`Gpu::prepare`].
    pub fn build(self) -> Result<Session, SessionError> {
        let Self { gpu, plan, values, given } = self;
        let mut shared: Vec<Option<BufferView>> = vec![None; plan.buffers.len()];
        let mut placed: Vec<(&str, &Binding, &BufferView)> = Vec::with_capacity(given.len());
        for (name, view) in &given {
            let binding = plan.readable(name)?;
            check_given(&gpu, &plan, name, binding, view)?;
            for &(other, at, theirs) in &placed {
                // Two names of one tensor may lie in one place, and two tensors may not.
                let apart = view.end() <= theirs.offset || theirs.end() <= view.offset;
                let same = at.region == binding.region && theirs == view;
                if at.region == binding.region && !same || view.buffer == theirs.buffer && !apart && !same {
                    return Err(SessionError::SameBytes { first: other.into(), second: name.clone() });
                }
            }
            placed.push((name, binding, view));
            shared[binding.region.buffer] = Some(view.clone());
        }
        check_one_buffer(&plan, &placed)?;
        let mut initial: Vec<Option<Data>> = vec![None; plan.buffers.len()];
        for (name, data) in &values {
            let buffer = plan.writable(name, data)?.region.buffer;
            if shared[buffer].is_some() {
                return Err(SessionError::GivenValue { name: name.clone() });
            }
            initial[buffer] = Some(padded(data, plan.buffers[buffer].words));
        }
        let persistent = plan.inputs.values().chain(plan.states.values());
        let persistent: HashSet<usize> = persistent.map(|binding| binding.region.buffer).collect();
        let buffers = plan.buffers.iter().zip(&initial).zip(shared).enumerate();
        let buffers = buffers
            .map(|(index, ((buffer, initial), shared))| {
                let label = format!("fourfold {:?} {index}", buffer.tag);
                match (shared, initial, buffer.fill) {
                    (Some(given), ..) => Ok(given),
                    (None, Some(data), _) => gpu.upload(&label, data),
                    (None, None, Some(0.0)) => gpu.zeros(&label, buffer.words),
                    (None, None, Some(value)) => gpu.upload(&label, &Data::F32(vec![value; buffer.words])),
                    (None, None, None) if persistent.contains(&index) => gpu.zeros(&label, buffer.words),
                    (None, None, None) => gpu.uninitialised(&label, buffer.words),
                }
            })
            .collect::<Result<Vec<_>, _>>()?;
        Session::on(gpu, plan, buffers)
    }
}

/// Checks that a tensor can lie in a given buffer.
fn check_given(gpu: &Gpu, plan: &Plan, name: &str, binding: &Binding, view: &BufferView) -> Result<(), SessionError> {
    let name = || name.to_owned();
    if !plan.is_alone(binding) {
        return Err(SessionError::SharedBuffer { name: name() });
    }
    if plan.buffers[binding.region.buffer].fill.is_some() && !plan.writes(binding.region.buffer) {
        return Err(SessionError::ConstantTensor { name: name() });
    }
    let bytes = (binding.region.length * Element::BYTES) as u64;
    if view.size < bytes {
        return Err(SessionError::ShortBuffer { name: name(), bytes, got: view.size });
    }
    let usage = view.buffer.usage();
    let alignment = u64::from(gpu.limits().min_storage_buffer_offset_alignment);
    let problem = if !usage.contains(wgpu::BufferUsages::STORAGE) {
        BindingProblem::Usage { usage }
    } else if !view.offset.is_multiple_of(alignment) {
        BindingProblem::Alignment { offset: view.offset, alignment }
    } else if view.end() > view.buffer.size() {
        BindingProblem::OutOfBuffer { end: view.end(), buffer: view.buffer.size() }
    } else {
        return Ok(());
    };
    Err(SessionError::GivenBuffer { name: name(), problem })
}

/// Checks that no dispatch reads one given tensor and writes another in the same buffer.
fn check_one_buffer(plan: &Plan, placed: &[(&str, &Binding, &BufferView)]) -> Result<(), SessionError> {
    for dispatch in &plan.dispatches {
        let access = |binding: &Binding| {
            let mut operands = dispatch.operands.iter().zip(dispatch.call.kernel.bindings.iter());
            operands.find(|(region, _)| region.buffer == binding.region.buffer).map(|(_, bound)| bound.access.writes())
        };
        for (index, (first, at, view)) in placed.iter().enumerate() {
            for (second, other, theirs) in &placed[..index] {
                let apart = at.region.buffer != other.region.buffer;
                if let (true, true, Some(a), Some(b)) = (apart, view.buffer == theirs.buffer, access(at), access(other))
                    && a != b
                {
                    return Err(SessionError::OneBuffer { first: (*second).into(), second: (*first).into() });
                }
            }
        }
    }
    Ok(())
}

/// A tensor's values, followed by zeros up to the size of its buffer.
fn padded(data: &Data, words: usize) -> Data {
    match data {
        Data::F32(values) => Data::F32(values.iter().copied().chain(std::iter::repeat(0.0)).take(words).collect()),
        Data::U32(values) => Data::U32(values.iter().copied().chain(std::iter::repeat(0)).take(words).collect()),
    }
}
