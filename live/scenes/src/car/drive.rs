//! A race with its driver on the device: world, pictures and network.

use std::sync::Arc;

use fourfold::models::TrainedVision;
use fourfold::rollout::environments::car_racing::{Background, CarRacing, Picture};
use fourfold::rollout::{PatchWiring, Pictures, VectorSettings, VisionRollout};
use fourfold::shaders::vision::VisionNeuron;
use fourfold::shaders::{Data, Element};
use fourfold::{BufferView, Gpu, wgpu};

use crate::Error;

/// The place of the random numbers of tracks that nobody learnt on.
const STREAM: u32 = 3;

/// Tracks of a seed, one after the other.
const TRACKS: usize = 4;

/// Pixels along each side of the picture for people.
const SIZE: usize = 192;

/// Numbers of a race in its scene.
const PLACE: [usize; 2] = [0, 1];
const ANGLE: usize = 2;
const TRACK: usize = 17;

/// A race and its driver.
#[derive(Debug)]
pub(super) struct Drive {
    world: Arc<CarRacing>,
    rollout: VisionRollout,
    /// The road in colour, for people.
    road: Pictures,
    /// `u32` (frames of a stack, words of a picture): the last pictures that the network was given.
    frames: BufferView,
    /// Steps recorded.
    taken: usize,
}

/// A race as it was read back.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen {
    /// Red, green and blue of the road, row by row.
    pub(super) road: Vec<u8>,
    /// The last pictures that the network was given, the oldest first: a grey for each pixel, row by row.
    pub(super) frames: Vec<Vec<u8>>,
    scene: Vec<f32>,
    /// Steering to the right, gas and brake.
    pub(super) action: Vec<f32>,
    /// The sum of rewards of this race, and its steps.
    pub(super) score: f64,
    pub(super) steps: usize,
}

/// The grass and what may take its place, in the order in which they are offered.
pub(super) const GROUNDS: [&str; 3] = ["grass", "stripes", "noise"];

impl Drive {
    pub(super) fn new(
        gpu: &Gpu,
        trained: &TrainedVision,
        ground: usize,
        wiring: PatchWiring,
        seed: u32,
    ) -> Result<Self, Error> {
        const SIDE: usize = 64;
        let mut world = CarRacing::new(seed, STREAM, TRACKS);
        let refused = |error: fourfold::shaders::Error| Error::Input(error.to_string());
        match ground {
            1 => world = world.with_background(Background::stripes(SIDE, false).map_err(refused)?),
            2 => world = world.with_background(Background::noise(seed, SIDE, false).map_err(refused)?),
            _ => {}
        }
        world.picture = TrainedVision::race_picture(trained.network());
        let mut shown = world.clone();
        shown.picture = Picture { size: SIZE, colour: true, ..world.picture };
        let world = Arc::new(world);
        let settings = VectorSettings { automatic: true, ..VectorSettings::new(1, 1_000, seed) };
        let rollout = trained.rollout(gpu, world.clone(), &settings, wiring)?;
        let road = Pictures::on_buffer(gpu, Arc::new(shown), rollout.environment().observations().clone())?;
        let stack = trained.network().layer().map_or(1, |layer| layer.stack);
        let words = rollout.pictures().size().words();
        let frames = gpu.upload("frames", &Data::U32(vec![0; stack * words]))?;
        Ok(Self { world, rollout, road, frames, taken: 0 })
    }

    /// Wires the slots to other patches, from the next submission on.
    pub(super) fn rewire(&self, wiring: &PatchWiring) -> Result<(), Error> {
        Ok(self.rollout.policy().rewire(wiring)?)
    }

    /// Encodes so many steps.
    pub(super) fn encode(&mut self, encoder: &mut wgpu::CommandEncoder, steps: usize) {
        let begin = |encoder: &mut wgpu::CommandEncoder, record: &dyn Fn(&mut wgpu::ComputePass<'_>)| {
            record(&mut encoder.begin_compute_pass(&Default::default()));
        };
        if self.taken == 0 {
            begin(encoder, &|pass| self.rollout.record_reset(pass));
        }
        let (from, to) = (self.rollout.pictures().pictures(), &self.frames);
        let stack = (to.size / from.size).max(1);
        for _ in 0..steps {
            begin(encoder, &|pass| self.rollout.record(pass));
            let place = to.offset + self.taken as u64 % stack * from.size;
            encoder.copy_buffer_to_buffer(&from.buffer, from.offset, &to.buffer, place, from.size);
            self.taken += 1;
        }
        begin(encoder, &|pass| self.road.record(pass));
    }

    /// The buffers that are read back, for [`seen`](Self::seen).
    pub(super) fn views(&self) -> [(BufferView, Element); 6] {
        let world = self.rollout.environment();
        [
            (self.road.pictures().clone(), Element::U32),
            (self.frames.clone(), Element::U32),
            (world.observations().clone(), Element::F32),
            (world.actions().clone(), Element::F32),
            (world.returns(), Element::F32),
            (world.lengths(), Element::U32),
        ]
    }

    /// The race as it was read back after so many steps in all; none before the first.
    pub(super) fn seen(&self, values: &[Data], taken: usize) -> Option<Seen> {
        let [road, frames, scene, action, score, steps] = values else { return None };
        let steps = *steps.u32().first()? as usize;
        let size = self.rollout.pictures().size();
        let bytes = |words: &[u32], length: usize| -> Vec<u8> {
            words.iter().flat_map(|word| word.to_le_bytes()).take(length).collect()
        };
        let all: Vec<&[u32]> = frames.u32().chunks_exact(size.words()).collect();
        // Before the race began there were none: the first stands for them.
        let back = |frame: usize| frame.min(steps.max(1) - 1);
        let newest = taken.checked_sub(1)?;
        let greys = |words: &[u32]| -> Vec<u8> {
            let bytes = bytes(words, size.bytes());
            bytes.chunks_exact(size.channels).map(|pixel| pixel[pixel.len() / 2]).collect()
        };
        let frame = |frame: usize| greys(all[(newest + all.len() - back(frame)) % all.len()]);
        Some(Seen {
            road: bytes(road.u32(), self.road.size().bytes()),
            frames: (0..all.len()).rev().map(frame).collect(),
            scene: scene.f32().to_vec(),
            action: action.f32().to_vec(),
            score: f64::from(*score.f32().first()?),
            steps,
        })
    }

    /// Rows and columns of the road.
    pub(super) fn road_size(&self) -> [usize; 2] {
        [self.road.size().columns, self.road.size().rows]
    }

    /// The middles of the road of the track of a moment.
    pub(super) fn track(&self, seen: &Seen) -> Vec<[f32; 2]> {
        let number = seen.scene.get(TRACK).map_or(0, |number| number.round() as usize);
        let tracks = self.world.tracks();
        let sections = tracks[number.min(tracks.len() - 1)].sections();
        sections.iter().map(|section| section.place.map(|at| at as f32)).collect()
    }
}

impl Seen {
    /// The place of the car.
    pub(super) fn at(&self) -> [f32; 2] {
        PLACE.map(|number| self.scene.get(number).copied().unwrap_or_default())
    }

    /// Radians from the y axis to the left.
    pub(super) fn angle(&self) -> f32 {
        self.scene.get(ANGLE).copied().unwrap_or_default()
    }

    /// The mean attention of all rows of the message to each patch of the picture; those that no slot sees have none.
    pub(super) fn attention(&self, layer: &VisionNeuron, weights: &[f64], kept: &[bool]) -> Vec<f32> {
        let patches = layer.patches();
        let mut all = vec![0.0; layer.messages * patches];
        let frames: Vec<&[u8]> = self.frames.iter().map(Vec::as_slice).collect();
        // What was done before is the same for all patches: it does not matter.
        let previous = vec![0.0; layer.actions];
        layer.message(&weights[..layer.parameters()], &frames, &previous, Some(kept), Some(&mut all));
        let mean = |patch: usize| all.iter().skip(patch).step_by(patches).sum::<f64>() / layer.messages as f64;
        (0..patches).map(|patch| mean(patch) as f32).collect()
    }
}
