//! The message of the vision neuron: the softmax over the patches, with those at rest summed once, and what follows it.

use super::layer::NORM_EPSILON;
use super::network::{
    BEGINS, Description, LIST, OVER, PLACE, Problem, Sum, Uniform, VisionNetwork, network_of, workgroup,
};
use crate::{Binding, Call, Data, Error, Operand, Sequence, Target, Tolerance};

impl Problem {
    /// Returns the dispatch with the operands `positions`, `sensed`, `listed` (`u32`), `weights`, and then `messages`, or for a
    /// network that drives `memory`, `smoothed` and `votes`.
    ///
    /// # Errors
    /// A size out of range, or a network without the attention neuron.
    pub fn attend_sequence(&self, network: &VisionNetwork, target: &Target) -> Result<Sequence, Error> {
        self.sequence_of_neuron(network, || call(network, self, workgroup(target)))
    }
}

pub(super) fn call(network: &VisionNetwork, problem: &Problem, workgroup: usize) -> Call {
    let drives = matches!(network, VisionNetwork::Driving(_));
    let mut bindings = vec![
        Binding::read("positions", "(messages, scores)"),
        Binding::read("sensed", "(lanes, patches + 1, scores and values)"),
        Binding::read("listed", "(lanes, 3 + patches)").u32(),
        Binding::read("weights", "(members, parameters)"),
    ];
    let messages = problem.messages(network);
    let mut lengths =
        vec![network.position_rows().len(), problem.sensed(network), problem.listed(network), problem.weights(network)];
    let ending = if drives {
        bindings.push(Binding::read("memory", "(lanes, memory)"));
        bindings.push(Binding::update("smoothed", "(lanes, messages, dimension)"));
        bindings.push(Binding::update("votes", "(lanes, messages, 8)"));
        lengths.extend([problem.lanes() * network.memory(), messages, problem.votes(network)]);
        wgsl!("attend_driving.wgsl")
    } else {
        bindings.push(Binding::update("messages", "(lanes, messages, dimension)"));
        lengths.push(messages);
        wgsl!("attend_plain.wgsl")
    };
    let description = Description {
        name: "attend",
        parts: vec![PLACE, wgsl!("../library/not_a_number.wgsl"), ending, wgsl!("attend.wgsl")],
        bindings,
        passes: |call| {
            let network = network_of(call);
            let (patches, values, scores) = (network.neuron().patches(), network.values(), network.scores());
            (patches * (scores + values + 3) + 60 * (values + 2) + 4 * scores) as u64
        },
        twin,
        tolerance,
    };
    let invocations = problem.lanes() * network.neuron().messages / 4;
    description.call(network, problem, invocations, Some(workgroup), lengths)
}

fn twin(call: &Call, operands: &mut [Operand<'_>]) {
    let [positions, sensed, listed, weights, others @ ..] = operands else { unreachable!("attend has five operands") };
    let given =
        Given { positions: positions.f32(), sensed: sensed.f32(), listed: listed.u32(), weights: weights.f32() };
    match others {
        [messages] => {
            attended(call, &given, &[], &[], |place, value, _| messages.f32()[place] = value as f32, |_, _, _| ())
        }
        [memory, smoothed, votes] => {
            let old = smoothed.f32().to_vec();
            let store = |place: usize, value: f64, _: f64| smoothed.f32()[place] = value as f32;
            attended(call, &given, memory.f32(), &old, store, |place, value, _| votes.f32()[place] = value as f32);
        }
        _ => unreachable!("attend ends with messages, or with memory, smoothed and votes"),
    }
}

fn tolerance(call: &Call, operands: &[Data], output: usize) -> Tolerance {
    let given = Given {
        positions: operands[0].f32(),
        sensed: operands[1].f32(),
        listed: operands[2].u32(),
        weights: operands[3].f32(),
    };
    let mut bounds = vec![0.0; operands[output].len()];
    let mut ignored = |_: usize, _: f64, _: f64| ();
    match operands.len() {
        5 => attended(call, &given, &[], &[], |place, _, bound| bounds[place] = bound, ignored),
        _ => {
            let (memory, old) = (operands[4].f32(), operands[5].f32());
            if output == 5 {
                attended(call, &given, memory, old, |place, _, bound| bounds[place] = bound, ignored);
            } else {
                attended(call, &given, memory, old, &mut ignored, |place, _, bound| bounds[place] = bound);
            }
        }
    }
    Tolerance::PerElement(bounds)
}

struct Given<'a> {
    positions: &'a [f32],
    sensed: &'a [f32],
    listed: &'a [u32],
    weights: &'a [f32],
}

/// Gives each number of the messages, or of their rolling averages, and each vote: its place, its value, and the bound of its
/// error.
fn attended(
    call: &Call,
    given: &Given<'_>,
    memory: &[f32],
    old: &[f32],
    mut store: impl FnMut(usize, f64, f64),
    mut vote: impl FnMut(usize, f64, f64),
) {
    const EPSILON: f64 = Tolerance::EPSILON;
    let (network, Uniform { lanes, groups, .. }) = (network_of(call), call.uniform());
    let (layer, row_length) = (network.neuron(), network.sensed_row());
    let (patches, dimension, width) = (layer.patches(), layer.dimension, 4 * network.scores());
    for lane in 0..lanes as usize {
        let list = &given.listed[lane * (LIST + patches)..][..LIST + patches];
        if list[0] == OVER {
            continue;
        }
        let member = lane / groups as usize * network.parameters();
        let weights: Vec<f64> =
            given.weights[member..][..network.parameters()].iter().map(|&weight| weight.into()).collect();
        let tensors = layer.split(&weights[..layer.parameters()]);
        let sensed =
            |patch: usize, place: usize| f64::from(given.sensed[(lane * (patches + 1) + patch) * row_length + place]);
        let moving = &list[LIST..][..(list[1] as usize).min(patches)];
        for row in 0..layer.messages {
            let mut total = f64::from(list[2]);
            let mut total_error = 0.0;
            let mut sums: Vec<f64> = (0..dimension).map(|d| sensed(patches, width + d)).collect();
            let mut sizes: Vec<f64> = sums.iter().map(|sum| sum.abs()).collect();
            let mut errors = vec![0.0; dimension];
            for &patch in moving {
                let patch = (patch as usize).min(patches - 1);
                let mut score = Sum::default();
                (0..width).for_each(|j| score.add(f64::from(given.positions[row * width + j]) * sensed(patch, j)));
                let share = score.value.clamp(-60.0, 60.0).exp();
                // WGSL lets an exponential err by 3 + 2 |x| units.
                let error = share * (score.bound(1.0) + (6.0 + 4.0 * score.value.abs()) * EPSILON);
                total += share;
                total_error += error;
                for d in 0..dimension {
                    let value = sensed(patch, width + d);
                    sums[d] += share * value;
                    sizes[d] += (share * value).abs();
                    errors[d] += error * value.abs();
                }
            }
            let additions = (moving.len() + 2) as f64 * EPSILON;
            total_error += additions * total;
            let norm = 1.0 / total.max(1e-30);
            let mut message: Vec<f64> = sums.iter().map(|sum| (sum * norm).max(0.0)).collect();
            let mut bounds: Vec<f64> = (0..dimension)
                .map(|d| {
                    let sum = errors[d] + additions * sizes[d];
                    (sum + (sums[d] * norm).abs() * (total_error + 4.0 * EPSILON * total)) * norm
                })
                .collect();
            let average = |numbers: &[f64]| numbers.iter().sum::<f64>() / dimension as f64;
            let (mean, count) = (average(&message), dimension as f64);
            let mean_bound = average(&bounds) + (count + 2.0) * EPSILON * mean;
            for (x, bound) in message.iter_mut().zip(&mut bounds) {
                *bound += mean_bound + EPSILON * (*x - mean).abs();
                *x -= mean;
            }
            let squares: Vec<f64> = message.iter().map(|x| x * x).collect();
            let variance = average(&squares) + NORM_EPSILON;
            let doubled: Vec<f64> =
                message.iter().zip(&bounds).map(|(x, bound)| 2.0 * x.abs() * bound + bound * bound).collect();
            let relative = 0.5 * average(&doubled) / variance + (count + 8.0) * EPSILON;
            let scale = 1.0 / variance.sqrt();
            for d in 0..dimension {
                let factor = tensors.output_norm[0].get(d).unwrap_or(&1.0);
                let offset = tensors.output_norm[1].get(d).unwrap_or(&0.0);
                let y = message[d] * scale;
                bounds[d] = (bounds[d] * scale + y.abs() * relative) * factor.abs()
                    + 3.0 * EPSILON * ((y * factor).abs() + offset.abs());
                message[d] = y * factor + offset;
            }
            let own = (lane * layer.messages + row) * dimension;
            if let VisionNetwork::Driving(driving) = network {
                let alpha = f64::from(memory[(lane + 1) * network.memory() - 1]);
                if list[0] != BEGINS && alpha != 0.0 {
                    for d in 0..dimension {
                        let (new, before) = ((1.0 - alpha) * message[d], alpha * f64::from(old[own + d]));
                        bounds[d] = bounds[d] * (1.0 - alpha).abs() + 4.0 * EPSILON * (new.abs() + before.abs());
                        message[d] = new + before;
                    }
                }
                let tail = &weights[layer.parameters()..];
                for v in 0..2 * driving.vote {
                    let (which, v) = (v / driving.vote, v % driving.vote);
                    let matrix = which * driving.vote * (dimension + 1);
                    let mut sum = Sum::default();
                    // The bias of the keys cannot matter.
                    sum.add(if which == 0 { tail[driving.vote * dimension + v] } else { 0.0 });
                    let mut carried = 0.0;
                    for d in 0..dimension {
                        let weight = tail[matrix + v * dimension + d];
                        sum.add(weight * message[d]);
                        carried += weight.abs() * bounds[d];
                    }
                    let place = (lane * layer.messages + row) * 8 + which * 4 + v;
                    vote(place, sum.value, carried + sum.bound(1.0));
                }
            }
            (0..dimension).for_each(|d| store(own + d, message[d], bounds[d]));
        }
    }
}
