//! The decision of a network that drives: an LSTM over the chosen places, the action, and the share of the old message in the
//! next rolling average, where there is one.

use super::attention_agent::AgentMemory;
use super::driving::DrivingMemory;
use super::network::{
    BEGINS, Controller, Description, OVER, PLACE, Problem, Uniform, VisionNetwork, network_of, workgroup,
};
use super::vote::controller_of;
use crate::{Binding, Call, Error, Sequence, Target, Tolerance};

impl Problem {
    /// Returns the dispatch with the operands `listed` (`u32`), `weights`, `chosen` (`u32`), `memory` and `actions`.
    ///
    /// # Errors
    /// A size out of range, or a network that does not drive.
    pub fn decide_sequence(&self, network: &VisionNetwork, target: &Target) -> Result<Sequence, Error> {
        let controller = network.controller()?;
        self.sequence(network, || call(network, controller, self, workgroup(target)))
    }
}

pub(super) fn call(network: &VisionNetwork, controller: Controller, problem: &Problem, workgroup: usize) -> Call {
    let lanes = problem.lanes();
    let description = Description {
        name: "decide",
        parts: vec![PLACE, wgsl!("../library/mathematics.wgsl"), wgsl!("decide.wgsl")],
        bindings: vec![
            Binding::read("listed", "(lanes, list)").u32(),
            Binding::read("weights", "(members, parameters)"),
            Binding::read("chosen", "(lanes, top)").u32(),
            Binding::update("memory", "(lanes, memory)"),
            Binding::update("actions", "(lanes, actions)"),
        ],
        passes: |call| {
            let Controller { top, hidden, actions, .. } = controller_of(call);
            let gates = hidden * (1 + 4 * (2 * top + hidden + 3));
            (gates + (hidden + actions) * (hidden + actions + 6) + top + 4 * hidden + 16) as u64
        },
        twin: |call, operands| {
            let [listed, weights, chosen, memory, actions] = operands else { unreachable!("decide has five operands") };
            let before = memory.f32().to_vec();
            let mut decided = Vec::new();
            decisions(call, listed.u32(), weights.f32(), chosen.u32(), &before, |lane, after, action| {
                decided.push((lane, after, action));
            });
            for (lane, after, action) in decided {
                let own = memory.f32()[lane * after.len()..].iter_mut();
                own.zip(&after).for_each(|(own, value)| *own = *value as f32);
                let own = actions.f32()[lane * action.len()..].iter_mut();
                own.zip(&action).for_each(|(own, value)| *own = *value as f32);
            }
        },
        // Sums of some dozens of products of a few units, whose rounding errors partly cancel, through functions that err by 12
        // units and whose slopes are at most 1, four of them one after the other.
        tolerance: |call, operands, _| {
            let Controller { top, hidden, .. } = controller_of(call);
            let largest = operands[1].f32().iter().fold(0.0f32, |most, weight| most.max(weight.abs()));
            let terms = (2 * top + hidden + 2) as f64;
            let sums = terms * (1.0 + f64::from(largest));
            Tolerance::Within { relative: 0.0, absolute: Tolerance::EPSILON * (8.0 + sums) }
        },
    };
    let lengths = [
        problem.listed(network),
        problem.weights(network),
        lanes * controller.top,
        lanes * network.memory(),
        lanes * controller.actions,
    ];
    description.call(network, problem, lanes, Some(workgroup), lengths)
}

/// Gives the memory and the action of each lane that goes on.
fn decisions(
    call: &Call,
    listed: &[u32],
    weights: &[f32],
    chosen: &[u32],
    memory: &[f32],
    mut store: impl FnMut(usize, Vec<f64>, Vec<f64>),
) {
    let (network, Uniform { lanes, groups, pedals, .. }) = (network_of(call), call.uniform());
    let Controller { top, hidden, .. } = controller_of(call);
    let (width, parameters) = (network.memory(), network.parameters());
    for lane in 0..lanes as usize {
        let state = listed[lane * network.list_row()];
        if state == OVER {
            continue;
        }
        let own = &weights[lane / groups as usize * parameters..][..parameters];
        let own: Vec<f64> = own.iter().map(|&weight| weight.into()).collect();
        let mut before: Vec<f64> = memory[lane * width..][..width].iter().map(|&number| number.into()).collect();
        if state == BEGINS {
            before.fill(0.0);
        }
        let (hidden, cell) = (before[..hidden].to_vec(), before[hidden..2 * hidden].to_vec());
        let places: Vec<usize> = chosen[lane * top..][..top].iter().map(|&place| place as usize).collect();
        let (after, decided) = match network {
            VisionNetwork::Agent(agent) => {
                let mut after = AgentMemory { hidden, cell };
                let action = agent.decide(&own, &places, &mut after);
                ([after.hidden, after.cell, action.clone()].concat(), action)
            }
            VisionNetwork::Driving(driving) => {
                let mut after = DrivingMemory { smoothed: vec![], hidden, cell, action: vec![], alpha: 0.0 };
                driving.decide(&own[driving.layer.parameters()..], &places, &mut after);
                let action = after.action.clone();
                ([after.hidden, after.cell, after.action, vec![after.alpha]].concat(), action)
            }
            VisionNetwork::Reactive(_) => unreachable!("sequences refuse networks that do not drive"),
        };
        let pedal =
            |(index, &number): (usize, &f64)| if pedals == 1 && index > 0 { 0.5 + 0.5 * number } else { number };
        store(lane, after, decided.iter().enumerate().map(pedal).collect());
    }
}
