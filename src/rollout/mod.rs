//! Rollouts: a population of policies plays episodes of an environment on the GPU.
//!
//! A [`Composition`] names the environment, the policy and what lies between them. A [`Plan`] says, as pure data, which
//! buffers and how many dispatches a rollout of it takes; a [`Rollout`] has them on a device and records them, on the
//! caller's buffers if the caller likes. Returns and lengths of all episodes stay on the GPU for an evolution strategy
//! to use, or come back for a table.
//!
//! An environment or a policy of one's own is a WGSL file and a twin: see [`Environment`] and [`Policy`].

mod check;
mod error;
mod plan;
mod session;
mod trace;
mod wiring;

pub use error::Error;
pub use fourfold_shaders::environments;
pub use fourfold_shaders::policies;
pub use fourfold_shaders::unroll::{
    Composition, Environment, EpisodeRandom, Fault, Interface, Members, Outcome, Policy, Sensors, Wiring,
};
pub use plan::{Allocation, Plan, Settings};
pub use session::{Episodes, Operands, Rollout, Weights};
pub use trace::{End, Step, Trace};
pub use wiring::shuffled;
