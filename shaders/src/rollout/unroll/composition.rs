//! One environment, one policy and what lies between them, as one kernel.

use std::sync::Arc;

use bytemuck::{Pod, Zeroable};

use super::straight_line::{is_unchecked, without_needless_checks};
use super::{COUNTERS, Environment, Interface, Policy, Sensors, environment, policy, twin};
use crate::description::joined::joined;
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
    /// Nowhere, as [`Streamed`](Self::Streamed), and a team of invocations plays each slot.
    TeamStreamed,
    /// In registers, as tables: for software drivers and policies that are [reads_only_tables](Policy::reads_only_tables).
    Registers,
    /// Nowhere: they are fetched or drawn at each use.
    Streamed,
}

impl WeightStorage {
    const ALL: [Self; 6] =
        [Self::Private, Self::Shared, Self::Team, Self::TeamStreamed, Self::Registers, Self::Streamed];

    /// True if a team of invocations plays each slot.
    pub fn has_teams(self) -> bool {
        matches!(self, Self::Team | Self::TeamStreamed)
    }
}

/// Invocations of a workgroup that GPUs get.
pub(super) const WORKGROUP: usize = 64;

/// Storage buffers of a kernel within WebGPU's default limits.
const BUFFERS: usize = 8;

/// The functions and structures that environments and policies may use.
pub const LIBRARY: [&str; 3] =
    [wgsl!("../../library/random.wgsl"), wgsl!("../../library/mathematics.wgsl"), wgsl!("episode.wgsl")];

/// The WGSL that a kernel that steps environments has beside them.
pub(crate) const STEPPING: &str = wgsl!("stepping.wgsl");

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

    /// Checks the sizes of environment and policy.
    fn check(&self) -> Result<(), Error> {
        environment::check_environment(&*self.environment)?;
        Sizes("unroll").expect(
            "storage buffers",
            self.fits_in_bindings(),
            format_args!("at most {BUFFERS} (beside a table, no wiring with a trace or perturbed weights)"),
            self.bindings().len(),
        )?;
        policy::check_policy(&*self.policy, self.interface())
    }

    /// The whole kernel as WGSL.
    pub fn wgsl(&self, storage: WeightStorage) -> String {
        let mut text = self.header(storage);
        text.push_str(&self.globals(storage));
        const ROW: &str = wgsl!("slots_in_a_row.wgsl");
        const DRAWN: &str = wgsl!("weight_drawn.wgsl");
        let kept: &[&str] = match storage {
            WeightStorage::Private => &[ROW],
            WeightStorage::Shared | WeightStorage::Team => &[],
            WeightStorage::Registers | WeightStorage::Streamed | WeightStorage::TeamStreamed => &[ROW, DRAWN],
        };
        let source = match self.weights {
            WeightSource::Given { .. } => wgsl!("weights_given.wgsl"),
            WeightSource::Perturbed => wgsl!("weights_perturbed.wgsl"),
        };
        let sensors = match self.sensors.wiring {
            None => wgsl!("sensors_plain.wgsl"),
            Some(_) => wgsl!("sensors_wired.wgsl"),
        };
        let trace = match self.weights {
            WeightSource::Given { trace: true } => wgsl!("trace_on.wgsl"),
            _ => wgsl!("trace_off.wgsl"),
        };
        let team = self.team(storage);
        let (policy, advance) = match &team {
            Some(team) => (&*team.source, wgsl!("team.wgsl", "advance_team.wgsl")),
            None => (self.policy.source(), wgsl!("advance.wgsl")),
        };
        // naga wants every override before the first array whose length it multiplies.
        let first = [self.environment.source(), STEPPING, wgsl!("unroll.wgsl"), source];
        let last = [self.weights_text(storage), policy, advance, wgsl!("noise.wgsl"), sensors, trace];
        joined(text, LIBRARY.into_iter().chain(first).chain(kept.iter().copied()).chain(last))
    }

    /// The WGSL that keeps the weights of a member.
    fn weights_text(&self, storage: WeightStorage) -> &'static str {
        match storage {
            WeightStorage::Private => wgsl!("weights_private.wgsl"),
            WeightStorage::Shared | WeightStorage::Team => wgsl!("weights_shared.wgsl"),
            WeightStorage::Registers => wgsl!("weights_registers.wgsl"),
            WeightStorage::Streamed | WeightStorage::TeamStreamed => wgsl!("weights_streamed.wgsl"),
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
            WeightStorage::TeamStreamed => "streamed, slots played by teams",
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
        environment + &sensors + &policy::sizes(&*self.policy, self.interface(), self.team(storage).as_ref(), loops)
    }

    /// The WGSL that is neither a size nor in a file: a switch, the bindings, and the tables of a policy that has none.
    fn globals(&self, storage: WeightStorage) -> String {
        let forgets = self.sensors.wiring.is_some_and(|wiring| wiring.forget);
        let mut text = format!("const FORGETS: bool = {forgets};\n\n");
        text.push_str(&Binding::declare(&self.bindings()));
        text.push_str(policy::without_tables(self.tables(storage)));
        text
    }

    /// True if the kernel binds no more storage buffers than WebGPU has.
    pub fn fits_in_bindings(&self) -> bool {
        self.bindings().len() <= BUFFERS
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
        bindings.extend(environment::table_binding(&*self.environment));
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
    let found =
        |teams: bool| WeightStorage::ALL.into_iter().filter(move |storage| storage.has_teams() == teams).find(kept);
    let storage = found(call.constant("SLOTS").is_some()).unwrap_or(WeightStorage::Private);
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
    pub first_member: u32,
    pub present: u32,
}

/// One dispatch: `present` of the members, each with `groups` slots that play `episodes` episodes one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Problem {
    /// Members of the population.
    pub members: usize,
    /// The first member of those that this dispatch plays: all others stay as they are.
    pub first_member: usize,
    /// Members that this dispatch plays.
    pub present: usize,
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
    /// Returns the slots that run side by side: `present * groups`, `usize::MAX` where they are more.
    pub fn slots(&self) -> usize {
        product(&[self.present, self.groups])
    }

    /// Returns the dispatch with the operands `seed` (`u32`, 2), `saved`, `counters` (`u32`), `returns`, `lengths` (`u32`), then
    /// `weights`, or `center` and `deviation`, then `wiring` (`u32`), `trace` and `environment_table` where the composition has them.
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
        sizes.positive(&[("present", self.present)])?.expect(
            "present",
            self.first_member.saturating_add(self.present) <= members,
            format_args!("at most the {members} members, from member {} on", self.first_member),
            self.present,
        )?;
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
            first_member: self.first_member as u32,
            present: self.present as u32,
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
        lengths.extend(composition.environment.table().map(<[f32]>::len));
        let teams = composition.teams(storage, self.groups, workgroup).max(1);
        let workgroups = match storage {
            WeightStorage::Shared => self.present * self.groups.div_ceil(workgroup),
            WeightStorage::Team => self.present * self.groups.div_ceil(teams),
            WeightStorage::TeamStreamed => slots.div_ceil(teams),
            _ => slots.div_ceil(workgroup),
        };
        let unchecked = composition.is_unchecked() && kernel.source == composition.wgsl(storage);
        let mut call = Call::checked(KernelRef::from(kernel), &uniform, workgroups, lengths)
            .checked_unless(unchecked)
            .with_constant("WORKGROUP", workgroup as u32)
            .with_context(Arc::new(composition.clone()));
        if storage.has_teams() {
            call = call.with_constant("SLOTS", teams as u32);
        }
        for (name, value) in composition.environment.constants().into_iter().chain(composition.policy.constants()) {
            call = call.with_constant(name, value);
        }
        call
    }
}
