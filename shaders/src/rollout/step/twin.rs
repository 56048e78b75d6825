//! The step in f64.

use super::{ASKED, BEGAN, Composition, Uniform};
use crate::rollout::unroll::twin::fault;
use crate::rollout::unroll::{EpisodeRandom, decisions, traced};
use crate::{Call, Data, Operand, Tolerance};

fn composition(call: &Call) -> &Composition {
    call.context_of().expect("a call of a step carries its composition")
}

pub(super) fn twin(call: &Call, operands: &mut [Operand<'_>]) {
    let composition = composition(call);
    let environment = &*composition.environment;
    let uniform: Uniform = call.uniform();
    let [seed, actions, saved, counters, observations, rewards, ends, rest @ ..] = operands else {
        unreachable!("bindings of a step")
    };
    let (seed, actions, saved, counters) = ([seed.u32()[0], seed.u32()[1]], actions.f32(), saved.f32(), counters.u32());
    let (observations, rewards, ends) = (observations.f32(), rewards.f32(), ends.u32());
    let mut trace = rest.first_mut().filter(|_| composition.trace).map(|trace| trace.f32());

    let (lanes, states) = (uniform.lanes as usize, environment.states());
    for lane in 0..lanes {
        let place = |episode: u32| {
            let first = seed[1].wrapping_add(episode).wrapping_mul(uniform.episodes);
            first.wrapping_add(lane as u32 % uniform.episodes)
        };
        let mut state: Vec<f64> = (0..states).map(|row| f64::from(saved[row * lanes + lane])).collect();
        let mut observation: Vec<f64> =
            observations[lane * environment.observations()..][..environment.observations()].iter().map(wide).collect();
        let action: Vec<f64> =
            actions[lane * environment.actions()..][..environment.actions()].iter().map(wide).collect();
        rewards[lane] = 0.0;
        let (mut sum, mut time, mut wrong, mut episode, mut end, mut begins) = (0.0, 0, 0, 0, 0, true);
        if uniform.fresh == 0 {
            episode = counters[2 * lanes + lane];
            if ends[lane] == ASKED {
                end = BEGAN;
            } else {
                let over = uniform.automatic == 0 && [1, 2].contains(&ends[lane]);
                if over || counters[lanes + lane] != 0 {
                    continue;
                }
                time = counters[lane];
                let mut step: Vec<f64> = state.iter().chain(&observation).chain(&action).copied().collect();
                let mut random = EpisodeRandom::new(seed[0], uniform.stream + 2, place(episode), time);
                let outcome = environment.step(&mut state, &action, &mut random);
                sum = f64::from(saved[states * lanes + lane]) + outcome.reward;
                end = outcome.end(time + 1 >= uniform.horizon);
                rewards[lane] = outcome.reward as f32;
                wrong = fault(&observation, &action, &state, sum);
                step.extend([outcome.reward, f64::from(end)]);
                if let Some(trace) = &mut trace {
                    for (row, number) in step.iter().enumerate() {
                        trace[(time as usize * traced(environment) + row) * lanes + lane] = *number as f32;
                    }
                }
                time += 1;
                begins = uniform.automatic == 1 && end != 0 && wrong == 0;
            }
            episode = episode.wrapping_add(u32::from(begins));
        }
        if begins {
            let mut random = EpisodeRandom::new(seed[0], uniform.stream + 1, place(episode), 0);
            environment.reset(&mut random, &mut state);
            (sum, time) = (0.0, 0);
        }
        environment.observe(&state, &mut observation);
        for (i, number) in observation.iter().enumerate() {
            observations[lane * environment.observations() + i] = *number as f32;
        }
        for (row, number) in state.iter().chain([&sum]).enumerate() {
            saved[row * lanes + lane] = *number as f32;
        }
        (counters[lane], counters[lanes + lane], counters[2 * lanes + lane]) = (time, wrong, episode);
        ends[lane] = end;
    }
}

fn wide(number: &f32) -> f64 {
    f64::from(*number)
}

/// Lanes past which only states that episodes reach are drawn.
pub(super) const MOST_FAR: usize = 4096;

/// One step errs by the rounding of the environment. From states that episodes reach, no world here magnifies a difference
/// more than fourfold to what is seen of it; from states far outside, by what a small difference becomes in the twin.
pub(super) fn tolerance(call: &Call, operands: &[Data], binding: usize) -> Tolerance {
    let unit = composition(call).environment.rounding() * Tolerance::EPSILON;
    if unit == 0.0 {
        return Tolerance::Exact;
    }
    if composition(call).environment.decides() {
        let lanes = call.uniform::<Uniform>().lanes as usize;
        let environment = &*composition(call).environment;
        return decisions::tolerance(call, operands, binding, (SAVED, lanes), environment, 4.0 * unit);
    }
    let reached = Tolerance::Within { relative: 4.0 * unit, absolute: 4.0 * unit };
    if call.uniform::<Uniform>().lanes as usize > MOST_FAR || matches!(operands[binding], Data::U32(_)) {
        return reached;
    }
    let after = |operands: &[Data]| {
        let mut operands = operands.to_vec();
        call.run_twin(&mut operands.iter_mut().map(Data::operand).collect::<Vec<_>>());
        operands.swap_remove(binding)
    };
    let right = after(operands);
    let mut bounds: Vec<f64> = right.f32().iter().map(|number| 4.0 * unit * (1.0 + f64::from(number.abs()))).collect();
    for signs in [[1.0, 1.0], [1.0, -1.0]] {
        let mut moved = operands.to_vec();
        let lanes = call.uniform::<Uniform>().lanes as usize;
        for (index, number) in moved[SAVED].operand().f32().iter_mut().enumerate() {
            *number *= 1.0 + signs[index / lanes % 2] * DIFFERENCE;
        }
        for ((bound, right), moved) in bounds.iter_mut().zip(right.f32()).zip(after(&moved).f32()) {
            let magnified = f64::from((moved - right).abs() / DIFFERENCE);
            *bound = bound.max(0.25 * unit * magnified);
        }
    }
    Tolerance::PerElement(bounds)
}

/// Operand of the states.
const SAVED: usize = 2;

/// A relative difference that shows above the roundings of f32.
const DIFFERENCE: f32 = 1.0 / 4096.0;
