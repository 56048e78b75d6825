//! Tables of a member's weights for the kernels of the vision neuron, computed once for many steps.

use super::network::{Description, PLACE, Problem, Sum, Uniform, VisionNetwork, network_of, workgroup};
use crate::{Binding, Call, Error, Sequence, Target, Tolerance};

impl Problem {
    /// Returns the dispatch with the operands `weights` and `tables`, which is needed whenever weights change.
    ///
    /// # Errors
    /// A size out of range, or a network without the attention neuron.
    pub fn tables_sequence(&self, network: &VisionNetwork, target: &Target) -> Result<Sequence, Error> {
        self.sequence_of_neuron(network, || call(network, self, workgroup(target)))
    }
}

pub(super) fn call(network: &VisionNetwork, problem: &Problem, workgroup: usize) -> Call {
    let description = Description {
        name: "fill",
        parts: vec![PLACE, wgsl!("tables.wgsl")],
        bindings: vec![Binding::read("weights", "(members, parameters)"), Binding::write("tables", "(members, table)")],
        passes: |call| {
            let layer = network_of(call).neuron();
            (layer.dimension.max(layer.stack * layer.pixels()) + 2) as u64
        },
        twin: |call, operands| {
            let [weights, tables] = operands else { unreachable!("tables have two operands") };
            let sums = sums(call, weights.f32());
            tables.f32().iter_mut().zip(sums).for_each(|(table, sum)| *table = sum.value as f32);
        },
        // Two factors and the scale are rounded besides.
        tolerance: |call, operands, _| {
            Tolerance::PerElement(sums(call, operands[0].f32()).iter().map(|sum| sum.bound(4.0)).collect())
        },
    };
    let tables = problem.tables(network);
    description.call(network, problem, tables, Some(workgroup), [problem.weights(network), tables])
}

/// Every number of the tables.
fn sums(call: &Call, weights: &[f32]) -> Vec<Sum> {
    let (network, Uniform { lanes, groups, .. }) = (network_of(call), call.uniform());
    let (layer, parameters) = (network.neuron(), network.parameters());
    let (pixels, dimension) = (layer.pixels(), layer.dimension);
    let mut all = Vec::new();
    for member in 0..(lanes / groups) as usize {
        let own: Vec<f64> = weights[member * parameters..][..layer.parameters()].iter().map(|&w| w.into()).collect();
        let tensors = layer.split(&own);
        let value_inputs = layer.stack * pixels;
        for change in 0..(layer.stack - 1) * pixels {
            let (time, pixel) = (change / pixels, change % pixels);
            let column = if layer.time_last { pixel * (layer.stack - 1) + time } else { change };
            for j in 0..4 * network.scores() {
                let mut sum = Sum::default();
                for d in 0..dimension {
                    let query = match j {
                        _ if j < layer.positions => tensors.query[d * layer.positions + j],
                        _ if j == layer.positions => tensors.query_bias[d],
                        _ => 0.0,
                    };
                    sum.add(query * tensors.key[d * layer.key_inputs() + column] / (255.0 * (dimension as f64).sqrt()));
                }
                all.push(sum);
            }
        }
        let value = |row: usize, d: usize| {
            tensors.value[d * value_inputs + row] * tensors.input_norm[0].get(row % pixels).unwrap_or(&1.0)
        };
        let sum_of = |terms: &mut dyn Iterator<Item = f64>| {
            let mut sum = Sum::default();
            terms.for_each(|term| sum.add(term));
            sum
        };
        for row in 0..value_inputs {
            all.extend((0..dimension).map(|d| sum_of(&mut std::iter::once(value(row, d)))));
        }
        for pixel in 0..pixels {
            all.extend(
                (0..dimension).map(|d| sum_of(&mut (0..layer.stack).map(|time| value(time * pixels + pixel, d)))),
            );
        }
        for d in 0..dimension {
            let offset = |row: usize| tensors.input_norm[1].get(row % pixels).unwrap_or(&0.0);
            let offsets = (0..value_inputs).map(|row| tensors.value[d * value_inputs + row] * offset(row));
            all.push(sum_of(&mut std::iter::once(tensors.value_bias[d]).chain(offsets)));
        }
    }
    all
}
