//! The plan of a graph: pure data, and a pure function of the graph and the target.

mod canonical;
mod fuse;
mod lower;
mod memory;
mod operation;
mod planner;

use std::collections::BTreeMap;
use std::fmt;

use fourfold_shaders::{Call, Element};

use super::{Op, Shape, Tag};

/// One step of a graph: the dispatches in order and the buffers that they use.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Plan {
    /// The buffers that a session allocates.
    pub buffers: Vec<PlannedBuffer>,
    /// The dispatches of one step, in order.
    pub dispatches: Vec<Dispatch>,
    /// The tensors that the host uploads, by name.
    pub inputs: BTreeMap<String, Binding>,
    /// The tensors that persist between steps, by name.
    pub states: BTreeMap<String, Binding>,
    /// The tensors that can be read after a step, by name.
    pub outputs: BTreeMap<String, Binding>,
}

/// A buffer of a plan.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct PlannedBuffer {
    /// Length in words of four bytes.
    pub words: usize,
    /// Its purpose, for the memory report.
    pub tag: Tag,
    /// The number with which the session fills the buffer, once: zero where gaps between the parts that a step writes must be zero,
    /// or that of a constant. `None` where a step writes every element before it is read.
    pub fill: Option<f32>,
}

/// A stretch of a buffer, in words of four bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Region {
    /// The index in [`Plan::buffers`].
    pub buffer: usize,
    /// Words before the region.
    pub offset: usize,
    /// Words of the region.
    pub length: usize,
}

/// A named region with its type.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Binding {
    /// The words of a buffer that it takes.
    pub region: Region,
    /// The type of its elements.
    pub element: Element,
    /// Its dimensions, outermost first.
    pub shape: Shape,
}

/// One dispatch of a plan.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Dispatch {
    /// The kernel with its constants, grid and uniform block.
    pub call: Call,
    /// One region for each binding of the kernel.
    pub operands: Vec<Region>,
    /// The operation and the line that asked for it.
    pub label: String,
}

impl Plan {
    /// True if a dispatch writes to the buffer.
    pub(super) fn writes(&self, buffer: usize) -> bool {
        self.dispatches
            .iter()
            .any(|dispatch| dispatch.call.kernel.outputs().any(|output| dispatch.operands[output].buffer == buffer))
    }

    /// True if a named tensor has a buffer to itself, which can then be one that the caller gives.
    pub(super) fn is_alone(&self, binding: &Binding) -> bool {
        let Region { buffer, offset, length } = binding.region;
        offset == 0 && self.buffers[buffer].words == length.next_multiple_of(Op::ALIGNMENT)
    }

    /// Bytes that one step reads and writes, each operand of each dispatch counted once.
    pub fn bytes_moved(&self) -> usize {
        self.dispatches.iter().map(|dispatch| dispatch.call.bytes()).sum()
    }

    /// Floating-point operations of one step.
    pub fn flops(&self) -> f64 {
        self.dispatches.iter().map(|dispatch| dispatch.call.flops()).sum()
    }

    /// Bytes of all buffers, by what they are for. A plan allocates everything before the first step, so this is also
    /// the peak.
    pub fn peak_bytes(&self) -> BTreeMap<Tag, usize> {
        let mut bytes = BTreeMap::new();
        for buffer in &self.buffers {
            *bytes.entry(buffer.tag).or_insert(0) += buffer.words * Element::BYTES;
        }
        bytes
    }

    /// Bytes of all buffers.
    pub fn total_bytes(&self) -> usize {
        self.peak_bytes().values().sum()
    }

    /// Counts the dispatches of each kernel in one step.
    pub fn kernels(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for dispatch in &self.dispatches {
            *counts.entry(dispatch.call.kernel.name.to_string()).or_insert(0) += 1;
        }
        counts
    }
}

impl fmt::Display for Plan {
    /// A table of the dispatches, those named whose variant came from a tuning, then the memory by tag.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, dispatch) in self.dispatches.iter().enumerate() {
            let [x, y, z] = dispatch.call.grid;
            write!(formatter, "{index:4}  {:36} grid {x}x{y}x{z}  ", dispatch.call.kernel.name)?;
            for (region, binding) in dispatch.operands.iter().zip(dispatch.call.kernel.bindings.iter()) {
                let arrow = if binding.access.writes() { ">" } else { "" };
                write!(formatter, " {arrow}{}[{}+{}]", region.buffer, region.offset, region.length)?;
            }
            let tuned = dispatch.call.choice().map(|choice| format!("  (tuned: {choice})"));
            writeln!(formatter, "  {}{}", dispatch.label, tuned.unwrap_or_default())?;
        }
        let (dispatches, moved, mflop) = (self.dispatches.len(), self.bytes_moved(), self.flops() / 1e6);
        writeln!(formatter, "{dispatches} dispatches, {moved} bytes moved, {mflop:.3} MFLOP in a step")?;
        for (tag, bytes) in self.peak_bytes() {
            writeln!(formatter, "{:16} {bytes:>12} bytes", format!("{tag:?}"))?;
        }
        Ok(())
    }
}
