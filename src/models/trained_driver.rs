//! A network that drives with what it has learnt, from and to files.

use std::sync::Arc;

use fourfold_shaders::Data;
use fourfold_shaders::vision::{DrivingNetwork, VisionNetwork};

use crate::data::{Checkpoint, Error, check_weights, flat_vector};
use crate::gpu::Gpu;
use crate::rollout::{self, Environment, PatchWiring, VectorSettings, VisionRollout};

/// The tensor of the weights.
const WEIGHTS: &str = "weights";

/// A network that sees and drives, with its flat vector of weights in the [published order](DrivingNetwork::parts).
#[derive(Debug, Clone, PartialEq)]
pub struct TrainedDriver {
    network: DrivingNetwork,
    weights: Vec<f32>,
}

impl TrainedDriver {
    /// A network with its weights.
    ///
    /// # Errors
    /// Sizes out of range, or weights that are not as many as the network has or not finite.
    pub fn new(network: DrivingNetwork, weights: Vec<f32>) -> Result<Self, Error> {
        const NAME: &str = "trained driver";
        network.check().map_err(|error| Error::content(NAME, "valid sizes", error.to_string()))?;
        check_weights(NAME, WEIGHTS, &weights, network.parameters())?;
        Ok(Self { network, weights })
    }

    /// Reads the weights of `network` from the bytes of a file: numpy's `.npz` and `.npy`, or safetensors. `name` stands for
    /// the file in errors, and `tensor` says which of several tensors holds the weights.
    ///
    /// # Errors
    /// The file is damaged, has another number of values, or values that are not finite.
    pub fn from_bytes(name: &str, bytes: &[u8], tensor: Option<&str>, network: DrivingNetwork) -> Result<Self, Error> {
        Self::new(network, flat_vector(name, bytes, tensor, network.parameters())?)
    }

    /// [`from_bytes`](Self::from_bytes) of a file.
    ///
    /// # Errors
    /// As there, or the file cannot be read.
    #[cfg(feature = "files")]
    pub fn load(
        path: impl AsRef<std::path::Path>,
        tensor: Option<&str>,
        network: DrivingNetwork,
    ) -> Result<Self, Error> {
        Self::new(network, crate::data::load_flat_vector(path.as_ref(), tensor, network.parameters())?)
    }

    /// Returns the weights as a checkpoint with one tensor, `weights`.
    pub fn to_checkpoint(&self) -> Checkpoint {
        let mut checkpoint = Checkpoint::new();
        checkpoint.set("policy", "driving_network".to_string());
        checkpoint.insert(WEIGHTS, &[self.weights.len()], Data::F32(self.weights.clone()));
        checkpoint
    }

    /// The sizes of the network.
    pub fn network(&self) -> &DrivingNetwork {
        &self.network
    }

    /// The flat vector of weights.
    pub fn weights(&self) -> &[f32] {
        &self.weights
    }

    /// The network at the wheel in each lane of a world that is seen.
    ///
    /// # Errors
    /// As [`VisionRollout::new`].
    pub fn rollout(
        &self,
        gpu: &Gpu,
        environment: Arc<dyn Environment>,
        settings: &VectorSettings,
        wiring: PatchWiring,
    ) -> Result<VisionRollout, rollout::Error> {
        VisionRollout::new(gpu, environment, settings, VisionNetwork::Driving(self.network), &self.weights, wiring)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_gives_back_the_network_it_was_given() {
        let network = DrivingNetwork::car_racing();
        let weights: Vec<f32> = (0..7_212).map(|index| 0.01 * index as f32).collect();
        let trained = TrainedDriver::new(network, weights).unwrap();
        let bytes = trained.to_checkpoint().to_bytes();
        assert_eq!(TrainedDriver::from_bytes("file", &bytes, None, network).unwrap(), trained);
        let student = DrivingNetwork { top: 5, ..network };
        let refused = TrainedDriver::from_bytes("file", &bytes, None, student).unwrap_err().to_string();
        assert!(refused.contains("expected 6572 values") && refused.contains("7212"), "{refused}");
    }
}
