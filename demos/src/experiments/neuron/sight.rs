//! An episode of a network that sees, as a film: what is there, what it is shown, and where it looks.

use std::sync::Arc;

use fourfold::Gpu;
use fourfold::models::TrainedVision;
use fourfold::rollout::environments::Pong;
use fourfold::rollout::environments::car_racing::CarRacing;
use fourfold::rollout::{Environment, PatchWiring, VectorSettings, VisionRollout};
use fourfold::shaders::Element;
use fourfold::shaders::random::threefry::Random;
use fourfold::shaders::vision::{AttentionAgent, ReactiveNetwork, VisionNetwork, VisionNeuron};

use super::drive::wiring;
use super::input_order::InputOrder;
use super::pong::PATCHES;
use super::shuffles;
use crate::animation::drawing::{Drawing, Ink};
use crate::animation::reel::{Curve, Reel, Scene};
use crate::failure::Failure;
use crate::statistics::average;

/// The world of a network that sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SeenWorld {
    CarRacing,
    Pong,
}

/// The place of the random numbers of tracks that nobody learnt on.
const TRACKS: u32 = 3;

impl SeenWorld {
    /// The world that a network's actions fit.
    pub fn of(network: &VisionNetwork) -> Self {
        if network.actions() == 1 { Self::Pong } else { Self::CarRacing }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::CarRacing => "car-racing",
            Self::Pong => "pong",
        }
    }

    /// The world of so many episodes, drawn as the network was trained to see it.
    fn environment(self, network: &VisionNetwork, seed: u32, episodes: usize) -> Arc<dyn Environment> {
        match self {
            Self::Pong => Arc::new(Pong),
            Self::CarRacing => {
                let mut world = CarRacing::new(seed, TRACKS, episodes);
                world.picture = TrainedVision::race_picture(network);
                Arc::new(world)
            }
        }
    }

    /// Seconds of a step.
    fn time_step(self) -> f64 {
        match self {
            Self::CarRacing => 0.02,
            Self::Pong => 4.0 / 60.0,
        }
    }
}

/// The networks whose files are known by the number of their weights: the published ones that drive, the students that
/// `fourfold neuron drive train` and `fourfold neuron pong` teach, and the small one that `fourfold neuron drive evolve` compares
/// them with.
pub fn networks() -> Vec<VisionNetwork> {
    let pong = ReactiveNetwork::pong_student();
    let of_patch = |patch| ReactiveNetwork { layer: VisionNeuron { patch, ..pong.layer }, ..pong.clone() };
    let students = [ReactiveNetwork::car_student()].into_iter().chain(PATCHES.map(of_patch));
    let small = VisionNetwork::from(AttentionAgent::small());
    VisionNetwork::published_drivers().into_iter().chain(students.map(VisionNetwork::from)).chain([small]).collect()
}

/// Returns the built-in network that drives, that of the training whose report is committed.
///
/// # Errors
/// If the embedded file is of another network.
pub fn driver() -> Result<TrainedVision, Failure> {
    const FILE: &[u8] = include_bytes!("../../../weights/car.safetensors");
    Ok(TrainedVision::from_bytes("the built-in driver", FILE, None, &networks())?)
}

/// The settings of an episode.
#[derive(Debug, Clone, PartialEq)]
pub struct Sight {
    pub seed: u32,
    /// The steps in which the patches are shuffled, ascending.
    pub shuffles: Vec<usize>,
    /// Steps at most.
    pub horizon: usize,
}

/// Patches that are framed: those that the network looks at most.
const FRAMED: usize = 3;

impl Sight {
    /// Plays an episode, and draws each step.
    ///
    /// # Errors
    /// The loss of the device.
    pub fn film(&self, gpu: &Gpu, trained: &TrainedVision) -> Result<Reel, Failure> {
        let (world, network) = (SeenWorld::of(trained.network()), trained.network());
        let orders = self.orders(network.patches());
        let [interval, phases] = shuffles::phases(&self.shuffles, self.horizon);
        let order_at = |step| &orders[shuffles::order(&self.shuffles, step)];
        let wiring = (0..phases).flat_map(|phase| order_at(phase * interval).clone()).collect();
        let wiring = PatchWiring::given(network.patches(), phases, interval, wiring);
        let settings = VectorSettings::new(1, self.horizon, self.seed);
        let environment = world.environment(network, self.seed, 1);
        let rollout = trained.rollout(gpu, environment, &settings, wiring)?;
        gpu.submit("reset", |encoder| {
            rollout.record_reset(&mut encoder.begin_compute_pass(&Default::default()));
            Ok(())
        })?;
        let (mut scenes, mut returns, mut frames) = (Vec::new(), Vec::new(), Vec::new());
        let weights: Vec<f64> = trained.weights().iter().map(|&weight| weight.into()).collect();
        for step in 0..self.horizon {
            let picture = rollout.pictures().read()?.swap_remove(0);
            frames.push(picture);
            let (earned, over) = step_of(gpu, &rollout)?;
            returns.push(earned);
            let attention = attention(network, &weights, &frames);
            let words = [format!("step {step:>4}"), format!("score {earned:.0}")];
            scenes
                .push(Scene { drawing: drawing(network, &frames[step], order_at(step), attention.as_deref()), words });
            if over {
                break;
            }
        }
        let score = returns.last().copied().unwrap_or_default();
        let who = match network {
            VisionNetwork::Agent(_) => "an AttentionAgent",
            _ => "an attention neuron",
        };
        Ok(Reel {
            title: format!("{who} in {}: a score of {score:.0} in {} steps", world.name(), scenes.len()),
            time_step: world.time_step(),
            score,
            shuffles: self.shuffles.iter().copied().filter(|&step| step < scenes.len()).collect(),
            curves: vec![Curve::new("score", returns)],
            scenes,
        })
    }

    /// Plays so many episodes side by side, with the patches of each in an order of this kind: the mean score.
    ///
    /// # Errors
    /// The loss of the device.
    pub fn score(
        &self,
        gpu: &Gpu,
        trained: &TrainedVision,
        episodes: usize,
        order: InputOrder,
    ) -> Result<f64, Failure> {
        const STEPS: usize = 10;
        let network = trained.network();
        let environment = SeenWorld::of(network).environment(network, self.seed, episodes);
        let settings = VectorSettings::new(episodes, self.horizon, self.seed);
        let wiring = wiring(order, self.seed, episodes, network.patches(), self.horizon);
        let played = trained.rollout(gpu, environment, &settings, wiring)?.run(0, STEPS, |_| ())?;
        Ok(average(&played.returns))
    }

    /// The orders of the patches: their own, then one for each shuffle.
    fn orders(&self, patches: usize) -> Vec<Vec<u32>> {
        const STREAM: u32 = 0x0516_4700;
        let shuffled = |shuffle: usize| {
            let mut order: Vec<u32> = (0..patches as u32).collect();
            if shuffle > 0 {
                Random::new(self.seed, STREAM + shuffle as u32).shuffle(&mut order);
            }
            order
        };
        (0..=self.shuffles.len()).map(shuffled).collect()
    }
}

/// Takes a step: the return so far, and whether the episode is over.
fn step_of(gpu: &Gpu, rollout: &VisionRollout) -> Result<(f64, bool), Failure> {
    let environment = rollout.environment();
    let views = [(environment.returns(), Element::F32), (environment.ends().clone(), Element::U32)];
    let ticket = gpu.submit("step", |encoder| {
        rollout.record(&mut encoder.begin_compute_pass(&Default::default()));
        gpu.encode_readback(encoder, &views)
    })?;
    let read = ticket.wait()?;
    Ok((read[0].f32()[0].into(), read[1].u32()[0] != 0))
}

/// The mean attention of all rows of the message to each patch.
fn attention(network: &VisionNetwork, weights: &[f64], frames: &[Vec<u8>]) -> Option<Vec<f64>> {
    let layer = network.layer()?;
    let before = |back: usize| &frames[frames.len().saturating_sub(1 + back)][..];
    let stack: Vec<&[u8]> = (0..layer.stack).rev().map(before).collect();
    let mut all = vec![0.0; layer.messages * layer.patches()];
    // What was done before is the same for all patches: it does not matter.
    let previous = vec![0.0; layer.actions];
    layer.message(&weights[..layer.parameters()], &stack, &previous, None, Some(&mut all));
    let rows = layer.messages as f64;
    Some(
        (0..layer.patches()).map(|patch| all.iter().skip(patch).step_by(layer.patches()).sum::<f64>() / rows).collect(),
    )
}

/// Draws what there is at the left, and what the network is shown at the right; the patches that it looks at most are framed in both.
fn drawing(network: &VisionNetwork, picture: &[u8], order: &[u32], attention: Option<&[f64]>) -> Drawing {
    let size = network.picture();
    let (rows, columns) = (size.rows, size.columns);
    let greys: Vec<u8> = picture.chunks_exact(size.channels).map(|pixel| pixel[pixel.len() / 2]).collect();
    let side = match network.layer() {
        Some(layer) => layer.patch,
        None => columns / network.patches().isqrt(),
    };
    let across = columns / side;
    let mut shown = vec![0; greys.len()];
    let place = |patch: usize| [patch / across * side, patch % across * side];
    for (slot, &source) in order.iter().enumerate() {
        let ([to_row, to_column], [row, column]) = (place(slot), place(source as usize));
        for line in 0..side {
            let (to, at) = ((to_row + line) * columns + to_column, (row + line) * columns + column);
            shown[to..to + side].copy_from_slice(&greys[at..at + side]);
        }
    }
    const GAP: f64 = 0.25;
    let (width, height) = (1.0, rows as f64 / columns as f64);
    let mut drawing = Drawing::new([-0.1, -0.06, 2.0 * width + GAP + 0.1, height]);
    let pixel = width / columns as f64;
    drawing.picture((0.0, height), pixel, columns, greys);
    drawing.picture((width + GAP, height), pixel, columns, shown);
    drawing.label((0.5 * width, -0.04), "the world");
    drawing.label((1.5 * width + GAP, -0.04), "what the network is shown");
    let mut ranked: Vec<usize> = (0..attention.map_or(0, <[f64]>::len)).collect();
    let attention = attention.unwrap_or_default();
    ranked.sort_by(|&a, &b| attention[b].total_cmp(&attention[a]));
    for &patch in ranked.iter().take(FRAMED) {
        let slot = order.iter().position(|&source| source as usize == patch).unwrap_or(patch);
        for (patch, left) in [(patch, 0.0), (slot, width + GAP)] {
            let [row, column] = place(patch).map(|at| at as f64 * pixel);
            let (x, y, side) = (left + column, height - row, side as f64 * pixel);
            let corners = [(x, y), (x + side, y), (x + side, y - side), (x, y - side), (x, y)];
            drawing.line(Ink::Limb, 0.008, &corners);
        }
    }
    drawing
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::animation::Animation;

    fn trained() -> TrainedVision {
        let network = ReactiveNetwork::car_student();
        let weights = (0..network.parameters()).map(|index| 0.2 * (1.3 * index as f32).sin()).collect();
        TrainedVision::new(network, weights).unwrap()
    }

    #[test]
    fn a_shuffle_changes_what_is_shown_and_not_what_is_done() {
        let gpu = Gpu::open().unwrap();
        let film = |shuffles: &[usize]| {
            Sight { seed: 5, shuffles: shuffles.to_vec(), horizon: 12 }.film(&gpu, &trained()).unwrap()
        };
        let (plain, shuffled) = (film(&[]), film(&[6]));
        assert_eq!((plain.length(), shuffled.shuffles.clone()), (12, vec![6]));
        assert_eq!(plain.frame(5).pixels, shuffled.frame(5).pixels);
        assert_ne!(plain.frame(6).pixels, shuffled.frame(6).pixels);
        // The patches are shuffled before frames are stacked, so three steps compare different ones.
        assert_eq!(plain.scenes[6].words, shuffled.scenes[6].words);
    }
}
