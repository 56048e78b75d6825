//! Softmax and layer normalisation of rows, forward and backward.

pub mod layer_norm;
pub mod layer_norm_backward;
pub mod layer_norm_parameters;
pub mod softmax;
pub mod softmax_backward;
