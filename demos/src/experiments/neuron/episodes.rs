//! Episodes of the cart-pole swing-up on the CPU, played on all cores: scores of a policy, and trajectories of it.

use std::thread;

use fourfold::shaders::random::threefry::Random;
use fourfold::shaders::rollout::environments::CartPoleSwingUp;
use fourfold::shaders::rollout::unroll::{Environment, EpisodeRandom};

use super::actor::Actor;
use super::cloning::Trajectories;
use crate::failure::Failure;

/// The streams of random numbers, beside those of the episodes themselves.
const WIRING: u32 = 0x5749_5245;
const DISTURBANCE: u32 = 0x4449_5354;

/// The episodes to play.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Starts {
    pub world: CartPoleSwingUp,
    pub seed: u32,
    /// Tells starts for one purpose from those for another.
    pub stream: u32,
    pub first: u32,
    pub count: u32,
}

/// The result of one episode.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Episode {
    pub score: f64,
    pub steps: usize,
    /// The squared changes of the action from step to step, summed up.
    pub action_changes: f64,
}

/// An episode in progress.
struct Play {
    world: CartPoleSwingUp,
    random: EpisodeRandom,
    state: [f64; 4],
    /// Input `i` is observation `wiring[i]`.
    wiring: [usize; CHANNELS],
}

/// Observations of the world.
pub const CHANNELS: usize = 5;

impl Play {
    fn new(starts: &Starts, episode: u32, shuffled: bool) -> Self {
        let mut random = EpisodeRandom::new(starts.seed, starts.stream, episode, 0);
        let mut state = [0.0; 4];
        starts.world.reset(&mut random, &mut state);
        let mut wiring = std::array::from_fn(|index| index);
        if shuffled {
            Random::new(starts.seed, WIRING).at(64 * u64::from(episode)).shuffle(&mut wiring);
        }
        Self { world: starts.world, random, state, wiring }
    }

    fn observe(&self) -> [f64; CHANNELS] {
        let mut observation = [0.0; CHANNELS];
        self.world.observe(&self.state, &mut observation);
        self.wiring.map(|source| observation[source])
    }
}

/// The episodes of a policy, each up to the world's horizon; `shuffled` draws one order of the inputs for each.
pub fn scores(actor: &dyn Actor, starts: &Starts, shuffled: bool) -> Vec<Episode> {
    in_parallel(starts.first..starts.first + starts.count, |episode| score(actor, starts, episode, shuffled))
}

/// One of the episodes of [`scores`].
pub fn score(actor: &dyn Actor, starts: &Starts, episode: u32, shuffled: bool) -> Episode {
    let mut play = Play::new(starts, episode, shuffled);
    let mut memory = vec![0.0; actor.memory(CHANNELS)];
    let mut played = Episode { score: 0.0, steps: 0, action_changes: 0.0 };
    let mut last = 0.0;
    loop {
        let action = actor.act(&mut memory, &play.observe());
        let outcome = play.world.step(&mut play.state, &[action], &mut play.random);
        played.score += outcome.reward;
        played.steps += 1;
        played.action_changes += (action - last) * (action - last);
        last = action;
        if outcome.done || played.steps == play.world.horizon() {
            return played;
        }
    }
}

/// Observations and actions of a driver, with the teacher's actions there.
#[derive(Clone, Copy)]
pub struct Drive<'a> {
    pub driver: &'a dyn Actor,
    pub teacher: &'a dyn Actor,
    /// The standard deviation of noise on the driver's actions, so that episodes leave its usual path.
    pub disturbance: f64,
    /// Steps of a trajectory; episodes that end sooner are left out.
    pub steps: usize,
}

/// `count` trajectories, from the starts in their order.
///
/// # Errors
/// Fewer than one start in twenty lasts long enough.
pub fn trajectories(drive: &Drive<'_>, starts: &Starts, count: usize) -> Result<Trajectories, Failure> {
    let tries = 20 * count + 100;
    let found = found_trajectories(drive, starts, count, tries);
    match found.count() {
        whole if whole == count => Ok(found),
        got => Err(Failure::Run(format!(
            "expected {count} episodes of {} steps, got {got} from {tries} starts: the driver leaves the track",
            drive.steps
        ))),
    }
}

/// Up to `count` trajectories, from the first `tries` starts.
pub fn found_trajectories(drive: &Drive<'_>, starts: &Starts, count: usize, tries: usize) -> Trajectories {
    let mut found = Trajectories { steps: drive.steps, ..Trajectories::default() };
    let (mut next, end) = (starts.first, starts.first + tries as u32);
    while found.count() < count && next < end {
        let missing = count - found.count();
        let last = end.min(next + 2 * missing as u32);
        let played = in_parallel(next..last, |episode| trajectory(drive, starts, episode));
        played.into_iter().flatten().take(missing).for_each(|trajectory| found.extend(trajectory));
        next = last;
    }
    found
}

fn trajectory(drive: &Drive<'_>, starts: &Starts, episode: u32) -> Option<Trajectories> {
    let mut play = Play::new(starts, episode, false);
    let mut memories = [drive.driver, drive.teacher].map(|actor| vec![0.0; actor.memory(CHANNELS)]);
    let mut random = Random::new(starts.seed, DISTURBANCE ^ starts.stream).at(u64::from(episode) << 16);
    let mut found = Trajectories { steps: drive.steps, ..Trajectories::default() };
    let mut previous = 0.0;
    for _ in 0..drive.steps {
        let inputs = play.observe();
        let label = drive.teacher.act(&mut memories[1], &inputs);
        let driven = drive.driver.act(&mut memories[0], &inputs);
        found.inputs.extend(inputs.map(|input| input as f32));
        found.previous.push(previous as f32);
        found.labels.push(label as f32);
        previous = (driven + drive.disturbance * f64::from(random.normal())).clamp(-1.0, 1.0);
        if play.world.step(&mut play.state, &[previous], &mut play.random).done {
            return None;
        }
    }
    Some(found)
}

/// Returns `play` of each episode, in their order; all cores take part.
pub fn in_parallel<T: Send>(episodes: std::ops::Range<u32>, play: impl Fn(u32) -> T + Sync) -> Vec<T> {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let share = (episodes.len().div_ceil(cores)).max(1);
    let all: Vec<u32> = episodes.collect();
    thread::scope(|scope| {
        let play = &play;
        let parts = all.chunks(share);
        let workers: Vec<_> = parts
            .map(|part| scope.spawn(move || part.iter().map(|&episode| play(episode)).collect::<Vec<T>>()))
            .collect();
        let finished = workers.into_iter();
        // A worker that panicked has a bug to report: it goes on here.
        finished.flat_map(|worker| worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pushes one way for ever.
    struct Push(f64);

    impl Actor for Push {
        fn memory(&self, _: usize) -> usize {
            0
        }

        fn act(&self, _: &mut [f64], inputs: &[f64]) -> f64 {
            assert_eq!(inputs.len(), CHANNELS);
            self.0
        }
    }

    /// Tells its first input.
    struct First;

    impl Actor for First {
        fn memory(&self, _: usize) -> usize {
            0
        }

        fn act(&self, _: &mut [f64], inputs: &[f64]) -> f64 {
            inputs[0].clamp(-1.0, 1.0)
        }
    }

    const STARTS: Starts = Starts { world: CartPoleSwingUp { easy: true }, seed: 11, stream: 1, first: 0, count: 16 };

    #[test]
    fn who_pushes_one_way_leaves_the_track_and_the_same_starts_give_the_same_scores() {
        let played = scores(&Push(1.0), &STARTS, false);
        assert_eq!(played.len(), 16);
        assert!(played.iter().all(|episode| episode.steps < 200), "{played:?}");
        assert_eq!(played, scores(&Push(1.0), &STARTS, true));
        let later = Starts { first: 5, count: 3, ..STARTS };
        assert_eq!(scores(&Push(1.0), &later, false), played[5..8]);
    }

    #[test]
    fn shuffled_episodes_are_wired_in_several_orders() {
        let plain = Starts { count: 40, ..STARTS };
        let first: Vec<f64> = (0..40).map(|episode| Play::new(&plain, episode, true).observe()[0]).collect();
        let straight: Vec<f64> = (0..40).map(|episode| Play::new(&plain, episode, false).observe()[0]).collect();
        let changed = first.iter().zip(&straight).filter(|(a, b)| a != b).count();
        // One order in five leaves the first input where it is.
        assert!((20..40).contains(&changed), "{changed} of 40 are wired differently");
    }

    #[test]
    fn a_trajectory_tells_the_teachers_action_and_the_one_that_was_done_before() {
        let drive = Drive { driver: &Push(0.0), teacher: &First, disturbance: 0.0, steps: 20 };
        let found = trajectories(&drive, &STARTS, 3).unwrap();
        assert_eq!((found.inputs.len(), found.previous.len(), found.labels.len()), (3 * 20 * 5, 60, 60));
        assert!(found.previous.iter().all(|&action| action == 0.0));
        assert!(
            found.labels.iter().zip(found.inputs.chunks(5)).all(|(label, inputs)| *label == inputs[0].clamp(-1.0, 1.0))
        );

        let own = Drive { driver: &First, disturbance: 0.1, ..drive };
        let found = trajectories(&own, &STARTS, 3).unwrap();
        for (previous, labels) in found.previous.chunks(20).zip(found.labels.chunks(20)) {
            assert_eq!(previous[0], 0.0);
            let noise: Vec<f32> = previous[1..].iter().zip(labels).map(|(done, label)| done - label).collect();
            assert!(noise.iter().any(|noise| noise.abs() > 1e-3) && noise.iter().all(|noise| noise.abs() < 0.6));
        }
    }

    #[test]
    fn a_driver_that_leaves_the_track_is_refused() {
        let drive = Drive { driver: &Push(1.0), teacher: &First, disturbance: 0.0, steps: 300 };
        let failure = trajectories(&drive, &STARTS, 2).unwrap_err().to_string();
        assert_eq!(failure, "expected 2 episodes of 300 steps, got 0 from 140 starts: the driver leaves the track");
        assert_eq!(found_trajectories(&drive, &STARTS, 2, 10).count(), 0);
    }
}
