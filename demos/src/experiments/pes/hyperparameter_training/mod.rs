//! Hyperparameters of networks that are trained side by side (Vicol et al. 2021, sections 5.2 and 5.3): the parts that
//! the experiments share.

mod descent;
mod images;
mod measurement;

pub use descent::{PES, Path, TRUNCATED_ES, Training, TrainingFlags};
pub use images::{ImageFlags, Images};
pub use measurement::{MEASURED, measured};
