//! Shape-checked building of operations, as methods of [`Tensor`](super::Tensor).

mod effects;
mod elementwise;
mod group_norm;
mod layout;
mod product;
mod random;
mod reduce;
mod table;
mod windows;

pub use windows::{EpisodeTables, WindowOptions, WindowRows};
