//! The attention neuron's flags, and files of its weights.

use std::path::PathBuf;

use clap::Args;
use fourfold::data::{flat_vector, load_flat_vector};
use fourfold::shaders::rollout::policies::AttentionNeuron;
use serde::{Deserialize, Serialize};

use crate::failure::Failure;

/// The flags of the attention neuron.
#[derive(Debug, Clone, PartialEq, Args, Serialize, Deserialize)]
pub struct Network {
    /// Rows of the message (M)
    #[arg(long, value_name = "COUNT", default_value_t = 16)]
    pub rows: usize,
    /// Biases in the query and key projections (EvoJAX's variant has them, with --rows 64)
    #[arg(long)]
    pub key_bias: bool,
}

impl Network {
    /// Describes the network: that of the paper's cart-pole, with these changes.
    ///
    /// # Errors
    /// `--rows` is out of range.
    pub fn description(&self) -> Result<AttentionNeuron, Failure> {
        if !(1..=256).contains(&self.rows) {
            return Err(Failure::Input(format!("--rows: expected 1 to 256, got {}", self.rows)));
        }
        Ok(AttentionNeuron { rows: self.rows, key_bias: self.key_bias, ..AttentionNeuron::cart_pole() })
    }
}

/// A file of weights.
#[derive(Debug, Clone, PartialEq, Args, Serialize, Deserialize)]
pub struct File {
    /// Weights, one flat vector in the published order (LSTM, query, key, head): npz, npy or safetensors [default: built in]
    #[arg(long, value_name = "FILE")]
    pub weights: Option<PathBuf>,
    /// Tensor in that file, where it holds several
    #[arg(long, value_name = "NAME", requires = "weights")]
    pub tensor: Option<String>,
}

impl File {
    /// Reads the weights of `network`.
    ///
    /// # Errors
    /// The file cannot be read or is of another network; there is none, and `network` is not the built-in one.
    pub fn load(&self, network: &AttentionNeuron) -> Result<Vec<f32>, Failure> {
        match &self.weights {
            Some(file) => Ok(load_flat_vector(file, self.tensor.as_deref(), network.parameters())?),
            None if *network == AttentionNeuron::cart_pole() => trained(),
            None => Err(Failure::Input("--weights: expected a file, for only the plain network is built in".into())),
        }
    }
}

/// Returns the built-in weights, those of the training whose report is committed.
///
/// # Errors
/// If the embedded file is of another network.
pub fn trained() -> Result<Vec<f32>, Failure> {
    const FILE: &[u8] = include_bytes!("../../../weights/attention_neuron.safetensors");
    Ok(flat_vector("the built-in weights", FILE, None, AttentionNeuron::cart_pole().parameters())?)
}
