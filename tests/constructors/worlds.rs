//! Environments and policies of random sizes.

use std::sync::Arc;

use fourfold::rollout::environments::{CartPole, KeyToDoor};
use fourfold::rollout::policies::{AttentionNeuron, Linear, Perceptron};
use fourfold::rollout::{Environment, EpisodeRandom, Interface, Outcome, Policy};

use crate::draw::Draw;

/// A world that says of itself whatever the sizes are; its WGSL is that of a cart-pole.
#[derive(Debug)]
struct World {
    states: usize,
    observations: usize,
    actions: usize,
    horizon: usize,
}

impl Environment for World {
    fn file(&self) -> &str {
        "world.wgsl"
    }
    fn source(&self) -> &str {
        CartPole.source()
    }
    fn states(&self) -> usize {
        self.states
    }
    fn observations(&self) -> usize {
        self.observations
    }
    fn actions(&self) -> usize {
        self.actions
    }
    fn horizon(&self) -> usize {
        self.horizon
    }
    fn reset(&self, _: &mut EpisodeRandom, _: &mut [f64]) {}
    fn observe(&self, _: &[f64], _: &mut [f64]) {}
    fn step(&self, _: &mut [f64], _: &[f64], _: &mut EpisodeRandom) -> Outcome {
        Outcome { reward: 0.0, done: false }
    }
}

/// A policy that says of itself whatever the sizes are; its WGSL is linear.
#[derive(Debug)]
struct Actor([usize; 4]);

impl Policy for Actor {
    fn file(&self) -> &str {
        "actor.wgsl"
    }
    fn source(&self) -> &str {
        Linear.source()
    }
    fn weights(&self, _: Interface) -> usize {
        self.0[0]
    }
    fn memory(&self, _: Interface) -> usize {
        self.0[1]
    }
    fn channel_memory(&self, _: Interface) -> usize {
        self.0[2]
    }
    fn tables(&self, _: Interface) -> usize {
        self.0[3]
    }
    fn act(&self, _: &[f64], _: &mut [f64], _: &[f64], _: &mut [f64]) {}
}

pub fn environment(draw: &mut Draw) -> Arc<dyn Environment> {
    match draw.0.below(4) {
        0 => {
            let side = draw.option();
            Arc::new(KeyToDoor { side, phases: [draw.small(), draw.small(), draw.small()] })
        }
        1 => {
            let world = World { states: 4, observations: 4, actions: 1, horizon: draw.size() };
            Arc::new(if draw.flag(2) {
                World { states: draw.size(), observations: draw.size(), actions: draw.size(), ..world }
            } else {
                world
            })
        }
        _ => Arc::new(CartPole),
    }
}

pub fn neuron(draw: &mut Draw) -> AttentionNeuron {
    let actions = if draw.flag(4) { draw.size() } else { 1 };
    let [rows, hidden, key_dimension, position_dimension] = [(); 4].map(|()| draw.small());
    let (layers, factor) = (if draw.flag(3) { draw.size() } else { 1 }, draw.factor());
    let (key_bias, scale) = (draw.flag(2), draw.flag(2));
    AttentionNeuron { actions, rows, hidden, key_dimension, position_dimension, key_bias, scale, layers, factor }
}

pub fn policy(draw: &mut Draw) -> Arc<dyn Policy> {
    match draw.0.below(4) {
        0 => Arc::new(neuron(draw)),
        1 => Arc::new(Actor([draw.size(), draw.size(), draw.size(), if draw.flag(2) { 0 } else { draw.size() }])),
        2 => Arc::new(Perceptron::new(&[draw.small().max(1), draw.small().max(1)])),
        _ => Arc::new(Linear),
    }
}
