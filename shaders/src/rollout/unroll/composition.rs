//! One environment, one policy and what lies between them, as one kernel.

use std::sync::Arc;

use bytemuck::{Pod, Zeroable};

use super::straight_line::{is_unchecked, without_needless_checks};
use super::{COUNTERS, Environment, Interface, Policy, Sensors, environment, policy, twin};
use crate::{Binding, Call, Error, Kernel, KernelRef, Sequence, Sizes, Target, product, sum};

/// The source of the members' weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WeightSource {
    /// A buffer `weights` (members, parameters).
    Given {
        /// True if every step of a dispatch is recorded.
        trace: bool,
    },
    /// Mirrored perturbations of a centre, drawn in the kernel: members 2d and 2d + 1 are `center +- deviation * e_d`,
    /// `e` (members / 2, parameters rounded up to even) the normal deviates of the place `stream`.
    Perturbed,
}

/// The memory in which an invocation keeps the weights of its member during a dispatch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WeightStorage {
    /// In private memory, each invocation its own copy: few weights, and software drivers.
    Private,
    /// In workgroup memory, a workgroup for each member.
    Shared,
    /// The same, and a [`Team`](super::Team) of invocations plays each slot.
    Team,
    /// In registers, as tables: for software drivers and policies that are [reads_only_tables](Policy::reads_only_tables).
    Registers,
    /// Nowhere: they are fetched or drawn at each use.
    Streamed,
}

impl WeightStorage {
    const ALL: [Self; 5] = [Self::Private, Self::Shared, Self::Team, Self::Registers, Self::Streamed];
}

/// Invocations of a workgroup that GPUs get.
const WORKGROUP: usize = 64;

/// The least invocations of a team.
pub const LEAST_TEAM: usize = 8;

/// The functions and structures that environments and policies may use.
pub const LIBRARY: [&str; 3] = [
    include_str!("../../library/random.wgsl"),
    include_str!("../../library/mathematics.wgsl"),
    include_str!("episode.wgsl"),
];

/// The WGSL that a kernel that steps environments has beside them.
pub(crate) const STEPPING: &str = include_str!("stepping.wgsl");

/// A policy in an environment, to unroll.
#[derive(Debug, Clone)]
pub struct Composition {
    /// The environment that is unrolled.
    pub environment: Arc<dyn Environment>,
    /// The policy that acts in it.
    pub policy: Arc<dyn Policy>,
    /// The inputs that the policy has of the observation.
    pub sensors: Sensors,
    /// The source of the members' weights.
    pub weights: WeightSource,
}

impl Composition {
    /// A policy in an environment that sees the plain observation, with given weights and no trace.
    pub fn new(environment: impl Environment + 'static, policy: impl Policy + 'static) -> Self {
        Self {
            environment: Arc::new(environment),
            policy: Arc::new(policy),
            sensors: Sensors::default(),
            weights: WeightSource::Given { trace: false },
        }
    }

    /// The numbers that go into the policy and come out of it.
    pub fn interface(&self) -> Interface {
        let inputs = self.sensors.inputs(self.environment.observations());
        Interface { inputs, actions: self.environment.actions() }
    }

    /// The same composition, whose environment runs without the shader's runtime checks if its WGSL is seen to need none: if
    /// it has no loop, no index but constants, and nothing but numbers and functions of its own.
    pub fn without_needless_checks(&self) -> Self {
        let environment = without_needless_checks(&self.environment, |environment| self.all_wgsl(environment));
        Self { environment, ..self.clone() }
    }

    fn all_wgsl(&self, environment: Arc<dyn Environment>) -> String {
        let with = Self { environment, ..self.clone() };
        WeightStorage::ALL.map(|storage| with.wgsl(storage)).concat()
    }

    /// True if environment and policy run without the shader's runtime checks.
    pub(crate) fn is_unchecked(&self) -> bool {
        let (environment, policy) = (&*self.environment, &*self.policy);
        policy.runtime_checks().are_off(policy) && is_unchecked(environment, |environment| self.all_wgsl(environment))
    }

    /// Weights of one member.
    pub fn parameters(&self) -> usize {
        self.policy.weights(self.interface())
    }

    /// Numbers that a slot saves between dispatches: state, memory (at least one), return so far.
    pub fn saved(&self) -> usize {
        sum(&[self.environment.states(), self.memory(), 1])
    }

    /// Arrays of WGSL are not empty.
    pub(super) fn memory(&self) -> usize {
        self.policy.memory(self.interface()).max(1)
    }

    /// Numbers that a trace holds of one step: state, observation, action, reward, end.
    pub fn traced(&self) -> usize {
        environment::traced(&*self.environment)
    }

    /// Numbers that are kept of one member: weights and tables.
    fn numbers(&self, storage: WeightStorage) -> usize {
        sum(&[product(&[2, self.parameters().div_ceil(2)]), product(&[4, self.tables(storage).max(1)])])
    }

    /// Tables of four numbers.
    fn tables(&self, storage: WeightStorage) -> usize {
        let interface = self.interface();
        match (storage, self.policy.team(interface)) {
            (WeightStorage::Team, Some(team)) => team.tables,
            _ => self.policy.tables(interface),
        }
    }

    /// Slots of one workgroup of `workgroup` invocations, each of which a team plays: a power of two, such that a team has
    /// eight invocations or more, and members with `groups` slots fill it. 0 if a team has no room in the workgroup memory
    /// that every device has.
    pub(super) fn teams(&self, groups: usize, workgroup: usize) -> usize {
        const BYTES: usize = 16 << 10;
        let interface = self.interface();
        let Some(team) = self.policy.team(interface) else { return 0 };
        let Interface { inputs, actions } = interface;
        // With the flags, and what the alignment of arrays takes.
        let once = sum(&[self.numbers(WeightStorage::Team), product(&[workgroup, actions]), 64]);
        let each = sum(&[self.environment.observations(), inputs, self.memory(), actions, team.numbers, 1]);
        let fits = |teams: &usize| product(&[4, sum(&[once, product(&[*teams, each])])]) <= BYTES;
        let most = (workgroup / LEAST_TEAM).min(groups.next_power_of_two());
        std::iter::successors(Some(most), |teams| Some(teams / 2))
            .take_while(|teams| *teams > 0)
            .find(fits)
            .unwrap_or(0)
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
    fn passes(&self, storage: WeightStorage) -> (usize, usize) {
        const TABLE: usize = 64;
        let interface = self.interface();
        // Weights in twos, tables, and the state and memory that are loaded and stored.
        let weights = match storage {
            WeightStorage::Streamed => 0,
            WeightStorage::Team => {
                let table = self.policy.team(interface).map_or(0, |team| team.table_passes);
                let each = |count: usize| count.div_ceil(LEAST_TEAM);
                sum(&[each(self.parameters()), product(&[table, each(self.tables(storage))])])
            }
            _ => sum(&[self.parameters().div_ceil(2), product(&[TABLE, self.policy.tables(interface)])]),
        };
        let once = sum(&[weights, self.saved(), self.saved()]);
        if storage == WeightStorage::Registers {
            // What can be unrolled is: a pass for the step, and one or two for each input are left.
            return (once, sum(&[product(&[4, interface.inputs]), 16]));
        }
        let Interface { inputs, actions } = interface;
        let generic = sum(&[self.saved(), inputs, inputs, actions, self.environment.observations(), 8]);
        // Each loop has a pass that finds its condition false besides.
        let step = sum(&[generic, self.policy.iterations(interface)]);
        (sum(&[once, once / 4, 32]), sum(&[step, step / 4, 8]))
    }

    /// Checks the sizes of environment and policy.
    fn check(&self) -> Result<(), Error> {
        environment::check_environment(&*self.environment)?;
        policy::check_policy(&*self.policy, self.interface())
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
            _ if !target.software && self.teams(1, WORKGROUP) > 0 => WeightStorage::Team,
            _ if shared => WeightStorage::Shared,
            _ => WeightStorage::Streamed,
        }
    }

    /// The whole kernel as WGSL.
    pub fn wgsl(&self, storage: WeightStorage) -> String {
        let mut text = self.header(storage);
        text.push_str(&self.globals(storage));
        const ROW: &str = include_str!("slots_in_a_row.wgsl");
        const DRAWN: &str = include_str!("weight_drawn.wgsl");
        let kept: &[&str] = match storage {
            WeightStorage::Private => &[ROW],
            WeightStorage::Shared | WeightStorage::Team => &[],
            WeightStorage::Registers | WeightStorage::Streamed => &[ROW, DRAWN],
        };
        let source = match self.weights {
            WeightSource::Given { .. } => include_str!("weights_given.wgsl"),
            WeightSource::Perturbed => include_str!("weights_perturbed.wgsl"),
        };
        let sensors = match self.sensors.wiring {
            None => include_str!("sensors_plain.wgsl"),
            Some(_) => include_str!("sensors_wired.wgsl"),
        };
        let trace = match self.weights {
            WeightSource::Given { trace: true } => include_str!("trace_on.wgsl"),
            _ => include_str!("trace_off.wgsl"),
        };
        let team = if storage == WeightStorage::Team { self.policy.team(self.interface()) } else { None };
        let (policy, advance) = match &team {
            Some(team) => (&*team.source, include_str!("advance_team.wgsl")),
            None => (self.policy.source(), include_str!("advance.wgsl")),
        };
        // naga wants every override before the first array whose length it multiplies.
        let first = [self.environment.source(), STEPPING, include_str!("unroll.wgsl"), source];
        let last = [self.weights_text(storage), policy, advance, include_str!("noise.wgsl"), sensors, trace];
        for part in LIBRARY.into_iter().chain(first).chain(kept.iter().copied()).chain(last) {
            text.push('\n');
            text.push_str(part);
        }
        text
    }

    /// The WGSL that keeps the weights of a member.
    fn weights_text(&self, storage: WeightStorage) -> &'static str {
        match storage {
            WeightStorage::Private => include_str!("weights_private.wgsl"),
            WeightStorage::Shared | WeightStorage::Team => include_str!("weights_shared.wgsl"),
            WeightStorage::Registers => include_str!("weights_registers.wgsl"),
            WeightStorage::Streamed => include_str!("weights_streamed.wgsl"),
        }
    }

    fn header(&self, storage: WeightStorage) -> String {
        let sizes = self.sizes(storage);
        let storage = match storage {
            WeightStorage::Private => "private",
            WeightStorage::Shared => "shared",
            WeightStorage::Team => "shared, slots played by teams",
            WeightStorage::Registers => "registers",
            WeightStorage::Streamed => "streamed",
        };
        let (policy, environment) = (self.policy.file(), self.environment.file());
        format!("// {policy} acting in {environment}: put together from plain files, weights {storage}.\n\n{sizes}")
    }

    /// The sizes that the files name, as WGSL constants.
    pub fn sizes(&self, storage: WeightStorage) -> String {
        let Sensors { copies, noise_channels, .. } = self.sensors;
        let environment = environment::sizes(&*self.environment);
        let sensors = format!("const COPIES: u32 = {copies}u;\nconst NOISE_CHANNELS: u32 = {noise_channels}u;\n");
        let loops = storage != WeightStorage::Registers;
        environment + &sensors + &policy::sizes(&*self.policy, self.interface(), self.tables(storage), loops)
    }

    /// The WGSL that is neither a size nor in a file: a switch, the bindings, and the tables of a policy that has none.
    fn globals(&self, storage: WeightStorage) -> String {
        let forgets = self.sensors.wiring.is_some_and(|wiring| wiring.forget);
        let mut text = format!("const FORGETS: bool = {forgets};\n\n");
        text.push_str(&Binding::declare(&self.bindings()));
        text.push_str(policy::without_tables(self.tables(storage)));
        text
    }

    fn bindings(&self) -> Vec<Binding> {
        let mut bindings = vec![
            Binding::read("seed", "(2): key, generation").u32(),
            Binding::update("saved", "(states + memory + 1, slots)"),
            Binding::update("counters", "(3, slots): episode, step, fault").u32(),
            Binding::update("returns", "(members, groups * episodes)"),
            Binding::update("lengths", "(members, groups * episodes): steps").u32(),
        ];
        match self.weights {
            WeightSource::Given { .. } => bindings.push(Binding::read("weights", "(members, parameters)")),
            WeightSource::Perturbed => {
                bindings.extend([Binding::read("center", "(parameters)"), Binding::read("deviation", "(parameters)")]);
            }
        }
        if self.sensors.wiring.is_some() {
            bindings.push(Binding::read("wiring", "(groups * episodes, phases, inputs)").u32());
        }
        if self.weights == (WeightSource::Given { trace: true }) {
            bindings.push(Binding::update("trace", "(steps, traced, slots)"));
        }
        bindings
    }

    /// The kernel, by the name `unroll.ENVIRONMENT.POLICY`.
    pub fn kernel(&self, storage: WeightStorage) -> Arc<Kernel> {
        let stem = |file: &str| file.strip_suffix(".wgsl").unwrap_or(file).to_string();
        let name = format!("unroll.{}.{}", stem(self.environment.file()), stem(self.policy.file()));
        let source = self.wgsl(storage);
        Kernel::composed::<Uniform>(name, source, "advance", self.bindings(), passes, twin::twin, twin::tolerance)
    }
}

/// The steps, and what comes before and behind them, of a kernel that keeps its weights as its text says.
fn passes(call: &Call) -> u64 {
    let Some(composition) = call.context_of::<Composition>() else { return 0 };
    let kept = |storage: &WeightStorage| call.kernel.source.contains(composition.weights_text(*storage));
    let storage = match call.constant("SLOTS") {
        Some(_) => WeightStorage::Team,
        None => WeightStorage::ALL.into_iter().find(kept).unwrap_or(WeightStorage::Private),
    };
    let (once, step) = composition.passes(storage);
    let Uniform { steps, .. } = call.uniform();
    u64::from(steps).saturating_mul(step as u64).saturating_add(once as u64)
}

/// The uniform block of `unroll.wgsl`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
pub(crate) struct Uniform {
    pub steps: u32,
    pub fresh: u32,
    pub members: u32,
    pub groups: u32,
    pub episodes: u32,
    pub horizon: u32,
    pub common_random_numbers: u32,
    pub stream: u32,
    pub interval: u32,
    pub phases: u32,
    pub noise: f32,
}

/// One dispatch: `members` members, each with `groups` slots that play `episodes` episodes one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Problem {
    /// Members of the population.
    pub members: usize,
    /// Slots of a member, which run side by side.
    pub groups: usize,
    /// Episodes of one slot: a member plays `groups * episodes`.
    pub episodes: usize,
    /// Steps after which an episode is cut off.
    pub horizon: usize,
    /// Steps that each slot advances in this dispatch, at most.
    pub steps: usize,
    /// True if the slots start anew: the counters need not be set before.
    pub fresh: bool,
    /// True if episode `e` of every member starts (and is disturbed) alike: common random numbers.
    pub common_random_numbers: bool,
    /// The place that draws; the next [`STREAMS`](super::STREAMS)` - 1` are taken too.
    pub stream: u32,
}

impl Problem {
    /// Returns the slots that run side by side: `members * groups`, `usize::MAX` where they are more.
    pub fn slots(&self) -> usize {
        product(&[self.members, self.groups])
    }

    /// Returns the dispatch with the operands `seed` (`u32`, 2), `saved`, `counters` (`u32`), `returns`, `lengths` (`u32`), then
    /// `weights`, or `center` and `deviation`, then `wiring` (`u32`) and `trace` where the composition has them.
    ///
    /// # Errors
    /// A size or a factor out of range.
    pub fn sequence(&self, composition: &Composition, target: &Target) -> Result<Sequence, Error> {
        let storage = composition.weight_storage(false, target);
        let workgroup = if target.software { 8 } else { WORKGROUP };
        self.sequence_with(composition, composition.kernel(storage), storage, workgroup)
    }

    /// As [`sequence`](Self::sequence), of a kernel that was made before by [`Composition::kernel`], for workgroups of
    /// `workgroup` invocations.
    ///
    /// # Errors
    /// A size or a factor out of range.
    pub fn sequence_with(
        &self,
        composition: &Composition,
        kernel: Arc<Kernel>,
        storage: WeightStorage,
        workgroup: usize,
    ) -> Result<Sequence, Error> {
        let Self { members, groups, episodes, horizon, steps, .. } = *self;
        let Composition { sensors, .. } = composition;
        composition.check()?;
        let sizes = Sizes("unroll")
            .tensor(&[("members", members), ("groups", groups), ("episodes", episodes)])?
            .positive(&[("horizon", horizon), ("steps", steps), ("workgroup", workgroup), ("copies", sensors.copies)])?
            .finite("noise", sensors.noise)?;
        if let Some(wiring) = sensors.wiring {
            sizes.positive(&[("interval", wiring.interval), ("phases", wiring.phases)])?;
        }
        if composition.weights == WeightSource::Perturbed {
            sizes.expect("members", members.is_multiple_of(2), "even, mirrored in pairs", members)?;
            sizes.draws(members / 2, composition.parameters())?;
        }
        sizes.sequence(self.call_with(composition, kernel, storage, workgroup))
    }

    pub(crate) fn call_with(
        &self,
        composition: &Composition,
        kernel: Arc<Kernel>,
        storage: WeightStorage,
        workgroup: usize,
    ) -> Call {
        let wiring = composition.sensors.wiring;
        let uniform = Uniform {
            steps: self.steps as u32,
            fresh: self.fresh.into(),
            members: self.members as u32,
            groups: self.groups as u32,
            episodes: self.episodes as u32,
            horizon: self.horizon as u32,
            common_random_numbers: self.common_random_numbers.into(),
            stream: self.stream,
            interval: wiring.map_or(1, |wiring| wiring.interval) as u32,
            phases: wiring.map_or(1, |wiring| wiring.phases) as u32,
            noise: composition.sensors.noise,
        };
        let episodes = self.groups * self.episodes;
        let parameters = composition.parameters();
        let results = self.members * episodes;
        let slots = self.slots();
        let mut lengths =
            vec![2, product(&[composition.saved(), slots]), product(&[COUNTERS, slots]), results, results];
        match composition.weights {
            WeightSource::Given { .. } => lengths.push(product(&[self.members, parameters])),
            WeightSource::Perturbed => lengths.extend([parameters; 2]),
        }
        if let Some(wiring) = wiring {
            lengths.push(product(&[episodes, wiring.phases, composition.interface().inputs]));
        }
        if composition.weights == (WeightSource::Given { trace: true }) {
            lengths.push(product(&[self.steps, composition.traced(), slots]));
        }
        let teams = composition.teams(self.groups, workgroup).max(1);
        let workgroups = match storage {
            WeightStorage::Shared => self.members * self.groups.div_ceil(workgroup),
            WeightStorage::Team => self.members * self.groups.div_ceil(teams),
            _ => slots.div_ceil(workgroup),
        };
        let unchecked = composition.is_unchecked() && kernel.source == composition.wgsl(storage);
        let mut call = Call::checked(KernelRef::from(kernel), &uniform, workgroups, lengths)
            .checked_unless(unchecked)
            .with_constant("WORKGROUP", workgroup as u32)
            .with_context(Arc::new(composition.clone()));
        if storage == WeightStorage::Team {
            call = call.with_constant("SLOTS", teams as u32);
        }
        for (name, value) in composition.environment.constants().into_iter().chain(composition.policy.constants()) {
            call = call.with_constant(name, value);
        }
        call
    }
}
