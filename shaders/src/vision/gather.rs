//! The slots of the patches that moved, listed in the order of the picture, and the sum of the values of those at rest.

use super::network::{
    BEGINS, Description, GOES_ON, LIST, OVER, PLACE, Problem, Sum, Uniform, VisionNetwork, is_over, network_of,
    workgroup,
};
use crate::{Binding, Call, Error, Sequence, Target, Tolerance};

impl Problem {
    /// Returns the dispatch with the operands `times`, `ends` (`u32`), `sensed`, `listed` and `order` (`u32`), the slot of each patch: the
    /// wiring the other way round.
    ///
    /// # Errors
    /// A size out of range, or a network without the attention neuron.
    pub fn gather_sequence(&self, network: &VisionNetwork, target: &Target) -> Result<Sequence, Error> {
        self.sequence_of_neuron(network, || call(network, self, workgroup(target)))
    }
}

pub(super) fn call(network: &VisionNetwork, problem: &Problem, workgroup: usize) -> Call {
    let description = Description {
        name: "gather",
        parts: vec![PLACE, wgsl!("gather.wgsl")],
        bindings: vec![
            Binding::read("times", "(lanes)").u32(),
            Binding::read("ends", "(lanes)").u32(),
            Binding::update("sensed", "(lanes, patches + 1, scores and values)"),
            Binding::update("listed", "(lanes, 3 + patches)").u32(),
            Binding::read("order", "(lanes, phases, patches)").u32(),
        ],
        passes: |call| network_of(call).neuron().patches() as u64 + 1,
        twin: |call, operands| {
            let [times, ends, sensed, listed, order] = operands else { unreachable!("gather has five operands") };
            let mut sums = Vec::new();
            let store = |place, sum| sums.push((place, sum));
            gathered(call, [times.u32(), ends.u32(), order.u32()], sensed.f32(), listed.u32(), store);
            sums.iter().for_each(|(place, sum): &(usize, Sum)| sensed.f32()[*place] = sum.value as f32);
        },
        tolerance: |call, operands, output| {
            if output == 3 {
                return Tolerance::Exact;
            }
            let (clocks, sensed) = ([0, 1, 4].map(|operand| operands[operand].u32()), operands[2].f32());
            let mut bounds = vec![0.0; sensed.len()];
            let store = |place: usize, sum: Sum| bounds[place] = sum.bound(0.0);
            gathered(call, clocks, sensed, &mut operands[3].u32().to_vec(), store);
            Tolerance::PerElement(bounds)
        },
    };
    let (lanes, wiring) = (problem.lanes(), problem.wiring(network));
    let lengths = [lanes, lanes, problem.sensed(network), problem.listed(network), wiring];
    description.call(network, problem, problem.lanes() * network.values(), Some(workgroup), lengths)
}

/// Writes the lists, and gives each sum of values with its place.
fn gathered(
    call: &Call,
    [times, ends, order]: [&[u32]; 3],
    sensed: &[f32],
    listed: &mut [u32],
    mut store: impl FnMut(usize, Sum),
) {
    let (network, uniform) = (network_of(call), call.uniform::<Uniform>());
    let (layer, row) = (network.neuron(), network.sensed_row());
    let patches = layer.patches();
    for lane in 0..uniform.lanes as usize {
        let list = &mut listed[lane * (LIST + patches)..][..LIST + patches];
        if is_over(ends[lane], times[lane]) {
            list[0] = OVER;
            continue;
        }
        let rows = &sensed[lane * (patches + 1) * row..][..patches * row];
        let slots = (0..patches).map(|patch| uniform.wired(order, lane, patch, times[lane], patches).0);
        let slots: Vec<usize> = slots.collect();
        let of_kind = |kind: f32| {
            let kinds = slots.iter().copied().filter(move |slot| rows[slot * row + layer.positions + 1] == kind);
            kinds.collect::<Vec<_>>()
        };
        let (resting, moving) = (of_kind(1.0), of_kind(2.0));
        list[0] = if times[lane] == 0 { BEGINS } else { GOES_ON };
        (list[1], list[2]) = (moving.len() as u32, resting.len() as u32);
        list[LIST..].iter_mut().zip(&moving).for_each(|(place, patch)| *place = *patch as u32);
        for d in 0..layer.dimension {
            let at = 4 * network.scores() + d;
            let mut sum = Sum::default();
            resting.iter().for_each(|patch| sum.add(rows[patch * row + at].into()));
            store((lane * (patches + 1) + patches) * row + at, sum);
        }
    }
}
