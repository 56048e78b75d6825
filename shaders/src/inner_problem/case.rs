//! Random cases: every inner problem, under every way of perturbing its parameters.

use std::sync::Arc;

use super::{
    Directions, Evaluation, EvaluationProblem, InnerProblem, Objective, OuterIterations, OuterIterationsProblem,
    ParameterStorage, SHARES, TangentProblem, Tangents, Truncation, TruncationProblem, Uoro, UoroProblem, composition,
    tangent, truncation::COUNTERS, uoro,
};
use crate::inner_problem::problems::samples;
use crate::optimiser::adamw;
use crate::rollout::unroll::EpisodeRandom;
use crate::{Case, Choices, Data, Generator, KernelRef, Target, packed};

/// One listed kernel for each way of going through an inner problem; the cases draw the problem too.
pub fn kernels() -> Vec<KernelRef> {
    vec![
        KernelRef::listed("truncation", truncation),
        KernelRef::listed("truncation.evaluation", evaluation),
        KernelRef::listed("tangent", tangents),
        KernelRef::listed("uoro", uoro),
        KernelRef::listed("outer_iterations", outer_iterations),
    ]
}

const SOFTWARE: Target = Target {
    software: true,
    subgroups: None,
    workgroup_memory: 16 << 10,
    workgroup_invocations: 256,
    choices: Choices::NONE,
};

/// Outer parameters that a case of a product of derivatives holds at most: UORO keeps three arrays of as many.
const FEW: usize = 64;

/// One of the inner problems that `takes` takes.
fn draw(generator: &mut Generator, takes: fn(&dyn InnerProblem) -> bool) -> Arc<dyn InnerProblem> {
    let mut samples = samples();
    samples.retain(|problem| takes(&**problem));
    samples.swap_remove(generator.indices(1, samples.len() as u32).u32()[0] as usize)
}

/// A state that the problem reaches in some steps, and how many.
fn reached(generator: &mut Generator, problem: &dyn InnerProblem, parameters: &[f64], most: usize) -> (Vec<f64>, u32) {
    let mut state = vec![0.0; problem.states()];
    problem.reset(&mut EpisodeRandom::new(1, 0, 0, 0), &mut state);
    let steps = generator.length(most.max(1)).min(most);
    for time in 0..steps as u32 {
        problem.step(&mut state, parameters, time, &mut EpisodeRandom::new(1, 1, 0, time));
    }
    (state, steps as u32)
}

/// Outer parameters about which cases are drawn.
fn center(generator: &mut Generator, problem: &dyn InnerProblem) -> Vec<f32> {
    (0..problem.parameters()).map(|_| 0.5 * generator.normal() - 0.5).collect()
}

/// Any inner problem, unrolled for antithetic pairs.
fn truncation(generator: &mut Generator) -> Case {
    let problem = draw(generator, |_| true);
    truncation_of(generator, problem)
}

impl Truncation {
    /// A random case of this problem, for `verify`: one or two steps of an unroll from states that it reaches, about random
    /// outer parameters.
    pub fn case(&self, generator: &mut Generator) -> Case {
        truncation_of(generator, self.problem.clone())
    }
}

fn truncation_of(generator: &mut Generator, problem: Arc<dyn InnerProblem>) -> Case {
    let storage = generator.pick(&[ParameterStorage::Private, ParameterStorage::Stored, ParameterStorage::Streamed]);
    let storage = if problem.parameters() > 64 && storage == ParameterStorage::Private {
        ParameterStorage::Stored
    } else {
        storage
    };
    // Eight bindings are all that there may be.
    let truncation = Truncation { problem, storage, analytic: generator.chance(0.3) };
    let problem = &*truncation.problem;

    let chunks = generator.pick(&[1, 1, 2, 3]);
    let shared_state = generator.chance(0.4);
    let horizon = generator.pick(&[Some(1), Some(2), Some(5), Some(1_000), None]);
    let (length, first, steps) = generator.pick(&[(1, 0, 1), (2, 0, 2), (3, 1, 2), (3, 0, 2), (6, 0, 6)]);
    let pairs = chunks * if generator.must_fold() { generator.length(24) } else { generator.length(7) };
    let part = |generator: &mut Generator, count: usize| generator.indices(1, count as u32).u32()[0] as usize;
    // A grid that must fold has all its lanes.
    let first_pair = if generator.must_fold() || generator.chance(0.7) { 0 } else { part(generator, pairs) };
    let absent = if generator.must_fold() || generator.chance(0.7) { 0 } else { part(generator, pairs - first_pair) };
    let sizes = TruncationProblem {
        pairs,
        first_pair,
        present: pairs - first_pair - absent,
        chunks,
        truncation: length,
        horizon,
        first,
        steps,
        interval: generator.pick(&[Some(1), Some(3), None]),
        shared_state,
        common_random_numbers: generator.chance(0.5),
        objective: generator.pick(&[Objective::Sum, Objective::Last, Objective::Final]),
        staggered: horizon.is_some() && generator.chance(0.3),
        sigma: generator.pick(&[0.3, 0.01]),
        stream: generator.pick(&[0, 5, 1 << 20]),
    };
    let center = center(generator, problem);
    let (saved, counters, unroll) = pairs_amid(generator, &truncation, &sizes, &center);
    let mut inputs = vec![
        Data::U32(vec![77, unroll]),
        Data::F32(center),
        Data::F32(composition::data(problem).to_vec()),
        Data::F32(saved),
        Data::U32(counters),
        Data::F32(vec![-7.0; SHARES * sizes.pairs]),
    ];
    if let Some(length) = truncation.perturbations(sizes.pairs) {
        inputs.push(Data::F32((0..length).map(|_| generator.normal()).collect()));
    }
    if truncation.analytic {
        inputs.push(Data::F32((0..problem.parameters()).map(|_| generator.normal()).collect()));
    }
    let call = sizes.call(&truncation, truncation.kernel(), &generator.gpu_or(SOFTWARE));
    Case::new((sizes, problem, storage), call, inputs)
}

/// Pairs that are somewhere amid their inner problems: `saved` and `counters`, and the number of the unroll.
fn pairs_amid(
    generator: &mut Generator,
    truncation: &Truncation,
    sizes: &TruncationProblem,
    center: &[f32],
) -> (Vec<f32>, Vec<u32>, u32) {
    let (problem, horizon) = (&*truncation.problem, sizes.horizon);
    let parameters: Vec<f64> = center.iter().map(|&number| f64::from(number)).collect();
    let columns = sizes.columns();
    let (mut saved, mut counters) = (vec![0.0; truncation.saved() * columns], vec![0; COUNTERS * columns]);
    let unroll = generator.indices(1, 1 << 20).u32()[0] + 4;
    for column in 0..columns {
        let fresh = sizes.first == 0 && generator.chance(0.2);
        let most = horizon.unwrap_or(20).min(20) - 1;
        let mut reached_at = 0;
        for particle in 0..2 {
            let (state, time) = reached(generator, problem, &parameters, most);
            for (row, number) in state.into_iter().enumerate() {
                saved[(particle * problem.states() + row) * columns + column] = number as f32;
            }
            reached_at = time;
            counters[3 * columns + column] = if fresh { 0 } else { time };
        }
        // A first inner problem that is staggered ends before its horizon.
        let limit = sizes.horizon.map_or(u32::MAX, |horizon| match sizes.staggered && generator.chance(0.5) {
            true => (reached_at + 1).min(horizon as u32),
            false => horizon as u32,
        });
        for row in 0..5 {
            let zero = row == 4 && sizes.objective != Objective::Final;
            saved[(2 * problem.states() + row) * columns + column] = if zero { 0.0 } else { generator.normal() };
        }
        let numbers = [
            (0, unroll - generator.indices(1, 3).u32()[0]),
            (1, generator.pick(&[0, 1, 3])),
            (2, generator.pick(&[0, 7])),
            (4, if fresh { 0 } else { limit }),
            (5, generator.pick(&[0, 1])),
        ];
        for (row, number) in numbers {
            counters[row * columns + column] = if fresh && row != 0 { 0 } else { number };
        }
    }
    (saved, counters, unroll)
}

/// Few pairs of any inner problem with few outer parameters, for some whole iterations.
fn outer_iterations(generator: &mut Generator) -> Case {
    let iterations =
        OuterIterations { problem: draw(generator, |problem| problem.parameters() <= FEW && problem.states() <= FEW) };
    let problem = &*iterations.problem;
    let chunks = generator.pick(&[1, 1, 2, 3]);
    let horizon = generator.pick(&[Some(1), Some(2), Some(5), Some(1_000), None]);
    let (count, truncation) = generator.pick(&[(1, 1), (1, 3), (2, 1), (2, 2), (3, 1)]);
    // More pairs of many parameters take several rounds.
    let most = generator.pick(&[7, 20, 85]);
    let pairs = chunks * generator.length(most);
    let unroll = TruncationProblem {
        pairs,
        first_pair: 0,
        present: pairs,
        chunks,
        truncation,
        horizon,
        first: 0,
        steps: truncation,
        interval: generator.pick(&[Some(1), Some(3), None]),
        shared_state: false,
        common_random_numbers: generator.chance(0.5),
        objective: generator.pick(&[Objective::Sum, Objective::Last, Objective::Final]),
        staggered: horizon.is_some() && generator.chance(0.3),
        sigma: generator.pick(&[0.3, 0.1]),
        stream: generator.pick(&[0, 5, 1 << 20]),
    };
    let parameters = problem.parameters();
    let adam = adamw::Problem {
        count: parameters,
        beta1: generator.pick(&[0.9, 0.99]),
        beta2: 0.999,
        epsilon: 1e-8,
        weight_decay: generator.pick(&[0.0, 0.1]),
        decayed: parameters,
    };
    let sizes = OuterIterationsProblem {
        unroll,
        adam: generator.chance(0.7).then_some(adam),
        clip: generator.pick(&[None, Some(0.5)]),
        iterations: count,
        ring: generator.pick(&[1, 2, 5]),
        remembered: generator.chance(0.7),
    };
    let theta = center(generator, problem);
    let truncation =
        Truncation { problem: iterations.problem.clone(), storage: ParameterStorage::Private, analytic: false };
    let (saved, counters, number) = pairs_amid(generator, &truncation, &unroll, &theta);

    let places = sizes.places(&iterations);
    // Numbers between the tensors, which nobody may touch.
    let joined = |parts: Vec<Vec<f32>>| {
        let (starts, length) = packed(&parts.iter().map(Vec::len).collect::<Vec<_>>());
        let mut whole = vec![-7.0; length];
        for (start, part) in starts.into_iter().zip(parts) {
            whole[start..][..part.len()].copy_from_slice(&part);
        }
        Data::F32(whole)
    };
    let mut seed = vec![5; packed(&places.seed).1];
    let last = seed.len() - 1;
    (seed[0], seed[1], seed[last]) = (77, number, generator.pick(&[1, 2, 40, 2_000]));
    let mut normals = |count: usize| (0..count).map(|_| generator.normal()).collect::<Vec<f32>>();
    let gradient = normals(parameters);
    let accumulators = vec![normals(places.accumulators[0]), normals(SHARES)];
    let mut outer = vec![vec![0.05], normals(places.outer[1]), normals(places.outer[2])];
    if sizes.adam.is_some() {
        let second = normals(parameters).into_iter().map(|number| 0.5 + number * number).collect();
        outer.extend([normals(parameters), second]);
    }
    let inputs = [
        Data::U32(seed),
        Data::F32(theta),
        Data::F32(gradient),
        Data::F32(composition::data(problem).to_vec()),
        joined(vec![saved, vec![-7.0; places.saved[1]]]),
        Data::U32(counters),
        joined(accumulators),
        joined(outer),
    ];
    let call = sizes.call(&iterations, iterations.kernel(), &generator.gpu_or(SOFTWARE));
    Case::new((sizes, problem), call, inputs)
}

/// Any inner problem at given outer parameters.
fn evaluation(generator: &mut Generator) -> Case {
    let evaluation = Evaluation { problem: draw(generator, |_| true) };
    let problem = &*evaluation.problem;
    let sizes = EvaluationProblem {
        points: generator.length(9),
        episodes: generator.length(3),
        horizon: generator.pick(&[1, 2, 1_000]),
        steps: generator.length(2),
        fresh: generator.chance(0.5),
        stream: generator.pick(&[0, 5, 1 << 20]),
    };
    let points: Vec<f32> = (0..sizes.points).flat_map(|_| center(generator, problem)).collect();
    let slots = sizes.slots();
    let (mut saved, mut counters) = (vec![0.0; problem.states() * slots], vec![0; 2 * slots]);
    for slot in 0..slots {
        let point = slot / sizes.episodes * problem.parameters();
        let parameters: Vec<f64> =
            points[point..][..problem.parameters()].iter().map(|&number| f64::from(number)).collect();
        let (state, time) = reached(generator, problem, &parameters, 20.min(sizes.horizon - 1));
        for (row, number) in state.into_iter().enumerate() {
            saved[row * slots + slot] = number as f32;
        }
        counters[slot] = time;
        counters[slots + slot] = u32::from(generator.chance(0.1));
    }
    let inputs = [
        Data::U32(vec![77, 0]),
        Data::F32(points),
        Data::F32(composition::data(problem).to_vec()),
        Data::F32(saved),
        Data::U32(counters),
        Data::F32((0..2 * slots).map(|_| generator.normal()).collect()),
    ];
    let call = sizes.call(&evaluation, evaluation.kernel(), &generator.gpu_or(SOFTWARE));
    Case::new((sizes, problem), call, inputs)
}

/// An unroll of some steps, and the steps of a dispatch: (steps, first, steps in the dispatch).
const DISPATCHES: [(usize, usize, usize); 4] = [(1, 0, 1), (2, 0, 2), (3, 1, 2), (3, 0, 2)];

/// The states that lanes have reached, (states, lanes), all of one inner problem, and the steps that it has taken.
fn states(
    generator: &mut Generator,
    problem: &dyn InnerProblem,
    center: &[f32],
    horizon: Option<usize>,
    lanes: usize,
) -> (Vec<f32>, u32) {
    let parameters: Vec<f64> = center.iter().map(|&number| f64::from(number)).collect();
    let (state, time) = reached(generator, problem, &parameters, horizon.unwrap_or(20).min(20) - 1);
    (state.into_iter().flat_map(|number| std::iter::repeat_n(number as f32, lanes)).collect(), time)
}

/// Any differentiable inner problem, along axes or random directions.
fn tangents(generator: &mut Generator) -> Case {
    let directions = match generator.must_fold() {
        true => Directions::Drawn,
        false => generator.pick(&[Directions::Axes, Directions::Drawn]),
    };
    let tangents = Tangents { problem: draw(generator, |problem| problem.tangent_source().is_some()), directions };
    let problem = &*tangents.problem;
    let (truncation, first, steps) = generator.pick(&DISPATCHES);
    let horizon = generator.pick(&[Some(1), Some(2), Some(5), Some(1_000), None]);
    let sizes = TangentProblem {
        directions: if directions == Directions::Axes { problem.parameters() } else { generator.length(20) },
        truncation,
        horizon,
        first,
        steps,
        interval: generator.pick(&[Some(1), Some(3), None]),
        carried: generator.chance(0.5),
        objective: generator.pick(&[Objective::Sum, Objective::Last, Objective::Final]),
        stream: generator.pick(&[0, 5, 1 << 20]),
    };
    let lanes = sizes.directions;
    let center = center(generator, problem);
    let (mut saved, time) = states(generator, problem, &center, horizon, lanes);
    saved.extend((saved.len()..tangents.saved() * lanes).map(|_| generator.normal()));
    let unroll = generator.indices(1, 1 << 20).u32()[0] + 4;
    let mut counters = vec![0; tangent::COUNTERS * lanes];
    for lane in 0..lanes {
        let numbers = [
            unroll - generator.indices(1, 3).u32()[0],
            generator.pick(&[0, 1, 3]),
            generator.pick(&[0, 7]),
            time,
            generator.pick(&[0, 1]),
        ];
        numbers.into_iter().enumerate().for_each(|(row, number)| counters[row * lanes + lane] = number);
    }
    let inputs = [
        Data::U32(vec![77, unroll]),
        Data::F32(center),
        Data::F32(composition::data(problem).to_vec()),
        Data::F32(saved),
        Data::U32(counters),
        Data::F32(vec![-7.0; SHARES * lanes]),
    ];
    let call = sizes.call(&tangents, tangents.kernel(), &generator.gpu_or(SOFTWARE));
    Case::new((sizes, problem, directions), call, inputs)
}

/// Any differentiable inner problem, with a derivative of rank one.
fn uoro(generator: &mut Generator) -> Case {
    let uoro =
        Uoro { problem: draw(generator, |problem| problem.tangent_source().is_some() && problem.parameters() <= FEW) };
    let problem = &*uoro.problem;
    let (truncation, first, steps) = generator.pick(&DISPATCHES);
    let horizon = generator.pick(&[Some(1), Some(2), Some(5), Some(1_000), None]);
    let sizes = UoroProblem {
        replicas: generator.length(20),
        truncation,
        horizon,
        first,
        steps,
        objective: generator.pick(&[Objective::Sum, Objective::Last, Objective::Final]),
        stream: generator.pick(&[0, 5, 1 << 20]),
    };
    let replicas = sizes.replicas;
    let center = center(generator, problem);
    let (mut saved, time) = states(generator, problem, &center, horizon, replicas);
    // A second factor of next to nothing, where the small number under the roots counts.
    let scale = generator.pick(&[1.0, 1.0, 1e-6]);
    saved.extend((0..problem.states() * replicas).map(|_| generator.normal()));
    saved.extend((saved.len()..uoro.saved() * replicas).map(|_| scale * generator.normal()));
    let episodes = (0..replicas).map(|_| generator.pick(&[0, 7])).collect::<Vec<u32>>();
    let counters = episodes.into_iter().chain(std::iter::repeat_n(time, replicas)).collect();
    let inputs = [
        generator.indices(2, u32::MAX),
        Data::F32(center),
        Data::F32(composition::data(problem).to_vec()),
        Data::F32(saved),
        Data::U32(counters),
        Data::F32((0..problem.parameters() * replicas).map(|_| generator.normal()).collect()),
        Data::F32((0..replicas).map(|_| generator.normal()).collect()),
    ];
    debug_assert_eq!(uoro::COUNTERS, 2, "episodes and times");
    let call = sizes.call(&uoro, uoro.kernel(), &generator.gpu_or(SOFTWARE));
    Case::new((sizes, problem), call, inputs)
}

#[cfg(test)]
mod tests {
    use naga::valid::{Capabilities, ValidationFlags, Validator};

    use super::*;

    #[test]
    fn every_composition_is_valid_wgsl() {
        for kernel in kernels() {
            for seed in 0..60 {
                let source = kernel.case.draw(&mut Generator::new(seed, 10)).call.kernel.source.clone();
                let module = naga::front::wgsl::parse_str(&source);
                let module = module.unwrap_or_else(|error| panic!("{}\n{source}", error.emit_to_string(&source)));
                let validated = Validator::new(ValidationFlags::all(), Capabilities::empty()).validate(&module);
                validated.unwrap_or_else(|error| panic!("{}\n{source}", error.emit_to_string(&source)));
            }
        }
    }
}
