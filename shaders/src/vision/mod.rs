//! The attention neuron that sees (Tang & Ha 2021): the layer over the patches of a picture, and the networks behind it.

mod driving;
mod layer;
mod pong;

pub use crate::rollout::policies::attention_neuron::Part;
pub use driving::{DrivingMemory, DrivingNetwork};
pub use layer::VisionNeuron;
pub use pong::{Convolution, PongNetwork};
