//! Derivatives of an inner problem in WGSL in forward mode: truncated backpropagation, real-time recurrent learning,
//! unbiased online recurrent optimisation, and random directions.

use std::sync::Arc;

use fourfold_shaders::evolution::persistent_gradient;
use fourfold_shaders::inner_problem::{
    self, Directions, InnerProblem, SHARES, TANGENT_COUNTERS, TangentProblem, Tangents, UORO_COUNTERS, Uoro,
    UoroProblem,
};
use fourfold_shaders::{Data, Target};

use super::UnrollSettings;
use super::pair_gradient::{PairGradient, mean_shares, means};
use super::tensors::{Tensors, segments};
use crate::evolution::inner::dispatch_steps;
use crate::evolution::source::OuterIds;
use crate::evolution::{Error, Particles, Perturbation};
use crate::gpu::program::{Allocation, BufferId, ProgramPlan};
use crate::rollout::signature::check_kernel;

/// The directions along which derivatives are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Along {
    /// Each outer parameter; the tangent of the state is carried from unroll to unroll, or starts at zero.
    Axes { carried: bool },
    /// As many random directions as there are particles.
    Random(Perturbation),
}

/// Plans the gradient along directions.
pub(super) fn plan(
    program: &mut ProgramPlan,
    problem: Arc<dyn InnerProblem>,
    (settings, along): (&UnrollSettings, Along),
    outer: OuterIds,
    target: &Target,
) -> Result<Tensors, Error> {
    let UnrollSettings { objective, truncation, stream, .. } = *settings;
    let (parameters, horizon) = (problem.parameters(), problem.horizon());
    let (tangents, directions, interval, carried) = match along {
        Along::Axes { carried } => (Directions::Axes, parameters, None, carried),
        Along::Random(perturbation) => {
            let carried = perturbation.particles == Particles::Own;
            (Directions::Drawn, settings.particles, perturbation.interval(), carried)
        }
    };
    let tangents = Tangents { problem, directions: tangents };
    let problem = &*tangents.problem;
    check_kernel(problem.file(), &tangents.wgsl())?;
    let steps = dispatch_steps(problem, tangents.most_steps(target), truncation)?;

    let zeros = |name, length| Allocation::f32(name, length).zeros();
    let data = program.buffer(Allocation::values("tangent_data", Data::F32(inner_problem::data(problem).to_vec())));
    let saved = program.buffer(zeros("tangent_saved", tangents.saved() * directions).kept());
    let counters = program.buffer(Allocation::u32("tangent_counters", TANGENT_COUNTERS * directions).zeros().kept());
    let shares = program.buffer(zeros("tangent_shares", SHARES * directions));
    let (estimate, kernel) = (program.recording(), tangents.kernel());
    for (first, steps) in segments(truncation, steps) {
        let sequence =
            TangentProblem { directions, truncation, horizon, first, steps, interval, carried, objective, stream }
                .sequence(&tangents, kernel.clone(), target);
        program.sequence(estimate, sequence, &[outer.seed, outer.center, data, saved, counters, shares]);
    }
    let accumulators = match along {
        // One number to a row: along axes, the shares begin with the gradient.
        Along::Axes { .. } => {
            means(program, estimate, [parameters, 1], [shares, outer.gradient], target);
            Vec::new()
        }
        Along::Random(_) => {
            // With one half for sigma the factor is that of a mean.
            let problem = persistent_gradient::Problem {
                parameters,
                pairs: directions,
                stream,
                sigma: 0.5,
                accumulated: carried,
            };
            let gradient = PairGradient { shares, drawn: counters, seed: outer.seed, gradient: outer.gradient };
            gradient.plan(program, estimate, &problem, target)
        }
    };
    let measure = program.recording();
    let metrics = mean_shares(program, measure, directions, shares, target);
    Ok(Tensors {
        estimate,
        measure: Some(measure),
        metrics,
        shares: Some(shares),
        counters: Some(counters),
        accumulators,
        small: None,
        shared_out: None,
    })
}

/// Plans the gradient of unbiased online recurrent optimisation.
pub(super) fn plan_uoro(
    program: &mut ProgramPlan,
    problem: Arc<dyn InnerProblem>,
    settings: &UnrollSettings,
    outer: OuterIds,
    target: &Target,
) -> Result<Tensors, Error> {
    let UnrollSettings { objective, truncation, stream, particles: replicas, .. } = *settings;
    let (parameters, horizon) = (problem.parameters(), problem.horizon());
    let uoro = Uoro { problem };
    let problem = &*uoro.problem;
    check_kernel(problem.file(), &uoro.wgsl())?;
    let steps = dispatch_steps(problem, uoro.most_steps(target), truncation)?;

    let zeros = |name, length| Allocation::f32(name, length).zeros();
    let data = program.buffer(Allocation::values("data", Data::F32(inner_problem::data(problem).to_vec())));
    let saved = program.buffer(zeros("saved", uoro.saved() * replicas).kept());
    let counters = program.buffer(Allocation::u32("counters", UORO_COUNTERS * replicas).zeros().kept());
    let [estimates, losses, metrics]: [BufferId; 3] =
        [("estimates", parameters * replicas), ("losses", replicas), ("metrics", 1)]
            .map(|(name, length)| program.buffer(zeros(name, length)));
    let (estimate, kernel) = (program.recording(), uoro.kernel());
    for (first, steps) in segments(truncation, steps) {
        let problem = UoroProblem { replicas, truncation, horizon, first, steps, objective, stream };
        let operands = [outer.seed, outer.center, data, saved, counters, estimates, losses];
        program.sequence(estimate, problem.sequence(&uoro, kernel.clone(), target), &operands);
    }
    means(program, estimate, [parameters, replicas], [estimates, outer.gradient], target);
    let measure = program.recording();
    means(program, measure, [1, replicas], [losses, metrics], target);
    Ok(Tensors {
        estimate,
        measure: Some(measure),
        metrics,
        shares: None,
        counters: Some(counters),
        accumulators: Vec::new(),
        small: None,
        shared_out: None,
    })
}
