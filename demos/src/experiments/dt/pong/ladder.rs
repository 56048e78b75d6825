//! The ladder of players that the data come from: better ones from rung to rung, so that returns spread over all scores.

use fourfold::Gpu;
use fourfold::data::{Actions, Trajectories};
use fourfold::rollout::environments::{Pong, PongTeacher};
use fourfold::rollout::{Environment, PongPlayer, Step, Trace, VectorEnvironment, VectorSettings};
use fourfold::shaders::random::threefry::Random;
use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::statistics::{average, extremes};

/// A player: a teacher, part of whose steps are uniformly random.
#[derive(Debug, Clone, Copy)]
pub struct Rung {
    teacher: Option<PongTeacher>,
    /// The share of random steps, in percent.
    random: u32,
}

/// From uniformly random play to play without a mistake.
pub const LADDER: [Rung; 9] = [
    Rung { teacher: None, random: 100 },
    Rung { teacher: Some(PongTeacher::Greedy), random: 30 },
    Rung { teacher: Some(PongTeacher::Greedy), random: 10 },
    Rung { teacher: Some(PongTeacher::Greedy), random: 0 },
    Rung { teacher: Some(PongTeacher::LookAhead), random: 50 },
    Rung { teacher: Some(PongTeacher::LookAhead), random: 30 },
    Rung { teacher: Some(PongTeacher::LookAhead), random: 10 },
    Rung { teacher: Some(PongTeacher::LookAhead), random: 3 },
    Rung { teacher: Some(PongTeacher::LookAhead), random: 0 },
];

impl Rung {
    pub fn name(self) -> String {
        let teacher = match self.teacher {
            None => return "random".into(),
            Some(PongTeacher::Greedy) => "follows the ball",
            Some(PongTeacher::LookAhead) => "looks ahead",
        };
        match self.random {
            0 => teacher.into(),
            random => format!("{teacher}, {random} % random"),
        }
    }
}

/// The games of a rung.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Played {
    pub name: String,
    pub games: usize,
    pub steps: usize,
    pub mean: f64,
    pub least: f64,
    pub most: f64,
}

/// Games of each rung that are played side by side: their trace is as long as a buffer of WebGPU may be.
const GAMES: usize = 36;

/// Plays `games` games of each rung on the device.
///
/// # Errors
/// No memory, or the loss of the device.
pub fn climb(gpu: &Gpu, games: usize, seed: u32) -> Result<(Trajectories, Vec<Played>), Failure> {
    let mut of_rungs: Vec<Vec<Vec<Step>>> = vec![Vec::new(); LADDER.len()];
    for generation in 0..games.div_ceil(GAMES) {
        let count = GAMES.min(games - generation * GAMES);
        let trace = play(gpu, count, [seed, generation as u32])?;
        for (lane, steps) in trace.episodes.into_iter().enumerate() {
            of_rungs[lane / count].push(steps);
        }
    }
    let rungs = LADDER.iter().zip(&of_rungs).map(|(rung, games)| {
        let returned = |steps: &Vec<Step>| steps.iter().map(|step| f64::from(step.reward)).sum();
        let returns: Vec<f64> = games.iter().map(returned).collect();
        let (least, most) = extremes(&returns);
        let steps = games.iter().map(Vec::len).sum();
        Played { name: rung.name(), games: games.len(), steps, mean: average(&returns), least, most }
    });
    let rungs = rungs.collect();
    let all = Trace { episodes: of_rungs.into_iter().flatten().collect() };
    let mut data = all.trajectories("pong", Actions::Discrete(6))?;
    data.set_note("environment", "pong");
    data.set_note("policy", LADDER.map(Rung::name).join("; "));
    data.set_note("seed", seed.to_string());
    Ok((data, rungs))
}

/// Plays so many games of each rung side by side: those of the first, then those of the second.
fn play(gpu: &Gpu, games: usize, [seed, generation]: [u32; 2]) -> Result<Trace, Failure> {
    let settings = VectorSettings { trace: true, ..VectorSettings::new(games * LADDER.len(), Pong.horizon(), seed) };
    let mut lanes = VectorEnvironment::new(gpu, Pong, &settings)?;
    let player = |teacher| PongPlayer::new(&lanes, teacher, None);
    let (follows, looks_ahead) = (player(PongTeacher::Greedy)?, player(PongTeacher::LookAhead)?);
    // The environment draws at the first four places of the seed.
    let mut random = Random::new(seed, 16 + generation);
    lanes.reset(generation)?;
    for _ in 0..Pong.horizon() {
        let (follower, looker) = (follows.decide()?, looks_ahead.decide()?);
        let mut action = |lane: usize| {
            let rung = LADDER[lane / games];
            let is_random = random.below(100) < rung.random;
            match rung.teacher {
                Some(PongTeacher::Greedy) if !is_random => follower[lane],
                Some(PongTeacher::LookAhead) if !is_random => looker[lane],
                _ => random.below(6) as f32,
            }
        };
        let actions: Vec<f32> = (0..settings.lanes).map(&mut action).collect();
        if lanes.step(&actions)?.ends.iter().all(|&end| end != 0) {
            break;
        }
    }
    Ok(lanes.trace()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn better_players_stand_higher_and_the_best_wins_every_point() {
        let gpu = Gpu::open().unwrap();
        let (data, rungs) = climb(&gpu, 2, 3).unwrap();
        assert_eq!(data.episodes(), 2 * LADDER.len());
        assert!(rungs[0].mean < -17.0 && rungs[8].mean == 21.0, "{rungs:?}");
        assert!(rungs[1].mean < rungs[3].mean && rungs[4].mean < rungs[6].mean, "{rungs:?}");
    }
}
