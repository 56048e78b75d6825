//! The buffers and dispatches of a rollout, as pure data.

use std::ops::Range;

use fourfold_shaders::rollout::unroll::{COUNTERS, Composition, LEAST_TEAM, Problem, WeightSource, WeightStorage};
use fourfold_shaders::{Data, Target};

use super::{Error, Part};
use crate::gpu::program::{Allocation, BufferId, ProgramPlan, RecordingId};

/// Sizes of a rollout.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// Members of the population; mirrored ones come in twos.
    pub members: usize,
    /// Episodes of each member.
    pub episodes: usize,
    /// Steps after which an episode is cut off.
    pub horizon: usize,
    /// Starts episode `e` of every member from the same random numbers.
    pub common_random_numbers: bool,
    /// The place that draws, see [`threefry`](fourfold_shaders::random::threefry); the next three are taken too.
    pub stream: u32,
    /// Takes a kernel that is faster but compiles for up to a minute on software drivers: worth it if the rollout runs
    /// many times.
    pub allow_slow_compile: bool,
    /// Steps of each slot in one dispatch, see [`Rollout::pace`](super::Rollout::pace).
    pub steps: usize,
    /// The part of the members that this process plays; the results of all others stay as they are. Mirrored members stay
    /// together.
    pub part: Part,
}

impl Settings {
    /// `members` members with `episodes` episodes each, all starting alike, none longer than `horizon` steps.
    pub fn new(members: usize, episodes: usize, horizon: usize) -> Self {
        Self {
            members,
            episodes,
            horizon,
            common_random_numbers: true,
            stream: 0,
            allow_slow_compile: false,
            steps: 1_000,
            part: Part::WHOLE,
        }
    }

    /// Members that stay together.
    fn together(weights: WeightSource) -> usize {
        if weights == WeightSource::Perturbed { 2 } else { 1 }
    }

    /// The members of each part.
    fn members_of_parts(&self, weights: WeightSource) -> Vec<Range<usize>> {
        let together = Self::together(weights);
        let ranges = self.part.ranges(self.members / together);
        ranges.into_iter().map(|range| range.start * together..range.end * together).collect()
    }
}

/// The buffers and the recording of a rollout.
#[derive(Debug, Clone)]
pub(super) struct Ids {
    pub seed: BufferId,
    pub counters: BufferId,
    pub returns: BufferId,
    pub lengths: BufferId,
    /// The weights of the members, or centre and deviation.
    pub weights: Vec<BufferId>,
    pub wiring: Option<BufferId>,
    pub trace: Option<BufferId>,
    pub episodes: RecordingId,
}

/// A rollout as pure data: a function of composition, settings and target.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Plan {
    /// The environment and the policy in it.
    pub composition: Composition,
    /// Members, episodes and steps.
    pub settings: Settings,
    /// Slots of each member: its episodes are shared out to them, and a slot plays its own one after the other.
    pub groups: usize,
    /// The memory that the kernel keeps the weights in.
    pub storage: WeightStorage,
    pub(super) program: ProgramPlan,
    pub(super) ids: Ids,
    #[cfg_attr(target_arch = "wasm32", expect(dead_code, reason = "only pacing reads it, which blocks"))]
    workgroup: usize,
    /// Longer dispatches are cut, see [`Composition::most_steps`].
    #[cfg_attr(target_arch = "wasm32", expect(dead_code, reason = "only pacing reads it, which blocks"))]
    most_steps: usize,
}

impl Plan {
    /// The plan of a rollout on a target.
    ///
    /// # Errors
    /// A WGSL file that lacks a function or has it with the wrong sizes, or settings out of range.
    pub fn new(composition: &Composition, settings: &Settings, target: &Target) -> Result<Self, Error> {
        super::check::check(composition)?;
        let composition = &composition.without_needless_checks();
        let Settings { members, episodes, horizon, steps, .. } = *settings;
        let refuse = |message: String| Err(Error::Settings { message });
        for (name, value) in [("members", members), ("episodes", episodes), ("horizon", horizon), ("steps", steps)] {
            if value == 0 || value > u32::MAX as usize / 4 {
                return refuse(format!("{name} must be between 1 and 2^30 but is {value}"));
            }
        }
        if composition.weights == WeightSource::Perturbed && !members.is_multiple_of(2) {
            return refuse(format!("mirrored members come in twos, but the population has {members}"));
        }
        if members.saturating_mul(episodes) > u32::MAX as usize / 4 {
            return refuse(format!("{members} members with {episodes} episodes each are more than 2^30 episodes"));
        }
        let together = Settings::together(composition.weights);
        let unit = if together == 2 { "mirrored pairs" } else { "members" };
        settings.part.check(unit, members / together)?;
        if settings.part != Part::WHOLE && composition.weights == (WeightSource::Given { trace: true }) {
            return refuse("a trace needs the whole population, not a part of it".into());
        }
        let own = settings.members_of_parts(composition.weights)[settings.part.index].len();
        let storage = composition.weight_storage(settings.allow_slow_compile, target);
        let groups = groups(own, episodes, storage, target);
        let most_steps = composition.most_steps(storage, target);
        if most_steps == 0 {
            return Err(Error::too_many_passes(composition.policy.file()));
        }
        let settings = Settings { steps: steps.min(most_steps), ..*settings };
        let dispatches = dispatches(&settings, groups);
        if dispatches > MOST_DISPATCHES {
            let Settings { steps, .. } = settings;
            return refuse(format!(
                "steps must finish {} episodes of {horizon} steps in at most {MOST_DISPATCHES} dispatches, but {steps} take \
                 {dispatches}",
                episodes / groups
            ));
        }
        let workgroup = if target.software { 8 } else { 64 };
        let (program, ids) = program(composition, &settings, groups, storage, workgroup);
        program.check()?;
        Ok(Self { composition: composition.clone(), settings, groups, storage, program, ids, workgroup, most_steps })
    }

    /// The same rollout cut into dispatches of other lengths, which changes no bit of its results.
    #[cfg(not(target_arch = "wasm32"))]
    pub(super) fn with_steps(&self, steps: usize) -> Self {
        let settings = Settings { steps: steps.min(self.most_steps), ..self.settings };
        let (program, ids) = program(&self.composition, &settings, self.groups, self.storage, self.workgroup);
        Self { settings, program, ids, ..self.clone() }
    }

    /// Returns true if every step is recorded.
    pub fn traces(&self) -> bool {
        self.composition.weights == WeightSource::Given { trace: true }
    }

    /// Returns the members of each part, in the order of parts.
    pub fn members_of_parts(&self) -> Vec<Range<usize>> {
        self.settings.members_of_parts(self.composition.weights)
    }

    /// Returns the members that this process plays.
    pub fn own_members(&self) -> Range<usize> {
        self.members_of_parts()[self.settings.part.index].clone()
    }

    /// Bytes of the rollout's own buffers: everything beyond the weights.
    pub fn bytes(&self) -> u64 {
        self.program.bytes()
    }

    /// The buffers of the rollout and those that it is given.
    pub fn buffers(&self) -> &[Allocation] {
        self.program.buffers()
    }

    /// Dispatches that finish every episode, whatever its length.
    pub fn dispatches(&self) -> usize {
        self.program.dispatches(self.ids.episodes)
    }
}

/// The buffers and dispatches of a rollout.
fn program(
    composition: &Composition,
    settings: &Settings,
    groups: usize,
    storage: WeightStorage,
    workgroup: usize,
) -> (ProgramPlan, Ids) {
    let Settings { members, episodes, horizon, steps, common_random_numbers, stream, .. } = *settings;
    let own = settings.members_of_parts(composition.weights)[settings.part.index].clone();
    let (slots, results, parameters) = (own.len() * groups, members * episodes, composition.parameters());
    let mut program = ProgramPlan::default();
    let mut buffer = |allocation| program.buffer(allocation);
    // Sizes that no buffer has are refused by the sequence.
    let product = |sizes: &[usize]| sizes.iter().fold(1, |product: usize, size| product.saturating_mul(*size));
    let seed = buffer(Allocation::u32("seed", 2).given());
    let saved = buffer(Allocation::f32("saved", product(&[composition.saved(), slots])));
    let counters = buffer(Allocation::u32("counters", COUNTERS * slots));
    let [returns, lengths] =
        [Allocation::f32("returns", results), Allocation::u32("lengths", results)].map(&mut buffer);
    let weights = match composition.weights {
        WeightSource::Given { .. } => vec![buffer(Allocation::f32("weights", product(&[members, parameters])).given())],
        WeightSource::Perturbed => {
            ["center", "deviation"].map(|name| buffer(Allocation::f32(name, parameters).given())).into()
        }
    };
    let wiring = composition.sensors.wiring.map(|wiring| {
        let length = product(&[episodes, wiring.phases, composition.interface().inputs]);
        buffer(Allocation::u32("wiring", length).given())
    });
    let traces = composition.weights == WeightSource::Given { trace: true };
    let trace = traces.then(|| buffer(Allocation::f32("trace", product(&[steps, composition.traced(), slots]))));
    let mut operands = vec![seed, saved, counters, returns, lengths];
    let table = composition.environment.table().map(|table| Allocation::values("table", Data::F32(table.to_vec())));
    let table = table.map(|table| program.buffer(table));
    operands.extend(weights.iter().copied().chain(wiring).chain(trace).chain(table));
    let recording = program.recording();
    let kernel = composition.kernel(storage);
    let call = |fresh| {
        let episodes = episodes / groups;
        let problem = Problem {
            members,
            first_member: own.start,
            present: own.len(),
            groups,
            episodes,
            horizon,
            steps,
            fresh,
            common_random_numbers,
            stream,
        };
        problem.sequence_with(composition, kernel.clone(), storage, workgroup)
    };
    let (first, next) = (call(true), call(false));
    for dispatch in 0..dispatches(settings, groups) {
        let call = if dispatch == 0 { &first } else { &next };
        program.sequence(recording, call.clone(), &operands);
    }
    (program, Ids { seed, counters, returns, lengths, weights, wiring, trace, episodes: recording })
}

/// Slots of a member: enough lanes for the device, and no more, since a slot that plays several episodes one after the
/// other frees its lane when one ends early. A member that has a workgroup to itself fills its lanes.
fn groups(members: usize, episodes: usize, storage: WeightStorage, target: &Target) -> usize {
    let (lanes, workgroup): (usize, usize) = if target.software { (64, 8) } else { (1 << 15, 64) };
    let (each, own) = match storage {
        WeightStorage::Shared => (1, workgroup),
        WeightStorage::Team => (LEAST_TEAM, workgroup / LEAST_TEAM),
        WeightStorage::TeamStreamed => (LEAST_TEAM, 1),
        _ => (1, 1),
    };
    let wanted = lanes.div_ceil(members * each).max(own).min(episodes);
    let divisors = (1..=episodes.isqrt()).filter(|&divisor| episodes.is_multiple_of(divisor));
    let divisors = divisors.flat_map(|divisor| [divisor, episodes / divisor]);
    divisors.filter(|&groups| groups >= wanted).min().unwrap_or(episodes)
}

/// The most dispatches of a rollout: each is recorded by itself.
const MOST_DISPATCHES: usize = 1 << 16;

/// Dispatches that finish every episode, whatever its length.
fn dispatches(settings: &Settings, groups: usize) -> usize {
    (settings.episodes / groups).saturating_mul(settings.horizon).div_ceil(settings.steps)
}
