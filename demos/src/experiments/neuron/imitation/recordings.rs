//! Recordings of scenes and of the teacher's answers, from which stacks of pictures are drawn when they are wanted.

use fourfold::data::Checkpoint;
use fourfold::shaders::random::threefry::Random;
use fourfold::shaders::{Data, Element};

use crate::failure::Failure;
use crate::run::{entry, set_entry};

/// Scenes of a stack, the newest last.
pub const STACK: usize = 4;

/// Steps of lanes side by side, round after round.
#[derive(Debug, Clone, PartialEq)]
pub struct Recordings {
    lanes: usize,
    /// Numbers of a scene, and of an answer.
    widths: [usize; 2],
    /// `(steps, lanes, scene)`
    scenes: Vec<f32>,
    /// `(steps, lanes)`: steps since the episode began.
    times: Vec<u32>,
    /// `(steps, lanes, answer)`
    answers: Vec<f32>,
}

impl Recordings {
    pub fn new(lanes: usize, widths: [usize; 2]) -> Self {
        Self { lanes, widths, scenes: Vec::new(), times: Vec::new(), answers: Vec::new() }
    }

    /// Steps of all lanes.
    pub fn len(&self) -> usize {
        self.times.len()
    }

    /// Adds a step of every lane.
    pub fn push(&mut self, scenes: &[f32], times: &[u32], answers: &[f32]) {
        self.scenes.extend(scenes);
        self.times.extend(times);
        self.answers.extend(answers);
    }

    /// The stack of scenes that ends with this step: the first of an episode stands for those before it.
    pub fn stack(&self, step: usize, into: &mut Vec<f32>) {
        let width = self.widths[0];
        for back in (0..STACK).rev() {
            let back = back.min(self.times[step] as usize);
            into.extend(&self.scenes[(step - back * self.lanes) * width..][..width]);
        }
    }

    /// The stacks of scenes `(lanes, 4, scene)` that end with the step of every lane that was added last.
    pub fn newest(&self) -> Vec<f32> {
        let mut stacks = Vec::with_capacity(self.lanes * STACK * self.widths[0]);
        (self.len() - self.lanes..self.len()).for_each(|step| self.stack(step, &mut stacks));
        stacks
    }

    /// The teacher's answer at this step.
    pub fn answer(&self, step: usize) -> &[f32] {
        &self.answers[step * self.widths[1]..][..self.widths[1]]
    }

    /// Steps drawn uniformly, of those that were recorded.
    pub fn draw(&self, random: &mut Random, count: usize) -> Vec<usize> {
        (0..count).map(|_| random.below(self.len() as u32) as usize).collect()
    }

    pub fn save(&self, checkpoint: &mut Checkpoint) -> Result<(), Failure> {
        let [scene, answer] = self.widths;
        let steps = self.len();
        checkpoint.insert("recorded.scenes", &[steps, scene], Data::F32(self.scenes.clone()));
        checkpoint.insert("recorded.times", &[steps], Data::U32(self.times.clone()));
        checkpoint.insert("recorded.answers", &[steps, answer], Data::F32(self.answers.clone()));
        set_entry(checkpoint, "recorded", &steps)
    }

    /// # Errors
    /// The checkpoint lacks a tensor, or has one of another shape.
    pub fn restore(&mut self, checkpoint: &Checkpoint) -> Result<(), Failure> {
        let [scene, answer] = self.widths;
        let steps: usize = entry(checkpoint, "recorded")?;
        let f32 =
            |name, width| Ok::<_, Failure>(checkpoint.tensor(name, Element::F32, &[steps, width])?.f32().to_vec());
        self.scenes = f32("recorded.scenes", scene)?;
        self.answers = f32("recorded.answers", answer)?;
        self.times = checkpoint.tensor("recorded.times", Element::U32, &[steps])?.u32().to_vec();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_scene_of_an_episode_stands_for_those_before_it() {
        let mut recordings = Recordings::new(2, [1, 1]);
        for (step, times) in [[0, 5], [1, 6], [2, 0], [3, 1]].iter().enumerate() {
            recordings.push(&[step as f32, 10.0 + step as f32], times, &[0.0; 2]);
        }
        let stack = |step: usize| {
            let mut into = Vec::new();
            recordings.stack(step, &mut into);
            into
        };
        assert_eq!(stack(2), [0.0, 0.0, 0.0, 1.0]);
        assert_eq!(stack(6), [0.0, 1.0, 2.0, 3.0]);
        assert_eq!(stack(7), [12.0, 12.0, 12.0, 13.0]);
    }
}
