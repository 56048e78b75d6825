//! Inner problems of either kind, and the check of the WGSL of one.

use std::sync::Arc;

use fourfold_shaders::MAX_ELEMENTS;
use fourfold_shaders::inner_problem::{self, InnerProblem};

use super::{Error, GraphProblem};
use crate::rollout::signature::{check_file, check_sizes};
use crate::{gpu, rollout};

/// An inner problem: given in WGSL, or as a graph.
#[derive(Debug, Clone)]
pub enum Inner<'a> {
    /// A few numbers of state, which kernels keep in registers.
    Wgsl(Arc<dyn InnerProblem>),
    /// Members of thousands of weights, side by side in batched operations.
    Graph(&'a dyn GraphProblem),
}

impl Inner<'_> {
    /// The name in error messages.
    pub fn name(&self) -> &str {
        match self {
            Self::Wgsl(problem) => problem.file(),
            Self::Graph(problem) => problem.name(),
        }
    }

    /// Outer parameters.
    pub fn parameters(&self) -> usize {
        match self {
            Self::Wgsl(problem) => problem.parameters(),
            Self::Graph(problem) => problem.parameters(),
        }
    }

    /// Checks the sizes that everything else is reckoned from.
    pub(super) fn check(&self) -> Result<(), Error> {
        if let Self::Wgsl(problem) = self {
            problem.check().map_err(gpu::Error::from)?;
        }
        let states = match self {
            Self::Wgsl(problem) => problem.states(),
            Self::Graph(_) => 1,
        };
        for (name, got) in [("outer parameters", self.parameters()), ("states", states)] {
            if !(1..=MAX_ELEMENTS).contains(&got) {
                return Error::settings(format!("{}: {name} must be 1 to {MAX_ELEMENTS}, got {got}", self.name()));
            }
        }
        Ok(())
    }

    /// Steps of the whole inner problem; `None` if it never ends.
    pub fn horizon(&self) -> Option<usize> {
        match self {
            Self::Wgsl(problem) => problem.horizon(),
            Self::Graph(problem) => problem.horizon(),
        }
    }

    /// Returns true if there is a derivative: every graph has one.
    pub fn is_differentiable(&self) -> bool {
        match self {
            Self::Wgsl(problem) => problem.tangent_source().is_some(),
            Self::Graph(_) => true,
        }
    }
}

impl From<Arc<dyn InnerProblem>> for Inner<'_> {
    fn from(problem: Arc<dyn InnerProblem>) -> Self {
        Self::Wgsl(problem)
    }
}

impl<P: InnerProblem + 'static> From<Arc<P>> for Inner<'_> {
    fn from(problem: Arc<P>) -> Self {
        Self::Wgsl(problem)
    }
}

impl<'a> From<&'a dyn GraphProblem> for Inner<'a> {
    fn from(problem: &'a dyn GraphProblem) -> Self {
        Self::Graph(problem)
    }
}

impl<'a, P: GraphProblem> From<&'a P> for Inner<'a> {
    fn from(problem: &'a P) -> Self {
        Self::Graph(problem)
    }
}

/// Definitions that stand in for a kernel when an inner problem is parsed by itself.
const PARAMETERS: &str = "fn parameter(i: u32) -> f32 { return 0.0; }\n\
    fn parameter_tangent(i: u32) -> f32 { return 0.0; }\n\
    @group(0) @binding(0) var<storage, read> data: array<f32>;\n";

/// Checks the WGSL files of an inner problem against the sizes that its description gives.
pub(super) fn check_wgsl(problem: &dyn InnerProblem) -> Result<(), Error> {
    let name = problem.file();
    check_sizes(name, [("states", problem.states()), ("parameters", problem.parameters())])?;
    let sizes = inner_problem::sizes(problem);
    check_file(name, &problem.source(), &sizes, (&inner_problem::LIBRARY, PARAMETERS), &problem.functions())?;
    if let Some(tangent) = problem.tangent_source() {
        // The derivative may call functions of the problem's own file.
        let stand_in = format!("{PARAMETERS}{}\n", problem.source());
        let name = format!("the derivative of {name}");
        check_file(&name, &tangent, &sizes, (&inner_problem::LIBRARY, &stand_in), &[problem.tangent_function()])?;
    }
    Ok(())
}

/// The most dispatches of an unroll: each is recorded by itself.
const MOST_DISPATCHES: usize = 1 << 16;

/// Returns the steps of a dispatch, at most `steps`; the driver allows `most`.
///
/// # Errors
/// The driver would not finish a single step, or the steps in so many dispatches.
pub(super) fn dispatch_steps(problem: &dyn InnerProblem, most: usize, steps: usize) -> Result<usize, Error> {
    if most == 0 {
        return Err(rollout::Error::too_many_passes(problem.file()).into());
    }
    let dispatches = steps.div_ceil(most);
    if dispatches > MOST_DISPATCHES {
        return Error::settings(format!(
            "{}: {steps} steps take {dispatches} dispatches of at most {most} on this device, but {MOST_DISPATCHES} are the most",
            problem.file()
        ));
    }
    Ok(steps.min(most))
}
