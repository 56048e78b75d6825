//! Pong, as the Atari 2600 plays it: a machine in whole numbers, and a picture of eight of them.

mod machine;
mod picture;
mod teacher;

pub use machine::Machine;
pub use teacher::{POINT, Teacher, USEFUL_ACTIONS};

use crate::description::own_wgsl;
use crate::rollout::unroll::{Environment, EpisodeRandom, Outcome, PictureSize};

/// Numbers of the state that are the machine's; the scene follows.
const MACHINE: usize = 13;

/// Numbers of the state.
const STATES: usize = MACHINE + 8;

/// Pong of the Atari 2600 (mode 0, difficulty 0), frame by frame as the Arcade Learning Environment runs it
/// (`PongNoFrameskip-v4`), but for one line by which the screen at times draws the ball higher.
///
/// An episode begins with 1 to 30 frames of nothing, uniformly at random; a step is four frames with one action, and its
/// reward is the points won less those lost. The episode ends at 21 points of a side. Two players that make no mistakes
/// return the ball for ever: the horizon of 3,000 steps is ours.
///
/// State: the thirteen numbers of the [`Machine`], then the scene. Observation, the scene: x and y of the ball (y = 0: not in
/// play), the opponent's bottom row, our paddle's place; in the last frame but one of the step, and in its last frame.
/// Action: one number, whose whole part (within 0 and 5) is nothing, fire, up, down, up and fire, down and fire.
///
/// The [picture](Environment::picture) of 84 x 84 greys is the common one of Atari agents: the brighter of two frames for
/// each colour, then grey, then means over areas; the rows of the score are black. All numbers of the state are whole and
/// below 2^24, so that the kernel and the twin agree to the last bit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pong;

impl Environment for Pong {
    own_wgsl!("pong.wgsl");

    fn states(&self) -> usize {
        STATES
    }

    fn observations(&self) -> usize {
        8
    }

    fn actions(&self) -> usize {
        1
    }

    fn horizon(&self) -> usize {
        3_000
    }

    /// Whole numbers: the same bits.
    fn rounding(&self) -> f64 {
        0.0
    }

    /// The frames before an episode, and those of a step.
    fn iterations(&self) -> usize {
        31 + 5
    }

    fn largest_observation(&self) -> f64 {
        256.0
    }

    fn picture(&self) -> Option<PictureSize> {
        Some(PictureSize::grey(84, 84))
    }

    fn reset(&self, random: &mut EpisodeRandom, state: &mut [f64]) {
        let mut machine = Machine::default();
        // The product is rounded as the kernel's is, lest it meet another whole number.
        let frames = 1 + ((random.uniform() as f32 * 30.0) as usize).min(29);
        for _ in 0..frames {
            machine.frame(0);
        }
        machine.write([machine.look(); 2], state);
    }

    fn observe(&self, state: &[f64], observation: &mut [f64]) {
        observation.copy_from_slice(&state[MACHINE..]);
    }

    fn step(&self, state: &mut [f64], action: &[f64], _: &mut EpisodeRandom) -> Outcome {
        let action = action[0].clamp(0.0, 5.0) as i32;
        let mut machine = Machine::of(state);
        let look = |first: usize| [0, 1, 2, 3].map(|i| state[MACHINE + first + i] as i32);
        let mut looks = [look(0), look(4)];
        let mut reward = 0;
        for frame in 0..4 {
            reward += machine.frame(action);
            match frame {
                2 => looks = [machine.look(); 2],
                3 => looks[1] = machine.look(),
                _ => {}
            }
            if machine.is_over() {
                break;
            }
        }
        machine.write(looks, state);
        Outcome { reward: f64::from(reward), done: machine.is_over() }
    }

    fn pixel(&self, scene: &[f64], row: usize, column: usize) -> f64 {
        picture::pixel(scene, row, column)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// After 7 frames of nothing, with the action `[0, 3, 5, 2, 1, 4][(t * t / 11) % 6]` in step `t`: the step, the machine,
    /// the sum of the picture and the rewards so far. From a machine in Python that was compared with ale-py 0.12.1 over
    /// 417,842 frames, none of which differed.
    const GOLDENS: [(usize, [i32; 13], u32, i32); 15] = [
        (0, [0, 0, -1, 1, 4, 408_823, 109, 109, 2, 48, 0, 0, 0], 666_759, 0),
        (12, [127, 129, -1, 1, 130, 408_823, 103, 97, 2, 0, 0, 0, 0], 667_832, 0),
        (13, [123, 133, -1, 1, 134, 316_823, 93, 100, 6, 0, 0, 0, 0], 668_094, 0),
        (14, [119, 137, -1, 1, 138, 224_823, 73, 83, 2, 0, 1, 0, 0], 668_093, 0),
        (20, [95, 161, -1, 1, 162, 316_823, 84, 82, 2, 0, 0, 0, 0], 668_095, 0),
        (27, [69, 186, 1, -2, 186, 592_823, 153, 150, 6, 0, 0, 0, 0], 668_093, 0),
        (30, [81, 162, 1, -2, 166, 408_823, 118, 127, 2, 0, 0, 0, 0], 668_124, 0),
        (31, [85, 154, 1, -2, 158, 316_823, 97, 108, 6, 0, 0, 0, 0], 668_123, 0),
        (45, [141, 47, 1, 2, 60, 303_450, 79, 77, 6, 0, 1, 0, 0], 667_874, 0),
        (60, [201, 167, 1, 2, 152, 27450, 38, 38, 2, 0, 0, 0, 0], 667_621, 0),
        (90, [181, 181, 1, 1, 182, 211_450, 59, 58, 2, 0, 1, 0, 1], 668_093, -1),
        (120, [161, 161, 1, 1, 162, 303_450, 76, 71, 2, 0, 0, 0, 2], 668_095, -2),
        (200, [201, 201, 1, 1, 202, 211_450, 59, 59, 2, 0, 0, 0, 4], 667_630, -4),
        (300, [181, 181, 1, 1, 182, 27450, 38, 38, 2, 0, 0, 0, 7], 667_590, -7),
        (399, [157, 157, 1, 1, 158, 211_450, 59, 59, 6, 0, 0, 0, 10], 668_094, -10),
    ];

    #[test]
    fn the_machine_and_its_picture_go_as_those_of_the_reference() {
        let mut machine = Machine::default();
        for _ in 0..7 {
            machine.frame(0);
        }
        let mut state = vec![0.0; STATES];
        machine.write([machine.look(); 2], &mut state);
        let mut random = EpisodeRandom::new(0, 0, 0, 0);
        let mut sum = 0.0;
        for t in 0..400 {
            let action = [0.0, 3.0, 5.0, 2.0, 1.0, 4.0][(t * t / 11) % 6];
            sum += Pong.step(&mut state, &[action], &mut random).reward;
            let Some((_, machine, picture, reward)) = GOLDENS.iter().find(|golden| golden.0 == t) else { continue };
            assert_eq!(state[..MACHINE], machine.map(f64::from), "step {t}");
            assert_eq!(sum, f64::from(*reward), "step {t}");
            let greys = (0..84 * 84).map(|i| (Pong.pixel(&state[MACHINE..], i / 84, i % 84) + 0.5) as u32);
            assert_eq!(greys.sum::<u32>(), *picture, "step {t}");
        }
    }

    /// The picture's patches of this side, in an order that forgets where they were.
    fn bag(scene: &[f64], side: usize) -> Vec<Vec<u8>> {
        let across = 84 / side;
        let patch = |index: usize| {
            let [top, left] = [index / across * side, index % across * side];
            let pixel = |i: usize| (Pong.pixel(scene, top + i / side, left + i % side) + 0.5) as u8;
            (0..side * side).map(pixel).collect()
        };
        let mut bag: Vec<Vec<u8>> = (0..across * across).map(patch).collect();
        bag.sort();
        bag
    }

    /// 15 lines of the screen are 6 rows of the picture: what sees patches of 6 x 6 in any order does not know the ball's row.
    #[test]
    fn a_ball_15_lines_lower_has_the_same_small_patches_elsewhere() {
        let scene = |ball: f64| [120.0, ball, 100.0, 60.0, 121.0, ball + 1.0, 100.0, 60.0];
        assert_ne!(scene(140.0), scene(155.0));
        assert_eq!(bag(&scene(140.0), 6), bag(&scene(155.0), 6));
        assert_ne!(bag(&scene(140.0), 6), bag(&scene(145.0), 6));
        assert_ne!(bag(&scene(140.0), 21), bag(&scene(155.0), 21));
    }
}
