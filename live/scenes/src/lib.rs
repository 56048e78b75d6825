//! The scenes of `fourfold live`: the four methods at work, as a window or a page shows them.
//!
//! A [`Scene`] submits steps of the library's kernels, takes what has come back, and says what is to be seen as a
//! [`Drawing`] of plain shapes. A [`Stage`] holds one of them and has what all have in common: pause, single step, reset,
//! seed and speed. Nothing here knows a window, a browser, a clock or a file, and nothing waits for the device:
//!
//! ```no_run
//! # fn frame(gpu: &fourfold::Gpu, now: f64) -> Result<(), fourfold_scenes::Error> {
//! use fourfold_scenes::{Stage, View};
//!
//! let mut stage = Stage::open(gpu, "neuron", 1)?; // once
//! stage.frame(now)?; // in each frame, with the seconds of any clock
//! let view = View { size: [800.0, 600.0], text: 14.0 };
//! for shape in stage.drawing(view).shapes {
//!     // paint it
//! }
//! # Ok(())
//! # }
//! ```

#![cfg_attr(not(all(feature = "methods", feature = "car")), allow(dead_code, reason = "a module of a page has a part"))]

mod answer;
#[cfg(feature = "car")]
mod car;
mod catalogue;
mod colour;
mod colour_map;
mod control;
mod drawing;
#[cfg(feature = "methods")]
mod dt;
mod error;
mod layout;
#[cfg(feature = "methods")]
mod neuron;
mod pace;
mod panel;
mod pending;
mod period;
#[cfg(feature = "methods")]
mod pes;
mod plot;
#[cfg(feature = "methods")]
mod sam;
mod scene;
mod stage;
#[cfg(test)]
mod testing;
mod timeline;
mod weights;

pub use catalogue::{Entry, Open, SCENES};
pub use colour::{Colour, Paint};
pub use control::{Control, Kind, Value};
pub use drawing::{Align, Drawing, Picture, Shape};
pub use error::Error;
pub use layout::{Area, View};
pub use scene::{Pointer, Reading, Scene};
pub use stage::{Counts, Stage};
#[cfg(target_arch = "wasm32")]
pub use weights::{give_file, wanted_files};
