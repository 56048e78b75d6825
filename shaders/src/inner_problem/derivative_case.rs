//! Random cases of derivatives: every inner problem that has one.

use std::sync::Arc;

use super::case::{center, reached};
use super::{
    Directions, InnerProblem, Objective, SHARES, TangentProblem, Tangents, Uoro, UoroProblem, composition, tangent,
    uoro,
};
use crate::inner_problem::problems::samples;
use crate::{Case, Data, Generator, Target};

const SOFTWARE: Target =
    Target { software: true, subgroups: None, workgroup_memory: 16 << 10, workgroup_invocations: 256 };

/// Outer parameters that a case of a product of derivatives holds at most: UORO keeps three arrays of as many.
const FEW: usize = 64;

fn problem(generator: &mut Generator, most: usize) -> Arc<dyn InnerProblem> {
    let mut samples = samples();
    samples.retain(|problem| problem.tangent_source().is_some() && problem.parameters() <= most);
    samples[generator.indices(1, samples.len() as u32).u32()[0] as usize].clone()
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
pub(super) fn tangents(generator: &mut Generator) -> Case {
    let directions = generator.pick(&[Directions::Axes, Directions::Drawn]);
    let tangents = Tangents { problem: problem(generator, usize::MAX), directions };
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
    let call = sizes.call(&tangents, tangents.kernel(), &SOFTWARE);
    Case::new((sizes, problem, directions), call, inputs)
}

/// Any differentiable inner problem, with a derivative of rank one.
pub(super) fn uoro(generator: &mut Generator) -> Case {
    let uoro = Uoro { problem: problem(generator, FEW) };
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
    saved.extend((saved.len()..uoro.saved() * replicas).map(|_| generator.normal()));
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
    let call = sizes.call(&uoro, uoro.kernel(), &SOFTWARE);
    Case::new((sizes, problem), call, inputs)
}
