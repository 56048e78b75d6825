//! The attention neuron on the cart-pole, with what it attends to.

use std::rc::Rc;
use std::sync::Arc;

use fourfold::Gpu;
use fourfold::rollout::environments::CartPoleSwingUp;
use fourfold::shaders::rollout::policies::AttentionNeuron;

use super::Player;
use crate::animation::Animation;
use crate::animation::projector::Key;
use crate::experiments::neuron::evaluation::Protocol;
use crate::experiments::neuron::scene::Film;
use crate::experiments::neuron::watching::Script;
use crate::failure::Failure;

/// Seeds that are tried for an episode that lasts: some starts leave the track whatever one does.
const TRIES: u64 = 8;

/// An attention neuron at play.
#[derive(Debug)]
pub struct NeuronPlayer {
    gpu: Gpu,
    network: AttentionNeuron,
    weights: Vec<f32>,
    script: Script,
}

impl NeuronPlayer {
    /// Returns a player of the cart-pole swing-up from hard starts.
    pub fn new(
        gpu: Gpu,
        network: AttentionNeuron,
        weights: Vec<f32>,
        shuffles: Vec<usize>,
        noise_channels: usize,
    ) -> Self {
        let world = Arc::new(CartPoleSwingUp { easy: false });
        Self { gpu, network, weights, script: Script { world, noise_channels, shuffles, forget: false, seed: 0 } }
    }

    fn film(&self) -> Result<Film, Failure> {
        let played = self.script.play(&self.gpu, Arc::new(self.network), &self.weights, 0)?;
        Ok(self.script.show(self.network, &self.weights, &played)?.film)
    }

    /// Returns the first episode from a seed on that does not leave the track, or the last that was tried.
    ///
    /// # Errors
    /// The loss of the device.
    pub fn episode(&mut self, seed: u64) -> Result<Film, Failure> {
        for seed in seed..seed.saturating_add(TRIES - 1) {
            self.script.seed = seed as u32;
            let film = self.film()?;
            if !film.fell {
                return Ok(film);
            }
        }
        self.script.seed = seed.saturating_add(TRIES - 1) as u32;
        self.film()
    }
}

impl Player for NeuronPlayer {
    fn keys(&self) -> &'static [Key] {
        &[Key::Shuffle, Key::Noise, Key::Restart]
    }

    fn first(&mut self, seed: u64) -> Result<Rc<dyn Animation>, Failure> {
        Ok(Rc::new(self.episode(seed)?))
    }

    fn answer(&mut self, key: Key, step: usize) -> Result<(Rc<dyn Animation>, usize), Failure> {
        match key {
            Key::Shuffle => {
                self.script.shuffle_at(step);
                let film = self.film()?;
                let step = step.min(film.scenes.len() - 1);
                Ok((Rc::new(film), step))
            }
            Key::Noise => {
                self.script.toggle_noise();
                Ok((Rc::new(self.film()?), 0))
            }
            Key::Restart | Key::Quit => {
                let seed = self.script.next_seed();
                Ok((Rc::new(self.episode(seed)?), 0))
            }
        }
    }

    fn score(&mut self, episodes: usize, seed: u64) -> Result<f64, Failure> {
        let scores = Protocol::plain(episodes, seed as u32).scores(&self.gpu, Arc::new(self.network), &self.weights)?;
        Ok(scores.mean())
    }
}
