//! Games of a student alone.

use std::sync::Arc;

use fourfold::Gpu;
use fourfold::rollout::{VectorBuffers, VectorEnvironment, VectorSettings};

use super::lesson::Lesson;
use super::recordings::Recordings;
use super::subject::Subject;
use crate::experiments::neuron::evaluation::Scores;
use crate::failure::Failure;

/// The place of the random numbers of these episodes.
const EPISODES: u32 = 0x1519_0000;

/// The student plays an episode in each of its lanes, of at most `horizon` steps. `progress` is told of each step.
///
/// # Errors
/// The loss of the device.
pub fn play(
    gpu: &Gpu,
    subject: &Arc<dyn Subject>,
    lesson: &mut Lesson,
    [lanes, horizon]: [usize; 2],
    seed: u32,
    mut progress: impl FnMut(),
) -> Result<Scores, Failure> {
    let world = subject.world();
    let (scene, width) = (world.observations(), subject.answers());
    let settings = VectorSettings { stream: EPISODES, ..VectorSettings::new(lanes, horizon, seed) };
    let mut environment = VectorEnvironment::on_buffers(gpu, world, &settings, VectorBuffers::default())?;
    let mut seen = environment.reset(0)?;
    let mut recordings = Recordings::new(lanes, [scene, width]);
    for time in 0..horizon as u32 {
        recordings.push(&seen.observations, &vec![time; lanes], &vec![0.0; lanes * width]);
        let answers = lesson.answer(&recordings.newest())?;
        let actions: Vec<f32> = answers.chunks_exact(width).flat_map(|answer| subject.action(answer)).collect();
        seen = environment.step(&actions)?;
        progress();
        if seen.ends.iter().all(|&end| end != 0) {
            break;
        }
    }
    let episodes = environment.episodes()?;
    Ok(Scores { returns: episodes.returns.into_iter().map(f64::from).collect(), lengths: episodes.lengths })
}
