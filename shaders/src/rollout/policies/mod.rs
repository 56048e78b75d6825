//! Policies whose WGSL and twin lie side by side.

pub mod attention_neuron;
mod linear;
mod perceptron;

pub use attention_neuron::AttentionNeuron;
pub use linear::Linear;
pub use perceptron::Perceptron;
