//! `fourfold neuron clone`: behaviour cloning of a permutation-invariant student from an ordinary teacher.

mod report;
mod settings;

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use fourfold::Gpu;
use fourfold::data::{Checkpoint, load_flat_vector};
use fourfold::rollout::Policy;
use fourfold::shaders::Data;
use fourfold::shaders::rollout::policies::AttentionNeuron;
use serde::Serialize;

use crate::failure::Failure;
use crate::neuron::actor::Student;
use crate::neuron::cloning::{Cloning, Trajectories};
use crate::neuron::episodes::{Drive, Episode, found_trajectories, scores, trajectories};
use crate::neuron::evaluation::{Order, Protocol, Scores};
use crate::neuron::recipe;
use crate::neuron::teacher::{self, Search, teacher};
use crate::options::Common;
use crate::progress::Progress;
use crate::run::folder::RunFolder;

use settings::Settings;

/// Clone an ordinary perceptron into an attention neuron, by back-propagation through time
#[derive(Debug, Clone, Args)]
pub struct Arguments {
    /// The teacher: the flat weights of a perceptron 5-16-1 (.npz, .npy or safetensors) [default: one is trained]
    #[arg(long, value_name = "FILE")]
    pub teacher: Option<PathBuf>,
    /// Generations of CMA-ES by which a teacher is trained
    #[arg(long, value_name = "COUNT", default_value_t = 300)]
    pub teacher_generations: usize,
    /// Episodes that the student learns from in one pass; every pass has its own
    #[arg(long, value_name = "COUNT", default_value_t = 512)]
    pub trajectories: usize,
    /// Steps of each; episodes that end sooner are left out
    #[arg(long, value_name = "COUNT", default_value_t = 300)]
    pub steps: usize,
    /// The deviation of what is added to the driver's actions, so that the episodes show how the teacher recovers
    #[arg(long, value_name = "DEVIATION", default_value_t = 0.3, allow_negative_numbers = true)]
    pub disturbance: f64,
    /// The share of the episodes in which the student drives and the teacher says what it would do, from the second
    /// pass on: 0 is behaviour cloning by the book
    #[arg(long, value_name = "SHARE", default_value_t = 0.5, allow_negative_numbers = true)]
    pub student_drives: f64,
    /// Passes, each over new episodes
    #[arg(long, value_name = "COUNT", default_value_t = 30)]
    pub passes: usize,
    /// Trajectories of a batch; multiples of 8 are fastest
    #[arg(long, value_name = "COUNT", default_value_t = 64)]
    pub batch: usize,
    /// Steps through which one update is propagated back; a divisor of --steps
    #[arg(long, value_name = "COUNT", default_value_t = 25)]
    pub window: usize,
    /// Adam's learning rate at the beginning; it falls to 0 along half a cosine
    #[arg(long, default_value_t = 1e-2, allow_negative_numbers = true)]
    pub rate: f32,
    /// Clip the gradient to this norm
    #[arg(long, value_name = "NORM", default_value_t = 0.5, allow_negative_numbers = true)]
    pub clip: f32,
    /// The deviation of the noise on the previous action that the student is shown: with less, it learns to repeat what
    /// the teacher did and not to look
    #[arg(long, value_name = "DEVIATION", default_value_t = 0.5, allow_negative_numbers = true)]
    pub noise: f32,
    /// Added to the initial bias of the student's forget gates
    #[arg(long, value_name = "BIAS", default_value_t = 3.0, allow_negative_numbers = true)]
    pub forget_bias: f32,
    /// Episodes over which teacher and student are scored
    #[arg(long, value_name = "COUNT", default_value_t = 1000)]
    pub episodes: usize,
}

/// One pass over the trajectories.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
struct Pass {
    pass: usize,
    /// The mean squared difference from the teacher's actions.
    loss: f64,
    /// The mean score over a few episodes with shuffled inputs, other ones than those of the table.
    score: f64,
}

/// One row of the table.
#[derive(Debug, Clone)]
struct Row {
    policy: &'static str,
    scores: Scores,
}

/// Where the random numbers of episodes of each kind come from.
const TEACHING: u32 = 1;
const SHOWING: u32 = 2;
const WATCHING: u32 = 3;
const DRIVING: u32 = 4;

/// The seed of the test episodes is this many away from that of the run: no training meets them.
const TEST_SEED: u32 = 0x7E57_0000;

/// Episodes by which the student is watched while it learns.
const WATCHED: usize = 100;

const NETWORK: AttentionNeuron = AttentionNeuron::cart_pole();

/// Trains and reports.
pub fn run(common: &Common, arguments: &Arguments) -> Result<(), Failure> {
    let settings = Settings::new(common, arguments)?;
    // A wrong file is found out before the folder is made.
    let given = match &settings.teacher {
        Some(file) => Some(load_flat_vector(file, None, teacher::PARAMETERS)?),
        None => None,
    };
    let gpu = common.open(false)?;
    let description = serde_json::to_value(&settings).map_err(Failure::run)?;
    let folder = RunFolder::create(common, "neuron-clone", &gpu, description)?;
    let taught = match given {
        Some(weights) => weights,
        None => train_teacher(common, &settings)?,
    };
    folder.write_checkpoint("teacher.safetensors", &checkpoint("perceptron:5-16-1", &taught))?;
    let (passes, learnt) = train_student(common, &settings, &gpu, &taught)?;
    folder.write_checkpoint("student.safetensors", &checkpoint("attention-neuron:cart-pole", &learnt))?;
    let rows = judge(common, &settings, &gpu, &taught, &learnt)?;
    println!("{}", report::write(&folder, &settings, &passes, &rows, &gpu)?);
    Ok(())
}

/// A flat vector with what it is of.
fn checkpoint(model: &str, weights: &[f32]) -> Checkpoint {
    let mut checkpoint = Checkpoint::new();
    checkpoint.set("model", model);
    checkpoint.insert("weights", &[weights.len()], Data::F32(weights.to_vec()));
    checkpoint
}

fn train_teacher(common: &Common, settings: &Settings) -> Result<Vec<f32>, Failure> {
    let mut search = Search::new(&settings.starts(TEACHING, 0))?;
    let mut progress = Progress::new("teacher", settings.teacher_generations as u64, common.quiet);
    for _ in 0..settings.teacher_generations {
        let score = search.advance()?;
        progress.say(format!("mean score {score:.0}"));
        progress.advance(1);
    }
    progress.finish();
    Ok(search.weights())
}

/// The episodes of a pass: the teacher's own, and those in which the student drives where it stays on the track.
fn episodes(
    settings: &Settings,
    taught: &[f32],
    student: Option<&Student>,
    pass: usize,
) -> Result<Trajectories, Failure> {
    let Settings { disturbance, steps, trajectories: count, .. } = *settings;
    let teacher = teacher(taught);
    let starts = |kind: u32| settings.starts(kind | (pass as u32) << 8, 0);
    let drive = Drive { driver: &teacher, teacher: &teacher, disturbance, steps };
    let mut found = match student {
        Some(driver) => {
            let share = (settings.student_drives * count as f64).round() as usize;
            found_trajectories(&Drive { driver, ..drive }, &starts(DRIVING), share, 3 * share)
        }
        None => Trajectories { steps, ..Trajectories::default() },
    };
    found.extend(trajectories(&drive, &starts(SHOWING), count - found.count())?);
    Ok(found)
}

fn train_student(
    common: &Common,
    settings: &Settings,
    gpu: &Gpu,
    taught: &[f32],
) -> Result<(Vec<Pass>, Vec<f32>), Failure> {
    let first = episodes(settings, taught, None, 0)?;
    let mut cloning = Cloning::new(gpu, NETWORK, &first, &settings.recipe(), settings.seed as u32)?;
    let watched = settings.starts(WATCHING, settings.episodes.min(WATCHED));
    let mut progress = Progress::new("student", (settings.passes * cloning.updates()) as u64, common.quiet);
    let mut passes = Vec::new();
    for pass in 1..=settings.passes {
        // One update a submission: on a software driver it takes a good part of a second.
        let loss = cloning.run_pass(1, |updates| progress.advance(updates as u64))?;
        let student = Student::new(NETWORK, &cloning.weights()?);
        let score = mean(&scores(&student, &watched, true));
        progress.say(format!("loss {loss:.4}, score {score:.0}"));
        passes.push(Pass { pass, loss, score });
        if pass < settings.passes {
            cloning.replace(&episodes(settings, taught, Some(&student), pass)?)?;
        }
    }
    progress.finish();
    Ok((passes, cloning.weights()?))
}

fn mean(episodes: &[Episode]) -> f64 {
    episodes.iter().map(|episode| episode.score).sum::<f64>() / episodes.len() as f64
}

/// Teacher and student over the same starts, with inputs as they are and shuffled for each episode: rollouts on the GPU.
fn judge(common: &Common, settings: &Settings, gpu: &Gpu, taught: &[f32], learnt: &[f32]) -> Result<Vec<Row>, Failure> {
    let plain = Protocol::plain(settings.episodes, TEST_SEED.wrapping_add(settings.seed as u32));
    let shuffled = Protocol { order: Order::Shuffled, ..plain };
    let student: Arc<dyn Policy> = Arc::new(NETWORK);
    let rows = [
        ("teacher", plain, recipe::perceptron(), taught),
        ("teacher, inputs shuffled", shuffled, recipe::perceptron(), taught),
        ("student", plain, student.clone(), learnt),
        ("student, inputs shuffled", shuffled, student, learnt),
    ];
    let mut progress = Progress::new("scores", rows.len() as u64, common.quiet);
    let score = |(policy, protocol, network, weights): (&'static str, Protocol, Arc<dyn Policy>, &[f32])| {
        let scores = protocol.scores(gpu, network, weights)?;
        progress.advance(1);
        Ok(Row { policy, scores })
    };
    let rows = rows.into_iter().map(score).collect();
    progress.finish();
    rows
}
