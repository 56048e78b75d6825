//! `fourfold neuron pong`: a student learns Pong from a player who looks ahead, by the numbers of the scenes or by their pictures
//! with patches in any order.

mod report;

use std::sync::Arc;

use clap::{Args, ValueEnum};
use fourfold::models::TrainedVision;
use fourfold::rollout::environments::Pong;
use fourfold::rollout::{Environment, PatchWiring, VectorSettings};
use fourfold::shaders::vision::{ReactiveNetwork, VisionNeuron};
use serde::{Deserialize, Serialize};

use super::evaluation::Scores;
use super::imitation::{Flags, Game, Imitated, Lesson, Network, Recipe, Subject, play};
use crate::experiment::Experiment;
use crate::failure::Failure;
use crate::limits::{self, Span};
use crate::run::Run;
use crate::run::report::Report;

/// Teach Pong to a student by a player who looks ahead: the teacher says at every step what it would do, while the student plays
/// (DAgger)
#[derive(Debug, Clone, PartialEq, Args, Serialize, Deserialize)]
#[command(mut_arg("rounds", |arg| arg.default_value("10")))]
#[command(mut_arg("steps", |arg| arg.default_value("1500")))]
#[command(mut_arg("updates", |arg| arg.default_value("2000")))]
#[command(mut_arg("batch", |arg| arg.default_value("512")))]
#[command(mut_arg("rate", |arg| arg.default_value("0.001")))]
pub struct Settings {
    /// The student's view of the game
    #[arg(long, value_enum, default_value_t = Student::Scenes)]
    pub student: Student,
    #[command(flatten)]
    #[serde(flatten)]
    pub flags: Flags,
    /// Side of a patch of a student that has the pictures: 6, 7, 12, 14 or 21 pixels
    #[arg(long, value_name = "PIXELS", default_value_t = 6)]
    pub patch: usize,
    /// Width of each of the three hidden layers of a student that has the scenes
    #[arg(long, value_name = "COUNT", default_value_t = 256)]
    pub width: usize,
    /// Shares of the patches that each sample lacks, a student for each
    #[arg(long, value_name = "SHARE", value_delimiter = ',', allow_negative_numbers = true, default_values_t = [0.0])]
    pub occlusion: Vec<f64>,
    /// Games of each final score
    #[arg(long, value_name = "COUNT", default_value_t = 32)]
    pub games: usize,
    /// Steps of a game at most; the points so far count
    #[arg(long, value_name = "COUNT", default_value_t = 3000)]
    pub horizon: usize,
}

/// Sides of patches that a picture of 84 x 84 divides into, and the kernels take.
pub const PATCHES: [usize; 5] = [6, 7, 12, 14, 21];

/// A student's view of the game.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Student {
    /// The numbers of four scenes: a perceptron
    Scenes,
    /// Four pictures in patches, in any order: the attention neuron
    Pictures,
}

/// A student and what it scores.
#[derive(Debug, Clone)]
struct Taught {
    seed: u32,
    occlusion: f64,
    imitated: Imitated,
    /// By the name of what is shown.
    rows: Vec<(String, Scores)>,
}

impl Experiment for Settings {
    const NAME: &'static str = "neuron pong";
    const SEEDS: Option<&'static str> = Some("1");
    const QUICK: &'static [(&'static str, &'static str)] = &[
        ("rounds", "2"),
        ("lanes", "4"),
        ("steps", "60"),
        ("updates", "6"),
        ("batch", "16"),
        ("width", "32"),
        ("games", "2"),
        ("horizon", "60"),
    ];

    const ACTS_WITH: &'static [(&'static str, &'static str, &'static [&'static str])] = &[
        ("width", "student", &["scenes"]),
        ("occlusion", "student", &["pictures"]),
        ("patch", "student", &["pictures"]),
    ];

    fn check(&self) -> Result<(), Failure> {
        self.flags.check()?;
        limits::counts([
            ("--width", self.width, 1..=4_096),
            ("--games", self.games, 2..=4_096),
            ("--horizon", self.horizon, 1..=Pong.horizon()),
        ])?;
        for &share in &self.occlusion {
            limits::numbers([("--occlusion", share, Span::within(0.0, 0.99))])?;
        }
        if !PATCHES.contains(&self.patch) {
            return Err(Failure::Input(format!("--patch: expected 6, 7, 12, 14 or 21, got {}", self.patch)));
        }
        limits::distinct("--occlusion", self.occlusion.iter().map(|share| format!("{share}")))
    }

    fn run(&self, run: &mut Run) -> Result<Report, Failure> {
        let subject: Arc<dyn Subject> = Arc::new(Game);
        let mut all = Vec::new();
        for seed in run.seeds() {
            for &occlusion in &self.occlusion {
                all.push(self.teach(run, &subject, seed, occlusion)?);
            }
        }
        report::report(self, &all)
    }
}

impl Settings {
    /// The student that has the pictures.
    fn seeing(&self) -> ReactiveNetwork {
        let student = ReactiveNetwork::pong_student();
        ReactiveNetwork { layer: VisionNeuron { patch: self.patch, ..student.layer }, ..student }
    }

    fn network(&self) -> Network {
        match self.student {
            Student::Scenes => Network::Reads(vec![self.width; 3]),
            Student::Pictures => Network::Sees(self.seeing()),
        }
    }

    fn teach(&self, run: &mut Run, subject: &Arc<dyn Subject>, seed: u32, occlusion: f64) -> Result<Taught, Failure> {
        let (course, recipe, network) = (self.flags.course(self.horizon), self.flags.recipe(occlusion), self.network());
        let name = match self.student {
            Student::Scenes => format!("seed {seed}"),
            Student::Pictures => format!("seed {seed}, {:.0} % missing", 100.0 * occlusion),
        };
        run.progress("student", course.work());
        let stage = format!("student, {name}");
        let imitated = run.stage(&stage, course.work(), |run| course.teach(run, subject, &network, recipe, seed))?;
        let mut rows = Vec::new();
        let gpu = run.gpu();
        let steps = self.horizon as u64;
        match self.student {
            Student::Scenes => {
                run.progress("play", steps);
                let sizes = [self.games as u32, seed];
                let mut lesson = Lesson::new(&gpu, subject.clone(), &network, Recipe { batch: 1, ..recipe }, sizes)?;
                lesson.set_weights(&imitated.weights)?;
                let scores = run.stage(&format!("scenes, {name}"), steps, |run| {
                    play(&gpu, subject, &mut lesson, [self.games, self.horizon], seed, || run.advance(1))
                })?;
                rows.push(("scenes".to_owned(), scores));
                run.write_checkpoint(&format!("student-{seed}.safetensors"), &lesson.checkpoint()?)?;
            }
            Student::Pictures => {
                let trained = TrainedVision::new(self.seeing(), imitated.weights.clone())?;
                let share = (100.0 * occlusion).round();
                run.write_checkpoint(&format!("student-{seed}-{share}.safetensors"), &trained.to_checkpoint())?;
                let shown = self.shown(seed);
                run.progress("play", shown.len() as u64 * steps);
                for (shown, wiring) in shown {
                    let scores = run.stage(&format!("{shown}, {name}"), steps, |run| {
                        let settings = VectorSettings::new(self.games, self.horizon, seed);
                        let mut rollout = trained.rollout(&gpu, subject.world(), &settings, wiring)?;
                        let mut before = 0;
                        let played = rollout.run(1, 10, |taken| {
                            run.advance((taken - before) as u64);
                            before = taken;
                        })?;
                        let returns = played.returns.into_iter().map(f64::from).collect();
                        Ok(Scores { returns, lengths: played.lengths })
                    })?;
                    rows.push((shown, scores));
                }
            }
        }
        run.end_progress();
        Ok(Taught { seed, occlusion, imitated, rows })
    }

    /// The views of a student that sees: patches in order, shuffled, shuffled again, and some of them missing.
    fn shown(&self, seed: u32) -> Vec<(String, PatchWiring)> {
        let (games, patches) = (self.games, self.seeing().layer.patches());
        let shuffled = |interval| PatchWiring::shuffled(seed, games, patches, interval, self.horizon);
        let missing = [0.3, 0.5, 0.7, 0.8]
            .map(|share| (format!("shuffled, {:.0} % missing", 100.0 * share), shuffled(None).occluded(seed, share)));
        let mut shown = vec![
            ("in order".to_owned(), PatchWiring::plain(games, patches)),
            ("shuffled".to_owned(), shuffled(None)),
            ("shuffled every 500 steps".to_owned(), shuffled(Some(500))),
        ];
        shown.extend(missing);
        shown
    }
}
