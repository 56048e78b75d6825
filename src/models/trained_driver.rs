//! A network that drives with what it has learnt, from and to files.

use std::sync::Arc;

use fourfold_shaders::Data;
use fourfold_shaders::vision::VisionNetwork;

use crate::data::{Checkpoint, Error, check_weights, flat_vector_of};
use crate::gpu::Gpu;
use crate::rollout::{self, Environment, PatchWiring, VectorSettings, VisionRollout};

/// The tensor of the weights.
const WEIGHTS: &str = "weights";

/// A network that sees and drives, with its flat vector of weights in the published order: that of the tensors of a
/// [`DrivingNetwork`](fourfold_shaders::vision::DrivingNetwork::parts) or of an
/// [`AttentionAgent`](fourfold_shaders::vision::AttentionAgent::parts).
#[derive(Debug, Clone, PartialEq)]
pub struct TrainedDriver {
    network: VisionNetwork,
    weights: Vec<f32>,
}

impl TrainedDriver {
    /// A network with its weights.
    ///
    /// # Errors
    /// A network that does not drive, sizes out of range, or weights that are not as many as the network has or not finite.
    pub fn new(network: impl Into<VisionNetwork>, weights: Vec<f32>) -> Result<Self, Error> {
        const NAME: &str = "trained driver";
        let network = network.into();
        network.check().map_err(|error| Error::content(NAME, "valid sizes", error.to_string()))?;
        if network.actions().is_none() {
            return Err(Error::content(NAME, "a network that drives", "one that plays Pong"));
        }
        check_weights(NAME, WEIGHTS, &weights, network.parameters())?;
        Ok(Self { network, weights })
    }

    /// Reads the weights from the bytes of a file: numpy's `.npz` and `.npy`, or safetensors. They are those of the one of
    /// `networks` that has as many. `name` stands for the file in errors, and `tensor` says which of several tensors holds the
    /// weights.
    ///
    /// ```
    /// use fourfold::models::TrainedDriver;
    /// use fourfold::shaders::vision::{AttentionAgent, VisionNetwork};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let agent = AttentionAgent::car_racing();
    /// let file = TrainedDriver::new(agent, vec![0.01; 3_667])?.to_checkpoint().to_bytes();
    /// let loaded = TrainedDriver::from_bytes("file", &file, None, &VisionNetwork::published_drivers())?;
    /// assert_eq!(*loaded.network(), agent.into());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The file is damaged, has another number of values than any of the networks, or values that are not finite.
    pub fn from_bytes(
        name: &str,
        bytes: &[u8],
        tensor: Option<&str>,
        networks: &[VisionNetwork],
    ) -> Result<Self, Error> {
        let lengths: Vec<usize> = networks.iter().map(VisionNetwork::parameters).collect();
        let weights = flat_vector_of(name, bytes, tensor, &lengths)?;
        match networks.iter().find(|network| network.parameters() == weights.len()) {
            Some(network) => Self::new(network.clone(), weights),
            None => Err(Error::content(name, "the weights of a network", weights.len().to_string())),
        }
    }

    /// [`from_bytes`](Self::from_bytes) of a file.
    ///
    /// # Errors
    /// As there, or the file cannot be read.
    #[cfg(feature = "files")]
    pub fn load(
        path: impl AsRef<std::path::Path>,
        tensor: Option<&str>,
        networks: &[VisionNetwork],
    ) -> Result<Self, Error> {
        let path = path.as_ref();
        Self::from_bytes(&path.display().to_string(), &crate::data::file::read(path)?, tensor, networks)
    }

    /// Returns the weights as a checkpoint with one tensor, `weights`.
    pub fn to_checkpoint(&self) -> Checkpoint {
        let mut checkpoint = Checkpoint::new();
        let policy = match self.network {
            VisionNetwork::Agent(_) => "attention_agent",
            _ => "driving_network",
        };
        checkpoint.set("policy", policy.to_string());
        checkpoint.insert(WEIGHTS, &[self.weights.len()], Data::F32(self.weights.clone()));
        checkpoint
    }

    /// The network.
    pub fn network(&self) -> &VisionNetwork {
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
        VisionRollout::new(gpu, environment, settings, self.network.clone(), &self.weights, wiring)
    }
}

#[cfg(test)]
mod tests {
    use fourfold_shaders::vision::{DrivingNetwork, PongNetwork};

    use super::*;

    #[test]
    fn the_number_of_values_in_a_file_says_whose_they_are() {
        let published = VisionNetwork::published_drivers();
        for network in &published {
            let weights: Vec<f32> = (0..network.parameters()).map(|index| 0.01 * index as f32).collect();
            let trained = TrainedDriver::new(network.clone(), weights).unwrap();
            let bytes = trained.to_checkpoint().to_bytes();
            assert_eq!(TrainedDriver::from_bytes("file", &bytes, None, &published).unwrap(), trained);
            let student: VisionNetwork = DrivingNetwork { top: 5, ..DrivingNetwork::car_racing() }.into();
            let refused = TrainedDriver::from_bytes("file", &bytes, None, &[student]).unwrap_err().to_string();
            let length = network.parameters();
            assert_eq!(refused, format!("file: tensor `weights`: expected 6572 values, got shape [{length}]"));
        }
    }

    #[test]
    fn another_number_of_values_is_refused_with_those_of_both_networks() {
        let mut checkpoint = Checkpoint::new();
        checkpoint.insert(WEIGHTS, &[3_666], Data::F32(vec![0.0; 3_666]));
        let networks = VisionNetwork::published_drivers();
        let refused = TrainedDriver::from_bytes("file", &checkpoint.to_bytes(), None, &networks).unwrap_err();
        assert_eq!(refused.to_string(), "file: tensor `weights`: expected 7212 or 3667 values, got shape [3666]");
    }

    #[test]
    fn a_network_that_plays_pong_does_not_drive() {
        let refused = TrainedDriver::new(PongNetwork::student(), vec![0.0; 45_547]).unwrap_err().to_string();
        assert_eq!(refused, "trained driver: expected a network that drives, got one that plays Pong");
    }
}
