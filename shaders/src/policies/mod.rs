//! Policies whose WGSL and twin lie side by side.

pub mod attention_neuron;
mod linear;

pub use attention_neuron::AttentionNeuron;
pub use linear::Linear;
