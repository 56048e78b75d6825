//! A population that is so small that one workgroup runs whole iterations, the update of theta included.

use std::sync::Arc;

use fourfold_shaders::Target;
use fourfold_shaders::inner_problem::{OuterIterations, OuterIterationsProblem, TruncationProblem};
use fourfold_shaders::optimiser::adamw;

use super::OuterSettings;
use crate::gpu::BufferView;
use crate::gpu::program::{Allocation, BufferId, Program, ProgramPlan, RecordingId};

/// The particles of a [`Source`](super::Source) that an [`OuterLoop`](super::OuterLoop) runs many iterations in a dispatch
/// of: at most 512 of at most 64 outer parameters, each with a state of its own.
#[derive(Debug, Clone)]
pub struct SmallPopulation {
    pub(super) iterations: OuterIterations,
    /// A whole unroll.
    pub(super) unroll: TruncationProblem,
    /// The tensors that the inner problem reads.
    pub(super) data: BufferView,
    /// The saved states, then the shares.
    pub(super) saved: BufferView,
    pub(super) counters: BufferView,
    /// The accumulators, then the metrics.
    pub(super) accumulators: BufferView,
}

/// The tensors of an outer loop.
#[derive(Debug, Clone, Copy)]
pub(super) struct LoopIds {
    /// The seed and the step.
    pub counts: BufferId,
    pub center: BufferId,
    pub gradient: BufferId,
    /// The rate, the rings, and the moments of Adam.
    pub outer: BufferId,
}

/// The dispatches of whole iterations: of 1, 2, 4, ... that nobody reads, then of as many that are remembered.
#[derive(Debug, Clone, Copy)]
pub(super) struct Together {
    recording: RecordingId,
    sizes: usize,
}

impl SmallPopulation {
    /// Adds the dispatches to a plan; and its buffers, which the second result gives.
    pub(super) fn plan<'p>(
        &'p self,
        plan: &mut ProgramPlan,
        (settings, adam): (&OuterSettings, Option<adamw::Problem>),
        outer: LoopIds,
        target: &Target,
    ) -> (Together, [(BufferId, &'p BufferView); 4]) {
        let mut given = |name: &'static str, view: &'p BufferView| {
            (plan.buffer(Allocation::f32(name, view.elements()).given()), view)
        };
        let [data, saved, accumulators] =
            [("data", &self.data), ("saved", &self.saved), ("accumulators", &self.accumulators)]
                .map(|(name, view)| given(name, view));
        let counters = (plan.buffer(Allocation::u32("counters", self.counters.elements()).given()), &self.counters);
        let LoopIds { counts, center, gradient, outer } = outer;
        let operands = [counts, center, gradient, data.0, saved.0, counters.0, accumulators.0, outer];

        let kernel = self.iterations.kernel();
        let (recording, sizes) = (plan.recording(), self.sizes(target));
        for remembered in [false, true] {
            for size in 0..sizes {
                let problem = OuterIterationsProblem {
                    unroll: self.unroll,
                    adam,
                    clip: settings.clip,
                    iterations: 1 << size,
                    ring: settings.ring,
                    remembered,
                };
                plan.sequence(recording, problem.sequence(&self.iterations, Arc::clone(&kernel), target), &operands);
            }
        }
        (Together { recording, sizes }, [data, saved, counters, accumulators])
    }

    /// Powers of two up to the most iterations of a dispatch.
    fn sizes(&self, target: &Target) -> usize {
        self.iterations.most_iterations(&self.unroll, target).max(1).ilog2() as usize + 1
    }
}

impl Together {
    /// Records some iterations in as few dispatches as there may be.
    pub fn record(&self, program: &Program, pass: &mut wgpu::ComputePass<'_>, iterations: usize, remembered: bool) {
        let mut left = iterations;
        while left > 0 {
            let size = (left.ilog2() as usize).min(self.sizes - 1);
            let index = size + if remembered { self.sizes } else { 0 };
            program.record_range(self.recording, pass, index..index + 1);
            left -= 1 << size;
        }
    }
}
