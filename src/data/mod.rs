//! Data sets of labelled images, tables, texts and trajectories, checkpoint files, and flat vectors of weights.
//!
//! [`digits`], [`diabetes`] and [`genesis`] are in the library; [`mnist`] reads MNIST, Fashion-MNIST and whatever else
//! comes in the same four IDX files, [`cifar`] and [`svhn`] read coloured images. Parsing works on bytes; what touches files stands behind the feature `files`, which
//! is on by default.

mod characters;
mod classification;
mod digits;
mod error;
mod flat_vector;
mod gzip;
mod image_shape;
mod matlab;
mod numpy;
mod printable;
mod random;
mod regression;
mod resizing;
mod standardisation;
pub(crate) mod text;
mod trajectories;

pub mod checkpoint;
pub mod cifar;
#[cfg(feature = "files")]
pub mod file;
pub mod idx;
pub mod mnist;
pub mod svhn;

pub use characters::{Characters, genesis};
pub use checkpoint::Checkpoint;
pub use classification::{Dataset, Split};
pub use digits::digits;
pub use error::Error;
pub use flat_vector::flat_vector;
#[cfg(feature = "files")]
pub use flat_vector::load_flat_vector;
pub(crate) use flat_vector::{check_weights, flat_vector_of};
pub use image_shape::ImageShape;
pub use printable::printable;
pub use random::permutation;
pub use regression::{Regression, diabetes};
pub use standardisation::Standardisation;
#[cfg(feature = "files")]
pub use trajectories::dqn_replay;
pub use trajectories::{Actions, Format, FrameShape, Frames, Steps, Trajectories};
