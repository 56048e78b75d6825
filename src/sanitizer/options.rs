//! The choices of a run, and its result.

use fourfold_shaders::Data;

use super::finding::Finding;

/// The order in which the invocations of a workgroup run between two barriers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// By their index, from the first.
    Forward,
    /// By their index, from the last.
    Reverse,
    /// In another random order after each barrier.
    Shuffled,
    /// In turns of a few random instructions each.
    Interleaved,
}

/// Options of [`run`](super::run).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// The order of invocations between barriers.
    pub order: Order,
    /// Random seed of the order.
    pub seed: u64,
    /// Lanes of a subgroup; the last subgroup of a workgroup may have fewer.
    pub subgroup_size: u32,
    /// Instructions that one invocation may take before it counts as endless.
    pub instructions: u64,
    /// Distinct faults that a run reports before it stops.
    pub findings: usize,
}

impl Default for Options {
    /// A shuffled order, subgroups of 8 lanes, 2^32 instructions, 16 faults.
    fn default() -> Self {
        Self { order: Order::Shuffled, seed: 0, subgroup_size: 8, instructions: 1 << 32, findings: 16 }
    }
}

/// The result of a run.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Report {
    /// The faults, each pair of lines once, in the order in which they were found.
    pub findings: Vec<Finding>,
    /// False if a fault ended the run: an index out of bounds, a barrier that not all reach, an endless invocation.
    pub completed: bool,
    /// Passes through all loops in sum, of the invocation that makes the most. The pass that only finds the loop's
    /// condition false counts.
    pub passes: u64,
    /// The same where a workgroup runs in lockstep, as on drivers that run invocations as lanes of one vector: every
    /// loop takes as many passes as the invocation that makes the most. At least [`Report::passes`].
    pub lockstep_passes: u64,
    /// Instructions executed by all invocations.
    pub instructions: u64,
    /// The operands after the run, one for each binding.
    pub outputs: Vec<Data>,
}

impl Report {
    /// Returns true if no fault was found.
    pub fn passed(&self) -> bool {
        self.findings.is_empty()
    }
}
