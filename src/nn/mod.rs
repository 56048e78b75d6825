//! Layers over a flat tensor of parameters, and their initialisation.

mod activation;
mod batch_norm;
mod convolution;
mod dropout;
mod group_norm;
mod initialise;
mod layer_norm;
mod linear;
mod parameters;
mod transformer;

pub use activation::Activation;
pub use batch_norm::{BatchNorm2d, Mode, SeenStatistics, Statistics, Synchronised};
pub use convolution::Conv2d;
pub use dropout::{Dropout, Noise};
pub use group_norm::GroupNorm;
pub use initialise::Initialise;
pub use layer_norm::LayerNorm;
pub use linear::Linear;
pub use parameters::{Parameter, ParameterId, Parameters, ParametersError, Weights};
pub use transformer::{AttentionDropout, NormPlacement, Strided, TransformerBlock, TransformerOptions};
