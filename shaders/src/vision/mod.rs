//! The attention neuron that sees (Tang & Ha 2021): the layer over the patches of a picture, the networks behind it, and the
//! kernels that take a step of many lanes.
//!
//! The dispatches of a step, in their order: `retina` (a patch an invocation), `gather`, `attend` (four rows of a message an
//! invocation), and for a network that drives `vote` (a lane a workgroup) and `decide`. `fill` makes tables of the weights
//! beforehand. [`Problem`] has their buffers and sequences.

mod attend;
pub(crate) mod case;
mod decide;
mod driving;
mod gather;
mod layer;
mod network;
mod pong;
mod retina;
mod tables;
#[cfg(test)]
mod tests;
mod vote;

pub use crate::rollout::policies::attention_neuron::Part;
pub use driving::{DrivingMemory, DrivingNetwork};
pub use layer::VisionNeuron;
pub use network::{ABSENT, Problem, VisionNetwork, slots_of};
pub use pong::{Convolution, PongNetwork};
