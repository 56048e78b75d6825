//! The network that a file of weights belongs to.

use std::path::PathBuf;

use clap::Args;
use fourfold::data::{flat_vector, load_flat_vector};
use fourfold::shaders::rollout::policies::AttentionNeuron;

use crate::failure::Failure;

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
    /// Weights as one flat vector in the published order (LSTM, query, key, head): npz, npy or safetensors [default: those
    /// of the committed training]
    #[arg(long, value_name = "FILE")]
    pub weights: Option<PathBuf>,
    /// The name of the tensor in the file, where it holds several
    #[arg(long, value_name = "NAME", requires = "weights")]
    pub tensor: Option<String>,
}

impl File {
    /// Reads the weights of `network`.
    pub fn load(&self, network: &AttentionNeuron) -> Result<Vec<f32>, Failure> {
        match &self.weights {
            Some(file) => Ok(load_flat_vector(file, self.tensor.as_deref(), network.parameters())?),
            None if *network == AttentionNeuron::cart_pole() => trained(),
            None => Err(Failure::Input("--weights: expected a file, for only the plain network is built in".into())),
        }
    }
}

/// The weights of the training whose report is committed.
pub fn trained() -> Result<Vec<f32>, Failure> {
    const FILE: &[u8] = include_bytes!("../../../weights/attention_neuron.safetensors");
    Ok(flat_vector("the built-in weights", FILE, None, AttentionNeuron::cart_pole().parameters())?)
}
