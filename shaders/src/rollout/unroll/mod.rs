//! The unroll: one kernel advances every member of a population some steps of its episodes, policy and environment in
//! one dispatch, from saved state to saved state.
//!
//! Its WGSL is put together from plain files: `unroll.wgsl`, an [`Environment`], a [`Policy`], and what lies between
//! them ([`Sensors`], where weights come from and where they are kept). A [`Composition`] says which; its twin runs the
//! twins of its parts in f64.

pub(crate) mod case;
pub(crate) mod composition;
pub(crate) mod decisions;
pub(crate) mod environment;
pub(crate) mod policy;
mod sensors;
mod storage;
pub(crate) mod straight_line;
pub(crate) mod twin;

pub(crate) use composition::Uniform;
pub use composition::{Composition, LIBRARY, Problem, WeightSource, WeightStorage};
pub use environment::{
    Environment, EpisodeRandom, Outcome, PictureSize, functions_alone, sizes, table_binding, traced,
};
pub use policy::{Interface, LEAST_TEAM, Policy, Team};
pub use sensors::{Sensors, Wiring};

/// Places of random numbers that an unroll takes, from its `stream` on: perturbations (the standard normal deviates of
/// `stream` itself), resets, steps, noise channels.
pub const STREAMS: u32 = 4;

/// Rows of the counters of a slot: episodes that it has finished, steps into the present one, and what went wrong.
pub const COUNTERS: usize = 3;

/// A fault of an environment or a policy: the values of the third counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// An observation, and so the state before it, was not finite.
    Observation,
    /// An action was not finite.
    Action,
    /// A state or a return after a step was not finite.
    Step,
}

impl Fault {
    /// The fault of a counter's value; `None` for 0.
    pub fn of(counter: u32) -> Option<Self> {
        match counter {
            0 => None,
            1 => Some(Fault::Observation),
            2 => Some(Fault::Action),
            _ => Some(Fault::Step),
        }
    }
}
