//! Data sets of our own: episodes of policies at several stages of their training, in the sense of D4RL.

mod action_repeat;
pub mod collect;
pub mod compare_ale;
mod course;
mod exploration;
mod recording;
mod world;

pub use action_repeat::ActionRepeat;
pub use course::{Course, CourseFlags, Generation};
pub use exploration::{Exploring, UniformActions};
pub use recording::{Collector, Stage, random_return};
pub use world::World;
