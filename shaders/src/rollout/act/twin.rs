//! The act in f64.

use super::Composition;
use crate::{Call, Data, Operand, Tolerance};

fn composition(call: &Call) -> &Composition {
    call.context_of().expect("a call of an act carries its composition")
}

pub(super) fn twin(call: &Call, operands: &mut [Operand<'_>]) {
    let Composition { policy, interface } = composition(call);
    let [weights, observations, begins, memory, actions] = operands else { unreachable!("bindings of an act") };
    let wide = |numbers: &[f32]| numbers.iter().copied().map(f64::from).collect::<Vec<_>>();
    let weights = wide(weights.f32());
    let width = composition(call).memory();
    let lanes = observations.f32().chunks_exact(interface.inputs).zip(begins.u32().iter());
    let results = memory.f32().chunks_exact_mut(width).zip(actions.f32().chunks_exact_mut(interface.actions));
    for ((inputs, &begins), (memory, actions)) in lanes.zip(results) {
        let mut remembered = if begins == 0 { wide(memory) } else { vec![0.0; width] };
        let mut action = vec![0.0; interface.actions];
        policy.act(&weights, &mut remembered[..policy.memory(*interface)], &wide(inputs), &mut action);
        memory.iter_mut().zip(&remembered).for_each(|(number, wide)| *number = *wide as f32);
        actions.iter_mut().zip(&action).for_each(|(number, wide)| *number = *wide as f32);
    }
}

/// One step errs by the rounding of the policy.
pub(super) fn tolerance(call: &Call, _: &[Data], _: usize) -> Tolerance {
    let bound = composition(call).policy.rounding() * Tolerance::EPSILON;
    Tolerance::Within { relative: bound, absolute: bound }
}
