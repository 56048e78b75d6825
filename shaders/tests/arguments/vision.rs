//! Kernels of networks that see.

use fourfold_shaders::vision::{AttentionAgent, DrivingNetwork, Problem, VisionNetwork, VisionNeuron};

use crate::{of, try_arguments};

#[test]
fn vision() {
    try_arguments(5, |draw, tally, target| {
        let [members, groups, phases, interval] = [(); 4].map(|()| draw.small());
        let problem = Problem { members, groups, phases, interval, pedals: draw.flag(2) };
        let published = VisionNeuron::car_racing();
        let layer = match draw.flag(2) {
            // Sizes of any kind, most of which do not fit.
            true => VisionNeuron {
                rows: draw.small(),
                columns: draw.small(),
                patch: draw.small(),
                stack: draw.small(),
                dimension: draw.small(),
                positions: draw.small(),
                ..published
            },
            false => VisionNeuron { rows: 24, columns: 12, messages: 64, ..published },
        };
        let driving = DrivingNetwork { layer, ..DrivingNetwork::car_racing() };
        let network = VisionNetwork::Driving(driving);
        // Lengths are asked of sizes that fit alone.
        if network.check().is_err() {
            tally.judge(problem.retina_sequence(&network, target), &[]);
            return;
        }
        let (lanes, patches) = (of(&[members, groups]), layer.patches());
        let each = |width: usize| of(&[members, groups, width]);
        let tables = problem.tables(&network) as u128;
        let weights = of(&[members, network.parameters()]);
        let [sensed, listed] = [problem.sensed(&network) as u128, each(3 + patches)];
        let history = each(layer.pixels() * patches);
        tally.judge(problem.tables_sequence(&network, target), &[weights, tables]);
        let wiring = of(&[members, groups, phases, patches]);
        let pictures = each(layer.rows * layer.columns / 4);
        let retina = [pictures, lanes, lanes, wiring, tables, history, sensed];
        tally.judge(problem.retina_sequence(&network, target), &retina);
        tally.judge(problem.gather_sequence(&network, target), &[lanes, lanes, sensed, listed, wiring]);
        let (messages, votes) = (each(layer.messages * layer.dimension), each(8 * layer.messages));
        let positions = network.position_rows().len() as u128;
        let (memory, chosen) = (each(network.memory()), each(driving.top));
        let attend = [positions, sensed, listed, weights, memory, messages, votes];
        tally.judge(problem.attend_sequence(&network, target), &attend);
        let vote = [listed, votes, each(layer.messages), chosen];
        tally.judge(problem.vote_sequence(&network, target), &vote);
        let decide = [listed, weights, chosen, memory, each(driving.actions)];
        tally.judge(problem.decide_sequence(&network, target), &decide);
    });
}

#[test]
fn attention_agent() {
    try_arguments(5, |draw, tally, target| {
        let [members, groups, phases, interval] = [(); 4].map(|()| draw.small());
        let problem = Problem { members, groups, phases, interval, pedals: draw.flag(2) };
        let published = AttentionAgent::car_racing();
        let agent = match draw.flag(2) {
            // Sizes of any kind, most of which do not fit.
            true => AttentionAgent {
                size: draw.small(),
                channels: draw.small(),
                patch: draw.small(),
                stride: draw.small(),
                block: draw.small(),
                ..published
            },
            false => AttentionAgent { size: 24, ..published },
        };
        let network = VisionNetwork::Agent(agent);
        // Lengths are asked of sizes that fit alone.
        if agent.check().is_err() {
            tally.judge(problem.look_sequence(&network, target), &[]);
            return;
        }
        let lanes = of(&[members, groups]);
        let each = |width: usize| of(&[members, groups, width]);
        let (weights, votes) = (of(&[members, agent.parameters()]), each(8 * agent.patches()));
        let wiring = of(&[members, groups, phases, agent.blocks()]);
        let look = [each(agent.picture().words()), lanes, lanes, wiring, weights, lanes, votes];
        tally.judge(problem.look_sequence(&network, target), &look);
        let (memory, chosen) = (each(network.memory()), each(agent.top));
        tally.judge(problem.vote_sequence(&network, target), &[lanes, votes, each(agent.patches()), chosen]);
        tally.judge(problem.decide_sequence(&network, target), &[lanes, weights, chosen, memory, each(agent.actions)]);
    });
}
