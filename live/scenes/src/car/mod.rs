//! An attention neuron that drives a car by pictures, whose patches come in any order.

mod drive;
mod picture;

use fourfold::Gpu;
use fourfold::data::Checkpoint;
use fourfold::models::TrainedVision;
use fourfold::rollout::PatchWiring;
use fourfold::shaders::vision::{ABSENT, DrivingNetwork, ReactiveNetwork, VisionNetwork, VisionNeuron};

use crate::answer::Answer;
use crate::timeline::Timeline;
use crate::{Control, Drawing, Error, Pointer, Reading, Scene, Value, View, period, weights};
use drive::{Drive, GROUNDS, Seen};

/// The greatest share of patches that may be missing.
const MOST_MISSING: f64 = 0.9;

/// A car with its driver.
pub(crate) struct Car {
    gpu: Gpu,
    trained: TrainedVision,
    /// The weights, for the attention.
    weights: Vec<f64>,
    settings: Settings,
    drive: Drive,
    /// The patch of each slot, with [`ABSENT`] added where the slot sees nothing.
    order: Vec<u32>,
    /// Slots that the visitor covered, or uncovered.
    touched: Vec<bool>,
    answer: Answer<Moment>,
    seen: Option<Seen>,
    /// The order of what has been seen, and the attention to each patch of the picture.
    seen_order: Vec<u32>,
    attention: Vec<f32>,
    /// Steps submitted, and steps seen.
    step: usize,
    seen_step: usize,
    shuffles: u32,
    /// Step, and the score of the race; marked are the shuffles.
    curve: Timeline<2>,
    /// The score of the race before.
    before: Option<f64>,
}

/// The moment at which a readback is submitted.
struct Moment {
    step: usize,
    order: Vec<u32>,
}

#[derive(Debug, Clone, Copy)]
struct Settings {
    /// Steps from shuffle to shuffle; 0 is never.
    period: usize,
    /// The share of patches that are missing.
    missing: f64,
    /// The index of what is in place of the grass.
    ground: usize,
    seed: u32,
}

/// Opens the scene.
pub(crate) fn open(gpu: &Gpu, seed: u32) -> Result<Box<dyn Scene>, Error> {
    let trained = read(weights::CAR.name, weights::CAR.bytes()?)?;
    Ok(Box::new(Car::new(gpu, trained, seed)?))
}

/// Reads a network that drives.
fn read(name: &str, bytes: &[u8]) -> Result<TrainedVision, Error> {
    let networks: [VisionNetwork; 2] = [ReactiveNetwork::car_student().into(), DrivingNetwork::car_racing().into()];
    let checkpoint = Checkpoint::from_bytes(name, bytes);
    let trained = checkpoint.and_then(|checkpoint| TrainedVision::from_checkpoint(&checkpoint, &networks));
    trained.map_err(|error| Error::Input(error.to_string()))
}

impl Car {
    fn new(gpu: &Gpu, trained: TrainedVision, seed: u32) -> Result<Self, Error> {
        let settings = Settings { period: 0, missing: 0.0, ground: 0, seed };
        let patches = trained.network().patches();
        let drive = Drive::new(gpu, &trained, settings.ground, PatchWiring::plain(1, patches), seed)?;
        Ok(Self {
            gpu: gpu.clone(),
            weights: trained.weights().iter().map(|&weight| weight.into()).collect(),
            trained,
            settings,
            drive,
            order: (0..patches as u32).collect(),
            touched: vec![false; patches],
            answer: Answer::none(),
            seen: None,
            seen_order: Vec::new(),
            attention: Vec::new(),
            step: 0,
            seen_step: 0,
            shuffles: 0,
            curve: Timeline::default(),
            before: None,
        })
    }

    /// The layer that sees.
    fn layer(&self) -> Option<&VisionNeuron> {
        self.trained.network().layer()
    }

    /// The wiring as the settings say: in the plain order before the first shuffle.
    fn wiring(&self) -> PatchWiring {
        let patches = self.touched.len();
        let seed = self.settings.seed.wrapping_mul(1 << 16).wrapping_add(self.shuffles);
        let wiring = match self.shuffles {
            0 => PatchWiring::plain(1, patches),
            _ => PatchWiring::shuffled(seed, 1, patches, None, 1),
        };
        let wiring = wiring.occluded(self.settings.seed, self.settings.missing);
        let touched = |(&patch, &touched): (&u32, &bool)| if touched { patch ^ ABSENT } else { patch };
        PatchWiring::given(patches, 1, 1, wiring.orders().iter().zip(&self.touched).map(touched).collect())
    }

    fn rewire(&mut self) -> Result<(), Error> {
        let wiring = self.wiring();
        self.order = wiring.orders().to_vec();
        self.drive.rewire(&wiring)
    }

    fn shuffle(&mut self) -> Result<(), Error> {
        self.shuffles += 1;
        self.curve.mark(self.step as f64);
        self.rewire()
    }

    /// Begins anew on the tracks of the seed, in the plain order.
    fn begin(&mut self) -> Result<(), Error> {
        self.answer.forget();
        (self.step, self.seen_step, self.shuffles) = (0, 0, 0);
        self.curve = Timeline::default();
        (self.seen, self.before) = (None, None);
        self.attention.clear();
        let wiring = self.wiring();
        self.order = wiring.orders().to_vec();
        let Settings { ground, seed, .. } = self.settings;
        self.drive = Drive::new(&self.gpu, &self.trained, ground, wiring, seed)?;
        Ok(())
    }

    /// Patches that some slot sees.
    fn kept(order: &[u32]) -> Vec<bool> {
        let mut kept = vec![false; order.len()];
        order.iter().filter(|&&patch| patch < ABSENT).for_each(|&patch| kept[patch as usize] = true);
        kept
    }
}

impl Scene for Car {
    fn controls(&self) -> Vec<Control> {
        let Settings { period, missing, ground, .. } = self.settings;
        vec![
            Control::button("shuffle", "Shuffle now", 's', "Put the patches of the picture in another order."),
            Control::slider(
                "period",
                "Shuffle every",
                "Steps from shuffle to shuffle; 0 is never.",
                period as f64,
                [0.0, 500.0],
                50.0,
            )
            .with_key('t'),
            Control::slider(
                "missing",
                "Share missing",
                "The share of the patches that the network is not shown. A click on a patch covers it too.",
                missing,
                [0.0, MOST_MISSING],
                0.1,
            )
            .with_key('m'),
            Control::choice(
                "ground",
                "Ground",
                'g',
                "Begin anew on grass, or on a picture that the network has never seen.",
                ground,
                &GROUNDS,
            ),
        ]
    }

    fn set(&mut self, name: &str, value: Value) -> Result<(), Error> {
        match (name, value) {
            ("shuffle", _) => self.shuffle()?,
            ("period", Value::Number(period)) => self.settings.period = period as usize,
            ("missing", Value::Number(share)) => {
                self.settings.missing = share;
                self.touched.fill(false);
                self.rewire()?;
            }
            ("ground", Value::Index(ground)) => {
                self.settings.ground = ground.min(GROUNDS.len() - 1);
                self.begin()?;
            }
            _ => {}
        }
        Ok(())
    }

    fn point(&mut self, view: View, at: [f32; 2], pointer: Pointer) -> Result<bool, Error> {
        let across = self.touched.len().isqrt();
        let slot = picture::places(view).slot(at, across);
        let Some(slot) = slot.filter(|_| pointer == Pointer::Press) else { return Ok(false) };
        self.touched[slot] = !self.touched[slot];
        // One patch at least.
        if self.wiring().orders().iter().all(|&patch| patch >= ABSENT) {
            self.touched[slot] = !self.touched[slot];
        }
        self.rewire()?;
        Ok(true)
    }

    fn reset(&mut self, seed: u32) -> Result<(), Error> {
        self.settings.seed = seed;
        self.begin()
    }

    fn poll(&mut self) -> Result<bool, Error> {
        let Some((values, moment)) = self.answer.take()? else { return Ok(!self.answer.is_waiting()) };
        let Some(seen) = self.drive.seen(&values, moment.step) else { return Ok(true) };
        if moment.step > self.seen_step {
            if let Some(earlier) = self.seen.as_ref().filter(|earlier| earlier.steps > seen.steps) {
                self.before = Some(earlier.score);
            }
            self.curve.push([moment.step as f64, seen.score]);
        }
        if let Some(layer) = self.layer() {
            self.attention = seen.attention(layer, &self.weights, &Self::kept(&moment.order));
        }
        self.seen = Some(seen);
        self.seen_order = moment.order;
        self.seen_step = moment.step;
        Ok(true)
    }

    fn submit(&mut self, steps: usize) -> Result<(), Error> {
        let gpu = self.gpu.clone();
        for part in period::parts(self.step, steps, self.settings.period) {
            let views = self.drive.views();
            // In one submission: some drivers let a second one wait for the first.
            let ticket = gpu.submit("car", |encoder| {
                self.drive.encode(encoder, part.steps);
                if part.last { gpu.encode_readback(encoder, &views).map(Some) } else { Ok(None) }
            })?;
            self.step += part.steps;
            if let Some(ticket) = ticket {
                self.answer.expect(ticket, Moment { step: self.step, order: self.order.clone() });
            }
            if part.shuffles {
                self.shuffle()?;
            }
        }
        Ok(())
    }

    fn readings(&self) -> Vec<Reading> {
        let shown = self.order.iter().filter(|&&patch| patch < ABSENT).count();
        let mut readings = vec![
            Reading::new("step", self.seen_step as f64, 0),
            Reading::new("score", self.seen.as_ref().map_or(0.0, |seen| seen.score), 0),
            Reading::new("patches", shown as f64, 0),
        ];
        readings.extend(self.before.map(|score| Reading::new("score of the race before", score, 0)));
        readings
    }

    fn drawing(&self, view: View) -> Drawing {
        picture::draw(self, view)
    }

    fn load(&mut self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        let trained = read(name, bytes)?;
        let seed = self.settings.seed;
        *self = Self::new(&self.gpu, trained, seed)?;
        Ok(())
    }

    fn save(&self) -> Option<(String, Vec<u8>)> {
        Some((weights::CAR.name.into(), self.trained.to_checkpoint().to_bytes()))
    }
}

#[cfg(test)]
mod tests;
