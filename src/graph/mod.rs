//! The tensor graph: define once, differentiate, plan, run many times.
//!
//! ```text
//! Graph --gradients--> Graph --Plan::new--> Plan --Session--> numbers
//! ```
//!
//! * [`Graph`] and [`Tensor`] build shape-checked operations. Building never fails on the spot: the first mistake is
//!   kept with the caller's line and [`Graph::check`] (which planning calls) returns it.
//! * [`gradients`] adds the reverse-mode derivatives to the same graph, in operations that have derivatives themselves.
//! * [`Plan`] is pure data: the dispatches of one step in order and the buffers they use.

mod build;
mod decompose;
mod error;
mod gradients;
mod op;
pub mod operation;
mod operations;
pub mod plan;
mod reference;
mod rules;
pub mod session;
mod shape;
mod tensor;

pub use build::{EpisodeTables, WindowOptions, WindowRows};
pub use error::GraphError;
pub use gradients::{gradients, vector_jacobian};
pub use op::{Op, Tag};
pub use operation::{Fused, Operation, OutputGradients};
pub use operations::{
    Adaptive, AttentionMask, AugmentOptions, BatchNormOutputs, ConvolutionOptions, NormalOutputs, PoolOptions,
};
pub use plan::Plan;
pub use reference::{Reference, ReferenceError};
#[cfg(feature = "twins")]
pub use session::TwinSession;
pub use session::{Session, SessionError, Values};
pub use shape::Shape;
pub use tensor::{Graph, Node, Tensor, TensorType, Value};
