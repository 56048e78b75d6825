//! Persistent evolution strategies with an analytic part (Vicol et al. 2021): with `a` the gradient of an unroll's losses
//! by the parameters within it, along the unperturbed particle, and xi the perturbations of earlier unrolls,
//!
//! `g = a + 1 / (N sigma^2) * sum over particles of (L - <eps, a>) xi,   then xi = xi + eps`.
//!
//! Less variance than PES where the objective is smooth; the analytic part is not smoothed.

use std::sync::Arc;

use fourfold_shaders::Target;
use fourfold_shaders::elementwise::{Binary, binary};
use fourfold_shaders::inner_problem::InnerProblem;

use super::tangent::{self, Along};
use super::tensors::Tensors;
use super::{UnrollSettings, perturbed};
use crate::evolution::source::OuterIds;
use crate::evolution::{Error, Perturbation};
use crate::gpu::program::{Allocation, ProgramPlan};

/// Plans the sum of both parts.
pub(super) fn plan(
    program: &mut ProgramPlan,
    problem: Arc<dyn InnerProblem>,
    settings: &UnrollSettings,
    outer: OuterIds,
    target: &Target,
) -> Result<Tensors, Error> {
    let count = problem.parameters();
    let parts = ["analytic", "estimate"].map(|name| program.buffer(Allocation::f32(name, count).zeros()));
    let [within, across] = parts;
    let axes = (settings, Along::Axes { carried: false });
    let to = |gradient| OuterIds { gradient, ..outer };
    let tangent = tangent::plan(program, problem.clone(), axes, to(within), target)?;
    let perturbation = (settings, Perturbation::PES);
    let perturbed = perturbed::plan(program, problem, perturbation, to(across), Some(within), target)?;
    let estimate = program.recording();
    program.extend(estimate, tangent.estimate);
    program.extend(estimate, perturbed.estimate);
    let add = binary(Binary::Add, &[count], &[count]);
    program.sequence(estimate, add, &[within, across, outer.gradient]);
    // The tangent and the sum are computed by every part.
    Ok(Tensors { estimate, shared_out: None, ..perturbed })
}
