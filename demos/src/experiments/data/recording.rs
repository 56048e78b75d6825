//! Episodes of a policy at a stage of its training, as trajectories.

use std::sync::Arc;

use fourfold::Gpu;
use fourfold::data::{Steps, Trajectories};
use fourfold::rollout::{
    Composition, Operands, Plan, Policy, Rollout, Sensors, Settings, Trace, WeightSource, Weights,
};
use fourfold::shaders::Data;
use fourfold::shaders::random::threefry::{self, Random};
use serde::{Deserialize, Serialize};

use super::{Course, Exploring, Generation, UniformActions, World};
use crate::failure::Failure;
use crate::run::Run;
use crate::statistics::average;

/// The kind of data set, in D4RL's sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Actions uniform in their range
    Random,
    /// The policy when its return was first a third of the way from random to expert, with noise on its actions
    Medium,
    /// Episodes that the population played until then
    MediumReplay,
    /// Episodes that the population played in the whole training
    FullReplay,
    /// Half of each
    MediumExpert,
    /// The best policy of the training, with little noise on its actions
    Expert,
}

impl Stage {
    pub const ALL: [Self; 6] =
        [Self::Random, Self::Medium, Self::MediumReplay, Self::FullReplay, Self::MediumExpert, Self::Expert];

    pub fn name(self) -> &'static str {
        match self {
            Stage::Random => "random",
            Stage::Medium => "medium",
            Stage::MediumReplay => "medium-replay",
            Stage::FullReplay => "full-replay",
            Stage::MediumExpert => "medium-expert",
            Stage::Expert => "expert",
        }
    }
}

/// Deviations of the noise on actions.
const MEDIUM_NOISE: f32 = 0.3;
const EXPERT_NOISE: f32 = 0.1;

/// A trained policy, from which data of every stage is collected.
#[derive(Debug)]
pub struct Collector {
    gpu: Gpu,
    world: World,
    course: Course,
    seed: u32,
    /// The seed of the training that was kept.
    training: u32,
    generations: Vec<Generation>,
    /// Mean returns of the centres, on the same episodes.
    pub returns: Vec<f64>,
    /// Mean return of uniform actions: a score of 0.
    pub random: f64,
    /// The generation whose centre is the medium policy.
    pub medium: usize,
    /// The generation whose centre is the expert.
    pub expert: usize,
}

/// Episodes that tell how good a centre is.
const VALIDATION_EPISODES: usize = 128;

/// Keys of random numbers, told apart from the training's by what is added to the seed.
const VALIDATION: u32 = 0x5EED_0001;
const COLLECTION: u32 = 0xDA7A_0000;

/// The share of the way from random to expert where a policy is medium.
const MEDIUM: f64 = 1.0 / 3.0;

/// Returns the index of the value that is nearest to another.
fn nearest(values: &[f64], to: f64) -> Option<usize> {
    (0..values.len()).min_by(|&a, &b| (values[a] - to).abs().total_cmp(&(values[b] - to).abs()))
}

/// The mean return of uniform actions: a score of 0.
///
/// # Errors
/// The loss of the device.
pub fn random_return(gpu: &Gpu, world: World, seed: u32) -> Result<f64, Failure> {
    let settings = Settings::new(1, 8 * VALIDATION_EPISODES, world.environment().horizon());
    let key = seed.wrapping_add(VALIDATION);
    let played = Behaviour::random().rollout(gpu, world, settings, [key, 0], false)?.run()?;
    Ok(average(&played.returns))
}

impl Collector {
    /// Trains a policy by a course, in a stage of the run for each training, as often as the course's goal wants.
    ///
    /// # Errors
    /// A training that gets nowhere, or the loss of the device.
    pub fn new(run: &mut Run, world: World, course: Course, seed: u32) -> Result<Self, Failure> {
        let mut best: Option<Self> = None;
        for number in 0..course.tries.max(1) {
            let key = seed.wrapping_add(number as u32);
            let (label, steps) = (format!("{}, training {}", world.name(), number + 1), course.generations as u64);
            run.progress(&label, steps);
            let stage = format!("policy of {}, seed {seed}, training {}", world.name(), number + 1);
            let generations = run.stage(&stage, steps, |run| course.train(run, world, key))?;
            run.end_progress();
            let own = Self::of(&run.gpu(), world, course.clone(), [seed, key], generations)?;
            if best.as_ref().is_none_or(|best| own.best() > best.best()) {
                best = Some(own);
            }
            if best.as_ref().is_some_and(|best| best.best() >= course.goal) {
                break;
            }
        }
        match best {
            Some(best) if best.medium < best.expert && best.best() > best.random => Ok(best),
            _ => Err(Failure::Run(format!(
                "{}: the training got nowhere: no policy is better than random",
                world.name()
            ))),
        }
    }

    /// The stages of a training that is over; `seeds` are that of the collection and the training's own.
    fn of(
        gpu: &Gpu,
        world: World,
        course: Course,
        [seed, training]: [u32; 2],
        generations: Vec<Generation>,
    ) -> Result<Self, Failure> {
        let key = seed.wrapping_add(VALIDATION);
        let centers = generations.iter().flat_map(|generation| &generation.center).copied().collect();
        let steady = Behaviour { policy: course.policy(), noise: None, weights: centers };
        let settings = Settings::new(generations.len(), VALIDATION_EPISODES, world.environment().horizon());
        let played = steady.rollout(gpu, world, settings, [key, 0], false)?.run()?;
        let returns: Vec<f64> = played.returns.chunks(VALIDATION_EPISODES).map(average).collect();
        let random = random_return(gpu, world, seed)?;
        let expert = (0..returns.len()).rev().max_by(|&a, &b| returns[a].total_cmp(&returns[b])).unwrap_or(0);
        let enough = random + MEDIUM * (returns[expert] - random);
        let reached = |value: &f64| *value >= enough && returns[expert] > random;
        let medium = returns.iter().position(reached).unwrap_or(0);
        // A training that jumps has none between: the nearest generation before the expert.
        let medium = if medium < expert { medium } else { nearest(&returns[..expert], enough).unwrap_or(expert) };
        Ok(Self { gpu: gpu.clone(), world, course, seed, training, generations, returns, random, medium, expert })
    }

    pub fn world(&self) -> World {
        self.world
    }

    /// The mean return of the expert without noise: a score of 100.
    pub fn best(&self) -> f64 {
        self.returns[self.expert]
    }

    /// `count` episodes of a stage.
    ///
    /// # Errors
    /// The loss of the device.
    pub fn collect(&self, stage: Stage, count: usize) -> Result<Trajectories, Failure> {
        let key = self.seed.wrapping_add(COLLECTION);
        let center = |generation: usize| self.generations[generation].center.clone();
        let (steps, policy, noise) = match stage {
            Stage::Random => {
                (self.play(&Behaviour::random(), key, count)?, "uniform actions".to_owned(), "none".to_owned())
            }
            Stage::Medium => {
                let medium = self.exploring(center(self.medium), MEDIUM_NOISE);
                (self.play(&medium, key + 1, count)?, self.center_of(self.medium), deviation(MEDIUM_NOISE))
            }
            Stage::Expert => {
                let expert = self.exploring(center(self.expert), EXPERT_NOISE);
                (self.play(&expert, key + 2, count)?, self.center_of(self.expert), deviation(EXPERT_NOISE))
            }
            Stage::MediumReplay | Stage::FullReplay => {
                let last = if stage == Stage::MediumReplay { self.medium } else { self.course.generations - 1 };
                let policy =
                    format!("members of generations 0 to {last}, {} of each generation", self.share(count, last));
                (self.replay(count, last)?, policy, "on weights, as they were trained".to_owned())
            }
            Stage::MediumExpert => {
                let [medium, expert] =
                    [self.collect(Stage::Medium, count.div_ceil(2))?, self.collect(Stage::Expert, count / 2)?];
                let mut steps = medium.columns().clone();
                append(&mut steps, expert.columns());
                let note = |key: &str| format!("{}; {}", medium.notes()[key], expert.notes()[key]);
                (steps, note("policy"), note("noise"))
            }
        };
        let name = format!("{}-{}", self.world.name(), stage.name());
        let observations = self.world.environment().observations();
        let mut collected = Trajectories::new(&name, observations, self.world.actions(), steps)?;
        let course = &self.course;
        let notes = [
            ("environment", self.world.name().to_owned()),
            ("stage", stage.name().to_owned()),
            ("episodes", collected.episodes().to_string()),
            ("seed", self.seed.to_string()),
            ("training_seed", self.training.to_string()),
            ("policy", policy),
            ("noise", noise),
            (
                "training",
                format!(
                    "{:?} of a perceptron {:?}, {} members of {} episodes, {} generations",
                    course.strategy, course.hidden, course.members, course.episodes, course.generations
                ),
            ),
            ("random_return", self.random.to_string()),
            ("medium_return", self.returns[self.medium].to_string()),
            ("expert_return", self.best().to_string()),
        ];
        notes.into_iter().for_each(|(key, value)| collected.set_note(key, value));
        Ok(collected)
    }

    fn center_of(&self, generation: usize) -> String {
        format!("centre of generation {generation}, mean return {:.1}", self.returns[generation])
    }

    fn exploring(&self, weights: Vec<f32>, noise: f32) -> Behaviour {
        Behaviour { policy: Arc::new(Exploring::new(self.course.policy())), noise: Some(noise), weights }
    }

    /// Episodes of one policy.
    fn play(&self, behaviour: &Behaviour, key: u32, count: usize) -> Result<Steps, Failure> {
        let settings = Settings::new(1, count, self.world.environment().horizon());
        let (_, trace) = behaviour.rollout(&self.gpu, self.world, settings, [key, 0], true)?.trace()?;
        steps_of(self.world, trace)
    }

    /// Members of a generation whose episodes are kept where `count` are wanted of all.
    fn share(&self, count: usize, last: usize) -> usize {
        let course = &self.course;
        count.div_ceil((last + 1) * course.episodes).min(course.members)
    }

    /// Episodes that the population played until generation `last`, evenly over the generations: the same members, drawn
    /// again, from the same starts.
    fn replay(&self, count: usize, last: usize) -> Result<Steps, Failure> {
        const CHOICE: u32 = 11;
        let course = &self.course;
        let members = self.share(count, last);
        let count_of_weights = self.generations[0].center.len();
        let mut random = Random::new(self.training, CHOICE);
        let settings = Settings { members, ..course.rollout(self.world) };
        let blank = Behaviour { policy: course.policy(), noise: None, weights: vec![0.0; members * count_of_weights] };
        let rollout = blank.rollout(&self.gpu, self.world, settings, [self.training, 0], true)?;
        let Operands { seed, weights: Weights::Given(weights), .. } = rollout.operands() else {
            unreachable!("a rollout with a trace has given weights")
        };
        let queue = self.gpu.queue();
        let mut all = Steps::default();
        for (number, generation) in self.generations[..=last].iter().enumerate() {
            let mut order: Vec<usize> = (0..course.members).collect();
            random.shuffle(&mut order);
            let key = [self.training, number as u32];
            let drawn: Vec<f32> = order[..members].iter().flat_map(|&member| generation.member(key, member)).collect();
            queue.write_buffer(&weights.buffer, weights.offset, bytemuck::cast_slice(&drawn));
            queue.write_buffer(&seed.buffer, seed.offset, bytemuck::cast_slice(&key));
            append(&mut all, &steps_of(self.world, rollout.trace()?.1)?);
        }
        // As many as were wanted, evenly.
        let observations = self.world.environment().observations();
        let played = Trajectories::new("replay", observations, self.world.actions(), all)?;
        let kept = played.episodes().min(count);
        let kept: Vec<usize> = (0..kept).map(|index| index * played.episodes() / kept).collect();
        Ok(played.select(&kept)?.columns().clone())
    }
}

impl Generation {
    /// The weights of a member, as the strategy drew them.
    fn member(&self, seed: [u32; 2], member: usize) -> Vec<f32> {
        const STREAM: u32 = 0;
        let blocks = self.center.len().div_ceil(2);
        let sign = if member.is_multiple_of(2) { 1.0 } else { -1.0 };
        let weight = |(index, (center, deviation)): (usize, (&f32, &f32))| {
            let pair = (member / 2 * blocks + index / 2) as u32;
            let normal = threefry::normal_pair(seed, STREAM, pair)[index % 2];
            (f64::from(*center) + sign * f64::from(*deviation) * normal) as f32
        };
        self.center.iter().zip(&self.deviation).enumerate().map(weight).collect()
    }
}

/// Who plays.
struct Behaviour {
    policy: Arc<dyn Policy>,
    /// The deviation of a noise channel for each number of the action.
    noise: Option<f32>,
    /// (members, weights).
    weights: Vec<f32>,
}

impl Behaviour {
    fn random() -> Self {
        Self { policy: Arc::new(UniformActions), noise: Some(1.0), weights: vec![0.0] }
    }

    fn rollout(
        &self,
        gpu: &Gpu,
        world: World,
        settings: Settings,
        seed: [u32; 2],
        trace: bool,
    ) -> Result<Rollout, Failure> {
        let environment = world.environment();
        let noise_channels = if self.noise.is_some() { environment.actions() } else { 0 };
        let sensors = Sensors { noise_channels, noise: self.noise.unwrap_or(0.0), ..Sensors::default() };
        let policy = self.policy.clone();
        let composition = Composition { environment, policy, sensors, weights: WeightSource::Given { trace } };
        let plan = Plan::new(&composition, &settings, &gpu.target())?;
        let operands = Operands {
            seed: gpu.upload("seed", &Data::U32(seed.to_vec()))?,
            weights: Weights::Given(gpu.upload("weights", &Data::F32(self.weights.clone()))?),
            wiring: None,
        };
        Ok(Rollout::new(gpu, plan, operands)?)
    }
}

fn deviation(noise: f32) -> String {
    format!("normal on actions, deviation {noise}")
}

/// The steps of every episode of a trace, one after the other.
fn steps_of(world: World, mut trace: Trace) -> Result<Steps, Failure> {
    for step in trace.episodes.iter_mut().flatten() {
        step.action = world.stored(&step.action);
    }
    Ok(trace.trajectories(world.name(), world.actions())?.columns().clone())
}

/// Adds episodes behind others.
fn append(steps: &mut Steps, others: &Steps) {
    let before = steps.rewards.len();
    steps.observations.extend(&others.observations);
    steps.actions.extend(&others.actions);
    steps.rewards.extend(&others.rewards);
    steps.ends.extend(others.ends.iter().map(|end| before + end));
    steps.terminated.extend(&others.terminated);
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::options::Common;
    use fourfold::evolution::{Descent, OuterLoop, OuterSettings, OuterTensors, RolloutGradient, RolloutGradientPlan};

    /// A short training of the pendulum.
    fn short() -> Collector {
        let course = Course { generations: 30, members: 32, goal: -2_000.0, ..World::Pendulum.course() };
        static FOLDERS: AtomicUsize = AtomicUsize::new(0);
        let number = FOLDERS.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("fourfold-recording-{}-{number}", std::process::id()));
        let common = Common { out: Some(path.clone()), quiet: true, ..Common::default() };
        let mut run = Run::of_command(&common, "test", &Gpu::open().unwrap(), serde_json::Value::Null).unwrap();
        let collector = Collector::new(&mut run, World::Pendulum, course, 3).unwrap();
        std::fs::remove_dir_all(&path).unwrap();
        collector
    }

    fn mean_return(collected: &Trajectories) -> f64 {
        collected.returns().iter().sum::<f64>() / collected.episodes() as f64
    }

    #[test]
    fn stages_are_what_they_say_and_the_same_seed_gives_the_same_episodes() {
        let collector = short();
        let [random, medium, expert] =
            [Stage::Random, Stage::Medium, Stage::Expert].map(|stage| collector.collect(stage, 64).unwrap());
        assert!((mean_return(&random) - collector.random).abs() < 150.0, "{}", mean_return(&random));
        // 64 episodes of a pendulum, whose starts decide much.
        let near = |collected: &Trajectories, expected: f64| (mean_return(collected) - expected).abs() < 200.0;
        assert!(near(&medium, collector.returns[collector.medium]), "{}", mean_return(&medium));
        assert!(near(&expert, collector.best()), "{}", mean_return(&expert));
        assert!(collector.best() > collector.returns[collector.medium] && collector.medium > 0);
        let uniform = random.columns().actions.iter().filter(|action| action.abs() < 0.5).count() as f64;
        assert!((uniform / random.steps() as f64 - 0.5).abs() < 0.02, "{uniform} of {}", random.steps());
        assert_eq!((random.steps(), random.observations()), (64 * 200, 3));

        let both = collector.collect(Stage::MediumExpert, 9).unwrap();
        let [first, last] =
            [collector.collect(Stage::Medium, 5).unwrap(), collector.collect(Stage::Expert, 4).unwrap()];
        assert_eq!(both.returns(), [first.returns(), last.returns()].concat());
        assert_eq!(short().collect(Stage::Medium, 64).unwrap(), medium);
        assert_eq!(medium.notes()["stage"], "medium");
        assert_eq!(medium.notes()["medium_return"], collector.returns[collector.medium].to_string());
    }

    #[test]
    fn replayed_episodes_are_those_that_the_population_played() {
        let collector = short();
        let course = &collector.course;
        // All that the first generation played.
        let seed = collector.training;
        let weights: Vec<f32> =
            (0..course.members).flat_map(|member| collector.generations[0].member([seed, 0], member)).collect();
        let all = Behaviour { policy: course.policy(), noise: None, weights };
        let played =
            all.rollout(&collector.gpu, World::Pendulum, course.rollout(World::Pendulum), [seed, 0], false).unwrap();
        let returns = played.run().unwrap().returns;
        // The mean of its fitness, as the strategy itself had it.
        let composition = Composition {
            environment: World::Pendulum.environment(),
            policy: course.policy(),
            sensors: Sensors::default(),
            weights: WeightSource::Perturbed,
        };
        let (gpu, rollout) = (&collector.gpu, course.rollout(World::Pendulum));
        let plan = RolloutGradientPlan::new(&composition, course.strategy, &rollout, &gpu.target()).unwrap();
        let outer = OuterTensors::new(gpu, &collector.generations[0].center, seed).unwrap();
        let source = RolloutGradient::new(gpu, plan, &outer).unwrap();
        let descent = OuterSettings { descent: Descent::adam(0.9), rate: course.rate, clip: None, ring: 1 };
        let mut outer = OuterLoop::new(gpu, outer, Box::new(source), descent).unwrap();
        let summary = RolloutGradient::summaries(&outer.run(1).unwrap())[0];
        let mean = average(&returns);
        assert!((f64::from(summary.mean) - mean).abs() < 1.0, "{} {mean}", summary.mean);

        // Whatever is replayed of the first generation is among them.
        let replay = collector.collect(Stage::MediumReplay, 60).unwrap();
        assert_eq!(replay.episodes(), 60);
        let first = replay.returns()[0];
        assert!(returns.iter().any(|&own| (f64::from(own) - first).abs() < 0.1), "{first} {returns:?}");
    }
}
