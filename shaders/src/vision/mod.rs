//! Networks that see (Tang & Ha 2021): the attention neuron over the patches of a picture with the networks behind it, the
//! AttentionAgent that it is compared with, and the kernels that take a step of many lanes.
//!
//! The dispatches of a step with the neuron, in their order: `retina` (a patch an invocation), `gather`, `attend` (four rows of
//! a message an invocation), and for a network that drives `vote` (a lane a workgroup) and `decide`. `fill` makes tables of the
//! weights beforehand. The AttentionAgent's are `look` (a patch an invocation), `vote` and `decide`. [`Problem`] has their
//! buffers and sequences.

mod attend;
mod attention_agent;
pub(crate) mod case;
mod constants;
mod decide;
mod driving;
mod gather;
mod layer;
mod look;
mod network;
mod reactive;

mod retina;
mod tables;
#[cfg(test)]
mod tests;
mod vote;

pub use crate::rollout::policies::attention_neuron::Part;
pub use attention_agent::{AgentMemory, AttentionAgent};
pub use driving::{DrivingMemory, DrivingNetwork};
pub use layer::VisionNeuron;
pub use network::{ABSENT, Problem, VisionNetwork, slots_of};
pub use reactive::{Answer, Convolution, ReactiveNetwork};
