//! Inner problems and the kernels that unroll them: populations of particles that advance a truncation at a time.
//!
//! Their WGSL is put together from plain files: an [`InnerProblem`] and `truncation.wgsl` or `evaluation.wgsl`, with
//! what says where outer parameters come from; or, where it has a derivative, `tangent.wgsl` or `uoro.wgsl`. The twins of
//! the kernels run the twin of the problem in f64.

mod case;
mod composition;
mod evaluation;
mod outer_iterations;
mod problem;
pub mod problems;
mod tangent;
mod truncation;
mod unrolled;
mod uoro;

pub use case::kernels;
pub use composition::{data, sizes};
pub use evaluation::{Evaluation, Problem as EvaluationProblem};
pub use outer_iterations::{OuterIterations, Places, Problem as OuterIterationsProblem};
pub use problem::{InnerProblem, Loss};
pub use tangent::{COUNTERS as TANGENT_COUNTERS, Directions, Problem as TangentProblem, Tangents};
pub use truncation::{COUNTERS, ParameterStorage, Problem as TruncationProblem, STREAMS, Truncation};
pub(crate) use unrolled::Unrolled;
pub use unrolled::{Objective, SHARES};
pub use uoro::{COUNTERS as UORO_COUNTERS, Problem as UoroProblem, Uoro};

/// The functions and structures that the files of inner problems may use.
pub const LIBRARY: [&str; 4] = [
    wgsl!("../library/random.wgsl"),
    wgsl!("../library/mathematics.wgsl"),
    wgsl!("../rollout/unroll/episode.wgsl"),
    wgsl!("loss.wgsl"),
];
