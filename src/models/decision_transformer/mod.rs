//! The decision transformer (Chen, Lu et al. 2021), with the variants of its code and of others'.

mod critic;
mod hugging_face;
mod network;
mod settings;

pub use critic::ReturnCritic;
pub use hugging_face::HuggingFaceCheckpoint;
pub use network::{DecisionTransformer, Outputs};
pub use settings::{DropoutRates, EmbeddingNorm, Initialisation, Positions, Returns, Settings, SettingsError, Tokens};
