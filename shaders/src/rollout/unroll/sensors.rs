//! The wiring between an observation and the inputs of a policy.

use crate::random::threefry;

/// The way from an observation to the inputs of a policy: copies, noise channels, and a wiring that may change.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sensors {
    /// The observation this many times over, at least once.
    pub copies: usize,
    /// Channels of nothing but normal noise, drawn anew at each step, after the copies.
    pub noise_channels: usize,
    /// Standard deviation of the noise channels.
    pub noise: f32,
    /// The inputs in an order that a buffer gives: none is the plain order.
    pub wiring: Option<Wiring>,
}

/// Inputs in the order `wiring (episodes, phases, INPUTS)`: input `i` is the source of that number in the plain order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wiring {
    /// Steps after which the next phase begins; the last phase lasts.
    pub interval: usize,
    /// Wirings of one episode, at least 1.
    pub phases: usize,
    /// True if the policy's channel memory is cleared when a phase begins.
    pub forget: bool,
}

impl Default for Sensors {
    /// The observation as it is.
    fn default() -> Self {
        Self { copies: 1, noise_channels: 0, noise: 0.0, wiring: None }
    }
}

impl Sensors {
    /// The number of inputs that `observations` become.
    pub fn inputs(&self, observations: usize) -> usize {
        self.copies.saturating_mul(observations).saturating_add(self.noise_channels)
    }
    /// The numbers that the inputs are wired to, in its plain order: the observation at step `time` of the episode of this number,
    /// as often as it is given, then the noise channels, drawn for the place `(seed, stream)` of the unroll.
    pub fn sources(&self, seed: u32, stream: u32, episode: u32, time: u32, observation: &[f64]) -> Vec<f64> {
        let mut sources = observation.repeat(self.copies);
        for channel in 0..self.noise_channels {
            let counter = [time.wrapping_mul(256).wrapping_add(channel as u32 / 2), episode];
            let words = threefry::threefry([seed, stream + 3], counter);
            sources.push(f64::from(self.noise) * threefry::box_muller(words)[channel % 2]);
        }
        sources
    }
}
