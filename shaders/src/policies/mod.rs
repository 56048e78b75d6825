//! Policies whose WGSL and twin lie side by side.

pub mod attention_neuron;

pub use attention_neuron::AttentionNeuron;
