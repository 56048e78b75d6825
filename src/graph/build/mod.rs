//! Shape-checked building of operations, as methods of [`Tensor`](super::Tensor).

mod attention;
mod effects;
mod elementwise;
mod layout;
mod product;
mod random;
mod reduce;
mod rows;
mod windows;

pub use attention::AttentionMask;
pub use effects::Adaptive;
pub use rows::NormalOutputs;
pub use windows::{EpisodeTables, WindowOptions, WindowRows};
