//! Inner problems and the kernels that unroll them: populations of particles that advance a truncation at a time.
//!
//! Their WGSL is put together from plain files: an [`InnerProblem`] and `truncation.wgsl` or `evaluation.wgsl`, with
//! what says where outer parameters come from. The twins of the kernels run the twin of the problem in f64.

mod case;
mod composition;
mod evaluation;
mod problem;
mod truncation;

pub use case::kernels;
pub use composition::{data, sizes};
pub use evaluation::{Evaluation, Problem as EvaluationProblem};
pub use problem::{InnerProblem, Loss};
pub use truncation::{COUNTERS, Keeping, Objective, Problem as TruncationProblem, SHARES, STREAMS, Truncation};

/// The functions and structures that the files of inner problems may use.
pub const LIBRARY: [&str; 4] = [
    include_str!("../random.wgsl"),
    include_str!("../mathematics.wgsl"),
    include_str!("../unroll/episode.wgsl"),
    include_str!("loss.wgsl"),
];
