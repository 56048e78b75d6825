//! `fourfold live`: a window in which the four methods are at work.
//!
//! Scenes, kernels and learning are those of [`fourfold_scenes`] and the library; this crate paints their shapes with egui
//! and hands keys and mouse on. `docs/live.md` shows it.

mod application;
mod arguments;
mod controls;
mod painting;

pub use application::{Application, Device};
pub use arguments::Arguments;
