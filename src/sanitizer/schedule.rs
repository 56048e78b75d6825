//! A dispatch: workgroups one after another, invocations in the order asked for.

use naga::BuiltIn;

use super::code::{Op, Program};
use super::finding::Fault;
use super::log::{Log, Visit};
use super::machine::{Invocation, State};
use super::memory::Memory;
use super::options::{Options, Order};
use super::passes::{Passes, mix};
use super::subgroup::exchange;

/// Counts of a run.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Counts {
    pub completed: bool,
    pub passes: u64,
    pub lockstep_passes: u64,
    pub instructions: u64,
}

/// The execution of a grid.
pub(super) struct Dispatch<'p, 'r> {
    pub program: &'p Program,
    pub memory: &'r mut Memory,
    pub log: &'r mut Log<'p>,
    pub options: &'r Options,
    pub grid: [u32; 3],
}

/// A stream of random numbers.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = mix(self.0, 1);
        (self.0 % bound as u64) as usize
    }
}

/// Longest turn of an invocation in [`Order::Interleaved`], in instructions.
const TURN: usize = 24;

impl Dispatch<'_, '_> {
    /// Runs all workgroups, or until a fault ends the run.
    pub fn run(&mut self) -> Counts {
        let size: u32 = self.program.workgroup_size.iter().product();
        let mut invocations: Vec<_> = (0..size).map(|_| Invocation::new(self.program)).collect();
        let mut counts = Counts::default();
        let mut random = Random(mix(self.options.seed, 0x5EED));
        let mut passes = Passes::default();
        let workgroups = self.grid.iter().product();
        for number in 0..workgroups {
            self.memory.begin();
            let workgroup = self.log.workgroup(number);
            for (local, invocation) in (0..).zip(&mut invocations) {
                invocation.begin(self.program, number * size + local);
                self.builtins(invocation, workgroup, local);
            }
            let completed = self.workgroup(&mut invocations, &mut passes, &mut random);
            for invocation in &invocations {
                counts.passes = counts.passes.max(invocation.passes);
                counts.instructions += invocation.executed;
            }
            counts.lockstep_passes = counts.lockstep_passes.max(passes.take());
            if !completed || self.log.findings.len() >= self.options.findings {
                return counts;
            }
        }
        counts.completed = true;
        counts
    }

    fn builtins(&self, invocation: &mut Invocation, workgroup: [u32; 3], local: u32) {
        let size = self.program.workgroup_size;
        let lanes = self.options.subgroup_size.max(1);
        let place = [local % size[0], local / size[0] % size[1], local / (size[0] * size[1])];
        for &(builtin, slot) in &self.program.builtins {
            let value: &[u32] = match builtin {
                BuiltIn::GlobalInvocationId => &std::array::from_fn::<_, 3, _>(|i| workgroup[i] * size[i] + place[i]),
                BuiltIn::LocalInvocationId => &place,
                BuiltIn::LocalInvocationIndex => &[local],
                BuiltIn::WorkGroupId => &workgroup,
                BuiltIn::WorkGroupSize => &size,
                BuiltIn::NumWorkGroups => &self.grid,
                BuiltIn::NumSubgroups => &[size.iter().product::<u32>().div_ceil(lanes)],
                BuiltIn::SubgroupId => &[local / lanes],
                BuiltIn::SubgroupSize => &[lanes],
                BuiltIn::SubgroupInvocationId => &[local % lanes],
                // The others do not exist in compute shaders.
                _ => &[],
            };
            invocation.memory[slot as usize..][..value.len()].copy_from_slice(value);
        }
    }

    /// Runs one workgroup; false if a fault ended it.
    fn workgroup(&mut self, invocations: &mut [Invocation], passes: &mut Passes, random: &mut Random) -> bool {
        loop {
            if !self.epoch(invocations, passes, random) {
                return false;
            }
            if invocations.iter().any(|invocation| invocation.state == State::Subgroup) {
                let lanes = self.options.subgroup_size.max(1) as usize;
                for group in invocations.chunks_mut(lanes) {
                    let waits = group.iter().any(|invocation| invocation.state == State::Subgroup);
                    if waits && !self.subgroup(group) {
                        return false;
                    }
                }
                continue;
            }
            if invocations.iter().all(|invocation| invocation.state == State::Ended) {
                return true;
            }
            if !self.together(invocations, State::Barrier) {
                return false;
            }
            let Op::Barrier { flags } = self.program.code[invocations[0].next as usize - 1] else {
                unreachable!("invocations wait at a barrier")
            };
            self.memory.pass(flags);
            invocations.iter_mut().for_each(|invocation| invocation.state = State::Ready);
        }
    }

    /// Runs every invocation until it waits or ends; false after a fault.
    fn epoch(&mut self, invocations: &mut [Invocation], passes: &mut Passes, random: &mut Random) -> bool {
        let mut order: Vec<_> = (0..invocations.len()).filter(|&i| invocations[i].state == State::Ready).collect();
        match self.options.order {
            Order::Forward => order.reverse(),
            Order::Reverse => {}
            Order::Shuffled | Order::Interleaved => {
                (1..order.len()).for_each(|last| order.swap(last, random.below(last + 1)));
            }
        }
        while let Some(&last) = order.last() {
            let (index, turn) = match self.options.order {
                Order::Interleaved => (random.below(order.len()), 1 + random.below(TURN) as u64),
                _ => (order.len() - 1, self.options.instructions.saturating_add(1)),
            };
            let current = if index + 1 == order.len() { last } else { order[index] };
            let invocation = &mut invocations[current];
            invocation.run(self.program, self.memory, self.log, passes, turn);
            if invocation.state == State::Ready && invocation.executed > self.options.instructions {
                let visit = Visit { who: invocation.who, at: invocation.next };
                self.log.add(visit, None, |_| Fault::Endless);
                return false;
            }
            if invocation.state == State::Failed {
                return false;
            }
            if invocation.state != State::Ready {
                order.swap_remove(index);
            }
        }
        true
    }

    /// Returns true if all wait at one place in uniform control flow, and adds a finding if not.
    fn together(&mut self, invocations: &[Invocation], state: State) -> bool {
        let Some(first) = invocations.iter().find(|invocation| invocation.state == state) else { return true };
        let place = |invocation: &Invocation| (invocation.state, invocation.next, invocation.context);
        let Some(other) = invocations.iter().find(|other| place(other) != place(first)) else { return true };
        let visit = |invocation: &Invocation| Visit { who: invocation.who, at: invocation.next - 1 };
        let invocation = other.who % invocations.len() as u32;
        let elsewhere = (other.state != State::Ended).then(|| self.log.site(visit(other)));
        self.log.add(visit(first), None, |_| Fault::Divergence { elsewhere, invocation });
        false
    }

    fn subgroup(&mut self, group: &mut [Invocation]) -> bool {
        if !self.together(group, State::Subgroup) {
            return false;
        }
        let visit = Visit { who: group[0].who, at: group[0].next - 1 };
        exchange(group, self.program.code[visit.at as usize], self.log, visit);
        group.iter_mut().for_each(|invocation| invocation.state = State::Ready);
        true
    }
}
