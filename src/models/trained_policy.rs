//! A policy with what it has learnt, as a checkpoint file.

use std::sync::Arc;

use fourfold_shaders::Data;
use fourfold_shaders::rollout::policies::{AttentionNeuron, Linear, Perceptron};

use crate::data::{Checkpoint, Error, check_weights};
use crate::gpu::Gpu;
use crate::rollout::{self, Interface, Policy, PolicyBuffers, PolicyWeights, VectorPolicy};

/// The most that a size in a file says: more is a damaged file, and would be gigabytes.
const LARGEST: usize = 16_384;

/// The tensor of the weights.
const WEIGHTS: &str = "weights";

/// A policy of this crate, with its sizes and switches.
#[derive(Debug, Clone, PartialEq)]
pub enum PolicyNetwork {
    /// [`Linear`].
    Linear,
    /// [`Perceptron`].
    Perceptron(Perceptron),
    /// [`AttentionNeuron`].
    AttentionNeuron(AttentionNeuron),
}

impl PolicyNetwork {
    /// The policy for rollouts.
    pub fn policy(&self) -> Arc<dyn Policy> {
        match self {
            PolicyNetwork::Linear => Arc::new(Linear),
            PolicyNetwork::Perceptron(perceptron) => Arc::new(perceptron.clone()),
            PolicyNetwork::AttentionNeuron(neuron) => Arc::new(*neuron),
        }
    }

    /// Returns the name in a file.
    fn name(&self) -> &'static str {
        match self {
            PolicyNetwork::Linear => "linear",
            PolicyNetwork::Perceptron(_) => "perceptron",
            PolicyNetwork::AttentionNeuron(_) => "attention_neuron",
        }
    }
}

/// A policy, its weights, and the numbers that go into it and come out of it: all that an application needs to act.
///
/// ```no_run
/// use fourfold::models::TrainedPolicy;
/// use fourfold::rollout::PolicyBuffers;
/// use fourfold::{Gpu, wgpu};
///
/// fn drive(gpu: &Gpu, sensors: &wgpu::Buffer, motors: &wgpu::Buffer) -> Result<(), Box<dyn std::error::Error>> {
///     let trained = TrainedPolicy::load("attention_neuron.safetensors")?;
///     let policy = trained.on_buffers(gpu, PolicyBuffers::new(sensors, motors))?;
///     let mut encoder = gpu.device().create_command_encoder(&Default::default());
///     policy.record(&mut encoder.begin_compute_pass(&Default::default())); // in each frame
///     gpu.queue().submit([encoder.finish()]);
///     Ok(())
/// }
/// ```
///
/// A checkpoint of it holds
///
/// | entry | |
/// |---|---|
/// | metadata `policy` | `linear`, `perceptron` or `attention_neuron` |
/// | metadata `observations`, `actions` | numbers that go in and come out |
/// | metadata `hidden`, `squashed` | a perceptron's hidden widths, as `16,8`, and whether a tanh bounds its action |
/// | metadata `rows`, `hidden`, `key_dimension`, `position_dimension`, `layers`, `key_bias`, `scale`, `factor` | the sizes and switches of an [`AttentionNeuron`] |
/// | tensor `weights` | the flat vector of weights in the order that the policy states |
///
/// The commands `fourfold neuron train`, `neuron clone` and `pes control` write such files.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainedPolicy {
    network: PolicyNetwork,
    interface: Interface,
    weights: Vec<f32>,
}

impl TrainedPolicy {
    /// A policy with its weights.
    ///
    /// # Errors
    /// A size that is 0 or past 16,384, weights that are not as many as the policy has or not finite, or another number
    /// of actions than the network's.
    pub fn new(network: PolicyNetwork, interface: Interface, weights: Vec<f32>) -> Result<Self, Error> {
        Self::named("trained policy", network, interface, weights)
    }

    fn named(file: &str, network: PolicyNetwork, interface: Interface, weights: Vec<f32>) -> Result<Self, Error> {
        for (name, got) in [("observations", interface.inputs), ("actions", interface.actions)] {
            if !(1..=LARGEST).contains(&got) {
                return Err(Error::content(file, format!("{name} from 1 to {LARGEST}"), got.to_string()));
            }
        }
        if let PolicyNetwork::AttentionNeuron(AttentionNeuron { actions, .. }) = network
            && actions != interface.actions
        {
            let (expected, got) = (format!("{actions} actions, as the network has"), interface.actions.to_string());
            return Err(Error::content(file, expected, got));
        }
        let policy = network.policy();
        policy.check(interface).map_err(|error| Error::content(file, "valid sizes", error.to_string()))?;
        check_weights(file, WEIGHTS, &weights, policy.weights(interface))?;
        Ok(Self { network, interface, weights })
    }

    /// The policy, with its sizes and switches.
    pub fn network(&self) -> &PolicyNetwork {
        &self.network
    }

    /// The numbers that go into the policy and come out of it.
    pub fn interface(&self) -> Interface {
        self.interface
    }

    /// The flat vector of weights, in the order that the policy states.
    pub fn weights(&self) -> &[f32] {
        &self.weights
    }

    /// The same weights for another number of observations, which an attention neuron takes.
    ///
    /// # Errors
    /// The policy then has another number of weights.
    pub fn with_observations(self, observations: usize) -> Result<Self, Error> {
        let interface = Interface { inputs: observations, ..self.interface };
        Self::new(self.network, interface, self.weights)
    }

    /// The policy at work on buffers of the host or of an environment; neither submits nor polls.
    ///
    /// # Errors
    /// Buffers that do not fit, out of memory, or a shader that the driver refuses.
    pub fn on_buffers(&self, gpu: &Gpu, buffers: PolicyBuffers) -> Result<VectorPolicy, rollout::Error> {
        let weights = PolicyWeights::Own(self.weights.clone());
        VectorPolicy::new(gpu, self.network.policy(), self.interface, weights, buffers)
    }

    /// Returns the policy as a checkpoint.
    pub fn to_checkpoint(&self) -> Checkpoint {
        let mut checkpoint = Checkpoint::new();
        let mut set = |key: &str, value: &dyn ToString| checkpoint.set(key, value.to_string());
        set("policy", &self.network.name());
        set("observations", &self.interface.inputs);
        set("actions", &self.interface.actions);
        match &self.network {
            PolicyNetwork::Linear => {}
            PolicyNetwork::Perceptron(perceptron) => {
                let widths: Vec<String> = perceptron.hidden().iter().map(usize::to_string).collect();
                set("hidden", &widths.join(","));
                set("squashed", &perceptron.is_squashed());
            }
            PolicyNetwork::AttentionNeuron(neuron) => {
                set("rows", &neuron.rows);
                set("hidden", &neuron.hidden);
                set("key_dimension", &neuron.key_dimension);
                set("position_dimension", &neuron.position_dimension);
                set("layers", &neuron.layers);
                set("key_bias", &neuron.key_bias);
                set("scale", &neuron.scale);
                set("factor", &neuron.factor);
            }
        }
        checkpoint.insert(WEIGHTS, &[self.weights.len()], Data::F32(self.weights.clone()));
        checkpoint
    }

    /// Reads the policy from a checkpoint.
    ///
    /// # Errors
    /// An entry or the tensor is missing or invalid; the sentence names the file, the entry, what was expected and what
    /// came.
    pub fn from_checkpoint(checkpoint: &Checkpoint) -> Result<Self, Error> {
        let entries = Entries(checkpoint);
        let interface = Interface { inputs: entries.size("observations")?, actions: entries.size("actions")? };
        let network = match checkpoint.get("policy")? {
            "linear" => PolicyNetwork::Linear,
            "perceptron" => {
                let widths = |text: &str| text.split(',').map(size).collect::<Option<Vec<_>>>();
                let hidden = entries.parse("hidden", &format!("widths from 1 to {LARGEST}, as `16,8`"), widths)?;
                let perceptron = Perceptron::new(&hidden);
                let squashed = entries.switch("squashed")?;
                PolicyNetwork::Perceptron(if squashed { perceptron } else { perceptron.linear_output() })
            }
            "attention_neuron" => PolicyNetwork::AttentionNeuron(AttentionNeuron {
                actions: interface.actions,
                rows: entries.size("rows")?,
                hidden: entries.size("hidden")?,
                key_dimension: entries.size("key_dimension")?,
                position_dimension: entries.size("position_dimension")?,
                key_bias: entries.switch("key_bias")?,
                scale: entries.switch("scale")?,
                layers: entries
                    .parse("layers", "from 0 to 64", |text| text.parse().ok().filter(|count| *count <= 64))?,
                factor: entries.parse("factor", "a finite number", |text| {
                    text.parse().ok().filter(|factor: &f32| factor.is_finite())
                })?,
            }),
            other => {
                let expected = "policy `linear`, `perceptron` or `attention_neuron`";
                return Err(Error::content(checkpoint.file(), expected, format!("`{other}`")));
            }
        };
        // Compares the tensor before anything of its size is made.
        let weights = checkpoint.f32(WEIGHTS, &[network.policy().weights(interface)])?.to_vec();
        Self::named(checkpoint.file(), network, interface, weights)
    }

    /// Reads the policy from the bytes of a checkpoint file; `name` stands for the file in errors.
    ///
    /// # Errors
    /// The bytes are not a checkpoint of a policy.
    pub fn from_bytes(name: &str, bytes: &[u8]) -> Result<Self, Error> {
        Self::from_checkpoint(&Checkpoint::from_bytes(name, bytes)?)
    }

    /// Reads a checkpoint file.
    ///
    /// # Errors
    /// The file cannot be read or is not a checkpoint of a policy.
    #[cfg(feature = "files")]
    pub fn load(path: impl AsRef<std::path::Path>) -> Result<Self, Error> {
        Self::from_checkpoint(&Checkpoint::load(path.as_ref())?)
    }
}

/// The metadata of a checkpoint as sizes and switches.
struct Entries<'a>(&'a Checkpoint);

impl Entries<'_> {
    fn parse<T>(&self, key: &str, expected: &str, parse: impl FnOnce(&str) -> Option<T>) -> Result<T, Error> {
        let text = self.0.get(key)?;
        parse(text).ok_or_else(|| Error::content(self.0.file(), format!("{key} {expected}"), format!("`{text}`")))
    }

    fn size(&self, key: &str) -> Result<usize, Error> {
        self.parse(key, &format!("from 1 to {LARGEST}"), size)
    }

    fn switch(&self, key: &str) -> Result<bool, Error> {
        self.parse(key, "`true` or `false`", |text| text.parse().ok())
    }
}

fn size(text: &str) -> Option<usize> {
    text.parse().ok().filter(|size| (1..=LARGEST).contains(size))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIVE: Interface = Interface { inputs: 5, actions: 1 };

    fn all() -> [TrainedPolicy; 3] {
        let neuron = AttentionNeuron { key_bias: true, factor: 0.3, layers: 1, ..AttentionNeuron::cart_pole() };
        let perceptron = Perceptron::new(&[3, 6]).linear_output();
        let networks =
            [PolicyNetwork::Linear, PolicyNetwork::Perceptron(perceptron), PolicyNetwork::AttentionNeuron(neuron)];
        networks.map(|network| {
            let weights = (0..network.policy().weights(FIVE)).map(|index| 0.1 * index as f32).collect();
            TrainedPolicy::new(network, FIVE, weights).unwrap()
        })
    }

    fn error(change: impl FnOnce(&mut Checkpoint)) -> String {
        let [.., neuron] = all();
        let mut checkpoint = neuron.to_checkpoint();
        change(&mut checkpoint);
        TrainedPolicy::from_checkpoint(&checkpoint).unwrap_err().to_string()
    }

    #[test]
    fn a_file_gives_back_the_policy_it_was_given() {
        for trained in all() {
            let bytes = trained.to_checkpoint().to_bytes();
            assert_eq!(TrainedPolicy::from_bytes("file", &bytes).unwrap(), trained);
        }
    }

    #[test]
    fn an_entry_that_is_missing_or_invalid_is_named() {
        for (key, text, expected) in [
            ("policy", "gru", "policy `linear`, `perceptron` or `attention_neuron`"),
            ("rows", "0", "rows from 1 to 16384"),
            ("hidden", "99999999999999999999", "hidden from 1 to 16384"),
            ("scale", "yes", "scale `true` or `false`"),
            ("layers", "-1", "layers from 0 to 64"),
            ("factor", "NaN", "factor a finite number"),
        ] {
            let got = error(|checkpoint| checkpoint.set(key, text));
            assert_eq!(got, format!("checkpoint: expected {expected}, got `{text}`"));
        }
        let bare = Checkpoint::new();
        assert_eq!(
            TrainedPolicy::from_checkpoint(&bare).unwrap_err().to_string(),
            "checkpoint: expected an entry `observations` in the metadata, got none"
        );
    }

    #[test]
    fn weights_of_another_network_are_refused_by_their_shape() {
        let got = error(|checkpoint| checkpoint.set("rows", "15"));
        assert!(got.starts_with("checkpoint: tensor `weights`: expected F32 of shape ["), "{got}");
        let [linear, _, neuron] = all();
        assert!(neuron.clone().with_observations(10).is_ok());
        assert_eq!(
            linear.with_observations(10).unwrap_err().to_string(),
            "trained policy: tensor `weights`: expected 11 values, got 6"
        );
        let mut weights = neuron.weights().to_vec();
        weights[7] = f32::NAN;
        let got = TrainedPolicy::new(neuron.network().clone(), FIVE, weights).unwrap_err().to_string();
        assert_eq!(got, "trained policy: tensor `weights`: expected finite values, got NaN at index 7");
    }
}
