//! The kernels' twins one after the other, as a step takes them, against the networks in their plain form: patches at rest summed
//! once, scores by a table of the positions, what cannot matter left out, and the vote in one pass.

use super::network::{Problem, VisionNetwork};
use super::{ABSENT, case};
use crate::{Data, Element, Sequence, Target};

/// The buffers of a step by name.
pub(super) struct Buffers(pub Vec<(&'static str, Data)>);

impl Buffers {
    pub(super) fn get(&mut self, name: &str) -> &mut Data {
        let found = self.0.iter_mut().find(|(own, _)| *own == name);
        &mut found.unwrap_or_else(|| panic!("no buffer {name}")).1
    }

    pub(super) fn run(&mut self, sequence: Result<Sequence, crate::Error>, names: &[&str]) {
        let mut arguments: Vec<Data> = names.iter().map(|name| self.get(name).clone()).collect();
        sequence.expect("sizes fit").run_twins(&mut arguments);
        for (name, argument) in names.iter().zip(arguments) {
            *self.get(name) = argument;
        }
    }
}

pub(super) fn numbers(count: usize, scale: f64) -> Vec<f32> {
    (0..count).map(|index| (scale * (1.7 * index as f64).sin()) as f32).collect()
}

/// A still picture in which a block of pixels moves.
fn picture(rows: usize, columns: usize, time: usize) -> Vec<u8> {
    let still = |row: usize, column: usize| (40 + 9 * row + 5 * column + row * column) as u8;
    let is_block = |row: usize, column: usize| (row + 2 * time) % rows < 2 && (column + time) % columns < 3;
    (0..rows * columns)
        .map(|at| (at / columns, at % columns))
        .map(|(row, column)| if is_block(row, column) { 200 + time as u8 } else { still(row, column) })
        .collect()
}

/// The largest difference of a number of the messages, of an action, or of the share of the old message, between the kernels' twins and the plain form over
/// some steps, and the actions. Two members with two lanes each; the second lane's patches are wired by `wire`.
fn compare(network: super::DrivingNetwork, phases: usize, wire: impl Fn(usize, usize) -> u32) -> (f64, Vec<f32>) {
    let layer = network.layer;
    let problem = Problem { members: 2, groups: 2, phases, interval: 2, pedals: false };
    let (lanes, patches, target) = (4, layer.patches(), Target::default());
    let kernels = VisionNetwork::Driving(network);
    let weights = numbers(2 * network.parameters(), 0.4);
    let identity = |lane: usize, phase: usize| (0..patches).map(move |slot| (lane, phase, slot));
    let wiring: Vec<u32> = (0..lanes)
        .flat_map(|lane| (0..phases).flat_map(move |phase| identity(lane, phase)))
        .map(|(lane, phase, slot)| if lane % 2 == 1 { wire(phase, slot) } else { slot as u32 })
        .collect();
    let zeros = |length: usize| Data::poison(Element::F32, length);
    let words = |length: usize| Data::poison(Element::U32, length);
    let mut buffers = Buffers(vec![
        ("weights", Data::F32(weights.clone())),
        ("tables", zeros(problem.tables(&kernels))),
        ("pictures", words(problem.pictures(&kernels))),
        ("times", words(lanes)),
        ("ends", Data::U32(vec![0; lanes])),
        ("order", Data::U32(super::slots_of(&wiring, patches))),
        ("wiring", Data::U32(wiring.clone())),
        ("history", words(problem.history(&kernels))),
        ("sensed", zeros(problem.sensed(&kernels))),
        ("listed", words(problem.listed(&kernels))),
        ("positions", Data::F32(kernels.position_rows())),
        ("memory", zeros(lanes * kernels.memory())),
        ("smoothed", zeros(problem.messages(&kernels))),
        ("votes", zeros(problem.votes(&kernels))),
        ("importance", zeros(lanes * layer.messages)),
        ("chosen", words(lanes * network.top)),
        ("actions", zeros(lanes * network.actions)),
    ]);
    buffers.run(problem.tables_sequence(&kernels, &target), &["weights", "tables"]);
    let mut plain: Vec<_> = (0..lanes).map(|_| (network.blank(), Vec::<Vec<u8>>::new())).collect();
    let (mut worst, mut all): (f64, Vec<f32>) = (0.0, Vec::new());
    for time in 0..6 {
        let seen = picture(layer.rows, layer.columns, time);
        *buffers.get("pictures") = Data::U32(bytemuck::pod_collect_to_vec(&seen.repeat(lanes)));
        *buffers.get("times") = Data::U32(vec![time as u32; lanes]);
        let retina = ["pictures", "times", "ends", "wiring", "tables", "history", "sensed"];
        buffers.run(problem.retina_sequence(&kernels, &target), &retina);
        buffers.run(problem.gather_sequence(&kernels, &target), &["times", "ends", "sensed", "listed", "order"]);
        let attend = ["positions", "sensed", "listed", "weights", "memory", "smoothed", "votes"];
        buffers.run(problem.attend_sequence(&kernels, &target), &attend);
        buffers.run(problem.vote_sequence(&kernels, &target), &["listed", "votes", "importance", "chosen"]);
        let decide = ["listed", "weights", "chosen", "memory", "actions"];
        buffers.run(problem.decide_sequence(&kernels, &target), &decide);
        let actions = buffers.get("actions").f32().to_vec();
        for (lane, (memory, frames)) in plain.iter_mut().enumerate() {
            let phase = (time / 2).min(phases - 1);
            let own = &wiring[(lane * phases + phase) * patches..][..patches];
            let mut wired = vec![0; seen.len()];
            for (slot, source) in own.iter().enumerate() {
                let across = layer.columns / layer.patch;
                for (pixel, byte) in layer.patch_of(&seen, (source & !ABSENT) as usize).enumerate() {
                    let row = slot / across * layer.patch + pixel / layer.patch;
                    wired[row * layer.columns + slot % across * layer.patch + pixel % layer.patch] = byte;
                }
            }
            frames.push(wired);
            let before = |back: usize| &frames[frames.len().saturating_sub(1 + back)][..];
            let stack: Vec<&[u8]> = (0..layer.stack).rev().map(before).collect();
            let keep: Vec<bool> = own.iter().map(|source| *source < ABSENT).collect();
            let member: Vec<f64> =
                weights[lane / 2 * network.parameters()..][..network.parameters()].iter().map(|&w| w.into()).collect();
            // The plain step, but with the places that the kernels chose, which must be as important as the plain choice: two
            // places that are nearly even may change theirs.
            let (own, tail) = member.split_at(layer.parameters());
            let previous = if layer.actions == 0 { &[][..] } else { &memory.action };
            let message = layer.message(own, &stack, previous, Some(&keep), None);
            let alpha = memory.alpha;
            memory.smoothed.iter_mut().zip(&message).for_each(|(x, m)| *x = (1.0 - alpha) * m + alpha * *x);
            let importance = network.importance(tail, &memory.smoothed);
            let chosen: Vec<usize> = buffers.get("chosen").u32()[lane * network.top..][..network.top]
                .iter()
                .map(|&place| place as usize)
                .collect();
            for (got, expected) in chosen.iter().zip(super::driving::top(&importance, network.top)) {
                worst = worst.max((importance[*got] - importance[expected]).abs());
            }
            network.decide(tail, &chosen, memory);
            let smoothed = buffers.get("smoothed").f32()[lane * message.len()..].iter();
            for (got, expected) in smoothed.zip(&memory.smoothed) {
                worst = worst.max((f64::from(*got) - expected).abs());
            }
            let action = memory.action.clone();
            for (got, expected) in actions[lane * network.actions..].iter().zip(&action) {
                worst = worst.max((f64::from(*got) - expected).abs());
            }
            let alpha = buffers.get("memory").f32()[(lane + 1) * kernels.memory() - 1];
            worst = worst.max((f64::from(alpha) - memory.alpha).abs());
        }
        all.extend(actions);
    }
    (worst, all)
}

/// Numbers between the kernels are rounded to f32, and a normalisation may magnify it by 300; an importance is a sum over
/// up to 144 rows.
const CLOSE: f64 = 3e-5;

#[test]
fn a_step_by_kernels_is_the_plain_step() {
    for network in case::driving_networks() {
        let (worst, _) = compare(network, 1, |_, slot| slot as u32);
        assert!(worst < CLOSE, "{worst} with {network:?}");
    }
}

#[test]
fn shuffled_patches_give_the_same_bits() {
    for network in case::driving_networks() {
        let patches = network.layer.patches();
        let (worst, actions) = compare(network, 1, |_, slot| ((5 * slot + 7) % patches) as u32);
        assert!(worst < CLOSE, "{worst} with {network:?}");
        for lanes in actions.chunks_exact(2 * network.actions) {
            assert_eq!(lanes[..network.actions], lanes[network.actions..]);
        }
    }
}

#[test]
fn patches_that_are_wired_anew_or_absent_are_those_of_the_plain_form() {
    for network in case::driving_networks() {
        let patches = network.layer.patches();
        let wire = |phase: usize, slot: usize| {
            let source = (5 * slot + 7 * phase) % patches;
            source as u32 + if slot % 3 == 1 { ABSENT } else { 0 }
        };
        let (worst, _) = compare(network, 3, wire);
        assert!(worst < CLOSE, "{worst} with {network:?}");
    }
}
