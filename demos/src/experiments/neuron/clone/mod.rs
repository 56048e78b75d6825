//! `fourfold neuron clone`: behaviour cloning of a permutation-invariant student from an ordinary teacher.

mod report;

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use fourfold::Gpu;
use fourfold::data::load_flat_vector;
use fourfold::models::PolicyNetwork;
use fourfold::rollout::Policy;
use fourfold::shaders::rollout::environments::CartPoleSwingUp;
use fourfold::shaders::rollout::policies::AttentionNeuron;
use fourfold::shaders::rollout::unroll::Environment;
use serde::{Deserialize, Serialize};

use super::actor::Student;
use super::cloning::{Cloning, Recipe, Trajectories};
use super::episodes::{Drive, Starts, found_trajectories, scores, trajectories};
use super::evaluation::{Order, Protocol, Scores};
use super::recipe;
use super::teacher::{self, Search, teacher};
use crate::experiment::Experiment;
use crate::failure::Failure;
use crate::limits::{self, Span};
use crate::run::report::Report;
use crate::run::{Run, entry, set_entry};
use crate::statistics::average;

/// Clone an ordinary perceptron into an attention neuron, by back-propagation through time
#[derive(Debug, Clone, PartialEq, Args, Serialize, Deserialize)]
pub struct Settings {
    /// Teacher: flat weights of a perceptron 5-16-1 (npz, npy or safetensors) [default: train one]
    #[arg(long, value_name = "FILE")]
    pub teacher: Option<PathBuf>,
    /// Generations of CMA-ES that train the teacher
    #[arg(long, value_name = "COUNT", default_value_t = 300)]
    pub teacher_generations: usize,
    /// Episodes of one pass; each pass draws new ones
    #[arg(long, value_name = "COUNT", default_value_t = 512)]
    pub trajectories: usize,
    /// Steps of each episode; shorter episodes are left out
    #[arg(long, value_name = "COUNT", default_value_t = 300)]
    pub steps: usize,
    /// Standard deviation of noise on the driver's actions, so that episodes show how the teacher recovers
    #[arg(long, value_name = "DEVIATION", default_value_t = 0.3, allow_negative_numbers = true)]
    pub disturbance: f64,
    /// Share of episodes driven by the student and labelled by the teacher, from the second pass on (DAgger); 0 is
    /// plain behaviour cloning
    #[arg(long, value_name = "SHARE", default_value_t = 0.5, allow_negative_numbers = true)]
    pub student_drives: f64,
    /// Passes, each over new episodes
    #[arg(long, value_name = "COUNT", default_value_t = 30)]
    pub passes: usize,
    /// Trajectories of a batch; multiples of 8 are fastest
    #[arg(long, value_name = "COUNT", default_value_t = 64)]
    pub batch: usize,
    /// Truncation of back-propagation through time; a divisor of --steps
    #[arg(long, value_name = "COUNT", default_value_t = 25)]
    pub window: usize,
    /// Initial learning rate of Adam; it falls to 0 along half a cosine
    #[arg(long, default_value_t = 1e-2, allow_negative_numbers = true)]
    pub rate: f32,
    /// Clip the gradient to this norm
    #[arg(long, value_name = "NORM", default_value_t = 0.5, allow_negative_numbers = true)]
    pub clip: f32,
    /// Standard deviation of noise on the previous action, the student's input: with less, it learns to repeat actions
    /// and not to look
    #[arg(long, value_name = "DEVIATION", default_value_t = 0.5, allow_negative_numbers = true)]
    pub noise: f32,
    /// Added to the initial bias of the student's forget gates
    #[arg(long, value_name = "BIAS", default_value_t = 3.0, allow_negative_numbers = true)]
    pub forget_bias: f32,
    /// Episodes that score teacher and student
    #[arg(long, value_name = "COUNT", default_value_t = 1000)]
    pub episodes: usize,
}

/// One pass over the trajectories.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
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

/// A cloning that has ended.
#[derive(Debug, Clone)]
struct Cloned {
    seed: u32,
    passes: Vec<Pass>,
    rows: Vec<Row>,
}

/// Streams of the random numbers of episodes of each kind.
const TEACHING: u32 = 1;
const SHOWING: u32 = 2;
const WATCHING: u32 = 3;
const DRIVING: u32 = 4;

/// The seed of the test episodes is this many away from that of the run: no training meets them.
const TEST_SEED: u32 = 0x7E57_0000;

/// Episodes that score the student while it learns.
const WATCHED: usize = 100;

const NETWORK: AttentionNeuron = AttentionNeuron::cart_pole();

impl Experiment for Settings {
    const NAME: &'static str = "neuron clone";
    const SEEDS: Option<&'static str> = Some("1");
    const QUICK: &'static [(&'static str, &'static str)] =
        &[("teacher_generations", "20"), ("trajectories", "64"), ("steps", "50"), ("passes", "3"), ("episodes", "100")];

    const ACTS_WITH: &'static [(&'static str, &'static str, &'static [&'static str])] =
        &[("teacher_generations", "teacher", &["null"])];

    fn inputs(&self) -> Vec<PathBuf> {
        self.teacher.iter().cloned().collect()
    }

    fn check(&self) -> Result<(), Failure> {
        let horizon = CartPoleSwingUp::default().horizon();
        limits::counts([
            ("--teacher-generations", self.teacher_generations, 1..=1_000_000),
            ("--trajectories", self.trajectories, 1..=1_000_000),
            ("--steps", self.steps, 1..=horizon),
            ("--passes", self.passes, 1..=1_000_000),
            ("--episodes", self.episodes, 1..=1_000_000),
        ])?;
        limits::numbers([
            ("--disturbance", self.disturbance, Span::within(0.0, 10.0)),
            ("--student-drives", self.student_drives, Span::within(0.0, 1.0)),
            ("--rate", self.rate.into(), Span::within(0.0, 10.0)),
            ("--clip", self.clip.into(), Span::above(0.0, 1e9)),
            ("--noise", self.noise.into(), Span::within(0.0, 10.0)),
            ("--forget-bias", self.forget_bias.into(), Span::within(-100.0, 100.0)),
        ])?;
        self.recipe().batches(self.trajectories, self.steps)?;
        self.given_teacher().map(drop)
    }

    fn run(&self, run: &mut Run) -> Result<Report, Failure> {
        let seeds = run.seeds();
        let mut cloned = Vec::with_capacity(seeds.len());
        for &seed in &seeds {
            // A single seed needs no number.
            let suffix = if seeds.len() == 1 { String::new() } else { format!("-{seed}") };
            let taught = match self.given_teacher()? {
                Some(weights) => weights,
                None => self.train_teacher(run, seed)?,
            };
            let file = recipe::trained(&recipe::perceptron(), &taught)?;
            run.write_checkpoint(&format!("teacher{suffix}.safetensors"), &file)?;
            let updates = self.recipe().updates as u64;
            run.progress("student", updates);
            let stage = format!("student, seed {seed}");
            let (passes, learnt) = run.stage(&stage, updates, |run| self.train_student(run, &taught, seed))?;
            let file = recipe::trained(&PolicyNetwork::AttentionNeuron(NETWORK), &learnt)?;
            run.write_checkpoint(&format!("student{suffix}.safetensors"), &file)?;
            let rows = self.judge(&run.gpu(), &taught, &learnt, seed)?;
            cloned.push(Cloned { seed, passes, rows });
        }
        report::report(self, &cloned)
    }
}

impl Settings {
    fn given_teacher(&self) -> Result<Option<Vec<f32>>, Failure> {
        let load = |file: &PathBuf| Ok(load_flat_vector(file, None, teacher::PARAMETERS)?);
        self.teacher.as_ref().map(load).transpose()
    }

    /// Starts of episodes of one kind: hard ones.
    fn starts(&self, seed: u32, stream: u32, count: usize) -> Starts {
        Starts { world: CartPoleSwingUp::default(), seed, stream, first: 0, count: count as u32 }
    }

    pub fn recipe(&self) -> Recipe {
        let Self { batch, window, rate, clip, noise, forget_bias, .. } = *self;
        let updates = self.trajectories / batch.max(1) * (self.steps / window.max(1)) * self.passes;
        Recipe { batch, window, rate, updates, clip, noise, forget_bias }
    }

    fn train_teacher(&self, run: &mut Run, seed: u32) -> Result<Vec<f32>, Failure> {
        let generations = self.teacher_generations as u64;
        run.progress("teacher", generations);
        run.stage(&format!("teacher, seed {seed}"), generations, |run| {
            let mut search = Search::new(&self.starts(seed, TEACHING, 0))?;
            if let Some(checkpoint) = run.restored() {
                search.restore(&checkpoint)?;
                run.skip(search.generation().into());
            }
            while u64::from(search.generation()) < generations {
                let score = search.advance()?;
                run.say(format!("mean score {score:.0}"));
                run.advance(1);
                run.save_if_due(|checkpoint| {
                    search.save(checkpoint);
                    Ok(())
                })?;
            }
            Ok(search.weights())
        })
    }

    /// The episodes of a pass: the teacher's own, and those in which the student drives where it stays on the track.
    fn episodes(
        &self,
        taught: &[f32],
        student: Option<&Student>,
        pass: usize,
        seed: u32,
    ) -> Result<Trajectories, Failure> {
        let Self { disturbance, steps, trajectories: count, .. } = *self;
        let teacher = teacher(taught);
        let starts = |kind: u32| self.starts(seed, kind | (pass as u32) << 8, 0);
        let drive = Drive { driver: &teacher, teacher: &teacher, disturbance, steps };
        let mut found = match student {
            Some(driver) => {
                let share = (self.student_drives * count as f64).round() as usize;
                found_trajectories(&Drive { driver, ..drive }, &starts(DRIVING), share, 3 * share)
            }
            None => Trajectories { steps, ..Trajectories::default() },
        };
        found.extend(trajectories(&drive, &starts(SHOWING), count - found.count())?);
        Ok(found)
    }

    fn train_student(&self, run: &mut Run, taught: &[f32], seed: u32) -> Result<(Vec<Pass>, Vec<f32>), Failure> {
        let first = self.episodes(taught, None, 0, seed)?;
        let mut cloning = Cloning::new(&run.gpu(), NETWORK, &first, &self.recipe(), seed)?;
        let watched = self.starts(seed, WATCHING, self.episodes.min(WATCHED));
        let mut passes = Vec::new();
        if let Some(checkpoint) = run.restored() {
            cloning.restore(&checkpoint)?;
            passes = entry(&checkpoint, "passes")?;
            run.skip((passes.len() * cloning.updates()) as u64);
            if !passes.is_empty() && passes.len() < self.passes {
                let student = Student::new(NETWORK, &cloning.weights()?);
                cloning.replace(&self.episodes(taught, Some(&student), passes.len(), seed)?)?;
            }
        }
        for pass in passes.len() + 1..=self.passes {
            // One update a submission: on a software driver it takes a good part of a second.
            let loss = cloning.run_pass(1, |updates| run.advance(updates as u64))?;
            let student = Student::new(NETWORK, &cloning.weights()?);
            let scores: Vec<f64> = scores(&student, &watched, true).iter().map(|episode| episode.score).collect();
            let score = average(&scores);
            run.say(format!("loss {loss:.4}, score {score:.0}"));
            let row = Pass { pass, loss, score };
            passes.push(row);
            run.log(&row)?;
            run.save_if_due(|checkpoint| {
                set_entry(checkpoint, "passes", &passes)?;
                cloning.save(checkpoint)
            })?;
            if pass < self.passes {
                cloning.replace(&self.episodes(taught, Some(&student), pass, seed)?)?;
            }
        }
        Ok((passes, cloning.weights()?))
    }

    /// Scores teacher and student over the same starts, with inputs as they are and shuffled for each episode.
    fn judge(&self, gpu: &Gpu, taught: &[f32], learnt: &[f32], seed: u32) -> Result<Vec<Row>, Failure> {
        let plain = Protocol::plain(self.episodes, TEST_SEED.wrapping_add(seed));
        let shuffled = Protocol { order: Order::Shuffled, ..plain };
        let student: Arc<dyn Policy> = Arc::new(NETWORK);
        let rows = [
            ("teacher", plain, recipe::perceptron().policy(), taught),
            ("teacher, inputs shuffled", shuffled, recipe::perceptron().policy(), taught),
            ("student", plain, student.clone(), learnt),
            ("student, inputs shuffled", shuffled, student, learnt),
        ];
        let score = |(policy, protocol, network, weights): (&'static str, Protocol, Arc<dyn Policy>, &[f32])| {
            Ok(Row { policy, scores: protocol.scores(gpu, network, weights)? })
        };
        rows.into_iter().map(score).collect()
    }
}

#[cfg(test)]
mod tests {
    use clap::FromArgMatches;

    use super::*;
    use crate::experiment::defaults;

    fn settings(line: &str) -> Result<Settings, String> {
        let flags = Settings::augment_args(clap::Command::new("clone").no_binary_name(true));
        let matches = flags.try_get_matches_from(line.split_whitespace()).map_err(|error| error.to_string())?;
        let settings = Settings::from_arg_matches(&matches).map_err(|error| error.to_string())?;
        settings.check().map_err(|failure| failure.to_string())?;
        Ok(settings)
    }

    #[test]
    fn the_defaults_and_the_quick_form_are_valid() {
        assert_eq!(settings("").unwrap().recipe().updates, 512 / 64 * 12 * 30);
        let quick: Settings = defaults(crate::options::Preset::Quick).unwrap();
        quick.check().unwrap();
        assert_eq!((quick.trajectories, quick.steps, quick.passes, quick.episodes), (64, 50, 3, 100));
    }

    #[test]
    fn values_out_of_range_are_refused_by_their_flag() {
        for (line, expected) in [
            ("--steps 1001", "--steps: expected 1 to 1000, got 1001"),
            ("--episodes 0", "--episodes: expected 1 to 1000000, got 0"),
            ("--rate -1", "--rate: expected 0 to 10, got -1"),
            ("--noise NaN", "--noise: expected 0 to 10, got NaN"),
            ("--window 7", "--window takes a number that divides 300 steps, got 7"),
            ("--window 0", "--window takes a number that divides 300 steps, got 0"),
            ("--batch 513", "--batch takes a number from 1 to 512, the trajectories, got 513"),
        ] {
            assert_eq!(settings(line).unwrap_err(), expected);
        }
    }
}
