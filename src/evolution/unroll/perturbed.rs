//! Perturbed particles of an inner problem in WGSL: persistent evolution strategies and their kin.

use std::sync::Arc;

use fourfold_shaders::evolution::persistent_gradient;
use fourfold_shaders::inner_problem::{
    self, COUNTERS, InnerProblem, OuterIterations, ParameterStorage, SHARES, Truncation, TruncationProblem,
};
use fourfold_shaders::{Data, Target};

use super::UnrollSettings;
use super::pair_gradient::{PairGradient, mean_shares};
use super::tensors::{SharedOut, Small, Tensors, segments};
use crate::evolution::inner::dispatch_steps;
use crate::evolution::source::OuterIds;
use crate::evolution::{Error, Part, Particles, Perturbation};
use crate::gpu::program::{Allocation, BufferId, ProgramPlan};
use crate::rollout::signature::check_kernel;

/// Plans the gradient from perturbed particles; `analytic` has the gradient of the unperturbed losses, if it is known
/// (PES + Analytic).
pub(super) fn plan(
    program: &mut ProgramPlan,
    problem: Arc<dyn InnerProblem>,
    (settings, perturbation): (&UnrollSettings, Perturbation),
    outer: OuterIds,
    analytic: Option<BufferId>,
    target: &Target,
) -> Result<Tensors, Error> {
    let UnrollSettings { objective, truncation, sigma, chunks, staggered, stream, .. } = *settings;
    let pairs = settings.pairs();
    // The analytic part is that of the whole population.
    let part = if analytic.is_some() { Part::WHOLE } else { settings.part };
    part.check("antithetic pairs", pairs)?;
    let own = part.range(pairs);
    let horizon = problem.horizon();
    let unrolled = Truncation::new(problem, pairs, analytic.is_some());
    let problem = &*unrolled.problem;
    check_kernel(problem.file(), &unrolled.wgsl())?;
    let steps = dispatch_steps(problem, unrolled.most_steps(target), truncation)?;
    let dispatch = |(first, steps)| TruncationProblem {
        pairs,
        first_pair: own.start,
        present: own.len(),
        chunks,
        truncation,
        horizon,
        first,
        steps,
        interval: perturbation.interval(),
        shared_state: perturbation.particles == Particles::Shared,
        common_random_numbers: settings.common_random_numbers,
        objective,
        staggered,
        sigma,
        stream,
    };

    let columns = dispatch((0, steps)).columns();
    let zeros = |name, length| Allocation::f32(name, length).zeros();
    let data = program.buffer(Allocation::values("data", Data::F32(inner_problem::data(problem).to_vec())));
    let saved = program.buffer(zeros("saved", unrolled.saved() * columns).kept());
    let counters = program.buffer(Allocation::u32("counters", COUNTERS * columns).zeros().kept());
    let shares = program.buffer(zeros("shares", SHARES * pairs));
    let mut operands = vec![outer.seed, outer.center, data, saved, counters, shares];
    let mut state = vec![(saved, unrolled.saved(), columns), (counters, COUNTERS, columns)];
    if unrolled.storage == ParameterStorage::Stored {
        let length = unrolled.perturbations(pairs).unwrap_or_default();
        let perturbations = program.buffer(zeros("perturbations", length).kept());
        operands.push(perturbations);
        state.push((perturbations, length / pairs, pairs));
    }
    operands.extend(analytic);
    let (estimate, kernel) = (program.recording(), unrolled.kernel());
    for segment in segments(truncation, steps) {
        let sequence = dispatch(segment).sequence(&unrolled, kernel.clone(), target);
        program.sequence(estimate, sequence, &operands);
    }
    let shared_out = Some(SharedOut { unrolled: program.dispatches(estimate), pairs, state });
    let gradient = persistent_gradient::Problem {
        parameters: problem.parameters(),
        pairs,
        stream,
        sigma,
        accumulated: perturbation.particles == Particles::Own,
    };
    let pair_gradient = PairGradient { shares, drawn: counters, seed: outer.seed, gradient: outer.gradient };
    let accumulators = pair_gradient.plan(program, estimate, &gradient, target);
    let measure = program.recording();
    let metrics = mean_shares(program, measure, pairs, shares, target);
    let (iterations, unroll) = (OuterIterations { problem: unrolled.problem.clone() }, dispatch((0, truncation)));
    let small = match accumulators[..] {
        // A file that takes a name of that kernel has its dispatches one by one.
        [sums]
            if analytic.is_none()
                && part == Part::WHOLE
                && iterations.suits(&unroll, target)
                && check_kernel(problem.file(), &iterations.wgsl()).is_ok() =>
        {
            let saved = program.pack("states and shares", &[saved, shares]);
            let accumulators = program.pack("accumulators and metrics", &[sums, metrics]);
            Some(Small { iterations, unroll, data, saved, counters, accumulators })
        }
        _ => None,
    };
    Ok(Tensors {
        estimate,
        measure: Some(measure),
        metrics,
        shares: Some(shares),
        counters: Some(counters),
        accumulators,
        small,
        shared_out,
    })
}
