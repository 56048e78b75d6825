//! The sizes of the AttentionAgent, how its picture is shuffled, and its kernels' twins one after the other against its plain
//! form.

use super::*;
use crate::vision::network::{Problem, VisionNetwork};
use crate::vision::tests::{Buffers, numbers};
use crate::vision::{case, driving};
use crate::{Data, Element, Target};

#[test]
fn the_published_network_has_the_published_sizes() {
    let agent = AttentionAgent::car_racing();
    assert_eq!([agent.side(), agent.patches(), agent.inputs(), agent.blocks()], [23, 529, 147, 256]);
    assert_eq!(agent.parameters(), 3_667);
    let lengths: Vec<usize> = agent.parts().iter().map(|part| part.shape.iter().product()).collect();
    assert_eq!(lengths[..4].iter().sum::<usize>(), 1_184);
    assert_eq!(lengths[4..8].iter().sum::<usize>(), 2_432);
    assert_eq!(lengths[8..].iter().sum::<usize>(), 51);
}

/// A small agent and a picture of it.
fn small() -> (AttentionAgent, Vec<u8>) {
    let agent = case::agents()[0];
    let picture = (0..agent.picture().bytes()).map(|at| (7 * at + at * at / 5) as u8).collect();
    (agent, picture)
}

#[test]
fn a_picture_is_shuffled_by_its_squares_and_black_where_one_is_absent() {
    let (agent, picture) = small();
    let plain: Vec<u32> = (0..49).collect();
    assert_eq!(agent.shuffled(&picture, &plain), picture);
    let mut wiring = plain;
    wiring.swap(1, 7);
    wiring[48] |= ABSENT;
    let shuffled = agent.shuffled(&picture, &wiring);
    let pixel = |picture: &[u8], row: usize, column: usize| picture[3 * (21 * row + column)..][..3].to_vec();
    // Square 1 is above, square 7 at the left.
    assert_eq!(pixel(&shuffled, 2, 4), pixel(&picture, 5, 1));
    assert_eq!(pixel(&shuffled, 4, 0), pixel(&picture, 1, 3));
    assert_eq!(pixel(&shuffled, 9, 9), pixel(&picture, 9, 9));
    assert_eq!(pixel(&shuffled, 18, 20), [0; 3]);
}

#[test]
fn the_middle_of_a_patch_is_what_the_network_steers_by() {
    let (agent, _) = small();
    let mut weights = vec![0.0; agent.parameters()];
    let lengths: Vec<usize> = agent.parts().iter().map(|part| part.shape.iter().product()).collect();
    let start = |tensor: usize| lengths[..tensor].iter().sum::<usize>();
    // The cell gate of unit 0 sees the column of the second place alone; both of its gates are half open.
    weights[start(4) + 2 * 16 * 20 + 3] = 2.0;
    weights[start(8) + 16] = 3.0;
    let mut memory = agent.blank();
    let action = agent.decide(&weights, &[0, 8 + 9 * 4, 0, 0, 0, 0, 0, 0, 0, 0], &mut memory);
    // The last patch of a row starts at pixel 16.
    let cell = 0.5 * (2.0 * 18.0 / 21.0_f64).tanh();
    assert!((memory.cell[0] - cell).abs() < 1e-15);
    assert!((action[1] - (3.0 * 0.5 * cell.tanh()).tanh()).abs() < 1e-15);
    assert_eq!(action[0], 0.0);
}

#[test]
fn shuffling_changes_what_the_network_does() {
    let (agent, picture) = small();
    let weights: Vec<f64> = numbers(agent.parameters(), 0.4).into_iter().map(f64::from).collect();
    let wiring: Vec<u32> = (0..49).map(|slot| (5 * slot + 7) % 49).collect();
    let act = |picture: &[u8]| agent.act(&weights, picture, &mut agent.blank());
    assert_ne!(act(&picture), act(&agent.shuffled(&picture, &wiring)));
}

#[test]
fn sizes_out_of_range_are_named() {
    let error = |agent: AttentionAgent| agent.check().unwrap_err().to_string();
    let car = AttentionAgent::car_racing();
    assert_eq!(car.check(), Ok(()));
    assert_eq!(error(AttentionAgent { block: 7, ..car }), "attention agent: block must be a divisor of 96, got 7");
    assert_eq!(error(AttentionAgent { stride: 2, ..car }), "attention agent: patches must be at most 1024, got 2025");
    assert_eq!(error(AttentionAgent { channels: 4, ..car }), "attention agent: channels must be 1 or 3, got 4");
}

/// Sums of a few hundred shares that were rounded to f32 between two kernels.
const CLOSE: f64 = 3e-5;

/// Two members with two lanes each, whose pictures are wired anew in the second step, over three steps.
#[test]
fn a_step_by_kernels_is_the_plain_step() {
    for agent in case::agents() {
        let network = VisionNetwork::Agent(agent);
        let problem = Problem { members: 2, groups: 2, phases: 2, interval: 1, pedals: false };
        let (lanes, blocks, target) = (4, agent.blocks(), Target::default());
        let weights = numbers(2 * agent.parameters(), 0.4);
        let wiring: Vec<u32> = (0..lanes * 2 * blocks)
            .map(|at| ((at + 2 * (at / blocks)) % blocks) as u32 + if at % 5 == 4 { ABSENT } else { 0 })
            .collect();
        let zeros = |length: usize| Data::poison(Element::F32, length);
        let words = |length: usize| Data::poison(Element::U32, length);
        let mut buffers = Buffers(vec![
            ("weights", Data::F32(weights.clone())),
            ("pictures", words(problem.pictures(&network))),
            ("times", words(lanes)),
            ("ends", Data::U32(vec![0; lanes])),
            ("wiring", Data::U32(wiring.clone())),
            ("listed", words(problem.listed(&network))),
            ("votes", zeros(problem.votes(&network))),
            ("importance", zeros(problem.voters(&network))),
            ("chosen", words(problem.chosen(&network))),
            ("memory", zeros(lanes * network.memory())),
            ("actions", zeros(lanes * agent.actions)),
        ]);
        let mut plain: Vec<AgentMemory> = (0..lanes).map(|_| agent.blank()).collect();
        let mut worst: f64 = 0.0;
        for time in 0..3 {
            let size = agent.picture();
            let seen: Vec<u8> = (0..4 * size.words()).map(|at| (at * (time + 3) + at * at / 7) as u8).collect();
            *buffers.get("pictures") = Data::U32(bytemuck::pod_collect_to_vec(&seen.repeat(lanes)));
            *buffers.get("times") = Data::U32(vec![time as u32; lanes]);
            let look = ["pictures", "times", "ends", "wiring", "weights", "listed", "votes"];
            buffers.run(problem.look_sequence(&network, &target), &look);
            buffers.run(problem.vote_sequence(&network, &target), &["listed", "votes", "importance", "chosen"]);
            let decide = ["listed", "weights", "chosen", "memory", "actions"];
            buffers.run(problem.decide_sequence(&network, &target), &decide);
            for (lane, memory) in plain.iter_mut().enumerate() {
                let own = &wiring[(lane * 2 + time.min(1)) * blocks..][..blocks];
                let picture = agent.shuffled(&seen[..size.bytes()], own);
                let member: Vec<f64> = weights[lane / 2 * agent.parameters()..][..agent.parameters()]
                    .iter()
                    .map(|&weight| weight.into())
                    .collect();
                let importance = agent.importance(&member, &picture);
                let got = buffers.get("importance").f32()[lane * agent.patches()..].to_vec();
                for (got, expected) in got.iter().zip(&importance) {
                    worst = worst.max((f64::from(*got) - expected).abs());
                }
                // Two places that are nearly even may change theirs.
                let chosen = &buffers.get("chosen").u32()[lane * agent.top..][..agent.top];
                let chosen: Vec<usize> = chosen.iter().map(|&place| place as usize).collect();
                for (got, expected) in chosen.iter().zip(driving::top(&importance, agent.top)) {
                    worst = worst.max((importance[*got] - importance[expected]).abs());
                }
                let action = agent.decide(&member, &chosen, memory);
                for (got, expected) in buffers.get("actions").f32()[lane * agent.actions..].iter().zip(&action) {
                    worst = worst.max((f64::from(*got) - expected).abs());
                }
            }
        }
        assert!(worst < CLOSE, "{worst} with {agent:?}");
    }
}
