//! Continuous control from recorded episodes: the transformer against behaviour cloning, dense rewards against delayed
//! ones, a context of 20 steps against one.

mod report;

use clap::Args;
use fourfold::Gpu;
use serde::{Deserialize, Serialize};

use super::collection::{Collector, Stage, World};
use super::contender::{Contender, PLAYED, Sizes};
use super::data_set::DataSet;
use crate::failure::Failure;
use crate::options::Common;
use crate::progress::Progress;
use crate::run::folder::RunFolder;

/// The settings of the experiment.
#[derive(Debug, Clone, PartialEq, Args, Serialize, Deserialize)]
pub struct Settings {
    /// The data sets: `pendulum` or `cart-pole-swing-up` with `-random`, `-medium`, `-medium-replay`, `-full-replay`,
    /// `-medium-expert` or `-expert`,
    /// and `pendulum-imitation` and `cart-pole-imitation` [default: the last two, and
    /// of both environments medium, medium-replay and expert]
    #[arg(long = "data", value_name = "NAMES", value_delimiter = ',')]
    pub data: Vec<String>,
    /// How many seeds are trained, from --seed on; the data are those of --seed
    #[arg(long, value_name = "COUNT", default_value_t = 2)]
    pub seeds: u32,
    /// Episodes of each data set of our own
    #[arg(long, value_name = "COUNT", default_value_t = 300)]
    pub episodes: usize,
    /// Episodes that each policy is evaluated on, as one batch
    #[arg(long, value_name = "COUNT", default_value_t = 100)]
    pub evaluation: u32,
    #[command(flatten)]
    pub sizes: Sizes,
}

/// A data set by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    Collected(World, Stage),
    Imitation(World),
}

impl Source {
    /// The data sets of the experiment.
    const ALL: [Self; 8] = [
        Self::Collected(World::Pendulum, Stage::Medium),
        Self::Collected(World::Pendulum, Stage::MediumReplay),
        Self::Collected(World::Pendulum, Stage::Expert),
        Self::Imitation(World::Pendulum),
        Self::Collected(World::CartPoleSwingUp, Stage::Medium),
        Self::Collected(World::CartPoleSwingUp, Stage::MediumReplay),
        Self::Collected(World::CartPoleSwingUp, Stage::Expert),
        Self::Imitation(World::CartPole),
    ];

    pub fn world(self) -> World {
        match self {
            Source::Collected(world, _) | Source::Imitation(world) => world,
        }
    }

    pub fn name(self) -> String {
        match self {
            Source::Collected(world, stage) => format!("{}-{}", world.name(), stage.name()),
            Source::Imitation(world) => format!("{}-imitation", world.name()),
        }
    }

    /// The data set of a name.
    ///
    /// # Errors
    /// There is none.
    pub fn named(name: &str) -> Result<Self, Failure> {
        let collected = World::ALL.into_iter().flat_map(|world| Stage::ALL.map(|stage| Self::Collected(world, stage)));
        let real = [World::Pendulum, World::CartPole].map(Self::Imitation);
        collected.chain(real).find(|source| source.name() == name).ok_or_else(|| {
            Failure::Input(format!(
                "--data: expected an environment and a stage, as in pendulum-medium-replay or pendulum-imitation, got \
                 `{name}`"
            ))
        })
    }
}

/// Data sets by their names, from policies that are trained once for each environment.
#[derive(Debug)]
pub struct Library {
    gpu: Gpu,
    episodes: usize,
    seed: u32,
    /// Trains for a quarter of the time.
    quick: bool,
    quiet: bool,
    collectors: Vec<Collector>,
}

impl Library {
    pub fn new(gpu: &Gpu, common: &Common, episodes: usize) -> Self {
        let (seed, quick, quiet) = (common.seed as u32, common.quick, common.quiet);
        Self { gpu: gpu.clone(), episodes, seed, quick, quiet, collectors: Vec::new() }
    }

    /// A data set; where it is of our own collection, the policy is trained if that was not done before.
    ///
    /// # Errors
    /// Those of [`Collector::new`].
    pub fn open(&mut self, source: Source) -> Result<DataSet, Failure> {
        let (world, stage) = match source {
            Source::Imitation(world) => return DataSet::imitation(&self.gpu, world, self.seed),
            Source::Collected(world, stage) => (world, stage),
        };
        if let Some(collector) = self.collectors.iter().find(|collector| collector.world() == world) {
            return DataSet::collected(collector, stage, self.episodes);
        }
        let course = if self.quick { world.course().quick() } else { world.course() };
        let collector = Collector::new(&self.gpu, world, course, self.seed, self.quiet)?;
        let data = DataSet::collected(&collector, stage, self.episodes)?;
        self.collectors.push(collector);
        Ok(data)
    }
}

impl Settings {
    fn sources(&self) -> Result<Vec<Source>, Failure> {
        match self.data.is_empty() {
            true => Ok(Source::ALL.to_vec()),
            false => self.data.iter().map(|name| Source::named(name)).collect(),
        }
    }

    fn check(&self) -> Result<(), Failure> {
        self.sizes.check()?;
        Failure::check_counts([
            ("--seeds", self.seeds as usize, 1..=100_000),
            ("--episodes", self.episodes, 1..=100_000),
            ("--evaluation", self.evaluation as usize, 1..=100_000),
        ])
    }

    /// The same with less of all, to see it work.
    fn quick(self) -> Self {
        let sizes = Sizes { width: 16, layers: 1, context: 5, batch: 16, steps: 30, cloning_steps: 30, ..self.sizes };
        let data = if self.data.is_empty() { vec!["cart-pole-imitation".into()] } else { self.data };
        let (seeds, episodes, evaluation) = (1, self.episodes.min(40), self.evaluation.min(10));
        Self { data, seeds, episodes, evaluation, sizes }
    }
}

/// A data set with what learned from it.
#[derive(Debug)]
pub struct Compared {
    pub data: DataSet,
    pub trials: Vec<Trial>,
}

/// A contender on a data set.
#[derive(Debug, Clone, Serialize)]
pub struct Trial {
    pub contender: Contender,
    pub parameters: usize,
    /// For each seed, the mean score over the evaluation's episodes.
    pub scores: Vec<f64>,
    /// For each seed, the standard error of that mean.
    pub errors: Vec<f64>,
    /// For each seed, the mean return.
    pub returns: Vec<f64>,
    /// For each seed, the mean loss of the last training steps.
    pub losses: Vec<f64>,
    /// For each seed, the seconds of its training.
    pub seconds: Vec<f64>,
}

/// Starts of evaluations, which no data set has.
pub const EVALUATION: u32 = 0xE7A1_0000;

/// Runs the experiment and writes its report.
///
/// # Errors
/// Settings that make no sense, a folder that cannot be written, or the loss of the device.
pub fn run(common: &Common, settings: &Settings) -> Result<(), Failure> {
    let settings = if common.quick { settings.clone().quick() } else { settings.clone() };
    settings.check()?;
    let sources = settings.sources()?;
    let gpu = common.open(false)?;
    let value = serde_json::to_value(&settings).map_err(Failure::run)?;
    let folder = RunFolder::create(common, "dt-control", &gpu, value)?;
    let mut library = Library::new(&gpu, common, settings.episodes);
    let sets = sources.into_iter().map(|source| library.open(source)).collect::<Result<Vec<_>, _>>()?;

    let each = Contender::ALL.map(|contender| contender.steps(&settings.sizes) as u64 + PLAYED);
    let total = each.iter().sum::<u64>() * u64::from(settings.seeds) * sets.len() as u64;
    let mut progress = Progress::new("control", total, common.quiet);
    let mut results: Vec<Compared> = Vec::with_capacity(sets.len());
    let mut summary = String::new();
    // Seeds outermost: every data set has its first before any has its second.
    for number in 0..settings.seeds {
        let seed = (common.seed as u32).wrapping_add(number);
        for (index, data) in sets.iter().enumerate() {
            if number == 0 {
                let trials = Contender::ALL.map(Trial::new).to_vec();
                results.push(Compared { data: data.clone(), trials });
            }
            for trial in &mut results[index].trials {
                trial.extend(&gpu, data, &settings, seed, &mut progress)?;
            }
            // What is there is reported, should the run end early.
            summary = report::write(&folder, &settings, &results, &gpu)?;
        }
    }
    progress.finish();
    crate::show!("{summary}\n\nThe run is in {}", folder.path().display());
    Ok(())
}

impl Trial {
    fn new(contender: Contender) -> Self {
        let none = Vec::new;
        let (scores, errors, returns, losses, seconds) = (none(), none(), none(), none(), none());
        Self { contender, parameters: 0, scores, errors, returns, losses, seconds }
    }

    /// Trains and evaluates one more seed.
    fn extend(
        &mut self,
        gpu: &Gpu,
        data: &DataSet,
        settings: &Settings,
        seed: u32,
        progress: &mut Progress,
    ) -> Result<(), Failure> {
        let learner = self.contender.train(gpu, data, &settings.sizes, seed, progress)?;
        let starts = [settings.evaluation, EVALUATION.wrapping_add(seed)];
        let played = learner.play(gpu, data, &[data.target()], starts, progress)?;
        let (mean, deviation) = spread(&played[0]);
        self.parameters = learner.parameters();
        self.scores.push(data.score(mean));
        self.errors.push(100.0 * deviation / (played[0].len() as f64).sqrt() / (data.expert - data.random));
        self.returns.push(mean);
        self.losses.push(learner.loss);
        self.seconds.push(learner.seconds);
        Ok(())
    }

    /// The mean score with its standard deviation over the seeds, or, of one seed, with its standard error.
    fn spread(&self) -> (f64, f64) {
        match self.errors[..] {
            [error] => (self.scores[0], error),
            _ => spread(&self.scores),
        }
    }
}

/// Mean and standard deviation (of a value, not of the mean); the deviation of one value is 0.
fn spread(values: &[f64]) -> (f64, f64) {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (mean, (squares / (values.len().max(2) - 1) as f64).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_spread_over_seeds_and_one_seed_over_its_episodes() {
        let mut trial = Trial::new(Contender::ALL[0]);
        (trial.scores, trial.errors) = (vec![5.0], vec![0.5]);
        assert_eq!(trial.spread(), (5.0, 0.5));
        (trial.scores, trial.errors) = (vec![1.0, 3.0], vec![0.5, 0.5]);
        assert_eq!(trial.spread(), (2.0, 2f64.sqrt()));
    }

    #[test]
    fn data_sets_are_found_by_their_names_and_no_others() {
        for source in Source::ALL {
            assert_eq!(Source::named(&source.name()).unwrap(), source);
        }
        let failure = Source::named("hopper-medium").unwrap_err().to_string();
        assert!(failure.ends_with("got `hopper-medium`"), "{failure}");
    }
}
