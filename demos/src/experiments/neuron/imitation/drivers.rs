//! Who drives: the student, the teacher, or somebody who knows nothing.

use fourfold::shaders::random::threefry::Random;

use super::subject::Subject;

/// The share of the steps at which the teacher drives, where the student does not drive alone.
const TEACHING: f32 = 0.4;

/// Steps at most for which somebody who knows nothing drives on.
const BURST: u32 = 8;

/// The drivers of lanes side by side.
#[derive(Debug)]
pub struct Drivers {
    random: Random,
    /// The first lanes, in which the student drives alone.
    alone: usize,
    /// The share of steps at which somebody who knows nothing takes over.
    disturbance: f64,
    /// For how many steps to come he drives in each lane, with which answer.
    bursts: Vec<(u32, Vec<f32>)>,
}

impl Drivers {
    pub fn new(random: Random, lanes: usize, alone: usize, disturbance: f64) -> Self {
        Self { random, alone, disturbance, bursts: vec![(0, Vec::new()); lanes] }
    }

    /// The answers by which all lanes drive, of those of the student and of the teacher `(lanes, answers)`.
    pub fn choose(&mut self, subject: &dyn Subject, own: &[f32], taught: &[f32]) -> Vec<f32> {
        let width = subject.answers();
        let lanes = own.chunks_exact(width).zip(taught.chunks_exact(width)).enumerate();
        let mut chosen = Vec::with_capacity(own.len());
        for (lane, (own, taught)) in lanes {
            if lane < self.alone {
                chosen.extend(own);
                continue;
            }
            let burst = &mut self.bursts[lane];
            if burst.0 == 0 && f64::from(self.random.uniform()) < self.disturbance {
                *burst = (1 + self.random.below(BURST), subject.guess(&mut self.random));
            }
            let teaches = self.random.uniform() < TEACHING;
            chosen.extend(match burst {
                (1.., guess) => &guess[..],
                _ if teaches => taught,
                _ => own,
            });
            burst.0 = burst.0.saturating_sub(1);
        }
        chosen
    }
}

#[cfg(test)]
mod tests {
    use super::super::subject::Game;
    use super::*;

    #[test]
    fn the_student_drives_alone_in_the_first_lanes_and_not_always_in_the_others() {
        let mut drivers = Drivers::new(Random::new(1, 2), 4, 2, 0.1);
        let (own, taught) = ([0.0, 0.0, 1.0].repeat(4), [0.0, 1.0, 0.0].repeat(4));
        let mut counts = [0; 3];
        for _ in 0..200 {
            let chosen = drivers.choose(&Game, &own, &taught);
            assert_eq!(chosen[..6], own[..6]);
            for answer in chosen[6..].chunks_exact(3) {
                counts[answer.iter().position(|&best| best == 1.0).unwrap()] += 1;
            }
        }
        // Guesses alone stand still.
        assert!(counts[0] > 20 && counts[1] > 100 && counts[2] > 100, "{counts:?}");
    }
}
