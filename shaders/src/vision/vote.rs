//! The vote of a network that drives: the importance of each row of the message, or of each patch, and the places of the
//! largest.

use super::driving::top;
use super::network::{Controller, Description, OVER, Problem, Sum, Uniform, VisionNetwork, network_of};
use crate::{Binding, Call, Error, Sequence, Target, Tolerance};

impl Problem {
    /// Returns the dispatch with the operands `listed` (`u32`), `votes`, `importance` and `chosen` (`u32`).
    ///
    /// # Errors
    /// A size out of range, or a network that does not drive.
    pub fn vote_sequence(&self, network: &VisionNetwork, _: &Target) -> Result<Sequence, Error> {
        let controller = network.controller()?;
        self.sequence(network, || call(network, controller, self))
    }
}

pub(super) fn call(network: &VisionNetwork, controller: Controller, problem: &Problem) -> Call {
    let lanes = problem.lanes();
    let description = Description {
        name: "vote",
        parts: vec![wgsl!("vote.wgsl")],
        bindings: vec![
            Binding::read("listed", "(lanes, list)").u32(),
            Binding::read("votes", "(lanes, messages, 8)"),
            Binding::update("importance", "(lanes, messages)"),
            Binding::update("chosen", "(lanes, top)").u32(),
        ],
        passes: |call| {
            let Controller { voters: messages, top, .. } = controller_of(call);
            let own = messages.div_ceil(64);
            (messages.div_ceil(4) * (3 * own + 4 * 9 + 5) + top * (2 * own + 70) + 3 * own + 8) as u64
        },
        twin: |call, operands| {
            let [listed, votes, importance, chosen] = operands else { unreachable!("the vote has four operands") };
            let store = |lane: usize, values: Vec<f64>, _: Vec<f64>| {
                let count = controller_of(call).top;
                let best = top(&values, count);
                chosen.u32()[lane * count..].iter_mut().zip(best).for_each(|(own, place)| *own = place as u32);
                let own = importance.f32()[lane * values.len()..].iter_mut();
                own.zip(&values).for_each(|(own, value)| *own = *value as f32);
            };
            voted(call, listed.u32(), votes.f32(), store);
        },
        tolerance: |call, operands, output| {
            let mut bounds = vec![0.0; operands[output].len()];
            voted(call, operands[0].u32(), operands[1].f32(), |lane, values, errors| {
                let count = controller_of(call).top;
                if output == 2 {
                    bounds[lane * values.len()..][..values.len()].copy_from_slice(&errors);
                    return;
                }
                // A place is certain where its importance is further from its neighbours' than their errors; and so is the
                // order of equal columns, whose sums have the same bits.
                let order = top(&values, values.len());
                let key = |place: usize| &operands[1].f32()[8 * (lane * values.len() + place) + 4..][..4];
                let is_near = |a: usize, b: usize| {
                    let (a, b) = (order[a], order[b]);
                    (values[a] - values[b]).abs() <= errors[a] + errors[b] && key(a) != key(b)
                };
                for rank in 0..count {
                    let near = rank > 0 && is_near(rank - 1, rank) || rank + 1 < order.len() && is_near(rank, rank + 1);
                    bounds[lane * count + rank] = if near { f64::INFINITY } else { 0.0 };
                }
            });
            Tolerance::PerElement(bounds)
        },
    };
    let lengths = [problem.listed(network), problem.votes(network), lanes * controller.voters, lanes * controller.top];
    description.call(network, problem, lanes, None, lengths)
}

/// The controller in the network of a call.
pub(super) fn controller_of(call: &Call) -> Controller {
    network_of(call).controller().expect("sequences refuse networks that do not drive")
}

/// Gives the importance of each row, and the bounds of their errors, for each lane that goes on.
fn voted(call: &Call, listed: &[u32], votes: &[f32], mut store: impl FnMut(usize, Vec<f64>, Vec<f64>)) {
    const EPSILON: f64 = Tolerance::EPSILON;
    let (network, Uniform { lanes, .. }) = (network_of(call), call.uniform());
    let messages = controller_of(call).voters;
    for lane in 0..lanes as usize {
        if listed[lane * network.list_row()] == OVER {
            continue;
        }
        let votes = &votes[lane * 8 * messages..][..8 * messages];
        let (mut values, mut errors) = (vec![0.0; messages], vec![0.0; messages]);
        for query in votes.chunks_exact(8) {
            let scores: Vec<Sum> = votes
                .chunks_exact(8)
                .map(|key| {
                    let mut sum = Sum::default();
                    (0..4).for_each(|v| sum.add(f64::from(query[v]) * f64::from(key[4 + v])));
                    sum
                })
                .collect();
            let largest = scores.iter().map(|score| score.value).fold(f64::NEG_INFINITY, f64::max);
            let shift = scores.iter().map(|score| score.bound(1.0)).fold(0.0, f64::max);
            let share = |score: &Sum| {
                let below = score.value - largest;
                (below.exp(), score.bound(1.0) + shift + (6.0 + 5.0 * below.abs()) * EPSILON)
            };
            let shares: Vec<(f64, f64)> = scores.iter().map(share).collect();
            let total: f64 = shares.iter().map(|(share, _)| share).sum();
            let error = shares.iter().map(|(share, relative)| share * relative).sum::<f64>() / total;
            // Sums of columns of an invocation, and then of 64 invocations.
            let additions = (messages.div_ceil(64) + 64) as f64 * EPSILON;
            for (j, (share, relative)) in shares.iter().enumerate() {
                values[j] += share / total;
                errors[j] += share / total * (relative + error + additions + 8.0 * EPSILON);
            }
        }
        for (value, error) in values.iter().zip(&mut errors) {
            *error += (messages as f64 / 4.0 + 4.0) * EPSILON * value;
        }
        store(lane, values, errors);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Case, Data};

    #[test]
    fn what_is_equally_important_is_chosen_in_its_order() {
        let network = VisionNetwork::Driving(super::super::case::few_patches());
        let problem = Problem { members: 1, groups: 1, phases: 1, interval: 1, pedals: false };
        let controller = network.controller().unwrap();
        let call = call(&network, controller, &problem);
        let mut listed = vec![0; problem.listed(&network)];
        listed[0] = super::super::network::GOES_ON;
        let votes = vec![0.25; problem.votes(&network)];
        let (importance, chosen) = (vec![0.0; controller.voters], vec![9; controller.top]);
        let inputs = [Data::U32(listed), Data::F32(votes), Data::F32(importance), Data::U32(chosen)];
        let after = Case::new((), call, inputs).expected();
        let expected: Vec<u32> = (0..controller.top as u32).collect();
        assert_eq!(after[3], Data::U32(expected));
        assert!(after[2].f32().iter().all(|importance| *importance == 1.0));
    }
}
