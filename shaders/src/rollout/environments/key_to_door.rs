//! Key-to-Door: a key must be picked up in a first room, long before the door that it opens is seen.

use crate::description::own_wgsl;
use crate::rollout::unroll::{Environment, EpisodeRandom, Outcome};
use crate::{Error, Sizes, sum};

/// The grid task for long-term credit assignment of "Decision Transformer" (Chen, Lu et al. 2021, section 5.4), after
/// "Optimizing agent behavior over long time scales by transporting value" (Hung et al. 2019), whose released rooms these are.
///
/// Three rooms, each for a fixed number of steps: one with a key, an empty one, one with a door. Entering the door with the
/// key rewards 1, once; nothing else rewards. Taking the key happens by stepping on it, and ends no room early.
///
/// State `(time, row, column, object's row, object's column, object shown, key held)`: steps, cells, and 0 or 1.
/// Action: one number, whose whole part (within 0 and 3) is the direction: north, south, west, east. Walls block.
///
/// Observation, eight numbers: which room (three, one of them 1), row and column from the middle of the room (within
/// +-1), the way from the agent to the object (rows and columns, within +-1; 0 where none is shown), and whether one is
/// shown. All that a good move depends on is there: where the object lies *from the agent*, as in the agent-centred view of
/// the original, and where the walls are. **Whether the key is held is not seen**, nor does a good move depend on it: to
/// predict the return, and to assign credit, one must remember the first room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyToDoor {
    /// Cells along a side of each room, at least 2: every room is a square without walls, where agent and object start
    /// in two different cells, uniformly at random. `None`: the rooms of the original, in 7 x 11 cells.
    pub side: Option<usize>,
    /// Steps in the room with the key, the empty room, and the room with the door; each at least 1.
    pub phases: [usize; 3],
}

impl KeyToDoor {
    /// The task of the paper: 15, 90 and 15 steps. Random play succeeds in 2.81 % of the episodes.
    pub fn full() -> Self {
        Self { side: None, phases: [15, 90, 15] }
    }

    /// Three square rooms of `side` by `side` cells, `steps` steps in each. Random play succeeds about as rarely as in the
    /// task of the paper in 4 steps 5 (3.34 %), side 5 steps 8 (3.15 %) and side 6 steps 12 (3.08 %).
    pub fn square(side: usize, steps: usize) -> Self {
        Self { side: Some(side), phases: [steps; 3] }
    }

    /// The room at a step: 0 with the key, 1 empty, 2 with the door.
    pub fn room(&self, time: usize) -> usize {
        let [key, empty, _] = self.phases;
        usize::from(time >= key) + usize::from(time >= key.saturating_add(empty))
    }

    /// True if one can stand in a cell of the room; behind the door, only with the key.
    fn is_free(&self, room: usize, [row, column]: [i32; 2], key: bool) -> bool {
        let within = |rows: [i32; 2], columns: [i32; 2]| {
            (rows[0]..=rows[1]).contains(&row) && (columns[0]..=columns[1]).contains(&column)
        };
        match (self.side, room) {
            (Some(side), _) => within([0, side as i32 - 1], [0, side as i32 - 1]),
            (None, 0) => within([3, 3], [4, 6]) || (row != 3 && within([1, 5], [3, 7])),
            (None, 1) => within([1, 5], [1, 9]),
            (None, _) => within([2, 4], [4, 6]) || (key && [row, column] == DOOR),
        }
    }

    /// The state in which a room is entered.
    fn enter(&self, room: usize, time: f64, key: f64, random: &mut EpisodeRandom, state: &mut [f64]) {
        let (cell, object) = match (self.side, room) {
            (Some(side), _) => {
                let start = below(side * side, random);
                let other = below(side * side - 1, random);
                let place = other + usize::from(other >= start);
                let cell_of = |place| [(place / side) as i32, (place % side) as i32];
                (cell_of(start), cell_of(place))
            }
            (None, 0) => {
                let start = below(10, random) as i32;
                let place = below(10, random) as i32;
                ([4 + start / 5, 3 + start % 5], [1 + place / 5, 3 + place % 5])
            }
            (None, 1) => ([5, 5], DOOR),
            (None, _) => ([3, 5], DOOR),
        };
        let shown = room != 1;
        let object = if shown { object } else { NONE };
        let [row, column, object_row, object_column] = [cell[0], cell[1], object[0], object[1]].map(f64::from);
        state.copy_from_slice(&[time, row, column, object_row, object_column, f64::from(u8::from(shown)), key]);
    }
}

/// The place of an object that is not there.
const NONE: [i32; 2] = [-1, -1];

/// The door of the original.
const DOOR: [i32; 2] = [1, 5];

/// One of `count` numbers from 0. The product is rounded as the kernel's is, lest it meet another whole number.
fn below(count: usize, random: &mut EpisodeRandom) -> usize {
    ((random.uniform() as f32 * count as f32) as usize).min(count - 1)
}

impl Environment for KeyToDoor {
    own_wgsl!("key_to_door.wgsl");

    fn check(&self) -> Result<(), Error> {
        let side = self.side.unwrap_or(2);
        let [key, empty, door] = self.phases;
        // Numbers of the state count cells and steps exactly.
        Sizes("key to door")
            .expect("side", (2..=4_096).contains(&side), "2 to 4096", side)?
            .positive(&[("steps with the key", key), ("steps without", empty), ("steps with the door", door)])?
            .expect("steps", self.horizon() <= 1 << 24, "at most 2^24", self.horizon())?;
        Ok(())
    }

    fn states(&self) -> usize {
        7
    }

    fn observations(&self) -> usize {
        8
    }

    fn actions(&self) -> usize {
        1
    }

    fn horizon(&self) -> usize {
        sum(&self.phases)
    }

    fn constants(&self) -> Vec<(&'static str, f64)> {
        let [key, empty, door] = self.phases.map(|steps| steps as f64);
        let side = self.side.unwrap_or(0) as f64;
        vec![("SIDE", side), ("KEY_STEPS", key), ("EMPTY_STEPS", empty), ("DOOR_STEPS", door)]
    }

    /// Whole numbers, but for the divisions of an observation.
    fn rounding(&self) -> f64 {
        8.0
    }

    fn reset(&self, random: &mut EpisodeRandom, state: &mut [f64]) {
        self.enter(0, 0.0, 0.0, random, state);
    }

    fn observe(&self, state: &[f64], observation: &mut [f64]) {
        let [time, row, column, object_row, object_column, shown, _] = *state else {
            unreachable!("seven numbers of state")
        };
        let square = self.side.map(|side| [0.5 * (side as f64 - 1.0); 2]);
        let middle = square.unwrap_or([3.0, 5.0]);
        let half = square.unwrap_or([2.0, 4.0]);
        observation[..3].fill(0.0);
        observation[self.room(time as usize)] = 1.0;
        observation[3] = (row - middle[0]) / half[0];
        observation[4] = (column - middle[1]) / half[1];
        observation[5] = shown * (object_row - row) / (2.0 * half[0]);
        observation[6] = shown * (object_column - column) / (2.0 * half[1]);
        observation[7] = shown;
    }

    fn step(&self, state: &mut [f64], action: &[f64], random: &mut EpisodeRandom) -> Outcome {
        let room = self.room(state[0] as usize);
        let cell = [state[1] as i32, state[2] as i32];
        let ahead = match action[0].clamp(0.0, 3.0) as usize {
            0 => [cell[0] - 1, cell[1]],
            1 => [cell[0] + 1, cell[1]],
            2 => [cell[0], cell[1] - 1],
            _ => [cell[0], cell[1] + 1],
        };
        if self.is_free(room, ahead, state[6] > 0.0) {
            state[1] = f64::from(ahead[0]);
            state[2] = f64::from(ahead[1]);
        }

        let reached = state[5] > 0.0 && state[1..3] == state[3..5];
        let taken = reached && room == 0;
        let opened = reached && room == 2 && state[6] > 0.0;
        if taken {
            state[6] = 1.0;
        }
        if taken || opened {
            state[3] = f64::from(NONE[0]);
            state[4] = f64::from(NONE[1]);
            state[5] = 0.0;
        }

        state[0] += 1.0;
        let time = state[0] as usize;
        let done = time >= self.horizon();
        if self.room(time) != room && !done {
            self.enter(self.room(time), state[0], state[6], random, state);
        }
        Outcome { reward: f64::from(u8::from(opened)), done }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The share of episodes that take the key, and that open the door, under uniformly random moves: exactly, by
    /// following the probability of every state through the twin, for a given first state of a room.
    fn chance_to_reach(world: &KeyToDoor, first: &[f64], steps: usize) -> f64 {
        use std::collections::BTreeMap;
        let mut random = EpisodeRandom::new(0, 0, 0, 0);
        let mut reached = 0.0;
        let mut chances = BTreeMap::from([([first[1] as i32, first[2] as i32], 1.0)]);
        for _ in 0..steps {
            let mut next = BTreeMap::new();
            for (cell, chance) in chances {
                for direction in 0..4 {
                    let mut state = first.to_vec();
                    state[1] = f64::from(cell[0]);
                    state[2] = f64::from(cell[1]);
                    let shown = state[5];
                    world.step(&mut state, &[f64::from(direction)], &mut random);
                    // Not the next room's: this room lasts for more steps than one.
                    if shown > state[5] {
                        reached += chance / 4.0;
                    } else {
                        *next.entry([state[1] as i32, state[2] as i32]).or_insert(0.0) += chance / 4.0;
                    }
                }
            }
            chances = next;
        }
        reached
    }

    /// The mean over all cells that agent and object may start in.
    fn mean_chance(world: &KeyToDoor, room: usize, agents: &[[i32; 2]], objects: &[[i32; 2]]) -> f64 {
        // At the first step of the room, which every step of the walk is taken from: time plays no part within a room.
        let time = world.phases[..room].iter().sum::<usize>() as f64;
        let pairs = agents.iter().flat_map(|agent| objects.iter().map(move |object| (agent, object)));
        let chances = pairs.filter(|(agent, object)| agent != object).map(|(agent, object)| {
            let [row, column, object_row, object_column] = [agent[0], agent[1], object[0], object[1]].map(f64::from);
            let key = if room == 2 { 1.0 } else { 0.0 };
            let first = [time, row, column, object_row, object_column, 1.0, key];
            chance_to_reach(world, &first, world.phases[room])
        });
        let chances: Vec<f64> = chances.collect();
        chances.iter().sum::<f64>() / chances.len() as f64
    }

    fn cells(rows: std::ops::Range<i32>, columns: std::ops::Range<i32>) -> Vec<[i32; 2]> {
        rows.flat_map(|row| columns.clone().map(move |column| [row, column])).collect()
    }

    #[test]
    fn random_moves_take_the_key_and_open_the_door_as_often_as_in_the_original() {
        let world = KeyToDoor::full();
        let key = mean_chance(&world, 0, &cells(4..6, 3..8), &cells(1..3, 3..8));
        let door = mean_chance(&world, 2, &[[3, 5]], &[[1, 5]]);
        assert!((key - 0.10279).abs() < 5e-6, "{key}");
        assert!((door - 0.27385).abs() < 5e-6, "{door}");
        assert!((key * door - 0.0281).abs() < 5e-5, "{}", key * door);
    }

    #[test]
    fn random_moves_succeed_about_as_rarely_in_the_squares() {
        for (side, steps, expected) in [(4, 5, 0.0334), (5, 8, 0.0315), (6, 12, 0.0308)] {
            let world = KeyToDoor::square(side, steps);
            let all = cells(0..side as i32, 0..side as i32);
            let key = mean_chance(&world, 0, &all, &all);
            let door = mean_chance(&world, 2, &all, &all);
            assert!((key * door - expected).abs() < 5e-5, "{side}: {}", key * door);
        }
    }

    /// The returns of episodes of random moves.
    fn random_returns(world: &KeyToDoor, episodes: u32) -> Vec<f64> {
        let episode = |episode| {
            let mut moves = EpisodeRandom::new(7, 1, episode, 0);
            let mut state = [0.0; 7];
            world.reset(&mut EpisodeRandom::new(7, 0, episode, 0), &mut state);
            let mut total = 0.0;
            for time in 0.. {
                let direction = (4.0 * moves.uniform()).floor();
                let mut random = EpisodeRandom::new(7, 2, episode, time);
                let outcome = world.step(&mut state, &[direction], &mut random);
                total += outcome.reward;
                if outcome.done {
                    assert_eq!(time as usize + 1, world.horizon());
                    break;
                }
            }
            total
        };
        (0..episodes).map(episode).collect()
    }

    #[test]
    fn whole_episodes_of_random_moves_succeed_with_the_product_of_both_chances() {
        for (world, expected) in [(KeyToDoor::full(), 0.02815), (KeyToDoor::square(4, 5), 0.03343)] {
            let returns = random_returns(&world, 20_000);
            assert!(returns.iter().all(|&total| total == 0.0 || total == 1.0));
            let share = returns.iter().sum::<f64>() / 20_000.0;
            // Four standard errors of a share of 20,000.
            assert!((share - expected).abs() < 4.0 * (expected / 20_000.0_f64).sqrt(), "{share} against {expected}");
        }
    }

    #[test]
    fn the_key_is_gone_when_taken_and_is_not_seen_when_held() {
        let world = KeyToDoor::full();
        let mut random = EpisodeRandom::new(0, 0, 0, 0);
        let mut state = [0.0, 3.0, 5.0, 2.0, 5.0, 1.0, 0.0];
        let mut seen = [0.0; 8];
        world.observe(&state, &mut seen);
        assert_eq!(seen, [1.0, 0.0, 0.0, 0.0, 0.0, -0.25, 0.0, 1.0]);
        world.step(&mut state, &[0.0], &mut random);
        assert_eq!(state, [1.0, 2.0, 5.0, -1.0, -1.0, 0.0, 1.0]);
        world.observe(&state, &mut seen);
        assert_eq!(seen, [1.0, 0.0, 0.0, -0.5, 0.0, 0.0, 0.0, 0.0]);
        let without = [1.0, 2.0, 5.0, -1.0, -1.0, 0.0, 0.0];
        let mut other = [0.0; 8];
        world.observe(&without, &mut other);
        assert_eq!(seen, other);
    }

    #[test]
    fn the_door_is_a_wall_without_the_key_and_pays_once_with_it() {
        let world = KeyToDoor::full();
        let mut random = EpisodeRandom::new(0, 0, 0, 0);
        let mut closed = [106.0, 2.0, 5.0, 1.0, 5.0, 1.0, 0.0];
        let mut open = [106.0, 2.0, 5.0, 1.0, 5.0, 1.0, 1.0];
        assert_eq!(world.step(&mut closed, &[0.0], &mut random).reward, 0.0);
        assert_eq!(closed[1..3], [2.0, 5.0]);
        assert_eq!(world.step(&mut open, &[0.0], &mut random).reward, 1.0);
        assert_eq!(open[1..3], [1.0, 5.0]);
        // Out of it and in again.
        assert_eq!(world.step(&mut open, &[1.0], &mut random).reward, 0.0);
        assert_eq!(world.step(&mut open, &[0.0], &mut random).reward, 0.0);
        assert_eq!(open[1..3], [1.0, 5.0]);
    }
}
