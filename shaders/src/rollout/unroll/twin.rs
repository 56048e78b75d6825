//! The unroll in f64.

use super::{Composition, EpisodeRandom, Uniform, WeightSource, decisions};
use crate::{Call, Data, Operand, Tolerance, random::threefry};

fn composition(call: &Call) -> &Composition {
    call.context_of().expect("a call of an unroll carries its composition")
}

/// Everything that a slot saves.
struct Slot {
    state: Vec<f64>,
    memory: Vec<f64>,
    sum: f64,
    episode: u32,
    time: u32,
    fault: u32,
}

pub(super) fn twin(call: &Call, operands: &mut [Operand<'_>]) {
    let composition = composition(call);
    let uniform: Uniform = call.uniform();
    let parameters = composition.parameters();
    let (seed, rest) = operands.split_first_mut().expect("bindings of an unroll");
    let seed = [seed.u32()[0], seed.u32()[1]];
    let [saved, counters, returns, lengths, rest @ ..] = rest else { unreachable!("bindings of an unroll") };
    let (members, rest) = match composition.weights {
        WeightSource::Given { .. } => {
            let (weights, rest) = rest.split_first_mut().expect("weights");
            (weights.f32().iter().map(|&weight| f64::from(weight)).collect(), rest)
        }
        WeightSource::Perturbed => {
            let [center, deviation, rest @ ..] = rest else { unreachable!("centre and deviation") };
            (perturbed(&uniform, seed, center.f32(), deviation.f32()), rest)
        }
    };
    let (wiring, rest) = match composition.sensors.wiring {
        Some(_) => {
            let (wiring, rest) = rest.split_first_mut().expect("a wiring");
            (&*wiring.u32(), rest)
        }
        None => (&[][..], rest),
    };
    let traces = composition.weights == WeightSource::Given { trace: true };
    let mut trace = rest.first_mut().filter(|_| traces).map(|trace| trace.f32());
    let (saved, counters, returns, lengths) = (saved.f32(), counters.u32(), returns.f32(), lengths.u32());

    let slots = (uniform.present * uniform.groups) as usize;
    let (states, memories) = (composition.environment.states(), composition.memory());
    for slot in 0..slots {
        let member = uniform.first_member as usize + slot / uniform.groups as usize;
        let counter = |row: usize| if uniform.fresh == 1 { 0 } else { counters[row * slots + slot] };
        let numbers =
            |first: usize, count: usize| (first..first + count).map(|row| f64::from(saved[row * slots + slot]));
        let mut now = Slot {
            state: numbers(0, states).collect(),
            memory: numbers(states, memories).collect(),
            sum: f64::from(saved[(states + memories) * slots + slot]),
            episode: counter(0),
            time: counter(1),
            fault: counter(2),
        };
        if now.episode >= uniform.episodes || now.fault != 0 {
            continue;
        }
        let weights = &members[member * parameters..][..parameters];
        for step in 0..uniform.steps as usize {
            if now.episode >= uniform.episodes || now.fault != 0 {
                break;
            }
            let total = (uniform.groups * uniform.episodes) as usize;
            let number = (slot % uniform.groups as usize) * uniform.episodes as usize + now.episode as usize;
            let recorded = advance(composition, &uniform, seed, weights, member, number, wiring, &mut now);
            if let Some(trace) = &mut trace {
                for (row, number) in recorded.numbers.iter().enumerate() {
                    trace[(step * composition.traced() + row) * slots + slot] = *number as f32;
                }
            }
            if recorded.over {
                returns[member * total + number] = now.sum as f32;
                lengths[member * total + number] = now.time;
                now.episode += 1;
                now.time = 0;
            }
        }
        for (row, number) in now.state.iter().chain(&now.memory).chain([&now.sum]).enumerate() {
            saved[row * slots + slot] = *number as f32;
        }
        for (row, counter) in [now.episode, now.time, now.fault].into_iter().enumerate() {
            counters[row * slots + slot] = counter;
        }
    }
}

/// The result of one step.
struct Recorded {
    /// State before, observation, action, reward, end.
    numbers: Vec<f64>,
    /// The episode is over, by itself or by its time.
    over: bool,
}

#[expect(clippy::too_many_arguments, reason = "the bindings of the kernel")]
fn advance(
    composition: &Composition,
    uniform: &Uniform,
    seed: [u32; 2],
    weights: &[f64],
    member: usize,
    number: usize,
    wiring: &[u32],
    now: &mut Slot,
) -> Recorded {
    let environment = &*composition.environment;
    let total = uniform.groups * uniform.episodes;
    let (places, lane) =
        if uniform.common_random_numbers == 1 { (total, 0) } else { (uniform.members * total, member as u32 * total) };
    let episode = seed[1].wrapping_mul(places).wrapping_add(lane).wrapping_add(number as u32);
    if now.time == 0 {
        environment.reset(&mut EpisodeRandom::new(seed[0], uniform.stream + 1, episode, 0), &mut now.state);
        now.memory.fill(0.0);
        now.sum = 0.0;
    }
    let mut observation = vec![0.0; environment.observations()];
    environment.observe(&now.state, &mut observation);
    let inputs = sense(composition, uniform, seed[0], episode, number, wiring, &observation, now);
    let mut action = vec![0.0; environment.actions()];
    composition.policy.act(weights, &mut now.memory, &inputs, &mut action);
    let mut numbers: Vec<f64> = now.state.iter().chain(&observation).chain(&action).copied().collect();

    let mut random = EpisodeRandom::new(seed[0], uniform.stream + 2, episode, now.time);
    let outcome = environment.step(&mut now.state, &action, &mut random);
    now.sum += outcome.reward;
    now.time += 1;
    let end = outcome.end(now.time >= uniform.horizon);
    numbers.extend([outcome.reward, f64::from(end)]);
    now.fault = fault(&observation, &action, &now.state, now.sum);
    Recorded { numbers, over: now.fault == 0 && end != 0 }
}

/// The fault of a step: `fault_of` of `stepping.wgsl`.
pub(crate) fn fault(observation: &[f64], action: &[f64], state: &[f64], sum: f64) -> u32 {
    let is_not_finite = |numbers: &[f64]| numbers.iter().any(|number| !(*number as f32).is_finite());
    if !is_not_finite(state) && !is_not_finite(action) && !is_not_finite(&[sum]) {
        0
    } else if is_not_finite(observation) {
        1
    } else if is_not_finite(action) {
        2
    } else {
        3
    }
}

/// The inputs of the policy.
#[expect(clippy::too_many_arguments, reason = "the bindings of the kernel")]
fn sense(
    composition: &Composition,
    uniform: &Uniform,
    key: u32,
    episode: u32,
    number: usize,
    wiring: &[u32],
    observation: &[f64],
    now: &mut Slot,
) -> Vec<f64> {
    let sensors = &composition.sensors;
    let plain = sensors.sources(key, uniform.stream, episode, now.time, observation);
    let Some(wired) = sensors.wiring else { return plain };
    let phase = now.time / uniform.interval;
    if wired.forget && now.time > 0 && now.time.is_multiple_of(uniform.interval) && phase < uniform.phases {
        now.memory[..composition.policy.channel_memory(composition.interface())].fill(0.0);
    }
    let phase = phase.min(uniform.phases - 1) as usize;
    let row = &wiring[(number * wired.phases + phase) * plain.len()..][..plain.len()];
    row.iter().map(|&source| plain[(source as usize).min(plain.len() - 1)]).collect()
}

/// The weights of all members: mirrored perturbations.
fn perturbed(uniform: &Uniform, seed: [u32; 2], center: &[f32], deviation: &[f32]) -> Vec<f64> {
    let blocks = center.len().div_ceil(2);
    let mut weights = Vec::with_capacity(uniform.members as usize * center.len());
    for member in 0..uniform.members as usize {
        let sign = if member % 2 == 0 { 1.0 } else { -1.0 };
        for (i, (center, deviation)) in center.iter().zip(deviation).enumerate() {
            let pair = (member / 2 * blocks + i / 2) as u32;
            let normal = threefry::normal_pair(seed, uniform.stream, pair)[i % 2];
            weights.push(f64::from(*center) + sign * f64::from(*deviation) * normal);
        }
    }
    weights
}

/// Operand of the states.
const SAVED: usize = 1;

/// One step errs by the rounding of the policy and of the environment. What it leaves is the next one's input, and
/// no world here magnifies a difference more than fourfold in one step (a cart-pole's spin by the factor
/// 1 + 0.01 * d(acceleration)/d(spin), which stays below 3; an acrobot's state by 3 in the first twenty steps of an
/// episode, further than which no case goes).
pub(super) fn tolerance(call: &Call, operands: &[Data], binding: usize) -> Tolerance {
    let composition = composition(call);
    let uniform: Uniform = call.uniform();
    let environment = &*composition.environment;
    let one = environment.rounding() + composition.policy.rounding() * environment.largest_observation();
    let growth = 4.0_f64.powi(uniform.steps.saturating_sub(1) as i32);
    let bound = one * growth * Tolerance::EPSILON;
    if environment.decides() {
        let slots = (uniform.present * uniform.groups) as usize;
        return decisions::tolerance(call, operands, binding, (SAVED, slots), environment, bound);
    }
    Tolerance::Within { relative: bound, absolute: bound }
}
