//! Experiments on the hyper-parameters of networks that are trained side by side (Vicol et al. 2021, sections 5.2, 5.3).

mod descent;
mod images;
mod measurement;
mod schedule;
mod tensors;

pub use descent::{Path, Training, TrainingFlags};
pub use images::{ImageFlags, Images};
pub use schedule::{Objective, Schedule};
pub use tensors::Tensors;
