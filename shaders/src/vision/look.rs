//! The eyes of the AttentionAgent: what each patch of each lane's picture asks and offers in the vote.

use super::attention_agent::AttentionAgent;
use super::network::{
    BEGINS, Description, GOES_ON, OVER, PLACE, Problem, Sum, Uniform, VisionNetwork, is_over, network_of, workgroup,
};
use crate::{Binding, Call, Error, Sequence, Target, Tolerance};

impl Problem {
    /// Returns the dispatch for pictures as bytes, with the operands `pictures` (`u32`, four bytes each, the first lowest),
    /// `times`, `ends`, `wiring` (all `u32`), `weights`, `listed` (`u32`) and `votes`.
    ///
    /// # Errors
    /// A size out of range, or a network that is no AttentionAgent.
    pub fn look_sequence(&self, network: &VisionNetwork, target: &Target) -> Result<Sequence, Error> {
        let VisionNetwork::Agent(agent) = network else { return Err(network.is_not("an attention agent")) };
        self.sequence(network, || call(network, agent, self, workgroup(target)))
    }
}

pub(super) fn call(network: &VisionNetwork, agent: &AttentionAgent, problem: &Problem, workgroup: usize) -> Call {
    let description = Description {
        name: "look",
        parts: vec![PLACE, wgsl!("look.wgsl")],
        bindings: vec![
            Binding::read("pictures", "(lanes, words)").u32(),
            Binding::read("times", "(lanes)").u32(),
            Binding::read("ends", "(lanes)").u32(),
            Binding::read("wiring", "(lanes, phases, blocks)").u32(),
            Binding::read("weights", "(members, parameters)"),
            Binding::update("listed", "(lanes, list)").u32(),
            Binding::update("votes", "(lanes, messages, 8)"),
        ],
        passes: |call| {
            let agent = agent_of(call);
            (agent.patch * agent.patch * (agent.channels + 2) + 1) as u64
        },
        twin: |call, operands| {
            let [pictures, times, ends, wiring, weights, listed, votes] = operands else {
                unreachable!("the eyes have seven operands")
            };
            let words = [pictures.u32(), times.u32(), ends.u32(), wiring.u32()].map(|words| &*words);
            let store = |place: usize, sum: Sum| votes.f32()[place] = sum.value as f32;
            looked(call, words, weights.f32(), |lane, state| listed.u32()[lane] = state, store);
        },
        // A quotient, the bias and the scale are rounded besides.
        tolerance: |call, operands, output| {
            if output == 5 {
                return Tolerance::Exact;
            }
            let words = [0, 1, 2, 3].map(|operand| operands[operand].u32());
            let mut bounds = vec![0.0; operands[6].len()];
            let store = |place: usize, sum: Sum| bounds[place] = sum.bound(6.0);
            looked(call, words, operands[4].f32(), |_, _| (), store);
            Tolerance::PerElement(bounds)
        },
    };
    let lanes = problem.lanes();
    let lengths = [
        problem.pictures(network),
        lanes,
        lanes,
        problem.wiring(network),
        problem.weights(network),
        problem.listed(network),
        problem.votes(network),
    ];
    description.call(network, problem, lanes * agent.patches(), Some(workgroup), lengths)
}

fn agent_of(call: &Call) -> &AttentionAgent {
    match network_of(call) {
        VisionNetwork::Agent(agent) => agent,
        _ => unreachable!("only an attention agent is given these eyes"),
    }
}

/// Gives the state of each lane, and each number of the votes with its place.
fn looked(
    call: &Call,
    [pictures, times, ends, wiring]: [&[u32]; 4],
    weights: &[f32],
    mut begin: impl FnMut(usize, u32),
    mut store: impl FnMut(usize, Sum),
) {
    let (agent, uniform) = (agent_of(call), call.uniform::<Uniform>());
    let (words, patches, inputs) = (agent.picture().words(), agent.patches(), agent.inputs());
    let (blocks, parameters) = (agent.blocks(), agent.parameters());
    for lane in 0..uniform.lanes as usize {
        let time = times[lane];
        if is_over(ends[lane], time) {
            begin(lane, OVER);
            continue;
        }
        begin(lane, if time == 0 { BEGINS } else { GOES_ON });
        let picture: &[u8] = bytemuck::cast_slice(&pictures[lane * words..][..words]);
        let phase = (time / uniform.interval).min(uniform.phases - 1) as usize;
        let wires = &wiring[(lane * uniform.phases as usize + phase) * blocks..][..blocks];
        let seen = agent.shuffled(&picture[..agent.picture().bytes()], wires);
        let weights = &weights[lane / uniform.groups as usize * parameters..][..parameters];
        for patch in 0..patches {
            for number in 0..8 {
                // Of the key's bias nothing is left in a softmax over keys.
                let (is_query, row) = (number < 4, number % 4);
                let own = &weights[if is_query { 0 } else { 4 * inputs + 4 }..];
                let mut sum = Sum::default();
                for (weight, byte) in own[row * inputs..][..inputs].iter().zip(agent.patch_of(&seen, patch)) {
                    sum.add(f64::from(*weight) * f64::from(byte) / if is_query { 510.0 } else { 255.0 });
                }
                if is_query {
                    sum.add(0.5 * f64::from(own[4 * inputs + row]));
                }
                store(8 * (lane * patches + patch) + number, sum);
            }
        }
    }
}
