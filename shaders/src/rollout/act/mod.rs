//! The act: one kernel takes one step of a policy in every lane, with observations that are given.
//!
//! It is put together as the [unroll](crate::rollout::unroll) is, from the same files of policies, for worlds outside a kernel: a
//! host's own, and environments that are [stepped](crate::rollout::step).

pub(crate) mod case;
mod twin;

use std::sync::Arc;

use bytemuck::{Pod, Zeroable};

use crate::description::joined::joined;
use crate::rollout::unroll::composition::LIBRARY;
use crate::rollout::unroll::policy::{check_policy, sizes, without_tables};
use crate::rollout::unroll::{Interface, Policy, Team};
use crate::{Binding, Call, Error, Kernel, KernelRef, Sequence, Sizes, Target, product, sum};

/// Invocations of a workgroup that GPUs get.
const WORKGROUP: usize = 64;

/// The WGSL by which a workgroup shares weights and tables.
const SHARED: &str = wgsl!("../unroll/weights_shared.wgsl");

/// A policy to act with.
#[derive(Debug, Clone)]
pub struct Composition {
    /// The policy that acts.
    pub policy: Arc<dyn Policy>,
    /// The sizes of its inputs and actions.
    pub interface: Interface,
}

impl Composition {
    /// Numbers that a lane remembers; arrays of WGSL are not empty.
    pub fn memory(&self) -> usize {
        self.policy.memory(self.interface).max(1)
    }

    /// True if a workgroup shares weights and tables: tables are worth computing once, where they fit beside the weights.
    fn shares(&self, target: &Target) -> bool {
        let tables = self.policy.tables(self.interface);
        let weights = product(&[2, self.policy.weights(self.interface).div_ceil(2)]);
        let numbers = sum(&[weights, product(&[4, tables]), 1]);
        tables > 0 && product(&[numbers, size_of::<f32>()]) <= target.workgroup_memory as usize
    }

    /// The sizes that the policy's file names, as WGSL constants.
    pub fn sizes(&self) -> String {
        self.sizes_with(None)
    }

    fn sizes_with(&self, team: Option<&Team>) -> String {
        let actions = self.interface.actions;
        format!("const ACTIONS: u32 = {actions}u;\n") + &sizes(&*self.policy, self.interface, team, true)
    }

    /// The form of the policy on a target if a team acts in each lane: on GPUs, where it has one with room for it.
    fn team(&self, target: &Target) -> Option<Team> {
        let team = self.policy.team(self.interface).filter(|_| !target.software)?;
        (self.teams(&team, WORKGROUP) > 0).then_some(team)
    }

    /// Lanes of a workgroup in each of which a team acts, 0 if one has no room.
    fn teams(&self, team: &Team, workgroup: usize) -> usize {
        let weights = product(&[2, self.policy.weights(self.interface).div_ceil(2)]);
        let kept = sum(&[weights, product(&[4, team.tables.max(1)])]);
        team.slots(&*self.policy, self.interface, [kept, 0], usize::MAX >> 1, workgroup)
    }

    /// The whole kernel as WGSL, for a target.
    pub fn wgsl(&self, target: &Target) -> String {
        let title = format!("// Steps of {}: put together from plain files.\n\n", self.policy.file());
        let team = self.team(target);
        let mut text = title + &self.sizes_with(team.as_ref()) + "\n" + &Binding::declare(&self.bindings());
        text.push_str(without_tables(team.as_ref().map_or(self.policy.tables(self.interface), |team| team.tables)));
        const TEAM: &str = wgsl!("../unroll/team.wgsl", "act_team.wgsl");
        let (policy, act) = match &team {
            Some(team) => (&*team.source, TEAM),
            None => (self.policy.source(), wgsl!("act.wgsl")),
        };
        let kept: &[&str] = match team.is_some() || self.shares(target) {
            true => &[wgsl!("../unroll/weights_given.wgsl"), SHARED],
            false => &[
                wgsl!("../unroll/slots_in_a_row.wgsl"),
                wgsl!("weight_read.wgsl"),
                wgsl!("../unroll/weights_streamed.wgsl"),
            ],
        };
        let parts = LIBRARY.into_iter().chain([wgsl!("lanes.wgsl")]).chain(kept.iter().copied());
        joined(text, parts.chain([policy, act]))
    }

    fn bindings(&self) -> Vec<Binding> {
        vec![
            Binding::read("weights", "(parameters)"),
            Binding::read("observations", "(lanes, inputs)"),
            Binding::read("begins", "(lanes): not 0 where an episode begins, and memory counts as zeros").u32(),
            Binding::update("memory", "(lanes, memory)"),
            Binding::write("actions", "(lanes, actions)"),
        ]
    }

    /// The kernel, by the name `act.POLICY`.
    pub fn kernel(&self, target: &Target) -> Arc<Kernel> {
        let file = self.policy.file();
        let name = format!("act.{}", file.strip_suffix(".wgsl").unwrap_or(file));
        Kernel::composed::<Uniform>(
            name,
            self.wgsl(target),
            "act",
            self.bindings(),
            passes,
            twin::twin,
            twin::tolerance,
        )
    }
}

/// Copies of memory, inputs and actions, the loops of the policy, and weights (in twos) and tables where a workgroup shares
/// them out to its invocations; each loop has a pass that finds its condition false besides.
fn passes(call: &Call) -> u64 {
    const TABLE: usize = 64;
    let Some(Composition { policy, interface }) = call.context_of() else { return 0 };
    let memory = policy.memory(*interface);
    let copies = sum(&[memory, memory, interface.inputs, interface.actions]);
    let (weights, tables) = (policy.weights(*interface).div_ceil(2), policy.tables(*interface));
    let acting = policy.iterations(*interface);
    let all = match call.constant("WORKGROUP") {
        Some(lanes) if call.kernel.source.contains(SHARED) => {
            let each = |count: usize| count.div_ceil(lanes as usize);
            sum(&[copies, each(weights), product(&[TABLE, each(tables)]), acting])
        }
        // A table that is kept nowhere is computed wherever it is used.
        _ => sum(&[copies, product(&[acting, if tables > 0 { TABLE } else { 1 }])]),
    };
    sum(&[all, all / 4, 64]) as u64
}

/// The uniform block of `act.wgsl`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
pub(crate) struct Uniform {
    pub members: u32,
    pub present: u32,
    pub groups: u32,
}

/// One dispatch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Problem {
    /// Episodes side by side.
    pub lanes: usize,
}

impl Problem {
    /// Returns the dispatch with the operands `weights`, `observations`, `begins` (`u32`), `memory` and `actions`.
    ///
    /// # Errors
    /// A size out of range.
    pub fn sequence(&self, composition: &Composition, target: &Target) -> Result<Sequence, Error> {
        let Composition { policy, interface } = composition;
        check_policy(&**policy, *interface)?;
        Sizes("act").positive(&[("lanes", self.lanes)])?.sequence(self.call(composition, target))
    }

    pub(super) fn call(&self, composition: &Composition, target: &Target) -> Call {
        // Each workgroup that shares tables computes them: on a software driver, eight lanes would pay for them too often.
        let workgroup = match (target.software, composition.shares(target)) {
            (true, true) => self.lanes.next_multiple_of(8).min(32),
            (true, false) => 8,
            (false, _) => WORKGROUP,
        };
        self.call_with(composition, target, workgroup)
    }

    /// As [`call`](Self::call), for workgroups of `workgroup` invocations.
    fn call_with(&self, composition: &Composition, target: &Target, workgroup: usize) -> Call {
        let lanes = self.lanes;
        let Composition { policy, interface } = composition;
        let widths =
            [interface.inputs, 1, composition.memory(), interface.actions].map(|width| product(&[width, lanes]));
        let lengths: Vec<usize> = [policy.weights(*interface)].into_iter().chain(widths).collect();
        let uniform = Uniform { members: 1, present: 1, groups: lanes as u32 };
        let teams = composition.team(target).map(|team| composition.teams(&team, workgroup).max(1));
        let kernel = KernelRef::from(composition.kernel(target));
        let mut call = Call::checked(kernel, &uniform, lanes.div_ceil(teams.unwrap_or(workgroup)), lengths);
        if let Some(teams) = teams {
            call = call.with_constant("SLOTS", teams as u32);
        }
        call.checked_unless(policy.runtime_checks().are_off(&**policy))
            .with_constant("WORKGROUP", workgroup as u32)
            .with_context(Arc::new(composition.clone()))
            .with_constants(policy.constants())
    }
}
