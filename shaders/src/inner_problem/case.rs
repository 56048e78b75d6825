//! Random cases: every inner problem, under every way of perturbing its parameters.

use std::sync::Arc;

use super::derivative_case::{tangents, uoro};
use super::{
    Evaluation, EvaluationProblem, InnerProblem, Objective, ParameterStorage, Truncation, TruncationProblem,
    composition,
};
use crate::inner_problem::problems::samples;
use crate::rollout::unroll::EpisodeRandom;
use crate::{Case, Cases, Data, Generator, Kernel, KernelRef, Target};

/// One listed kernel for each way of going through an inner problem; the cases draw the problem too.
pub fn kernels() -> Vec<KernelRef> {
    fn listed(name: String, case: fn(&mut Generator) -> Case, drawn: &Case) -> KernelRef {
        let kernel = &drawn.call.kernel;
        KernelRef::from(Arc::new(Kernel { name: name.into(), case: Cases::Drawn(case), ..(**kernel).clone() }))
    }
    let mut generator = Generator::new(0, 1);
    let truncated = truncation(&mut generator);
    let evaluated = evaluation(&mut generator);
    vec![
        listed("truncation".into(), truncation, &truncated),
        listed("truncation.evaluation".into(), evaluation, &evaluated),
        listed("tangent".into(), tangents, &tangents(&mut generator)),
        listed("uoro".into(), uoro, &uoro(&mut generator)),
    ]
}

/// A state that the problem reaches in some steps, and how many.
pub(super) fn reached(
    generator: &mut Generator,
    problem: &dyn InnerProblem,
    parameters: &[f64],
    most: usize,
) -> (Vec<f64>, u32) {
    let mut state = vec![0.0; problem.states()];
    problem.reset(&mut EpisodeRandom::new(1, 0, 0, 0), &mut state);
    let steps = generator.length(most.max(1)).min(most);
    for time in 0..steps as u32 {
        problem.step(&mut state, parameters, time, &mut EpisodeRandom::new(1, 1, 0, time));
    }
    (state, steps as u32)
}

/// Outer parameters about which cases are drawn.
pub(super) fn center(generator: &mut Generator, problem: &dyn InnerProblem) -> Vec<f32> {
    (0..problem.parameters()).map(|_| 0.5 * generator.normal() - 0.5).collect()
}

/// Any inner problem, unrolled for antithetic pairs.
pub(super) fn truncation(generator: &mut Generator) -> Case {
    let samples = samples();
    let problem = samples[generator.indices(1, samples.len() as u32).u32()[0] as usize].clone();
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
    let keeping = generator.pick(&[ParameterStorage::Private, ParameterStorage::Stored, ParameterStorage::Streamed]);
    let keeping = if problem.parameters() > 64 && keeping == ParameterStorage::Private {
        ParameterStorage::Stored
    } else {
        keeping
    };
    // Eight bindings are all that there may be.
    let truncation = Truncation { problem, keeping, analytic: generator.chance(0.3) };
    let problem = &*truncation.problem;

    let chunks = generator.pick(&[1, 1, 2, 3]);
    let shared_state = generator.chance(0.4);
    let horizon = generator.pick(&[Some(1), Some(2), Some(5), Some(1_000), None]);
    let (length, first, steps) = generator.pick(&[(1, 0, 1), (2, 0, 2), (3, 1, 2), (3, 0, 2)]);
    let sizes = TruncationProblem {
        pairs: chunks * generator.length(7),
        chunks,
        truncation: length,
        horizon,
        first,
        steps,
        interval: generator.pick(&[Some(1), Some(3), None]),
        shared_state,
        alike: generator.chance(0.5),
        objective: generator.pick(&[Objective::Sum, Objective::Last, Objective::Final]),
        staggered: horizon.is_some() && generator.chance(0.3),
        sigma: generator.pick(&[0.3, 0.01]),
        stream: generator.pick(&[0, 5, 1 << 20]),
    };
    let center = center(generator, problem);
    let parameters: Vec<f64> = center.iter().map(|&number| f64::from(number)).collect();
    let columns = sizes.columns();
    let (mut saved, mut counters) = (vec![0.0; truncation.saved() * columns], vec![0; super::COUNTERS * columns]);
    let unroll = generator.indices(1, 1 << 20).u32()[0] + 4;
    for column in 0..columns {
        let fresh = first == 0 && generator.chance(0.2);
        let most = horizon.unwrap_or(20).min(20) - 1;
        for particle in 0..2 {
            let (state, time) = reached(generator, problem, &parameters, most);
            for (row, number) in state.into_iter().enumerate() {
                saved[(particle * problem.states() + row) * columns + column] = number as f32;
            }
            counters[3 * columns + column] = if fresh { 0 } else { time };
        }
        for row in 0..5 {
            let zero = row == 4 && sizes.objective != Objective::Final;
            saved[(2 * problem.states() + row) * columns + column] = if zero { 0.0 } else { generator.normal() };
        }
        let numbers = [
            (0, unroll - generator.indices(1, 3).u32()[0]),
            (1, generator.pick(&[0, 1, 3])),
            (2, generator.pick(&[0, 7])),
            (4, if fresh { 0 } else { sizes.horizon.map_or(u32::MAX, |horizon| horizon as u32) }),
            (5, generator.pick(&[0, 1])),
        ];
        for (row, number) in numbers {
            counters[row * columns + column] = if fresh && row != 0 { 0 } else { number };
        }
    }
    let mut inputs = vec![
        Data::U32(vec![77, unroll]),
        Data::F32(center),
        Data::F32(composition::data(problem).to_vec()),
        Data::F32(saved),
        Data::U32(counters),
        Data::F32(vec![-7.0; super::SHARES * sizes.pairs]),
    ];
    if let Some(length) = truncation.perturbations(sizes.pairs) {
        inputs.push(Data::F32((0..length).map(|_| generator.normal()).collect()));
    }
    if truncation.analytic {
        inputs.push(Data::F32((0..problem.parameters()).map(|_| generator.normal()).collect()));
    }
    let target = Target { software: true, ..Target::default() };
    let call = sizes.call(&truncation, truncation.kernel(), &target);
    Case::new((sizes, problem, keeping), call, inputs)
}

/// Any inner problem at given outer parameters.
pub(super) fn evaluation(generator: &mut Generator) -> Case {
    let samples = samples();
    let problem = samples[generator.indices(1, samples.len() as u32).u32()[0] as usize].clone();
    let evaluation = Evaluation { problem };
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
    let target = Target { software: true, ..Target::default() };
    let call = sizes.call(&evaluation, evaluation.kernel(), &target);
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
