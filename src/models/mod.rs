//! Networks: functions from weights and inputs to outputs, over the layers of [`nn`](crate::nn).

pub mod agent;
mod attention_neuron;
pub mod behaviour_cloning;
mod classifier;
pub mod convolutional;
pub mod decision_transformer;
pub mod learned_optimiser;
mod mlp;
pub mod offline_training;
mod reactive;
mod recalculation;
mod sequence_model;
pub mod shortest_paths;
mod state_dict;
mod trained;
mod trained_policy;
mod trained_vision;
mod vision_neuron;
mod vision_transformer;

pub mod hyperparameters;

pub use agent::{Agent, AgentSettings, Sampling};
pub use attention_neuron::{AttentionNeuronModel, NeuronMemory, NeuronSteps};
pub use classifier::{Architecture, ArchitectureError, Classifier};
pub use mlp::Mlp;
pub use reactive::ReactiveModel;
pub use recalculation::RecalculationError;
pub use sequence_model::{SequenceModel, Window};
pub use trained::TrainedClassifier;
pub use trained_policy::{PolicyNetwork, TrainedPolicy};
pub use trained_vision::TrainedVision;
pub use vision_neuron::{Seen, VisionNeuronModel};
pub use vision_transformer::{VisionTransformer, VisionTransformerOptions};
