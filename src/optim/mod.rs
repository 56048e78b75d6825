//! Optimisers, schedules, clipping and sharpness-aware minimisation: functions from graph to graph.

mod clip;
mod optimiser;
mod sam;
mod schedule;

pub use clip::clip_by_global_norm;
pub use optimiser::{AdamW, Optimiser, Sgd};
pub use sam::{Ascent, AscentVariant, Sam, SamStep, WeightDecay};
pub use schedule::Schedule;
