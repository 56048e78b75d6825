//! The bounds of environments that decide by comparisons: where a last bit decides, the twin says what may come of it.

use super::Environment;
use crate::{Call, Data, Tolerance};

/// A bound of `unit` for each element, and besides what becomes of it in the twin where the state is moved by the environment's
/// rounding (relative to the larger of 1 and the number), its first three numbers in all combinations of directions. Operand `saved` has the
/// states number by number, each in `columns` slots.
pub(crate) fn tolerance(
    call: &Call,
    operands: &[Data],
    binding: usize,
    (saved, columns): (usize, usize),
    environment: &dyn Environment,
    unit: f64,
) -> Tolerance {
    if matches!(operands[binding], Data::U32(_)) {
        return Tolerance::Exact;
    }
    let after = |operands: &[Data]| {
        let mut operands = operands.to_vec();
        call.run_twin(&mut operands.iter_mut().map(Data::operand).collect::<Vec<_>>());
        operands.swap_remove(binding)
    };
    let right = after(operands);
    let own = |number: &f32| unit * (1.0 + f64::from(number.abs()));
    let mut bounds: Vec<f64> = right.f32().iter().map(own).collect();
    let step = environment.rounding() * Tolerance::EPSILON;
    for directions in 0..8 {
        let mut moved = operands.to_vec();
        let mut states = moved[saved].operand();
        for (row, numbers) in states.f32().chunks_exact_mut(columns).take(environment.states()).enumerate() {
            let sign = if directions >> (row % 3) & 1 == 1 { 1.0 } else { -1.0 };
            for number in numbers {
                *number = (f64::from(*number) + sign * step * f64::from(number.abs()).max(1.0)) as f32;
            }
        }
        for ((bound, right), moved) in bounds.iter_mut().zip(right.f32()).zip(after(&moved).f32()) {
            *bound = bound.max(own(right) + 2.0 * f64::from((moved - right).abs()));
        }
    }
    Tolerance::PerElement(bounds)
}
