//! Subjects that are taught: a world that is seen, and a teacher who knows it.

use std::fmt::Debug;
use std::sync::Arc;

use fourfold::graph::Tensor;
use fourfold::rollout::Environment;
use fourfold::rollout::environments::{CarRacing, Pong, PongMachine, PongTeacher, USEFUL_ACTIONS};
use fourfold::shaders::random::threefry::Random;

/// A world and its teacher. A student's *answer* is its outputs as numbers of the same meaning as the teacher's.
pub trait Subject: Debug {
    /// The world.
    fn world(&self) -> Arc<dyn Environment>;

    /// Numbers of an answer.
    fn answers(&self) -> usize;

    /// True if the teacher looks at the state, and not at the scene alone.
    fn reads_states(&self) -> bool;

    /// The teacher's answer where the world stands so: its state, and the scene that is seen.
    fn teach(&self, state: &[f64], scene: &[f64]) -> Vec<f32>;

    /// The weight of a sample with this answer in the loss, on average about 1.
    fn weight(&self, answer: &[f32]) -> f32;

    /// The action of the world that an answer says.
    fn action(&self, answer: &[f32]) -> Vec<f32>;

    /// The answer of somebody who knows nothing.
    fn guess(&self, random: &mut Random) -> Vec<f32>;

    /// The answers `(batch, answers)` that outputs are.
    fn answer<'g>(&self, outputs: Tensor<'g>) -> Tensor<'g>;

    /// The loss of each sample `(batch)`: outputs against the teacher's answers, both `(batch, answers)`.
    fn loss<'g>(&self, outputs: Tensor<'g>, taught: Tensor<'g>) -> Tensor<'g>;
}

/// The joint of the front wheels turns no further: actions beyond it do what it does.
const JOINT: f32 = 0.4;

/// The teacher's gas on straights and in bends, and the speed at which it takes its foot off. The student's picture has a pixel
/// of the instruments that lights up at 54 units a second, and shows nothing of the driver's gas and brake. With those the
/// driver scores 891, like this some 864, and some 730 where 891 become 721 because its hands shake as a student's.
const GAS: [f32; 2] = [0.2, 0.05];
const SPEED: f64 = 54.0;

/// Steering that belongs to a bend.
const BEND: f32 = 0.2;

/// The car race, taught by a driver who knows the track: its steering, at a speed that the student can see. An answer is steering,
/// gas and brake, each from -1 to 1.
#[derive(Debug, Clone)]
pub struct Race {
    pub world: Arc<CarRacing>,
}

impl Subject for Race {
    fn world(&self) -> Arc<dyn Environment> {
        self.world.clone()
    }

    fn answers(&self) -> usize {
        3
    }

    fn reads_states(&self) -> bool {
        false
    }

    fn teach(&self, _: &[f64], scene: &[f64]) -> Vec<f32> {
        let [steer, ..] = self.world.driver(scene);
        let steer = (steer as f32).clamp(-JOINT, JOINT);
        let gas = if self.world.speed(scene) < SPEED { GAS[usize::from(steer.abs() >= BEND)] } else { 0.0 };
        vec![steer, 2.0 * gas - 1.0, -1.0]
    }

    fn weight(&self, _: &[f32]) -> f32 {
        1.0
    }

    fn action(&self, answer: &[f32]) -> Vec<f32> {
        vec![answer[0], 0.5 + 0.5 * answer[1], 0.5 + 0.5 * answer[2]]
    }

    fn guess(&self, random: &mut Random) -> Vec<f32> {
        vec![JOINT * (2.0 * random.uniform() - 1.0), random.uniform() - 1.0, -1.0]
    }

    fn answer<'g>(&self, outputs: Tensor<'g>) -> Tensor<'g> {
        outputs.tanh()
    }

    fn loss<'g>(&self, outputs: Tensor<'g>, taught: Tensor<'g>) -> Tensor<'g> {
        let error = outputs.tanh() - taught;
        let square = error * error;
        // In shares of the range that each has.
        square.narrow(1, 0, 1).sum(1) * (1.0 / (JOINT * JOINT)) + square.narrow(1, 1, 2).sum(1) * 0.25
    }
}

/// Pong, taught by a player who looks ahead. An answer is how good each of the three useful actions is: the teacher says 1 for
/// the one that it would take.
#[derive(Debug, Clone, Copy)]
pub struct Game;

impl Game {
    /// The best action of an answer, the first among equals.
    fn best(answer: &[f32]) -> usize {
        (1..answer.len()).fold(0, |best, index| if answer[index] > answer[best] { index } else { best })
    }
}

impl Subject for Game {
    fn world(&self) -> Arc<dyn Environment> {
        Arc::new(Pong)
    }

    fn answers(&self) -> usize {
        USEFUL_ACTIONS.len()
    }

    fn reads_states(&self) -> bool {
        true
    }

    fn teach(&self, state: &[f64], _: &[f64]) -> Vec<f32> {
        let action = PongTeacher::LookAhead.action(&PongMachine::of(state));
        USEFUL_ACTIONS.iter().map(|&useful| f32::from(u8::from(useful == action))).collect()
    }

    /// Three quarters of all answers are to stand still.
    fn weight(&self, answer: &[f32]) -> f32 {
        if answer[0] > 0.5 { 0.7 } else { 2.0 }
    }

    fn action(&self, answer: &[f32]) -> Vec<f32> {
        vec![USEFUL_ACTIONS[Self::best(answer)] as f32]
    }

    fn guess(&self, random: &mut Random) -> Vec<f32> {
        let drawn = random.below(3);
        (0..3).map(|index| f32::from(u8::from(index == drawn))).collect()
    }

    fn answer<'g>(&self, outputs: Tensor<'g>) -> Tensor<'g> {
        outputs
    }

    fn loss<'g>(&self, outputs: Tensor<'g>, taught: Tensor<'g>) -> Tensor<'g> {
        (outputs.log_softmax() * taught).sum(1) * -1.0
    }
}
