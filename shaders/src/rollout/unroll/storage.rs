//! The memory in which a target best keeps the weights of a member, and what each takes.

use super::composition::{Composition, WORKGROUP, WeightStorage};
use super::policy::LEAST_TEAM;
use super::{Interface, Team};
use crate::{Target, product, sum};

impl Composition {
    /// Numbers that are kept of one member: weights and tables.
    fn numbers(&self, storage: WeightStorage) -> usize {
        sum(&[product(&[2, self.parameters().div_ceil(2)]), product(&[4, self.tables(storage).max(1)])])
    }

    /// The form of the policy that such a kernel has, if teams play its slots.
    pub(super) fn team(&self, storage: WeightStorage) -> Option<Team> {
        self.policy.team(self.interface()).filter(|_| storage.has_teams())
    }

    /// Tables of four numbers.
    pub(super) fn tables(&self, storage: WeightStorage) -> usize {
        self.team(storage).map_or_else(|| self.policy.tables(self.interface()), |team| team.tables)
    }

    /// Slots of one workgroup of `workgroup` invocations, each of which a team plays, of members with `groups` slots: 0 if
    /// there is no such form, or a team has no room ([`Team::slots`]).
    pub(super) fn teams(&self, storage: WeightStorage, groups: usize, workgroup: usize) -> usize {
        let kept = if storage == WeightStorage::Team { self.numbers(storage) } else { 0 };
        // With a flag.
        let each = sum(&[self.environment.observations(), 1]);
        let team = self.team(storage);
        team.map_or(0, |team| team.slots(&*self.policy, self.interface(), [kept, each], groups, workgroup))
    }

    /// True if the target is a GPU on which a team of invocations plays a slot in so much memory.
    fn has_room(&self, storage: WeightStorage, target: &Target) -> bool {
        !target.software && self.teams(storage, 1, WORKGROUP) > 0
    }

    /// True if a software driver compiles private arrays of that length in good time. WGSL fills them with zeros, and
    /// one driver spends 0.7 s on 100 of these stores, but 20 s on 1,000.
    pub(super) fn is_small(&self) -> bool {
        self.numbers(WeightStorage::Private) <= 256
    }

    /// The most steps that a dispatch on this target may take.
    ///
    /// Mesa's llvmpipe leaves every loop of an invocation, without an error, once their passes come to 65,535 in all.
    /// A policy that needs more in a single step cannot run there: the answer is then 0.
    pub fn most_steps(&self, storage: WeightStorage, target: &Target) -> usize {
        let Some(limit) = target.loop_passes() else { return u32::MAX as usize / 4 };
        let (once, step) = self.passes(storage);
        (limit as usize).saturating_sub(once) / step
    }

    /// Passes through loops of an invocation: before and behind all steps, and in each.
    pub(super) fn passes(&self, storage: WeightStorage) -> (usize, usize) {
        const TABLE: usize = 64;
        let interface = self.interface();
        // Weights in twos, tables, and the state and memory that are loaded and stored.
        let weights = match storage {
            WeightStorage::Streamed | WeightStorage::TeamStreamed => 0,
            WeightStorage::Team => {
                let table = self.team(storage).map_or(0, |team| team.table_passes);
                let each = |count: usize| count.div_ceil(LEAST_TEAM);
                sum(&[each(self.parameters()), product(&[table, each(self.tables(storage))])])
            }
            _ => sum(&[self.parameters().div_ceil(2), product(&[TABLE, self.policy.tables(interface)])]),
        };
        let once = sum(&[weights, self.saved(), self.saved()]);
        if storage == WeightStorage::Registers {
            // What can be unrolled is: a pass for the step, and one or two for each input are left.
            return (once, sum(&[product(&[4, interface.inputs]), self.environment.iterations(), 16]));
        }
        let Interface { inputs, actions } = interface;
        let generic = sum(&[self.saved(), inputs, inputs, actions, self.environment.observations(), 8]);
        // Each loop has a pass that finds its condition false besides.
        let iterations = match (self.policy.iterations(interface), storage.has_teams()) {
            (iterations, false) => iterations,
            // Shared out to eight or more, if not evenly, and a sum over as many as 64.
            (iterations, true) => sum(&[iterations.div_ceil(LEAST_TEAM / 2), 128]),
        };
        let step = sum(&[generic, iterations, self.environment.iterations()]);
        (sum(&[once, once / 4, 32]), sum(&[step, step / 4, 8]))
    }

    /// True if all that the policy reads while it acts fits where a software driver keeps it at hand: 32 bytes for each
    /// number of eight lanes, in the first 48 KiB of a cache.
    pub(super) fn fits_in_registers(&self) -> bool {
        let tables = self.policy.tables(self.interface());
        self.policy.reads_only_tables() && tables > 0 && tables <= 320
    }

    /// Returns the memory in which a target best keeps the weights. Software drivers run several times faster where each
    /// invocation has them to itself, but compile long private arrays for up to a minute: `allow_slow_compile`
    /// says that the rollouts are worth it.
    pub fn weight_storage(&self, allow_slow_compile: bool, target: &Target) -> WeightStorage {
        const FEW: usize = 64;
        const LONGEST: usize = 4_096;
        let numbers = self.numbers(WeightStorage::Private);
        let shared = product(&[numbers, size_of::<f32>()]) < target.workgroup_memory as usize;
        match numbers {
            ..=FEW => WeightStorage::Private,
            // Bounds checks hide that an index is constant, which makes ladders of branches of what is meant for registers.
            _ if target.software && self.fits_in_registers() && self.is_unchecked() => WeightStorage::Registers,
            _ if target.software && (self.is_small() || (allow_slow_compile && numbers <= LONGEST)) => {
                WeightStorage::Private
            }
            _ if self.has_room(WeightStorage::Team, target) => WeightStorage::Team,
            // Tables that are kept nowhere are computed wherever they are used.
            _ if self.policy.tables(self.interface()) == 0 && self.has_room(WeightStorage::TeamStreamed, target) => {
                WeightStorage::TeamStreamed
            }
            _ if shared => WeightStorage::Shared,
            _ => WeightStorage::Streamed,
        }
    }
}
