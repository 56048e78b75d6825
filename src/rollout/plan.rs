//! What a rollout takes, as pure data.

use fourfold_shaders::rollout::unroll::{COUNTERS, Composition, Members, Problem, WeightStorage};
use fourfold_shaders::{Element, Target};

use super::Error;

/// How a population plays.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// Members of the population; mirrored ones come in twos.
    pub members: usize,
    /// Episodes of each member.
    pub episodes: usize,
    /// Steps after which an episode is cut off.
    pub horizon: usize,
    /// Whether episode `e` of every member starts alike (common random numbers).
    pub alike: bool,
    /// The place that draws, see [`threefry`](fourfold_shaders::random::threefry); the next three are taken too.
    pub stream: u32,
    /// Whether the rollout will run many times, so that a kernel that is faster but compiles for up to a minute on
    /// software drivers is worth it.
    pub patient: bool,
    /// Steps of each slot in one dispatch, see [`Rollout::pace`](super::Rollout::pace).
    pub steps: usize,
}

impl Settings {
    /// `members` members with `episodes` episodes each, all starting alike, none longer than `horizon` steps.
    pub fn new(members: usize, episodes: usize, horizon: usize) -> Self {
        Self { members, episodes, horizon, alike: true, stream: 0, patient: false, steps: 1_000 }
    }
}

/// A buffer of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allocation {
    pub name: &'static str,
    pub element: Element,
    pub length: usize,
}

impl Allocation {
    pub fn bytes(&self) -> u64 {
        self.length as u64 * Element::BYTES as u64
    }
}

/// What a rollout takes: a pure function of composition, settings and target.
#[derive(Debug, Clone)]
pub struct Plan {
    pub composition: Composition,
    pub settings: Settings,
    /// Slots of each member: its episodes are shared out to them, and a slot plays its own one after the other.
    pub groups: usize,
    /// Where the kernel keeps the weights.
    pub keeping: WeightStorage,
    /// Dispatches that finish every episode, whatever its length.
    pub dispatches: usize,
    /// The buffers that the rollout has of its own.
    pub buffers: Vec<Allocation>,
    /// Longer dispatches are cut, see [`Composition::most_steps`].
    most_steps: usize,
}

impl Plan {
    /// The plan of a rollout on a target.
    ///
    /// # Errors
    /// A WGSL file that lacks a function or has it with the wrong sizes, or settings that make no sense.
    pub fn new(composition: &Composition, settings: &Settings, target: &Target) -> Result<Self, Error> {
        super::check::check(composition)?;
        let Settings { members, episodes, horizon, steps, .. } = *settings;
        let refuse = |message: String| Err(Error::Settings { message });
        for (name, value) in [("members", members), ("episodes", episodes), ("horizon", horizon), ("steps", steps)] {
            if value == 0 || value > u32::MAX as usize / 4 {
                return refuse(format!("{name} must be between 1 and 2^30 but is {value}"));
            }
        }
        if composition.members == Members::Perturbed && !members.is_multiple_of(2) {
            return refuse(format!("mirrored members come in twos, but the population has {members}"));
        }
        if members.saturating_mul(episodes) > u32::MAX as usize / 4 {
            return refuse(format!("{members} members with {episodes} episodes each are more than 2^30 episodes"));
        }
        let keeping = composition.weight_storage(settings.patient, target);
        let groups = groups(members, episodes, keeping, target);
        let most_steps = composition.most_steps(keeping, target);
        if most_steps == 0 {
            return Err(Error::too_many_passes(composition.policy.file()));
        }
        let (composition, buffers) = (composition.clone(), Vec::new());
        let mut plan = Self { composition, settings: *settings, groups, keeping, dispatches: 0, buffers, most_steps };
        plan.set_steps(steps);
        Ok(plan)
    }

    /// Cuts the rollout into dispatches of other lengths, which changes no bit of its results.
    pub(super) fn set_steps(&mut self, steps: usize) {
        let steps = steps.min(self.most_steps);
        self.settings.steps = steps;
        let slots = self.settings.members * self.groups;
        let results = self.settings.members * self.settings.episodes;
        self.dispatches = (self.settings.episodes / self.groups * self.settings.horizon).div_ceil(steps);
        let f32 = |name, length| Allocation { name, element: Element::F32, length };
        let u32 = |name, length| Allocation { name, element: Element::U32, length };
        self.buffers = vec![
            f32("saved", self.composition.saved() * slots),
            u32("counters", COUNTERS * slots),
            f32("returns", results),
            u32("lengths", results),
        ];
        if self.traces() {
            self.buffers.push(f32("trace", steps * self.composition.traced() * slots));
        }
    }

    /// Whether every step is recorded.
    pub fn traces(&self) -> bool {
        self.composition.members == Members::Given { trace: true }
    }

    /// Bytes of the rollout's own buffers: everything beyond the weights.
    pub fn bytes(&self) -> u64 {
        self.buffers.iter().map(Allocation::bytes).sum()
    }

    /// The dispatch of the given index.
    pub fn problem(&self, dispatch: usize) -> Problem {
        Problem {
            members: self.settings.members,
            groups: self.groups,
            episodes: self.settings.episodes / self.groups,
            horizon: self.settings.horizon,
            steps: self.settings.steps,
            fresh: dispatch == 0,
            alike: self.settings.alike,
            stream: self.settings.stream,
        }
    }
}

/// Slots of a member: enough lanes for the device, and no more, since a slot that plays several episodes one after the
/// other frees its lane when one ends early. A member that has a workgroup to itself fills its lanes.
fn groups(members: usize, episodes: usize, keeping: WeightStorage, target: &Target) -> usize {
    let (lanes, workgroup): (usize, usize) = if target.software { (64, 8) } else { (1 << 15, 64) };
    let own = if keeping == WeightStorage::Shared { workgroup } else { 1 };
    let wanted = lanes.div_ceil(members).max(own).min(episodes);
    (wanted..=episodes).find(|&groups| episodes.is_multiple_of(groups)).unwrap_or(episodes)
}
