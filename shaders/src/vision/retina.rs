//! The retina of the vision neuron: each patch of each lane's picture becomes a row of scores and a row of values.

use super::layer::NORM_EPSILON;
use super::network::{Description, PLACE, Problem, Sum, Uniform, VisionNetwork, is_over, network_of, workgroup};
use crate::{Binding, Call, Error, Sequence, Target, Tolerance};

impl Problem {
    /// Returns the dispatch for pictures as bytes, with the operands `pictures` (`u32`, four bytes each, the first lowest),
    /// `times`, `ends`, `wiring` (all `u32`), `tables`, `history` (`u32`) and `sensed`.
    ///
    /// # Errors
    /// A size out of range, or a network without the attention neuron.
    pub fn retina_sequence(&self, network: &VisionNetwork, target: &Target) -> Result<Sequence, Error> {
        self.sequence_of_neuron(network, || call(network, self, workgroup(target)))
    }
}

pub(super) fn call(network: &VisionNetwork, problem: &Problem, workgroup: usize) -> Call {
    let description = Description {
        name: "retina",
        parts: vec![PLACE, wgsl!("picture_bytes.wgsl"), wgsl!("retina.wgsl")],
        bindings: vec![
            Binding::read("pictures", "(lanes, words)").u32(),
            Binding::read("times", "(lanes)").u32(),
            Binding::read("ends", "(lanes)").u32(),
            Binding::read("wiring", "(lanes, phases, patches)").u32(),
            Binding::read("tables", "(members, table)"),
            Binding::update("history", "(lanes, pixels, patches)").u32(),
            Binding::update("sensed", "(lanes, patches + 1, scores and values)"),
        ],
        passes: |call| {
            let network = network_of(call);
            let (stack, pixels) = (network.neuron().stack, network.neuron().pixels());
            // A workgroup in step passes through the loops of patches at rest and of those that move.
            let (values, scores) = (network.values() + 2, network.scores() + 2);
            let each = 4 + values + stack * values + (stack - 1) * scores;
            (pixels * each + 4 * (values + scores)) as u64
        },
        twin: |call, operands| {
            let [pictures, times, ends, wiring, tables, history, sensed] = operands else {
                unreachable!("the retina has seven operands")
            };
            let given = Given {
                pictures: pictures.u32(),
                times: times.u32(),
                ends: ends.u32(),
                wiring: wiring.u32(),
                tables: tables.f32(),
            };
            seen(call, &given, history.u32(), |place, sum, _| sensed.f32()[place] = sum.value as f32);
        },
        tolerance: |call, operands, output| {
            if output == 5 {
                return Tolerance::Exact;
            }
            let given = Given {
                pictures: operands[0].u32(),
                times: operands[1].u32(),
                ends: operands[2].u32(),
                wiring: operands[3].u32(),
                tables: operands[4].f32(),
            };
            let mut bounds = vec![0.0; operands[6].len()];
            seen(call, &given, &mut operands[5].u32().to_vec(), |place, sum, more| bounds[place] = sum.bound(more));
            Tolerance::PerElement(bounds)
        },
    };
    let lengths = [
        problem.pictures(network),
        problem.lanes(),
        problem.lanes(),
        problem.wiring(network),
        problem.tables(network),
        problem.history(network),
        problem.sensed(network),
    ];
    description.call(network, problem, problem.lanes() * network.neuron().patches(), Some(workgroup), lengths)
}

struct Given<'a> {
    pictures: &'a [u32],
    times: &'a [u32],
    ends: &'a [u32],
    wiring: &'a [u32],
    tables: &'a [f32],
}

/// Rounding errors of a normalised byte besides those of its products: two conversions, a quotient, a square root, a sum, a
/// reciprocal and two products.
const NORMALISED: f64 = 16.0;

/// Advances the history, and gives each number of what is sensed: its place, the sum, and rounding errors besides.
fn seen(call: &Call, given: &Given<'_>, history: &mut [u32], mut store: impl FnMut(usize, Sum, f64)) {
    let (network, uniform) = (network_of(call), call.uniform::<Uniform>());
    let layer = network.neuron();
    let (patches, pixels, stack, dimension) = (layer.patches(), layer.pixels(), layer.stack, layer.dimension);
    let [value_at, rest_at, bias_at, table_length] = network.table_places().map(|place| 4 * place);
    let row_length = 4 * network.scores();
    let words = network.picture().words();
    for lane in 0..uniform.lanes as usize {
        let time = given.times[lane];
        if is_over(given.ends[lane], time) {
            continue;
        }
        let picture: &[u8] = bytemuck::cast_slice(&given.pictures[lane * words..][..words]);
        let table = &given.tables[lane / uniform.groups as usize * table_length..][..table_length];
        let table = |place: usize| f64::from(table[place]);
        for slot in 0..patches {
            let (source, is_absent) = uniform.wired(given.wiring, lane, slot, time, patches);
            let mut frames = vec![vec![0u8; pixels]; stack];
            for (pixel, byte) in layer.patch_of(picture, source).enumerate() {
                let word = &mut history[(lane * pixels + pixel) * patches + slot];
                let [_, second, third, fourth] = word.to_le_bytes();
                let bytes = if time == 0 { [byte; 4] } else { [second, third, fourth, byte] };
                *word = u32::from_le_bytes(bytes);
                frames.iter_mut().zip(&bytes[4 - stack..]).for_each(|(frame, byte)| frame[pixel] = *byte);
            }
            let moves = frames.iter().any(|frame| *frame != frames[stack - 1]);
            let first = (lane * (patches + 1) + slot) * network.sensed_row();
            for j in 0..row_length {
                let mut sum = Sum::default();
                if j == layer.positions + 1 {
                    sum.value = if is_absent { 0.0 } else { 1.0 + f64::from(u8::from(moves)) };
                } else if !is_absent {
                    for change in 0..(stack - 1) * pixels {
                        let (time, pixel) = (change / pixels, change % pixels);
                        let step = f64::from(frames[time + 1][pixel]) - f64::from(frames[time][pixel]);
                        if step != 0.0 {
                            sum.add(step * table(change * row_length + j));
                        }
                    }
                }
                store(first + j, sum, 1.0);
            }
            let frames: Vec<Vec<f64>> = frames.iter().map(|frame| normalised(frame)).collect();
            for d in 0..dimension {
                let mut sum = Sum::default();
                sum.add(table(bias_at + d));
                if !is_absent && moves {
                    for row in 0..stack * pixels {
                        sum.add(frames[row / pixels][row % pixels] * table(value_at + row * dimension + d));
                    }
                } else if !is_absent {
                    for (pixel, seen) in frames[0].iter().enumerate() {
                        sum.add(seen * table(rest_at + pixel * dimension + d));
                    }
                }
                store(first + row_length + d, sum, NORMALISED);
            }
        }
    }
}

/// Layer normalisation of a frame of a patch, from 0 to 1.
fn normalised(frame: &[u8]) -> Vec<f64> {
    let count = frame.len() as f64;
    let mean = frame.iter().map(|&byte| f64::from(byte)).sum::<f64>() / count;
    let variance = frame.iter().map(|&byte| (f64::from(byte) - mean).powi(2)).sum::<f64>() / count;
    let scale = 1.0 / (variance / 65_025.0 + NORM_EPSILON).sqrt();
    frame.iter().map(|&byte| (f64::from(byte) - mean) / 255.0 * scale).collect()
}
