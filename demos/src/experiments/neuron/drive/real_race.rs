//! The network at the wheel of Gymnasium's CarRacing: its physics on our tracks, seen through our camera.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use fourfold::models::TrainedVision;
use fourfold::rollout::environments::car_racing::CarRacing;
use fourfold::rollout::{Environment, EpisodeRandom, PatchWiring, Pictures, VisionBuffers, VisionPolicy};
use fourfold::{Gpu, wgpu};

use super::{Driven, Race};
use crate::experiments::neuron::evaluation::Scores;
use crate::failure::Failure;
use crate::gymnasium::{Environments, Exchange, Program, buffer, play_with};

/// Deviates of a try at a track.
const DEVIATES: usize = 24;

/// The place in a scene of the number of the track.
const TRACK: usize = 17;

/// Gymnasium's race, on the tracks of a world.
#[derive(Debug)]
pub(super) struct RealRace<'a> {
    pub trained: &'a TrainedVision,
    pub world: Arc<CarRacing>,
    /// Steps of an episode at most.
    pub horizon: usize,
    /// The place of the tracks' random numbers.
    pub tracks: [u32; 2],
    pub python: &'a Path,
}

impl Race for RealRace<'_> {
    fn drive(
        &self,
        gpu: &Gpu,
        batch: usize,
        wiring: PatchWiring,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Driven, Failure> {
        let lanes = wiring.lanes();
        let tracks = batch * lanes..(batch + 1) * lanes;
        let [seed, stream] = self.tracks;
        let deviates: Vec<_> =
            tracks.clone().map(|track| deviates(seed, stream, track, self.world.tracks()[track].tries())).collect();
        let mut cars = Cars::open(gpu, self, tracks, wiring)?;
        let scores = cars.drive(gpu, &deviates, self.horizon, progress)?;
        Ok(Driven { scores, versions: Some(cars.environments.greeting().versions.clone()) })
    }
}

/// Cars on tracks of a world, one in each lane.
struct Cars {
    environments: Environments,
    /// The first is that of the first lane.
    tracks: Range<usize>,
    pictures: Pictures,
    policy: VisionPolicy,
    exchange: Exchange,
    times: wgpu::Buffer,
    ends: wgpu::Buffer,
}

impl Cars {
    /// Starts the workers and puts the network into each lane.
    fn open(gpu: &Gpu, race: &RealRace<'_>, tracks: Range<usize>, wiring: PatchWiring) -> Result<Self, Failure> {
        let (trained, lanes) = (race.trained, tracks.len());
        let environments = Environments::open(race.python, Program::CAR_RACING, "CarRacing", lanes, None)?;
        let observations = lanes * environments.greeting().observations;
        let exchange = Exchange::new(gpu, observations, lanes * race.world.actions());
        let (times, ends) = (buffer(gpu, "times", lanes), buffer(gpu, "ends", lanes));
        let pictures = Pictures::on_buffer(gpu, race.world.clone(), exchange.observations())?;
        let buffers = VisionBuffers {
            pictures: pictures.pictures().clone(),
            times: (&times).into(),
            ends: (&ends).into(),
            actions: Some(exchange.actions().clone()),
        };
        let policy = VisionPolicy::new(gpu, trained.network().clone(), trained.weights(), wiring, true, buffers)?;
        Ok(Self { environments, tracks, pictures, policy, exchange, times, ends })
    }

    /// Drives an episode in each lane, of at most `horizon` steps; `deviates` are those of each lane's track. `progress` is
    /// told of each step.
    fn drive(
        &mut self,
        gpu: &Gpu,
        deviates: &[Vec<u32>],
        horizon: usize,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Scores, Failure> {
        let Self { environments, tracks, pictures, policy, exchange, times, ends } = self;
        let scenes = environments.reset_with(deviates)?;
        let played = play_with(environments, scenes, horizon, |moment| {
            let mut scenes = moment.observations.to_vec();
            let width = scenes.len() / tracks.len();
            for (scene, track) in scenes.chunks_exact_mut(width).zip(tracks.clone()) {
                scene[TRACK] = track as f32;
            }
            let over: Vec<u32> = moment.going.iter().map(|&going| u32::from(!going)).collect();
            gpu.queue().write_buffer(times, 0, bytemuck::cast_slice(&vec![moment.step as u32; tracks.len()]));
            gpu.queue().write_buffer(ends, 0, bytemuck::cast_slice(&over));
            let actions = exchange.act(&scenes, |pass| {
                if moment.step == 0 {
                    policy.record_tables(pass);
                }
                pictures.record(pass);
                policy.record(pass);
            })?;
            progress(1);
            Ok(actions)
        })?;
        Ok(played.into())
    }
}

/// The deviates of the track of an episode, times 2^24: those from which our world drew it in so many tries.
fn deviates(seed: u32, stream: u32, episode: usize, tries: usize) -> Vec<u32> {
    let mut random = EpisodeRandom::new(seed, stream, episode as u32, 0);
    (0..DEVIATES * tries).map(|_| (random.uniform() * f64::from(1 << 24)) as u32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tracks_deviates_are_those_that_our_world_drew() {
        let world = CarRacing::new(1, 1, 2);
        let tries = world.tracks()[1].tries();
        let sent = deviates(1, 1, 1, tries);
        assert_eq!(sent.len(), 24 * tries);
        let mut random = EpisodeRandom::new(1, 1, 1, 0);
        for number in sent {
            assert_eq!(f64::from(number) / f64::from(1 << 24), random.uniform());
        }
    }
}
