//! A network that sees with what it has learnt, from and to files.

use std::sync::Arc;

use fourfold_shaders::Data;
use fourfold_shaders::vision::VisionNetwork;

use crate::data::{Checkpoint, Error, check_weights, flat_vector_of};
use crate::gpu::Gpu;
use crate::rollout::environments::car_racing::Picture;
use crate::rollout::{self, Environment, PatchWiring, VectorSettings, VisionRollout};

/// The tensor of the weights.
const WEIGHTS: &str = "weights";

/// The kinds of networks in files.
const KINDS: [&str; 3] = ["driving_network", "reactive_network", "attention_agent"];

fn kind_of(network: &VisionNetwork) -> &'static str {
    match network {
        VisionNetwork::Driving(_) => KINDS[0],
        VisionNetwork::Reactive(_) => KINDS[1],
        VisionNetwork::Agent(_) => KINDS[2],
    }
}

/// A network that sees, with its flat vector of weights in the published order: that of the tensors of a
/// [`DrivingNetwork`](fourfold_shaders::vision::DrivingNetwork::parts), of an
/// [`AttentionAgent`](fourfold_shaders::vision::AttentionAgent::parts) or of a
/// [`ReactiveNetwork`](fourfold_shaders::vision::ReactiveNetwork::parts).
#[derive(Debug, Clone, PartialEq)]
pub struct TrainedVision {
    network: VisionNetwork,
    weights: Vec<f32>,
}

impl TrainedVision {
    /// A network with its weights.
    ///
    /// # Errors
    /// Sizes out of range, or weights that are not as many as the network has or not finite.
    pub fn new(network: impl Into<VisionNetwork>, weights: Vec<f32>) -> Result<Self, Error> {
        const NAME: &str = "trained network";
        let network = network.into();
        network.check().map_err(|error| Error::content(NAME, "valid sizes", error.to_string()))?;
        check_weights(NAME, WEIGHTS, &weights, network.parameters())?;
        Ok(Self { network, weights })
    }

    /// Reads the weights from the bytes of a file: numpy's `.npz` and `.npy`, or safetensors. They are those of the one of
    /// `networks` that has as many. `name` stands for the file in errors, and `tensor` says which of several tensors holds the
    /// weights.
    ///
    /// ```
    /// use fourfold::models::TrainedVision;
    /// use fourfold::shaders::vision::{AttentionAgent, VisionNetwork};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let agent = AttentionAgent::car_racing();
    /// let file = TrainedVision::new(agent, vec![0.01; 3_667])?.to_checkpoint().to_bytes();
    /// let loaded = TrainedVision::from_bytes("file", &file, None, &VisionNetwork::published_drivers())?;
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

    /// Returns true for a checkpoint that [`to_checkpoint`](Self::to_checkpoint) made.
    pub fn wrote(checkpoint: &Checkpoint) -> bool {
        checkpoint.get("policy").is_ok_and(|policy| KINDS.contains(&policy))
    }

    /// Reads the weights of a checkpoint: those of the one of `networks` that is of its kind and has as many.
    ///
    /// # Errors
    /// The checkpoint is of none of them, is damaged, or has values that are not finite.
    pub fn from_checkpoint(checkpoint: &Checkpoint, networks: &[VisionNetwork]) -> Result<Self, Error> {
        let (file, kind) = (checkpoint.file(), checkpoint.get("policy")?);
        let own: Vec<VisionNetwork> = networks.iter().filter(|network| kind_of(network) == kind).cloned().collect();
        if own.is_empty() {
            return Err(Error::content(file, format!("a policy of {}", KINDS.join(", ")), format!("`{kind}`")));
        }
        Self::from_bytes(file, &checkpoint.to_bytes(), Some(WEIGHTS), &own)
    }

    /// Returns the weights as a checkpoint with one tensor, `weights`.
    pub fn to_checkpoint(&self) -> Checkpoint {
        let mut checkpoint = Checkpoint::new();
        checkpoint.set("policy", kind_of(&self.network).to_string());
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

    /// The picture of the car race as a network was trained to see it: students without the zoom, in whose first frames the
    /// whole track is seen, and with the instruments, since four frames do not show how fast the car goes.
    pub fn race_picture(network: &VisionNetwork) -> Picture {
        let size = network.picture().rows;
        match network {
            VisionNetwork::Reactive(_) => Picture { size, instruments: true, ..Picture::default() },
            VisionNetwork::Agent(_) => Picture { size, ..Picture::original() },
            VisionNetwork::Driving(_) => Picture { size, colour: false, instruments: false, ..Picture::original() },
        }
    }

    /// The network in each lane of a world that is seen.
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
    use fourfold_shaders::vision::DrivingNetwork;

    use super::*;

    #[test]
    fn the_number_of_values_in_a_file_says_whose_they_are() {
        let published = VisionNetwork::published_drivers();
        for network in &published {
            let weights: Vec<f32> = (0..network.parameters()).map(|index| 0.01 * index as f32).collect();
            let trained = TrainedVision::new(network.clone(), weights).unwrap();
            let bytes = trained.to_checkpoint().to_bytes();
            assert_eq!(TrainedVision::from_bytes("file", &bytes, None, &published).unwrap(), trained);
            let student: VisionNetwork = DrivingNetwork { top: 5, ..DrivingNetwork::car_racing() }.into();
            let refused = TrainedVision::from_bytes("file", &bytes, None, &[student]).unwrap_err().to_string();
            let length = network.parameters();
            assert_eq!(refused, format!("file: tensor `weights`: expected 6572 values, got shape [{length}]"));
        }
    }

    #[test]
    fn another_number_of_values_is_refused_with_those_of_both_networks() {
        let mut checkpoint = Checkpoint::new();
        checkpoint.insert(WEIGHTS, &[3_666], Data::F32(vec![0.0; 3_666]));
        let networks = VisionNetwork::published_drivers();
        let refused = TrainedVision::from_bytes("file", &checkpoint.to_bytes(), None, &networks).unwrap_err();
        assert_eq!(refused.to_string(), "file: tensor `weights`: expected 7212 or 3667 values, got shape [3666]");
    }
}
