//! `fourfold data compare-ale`: our Pong beside that of the Arcade Learning Environment, frame by frame.

use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::process::{ChildStdin, ChildStdout};

use clap::Args;
use fourfold::rollout::environments::{PongMachine, PongTeacher};
use fourfold::shaders::random::threefry::Random;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::experiment::Experiment;
use crate::failure::Failure;
use crate::gymnasium::{Process, expect_greeting};
use crate::limits;
use crate::run::Run;
use crate::run::report::Report;

/// Compare our Pong with that of the Arcade Learning Environment, frame by frame
#[derive(Debug, Clone, PartialEq, Args, Serialize, Deserialize)]
pub struct Settings {
    /// Frames to play, by random actions and by two scripted players in turn
    #[arg(long, value_name = "COUNT", default_value_t = 40_000)]
    pub frames: usize,
    /// Python interpreter with the package `ale-py`
    #[arg(long, value_name = "PATH", default_value = "python3")]
    pub python: PathBuf,
}

/// The worker's program, which the interpreter takes as an argument.
const PROGRAM: &str = include_str!("ale_worker.py");

/// The counts of a comparison.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
struct Compared {
    versions: String,
    games: usize,
    /// Points that either side made.
    points: usize,
    /// Frames in which the state or the reward differs.
    differing: usize,
    /// The first of them, in words.
    first: Option<String>,
}

impl Experiment for Settings {
    const NAME: &'static str = "data compare-ale";
    const SEEDS: Option<&'static str> = None;
    const QUICK: &'static [(&'static str, &'static str)] = &[("frames", "3000")];

    fn check(&self) -> Result<(), Failure> {
        limits::counts([("--frames", self.frames, 1..=100_000_000)])
    }

    fn run(&self, run: &mut Run) -> Result<Report, Failure> {
        run.progress("frames", self.frames as u64);
        let compared = run.stage("comparison", self.frames as u64, |run| self.compare(run))?;
        let mut report = Report::new("Pong beside the Arcade Learning Environment's");
        report.explanation(format!(
            "Frames of {} (mode 0, difficulty 0, no sticky actions), with the same actions in our machine: place and speed of \
             the ball, both paddles, the paddle's aim, the clock, points and reward are compared in each frame; while no ball \
             is in play, its place and speed are not.",
            compared.versions
        ));
        report.table(
            &["frames", "games ended", "points", "frames that differ"],
            [[self.frames, compared.games, compared.points, compared.differing].map(|count| count.to_string())],
        );
        if let Some(first) = &compared.first {
            report.explanation(format!("The first difference: {first}."));
        }
        report.result("compared", json!(compared));
        Ok(report)
    }
}

impl Settings {
    fn compare(&self, run: &mut Run) -> Result<Compared, Failure> {
        let needs = "the comparison needs Python with the package `ale-py`";
        let (mut process, commands, answers) = Process::start_program(&self.python, PROGRAM, &[], needs)?;
        let mut emulator = Emulator { commands, answers };
        self.play(run, &mut emulator)?.map_err(|error| {
            drop(emulator);
            process.failure(0, &error)
        })
    }

    /// Plays both; the inner error is one of the pipes.
    fn play(&self, run: &mut Run, emulator: &mut Emulator) -> Result<io::Result<Compared>, Failure> {
        let mut random = Random::new(run.seed() as u32, 1);
        let mut compared = Compared::default();
        match emulator.greeting() {
            Ok(versions) => compared.versions = versions,
            Err(error) => return Ok(Err(error)),
        }
        let mut machine = PongMachine::default();
        let (mut action, mut held) = (0, 0);
        for frame in 0..self.frames {
            // Random actions, held for some frames, then either of the scripted players, for as long as a few points take.
            if held == 0 {
                (action, held) = match frame / 1_500 % 3 {
                    0 => (random.below(6) as i32, 1 + random.below(8)),
                    1 => (PongTeacher::Greedy.action(&machine), 4),
                    _ if random.below(10) == 0 => (random.below(6) as i32, 4),
                    _ => (PongTeacher::LookAhead.action(&machine), 4),
                };
            }
            held -= 1;
            let reward = machine.frame(action);
            let real = match emulator.frame(action) {
                Ok(real) => real,
                Err(error) => return Ok(Err(error)),
            };
            compared.points += usize::from(reward != 0);
            let difference = match real.over {
                true => {
                    (machine.is_over() != real.over || reward != real.reward).then(|| "the end of a game".to_owned())
                }
                false => difference(&machine, reward, &real),
            };
            if let Some(difference) = difference {
                compared.differing += 1;
                compared.first.get_or_insert_with(|| format!("frame {frame}, {difference}"));
            }
            if real.over {
                compared.games += 1;
                machine = PongMachine::default();
                held = 0;
                if let Err(error) = emulator.reset() {
                    return Ok(Err(error));
                }
            }
            if (frame + 1) % 1_000 == 0 {
                run.advance(1_000);
                run.stop_if_asked()?;
            }
        }
        Ok(Ok(compared))
    }
}

/// Says in words how the two differ after a frame.
fn difference(machine: &PongMachine, reward: i32, real: &Frame) -> Option<String> {
    let signed = |place: usize| i32::from(real.memory[place] as i8);
    let plain = |place: usize| i32::from(real.memory[place]);
    let PongMachine { ball, speed, opponent, aim, player, clock, wait, points, .. } = *machine;
    let of_ball = [
        ("the ball's x", ball[0], plain(49)),
        ("the ball's y", ball[1], plain(54)),
        ("the ball's speed in x", speed[0], -signed(58)),
        ("the ball's speed in y", speed[1], signed(56)),
    ];
    let rest = [
        ("the opponent", opponent, plain(21)),
        ("our paddle's aim", aim, plain(60)),
        ("our paddle", player, plain(51)),
        ("the clock", clock, plain(8) % 8),
        ("our points", points[0], plain(14)),
        ("their points", points[1], plain(13)),
        ("the reward", reward, real.reward),
    ];
    let compared = of_ball.into_iter().filter(|_| wait == 0).chain(rest);
    let mut differing = compared.filter(|(_, ours, real)| ours != real);
    differing.next().map(|(name, ours, real)| format!("{name}: ours {ours}, the emulator's {real}"))
}

/// The two pipes of the worker; `ale_worker.py` documents the bytes.
struct Emulator {
    commands: ChildStdin,
    answers: ChildStdout,
}

/// A frame of the emulator.
struct Frame {
    reward: i32,
    over: bool,
    memory: [u8; 128],
}

impl Emulator {
    /// The versions of what runs.
    fn greeting(&mut self) -> io::Result<String> {
        expect_greeting(&mut self.answers)?;
        let mut length = [0];
        self.answers.read_exact(&mut length)?;
        let mut versions = vec![0; length[0].into()];
        self.answers.read_exact(&mut versions)?;
        Ok(String::from_utf8_lossy(&versions).into_owned())
    }

    fn frame(&mut self, action: i32) -> io::Result<Frame> {
        self.send(action as u8)?;
        let mut bytes = [0; 130];
        self.answers.read_exact(&mut bytes)?;
        let mut memory = [0; 128];
        memory.copy_from_slice(&bytes[2..]);
        Ok(Frame { reward: i32::from(bytes[0] as i8), over: bytes[1] != 0, memory })
    }

    fn reset(&mut self) -> io::Result<()> {
        self.send(b'R')
    }

    fn send(&mut self, command: u8) -> io::Result<()> {
        self.commands.write_all(&[command])?;
        self.commands.flush()
    }
}
