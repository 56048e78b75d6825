//! The network that a file of weights belongs to.

use std::path::PathBuf;

use clap::Args;
use fourfold::data::load_flat_vector;
use fourfold::shaders::policies::AttentionNeuron;

use crate::Failure;

/// Which attention neuron.
#[derive(Debug, Clone, Args)]
pub struct Network {
    /// Rows of the message (M)
    #[arg(long, value_name = "COUNT", default_value_t = 16)]
    pub rows: usize,
    /// Biases in the query and key projections (EvoJAX's variant has them, with --rows 64)
    #[arg(long)]
    pub key_bias: bool,
}

impl Network {
    /// The network of the paper's cart-pole, with these changes.
    pub fn description(&self) -> Result<AttentionNeuron, Failure> {
        if !(1..=256).contains(&self.rows) {
            return Err(Failure::Input(format!("--rows: expected 1 to 256, got {}", self.rows)));
        }
        Ok(AttentionNeuron { rows: self.rows, key_bias: self.key_bias, ..AttentionNeuron::cart_pole() })
    }
}

/// A file of weights.
#[derive(Debug, Clone, Args)]
pub struct File {
    /// Weights as one flat vector in the published order (LSTM, query, key, head): npz, npy or safetensors
    #[arg(long, value_name = "FILE")]
    pub weights: PathBuf,
    /// The name of the tensor in the file, where it holds several
    #[arg(long, value_name = "NAME")]
    pub tensor: Option<String>,
}

impl File {
    /// Reads the weights of `network`.
    pub fn load(&self, network: &AttentionNeuron) -> Result<Vec<f32>, Failure> {
        Ok(load_flat_vector(&self.weights, self.tensor.as_deref(), network.parameters())?)
    }
}
