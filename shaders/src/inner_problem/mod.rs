//! Inner problems and the kernels that unroll them: populations of particles that advance a truncation at a time.

mod problem;

pub use problem::{InnerProblem, Loss};

/// The functions and structures that the files of inner problems may use.
pub const LIBRARY: [&str; 4] = [
    include_str!("../random.wgsl"),
    include_str!("../mathematics.wgsl"),
    include_str!("../unroll/episode.wgsl"),
    include_str!("loss.wgsl"),
];
