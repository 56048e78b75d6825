//! The fused operations: kernels of their own compute them, and simpler operations define them.
//!
//! One concept a file: its types, kernels, definition and gradient, and the method of [`Tensor`](super::Tensor) that
//! adds it to a graph. Nothing else of the graph knows them by name.

mod ascent;
mod attention;
mod augment;
mod batch_norm;
mod convolution;
mod cross_entropy;
mod frames;
mod layer_norm;
mod masked_softmax;
mod pooling;
mod rows;
mod softmax;

pub use ascent::Adaptive;
pub use augment::AugmentOptions;
pub use batch_norm::BatchNormOutputs;
pub use convolution::ConvolutionOptions;
pub use layer_norm::NormalOutputs;
pub use masked_softmax::AttentionMask;
pub use pooling::PoolOptions;
