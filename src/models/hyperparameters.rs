//! Hyper-parameters of a network's training as outer parameters (Vicol et al. 2021, sections 5.2 and 5.3): a population of
//! perceptrons is trained side by side on images, and each member's theta says how.
//!
//! * [`RateSchedule`]: the two numbers of a decaying learning rate.
//! * [`TensorHyperparameters`]: a learning rate and a momentum for each tensor, and the width of each hidden layer.
//!
//! Both train by stochastic gradient descent with momentum, and are judged after each step on a minibatch of its own, by
//! the loss or by the share of wrong answers, which has no gradient. What the paper has and this has not: minibatches are
//! drawn with replacement, and weight decay of 1e-10, which rounds to nothing in `f32`, is left out.

mod schedule;
mod task;
mod tensors;

pub use schedule::RateSchedule;
pub use task::{ImageTask, Judgement, TaskSettings};
pub(super) use task::{TRAINING_ROWS, bounded};
pub use tensors::TensorHyperparameters;
