//! The step: one kernel advances every lane of an environment, each an episode, by one step with actions that are given.
//!
//! It is put together as the [unroll](crate::rollout::unroll) is, from the same files of environments and with the same random
//! numbers, for policies outside a kernel: networks of many dispatches, and hosts.

pub(crate) mod case;
mod twin;

use std::sync::Arc;

use bytemuck::{Pod, Zeroable};

use crate::description::joined::joined;
use crate::rollout::unroll::composition::{LIBRARY, STEPPING};
use crate::rollout::unroll::environment::check_environment;
use crate::rollout::unroll::straight_line::{is_unchecked, without_needless_checks};
use crate::rollout::unroll::{Environment, sizes, table_binding, traced};
use crate::{Binding, Call, Error, Kernel, KernelRef, Sequence, Sizes, Target, product};

/// Rows of the counters of a lane: steps of its episode so far, what went wrong ([`Fault`](crate::rollout::unroll::Fault)),
/// and the number of its episode since all lanes began.
pub const COUNTERS: usize = 3;

/// The end of a lane that began anew in this step since it was [asked](ASKED) to.
pub const BEGAN: u32 = 3;

/// The end that somebody else writes for a lane which shall begin anew in the next step, whatever becomes of its episode.
pub const ASKED: u32 = 4;

/// An environment to step.
#[derive(Debug, Clone)]
pub struct Composition {
    /// The environment whose episodes advance.
    pub environment: Arc<dyn Environment>,
    /// True if every step of every episode is recorded.
    pub trace: bool,
}

impl Composition {
    /// The same composition, whose environment runs without the shader's runtime checks if its WGSL is seen to need none, as
    /// in an [unroll](crate::rollout::unroll::Composition::without_needless_checks).
    pub fn without_needless_checks(&self) -> Self {
        let environment = without_needless_checks(&self.environment, |environment| self.wgsl_with(environment));
        Self { environment, trace: self.trace }
    }

    fn wgsl_with(&self, environment: Arc<dyn Environment>) -> String {
        Self { environment, trace: self.trace }.wgsl()
    }

    /// Numbers that a lane saves between dispatches: state, return so far.
    pub fn saved(&self) -> usize {
        self.environment.states().saturating_add(1)
    }

    /// The whole kernel as WGSL.
    pub fn wgsl(&self) -> String {
        let environment = &*self.environment;
        let title = format!("// Steps of {}: put together from plain files.\n\n", environment.file());
        let trace = match self.trace {
            true => wgsl!("../unroll/trace_on.wgsl"),
            false => wgsl!("../unroll/trace_off.wgsl"),
        };
        let row = wgsl!("../unroll/slots_in_a_row.wgsl");
        let head = title + &sizes(environment) + "\n" + &Binding::declare(&self.bindings());
        let parts = [environment.source(), STEPPING, row, trace, wgsl!("step.wgsl")];
        joined(head, LIBRARY.into_iter().chain(parts))
    }

    fn bindings(&self) -> Vec<Binding> {
        let mut bindings = vec![
            Binding::read("seed", "(2): key, generation").u32(),
            Binding::read("actions", "(lanes, actions)"),
            Binding::update("saved", "(states + 1, lanes)"),
            Binding::update("counters", "(3, lanes): steps, fault, episode").u32(),
            Binding::update("observations", "(lanes, observations)"),
            Binding::write("rewards", "(lanes)"),
            Binding::update("ends", "(lanes): 0 goes on, 1 ended of itself, 2 time is up, 3 began anew, 4 shall").u32(),
        ];
        if self.trace {
            bindings.push(Binding::update("trace", "(horizon, traced, lanes)"));
        }
        bindings.extend(table_binding(&*self.environment));
        bindings
    }

    /// The kernel, by the name `step.ENVIRONMENT`.
    pub fn kernel(&self) -> Arc<Kernel> {
        let file = self.environment.file();
        let name = format!("step.{}", file.strip_suffix(".wgsl").unwrap_or(file));
        Kernel::composed::<Uniform>(name, self.wgsl(), "advance", self.bindings(), passes, twin::twin, twin::tolerance)
    }
}

/// Copies of state, observation and action, and the loops of an environment, which go over these or a few substeps.
fn passes(call: &Call) -> u64 {
    let copied = |composition: &Composition| {
        let environment = &*composition.environment;
        (traced(environment) as u64)
            .saturating_mul(8)
            .saturating_add(48)
            .saturating_add(environment.iterations() as u64)
    };
    call.context_of().map_or(0, copied)
}

/// The uniform block of `step.wgsl`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
pub(crate) struct Uniform {
    pub fresh: u32,
    pub lanes: u32,
    pub horizon: u32,
    pub stream: u32,
    pub automatic: u32,
    pub episodes: u32,
}

/// One dispatch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Problem {
    /// Episodes that are played side by side.
    pub lanes: usize,
    /// Members of a population, who share the lanes out and meet the same episodes.
    pub members: usize,
    /// Steps after which an episode is cut off.
    pub horizon: usize,
    /// True if every lane starts anew instead of taking a step.
    pub fresh: bool,
    /// True if a lane whose episode is over begins the next one in the same step.
    pub automatic: bool,
    /// The place that draws; the next [`STREAMS`](crate::rollout::unroll::STREAMS)` - 1` are taken too.
    pub stream: u32,
}

impl Problem {
    /// Returns the dispatch with the operands `seed` (`u32`, 2), `actions`, `saved`, `counters` (`u32`), `observations`, `rewards`,
    /// `ends` (`u32`), and `trace` and `environment_table` where the composition has them.
    ///
    /// # Errors
    /// A size out of range.
    pub fn sequence(&self, composition: &Composition, target: &Target) -> Result<Sequence, Error> {
        self.sequence_with(composition, composition.kernel(), if target.software { 8 } else { 64 })
    }

    /// As [`sequence`](Self::sequence), of a kernel that was made before by [`Composition::kernel`], for workgroups of
    /// `workgroup` invocations.
    ///
    /// # Errors
    /// A size out of range.
    pub fn sequence_with(
        &self,
        composition: &Composition,
        kernel: Arc<Kernel>,
        workgroup: usize,
    ) -> Result<Sequence, Error> {
        check_environment(&*composition.environment)?;
        let room = !(composition.trace && composition.environment.table().is_some());
        Sizes("step")
            .expect("storage buffers", room, "at most 8 (beside a table, no trace)", 9)?
            .positive(&[("lanes", self.lanes), ("horizon", self.horizon), ("workgroup", workgroup)])?
            .expect("members", self.shares_out(), "a number that divides the lanes", self.members)?
            .sequence(self.call_with(composition, kernel, workgroup))
    }

    fn shares_out(&self) -> bool {
        self.members > 0 && self.lanes.is_multiple_of(self.members)
    }

    pub(crate) fn call_with(&self, composition: &Composition, kernel: Arc<Kernel>, workgroup: usize) -> Call {
        let Self { lanes, members, horizon, stream, .. } = *self;
        let [fresh, automatic] = [self.fresh, self.automatic].map(u32::from);
        let episodes = (lanes / members) as u32;
        let uniform = Uniform { fresh, lanes: lanes as u32, horizon: horizon as u32, stream, automatic, episodes };
        let environment = &*composition.environment;
        let widths = [environment.actions(), composition.saved(), COUNTERS, environment.observations(), 1, 1];
        let mut lengths: Vec<usize> = [2].into_iter().chain(widths.map(|width| product(&[width, lanes]))).collect();
        if composition.trace {
            lengths.push(product(&[horizon, traced(environment), lanes]));
        }
        lengths.extend(environment.table().map(<[f32]>::len));
        let own = is_unchecked(environment, |environment| composition.wgsl_with(environment))
            && kernel.source == composition.wgsl();
        Call::checked(KernelRef::from(kernel), &uniform, lanes.div_ceil(workgroup), lengths)
            .checked_unless(own)
            .with_constant("WORKGROUP", workgroup as u32)
            .with_context(Arc::new(composition.clone()))
            .with_constants(environment.constants())
    }
}
