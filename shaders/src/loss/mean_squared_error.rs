//! Mean squared error of each row, loss and gradient at once: `loss[r] = sum_c (prediction - goal)^2 / columns` and
//! `dprediction = 2 (prediction - goal) / columns`, the gradient of each row's own loss. The reduction over rows is the
//! caller's: for the mean over all elements, scale both by `1 / rows`; for the mean over everything at once, call it
//! with one row. Differences up to 1e18 keep their squares finite.

use bytemuck::{Pod, Zeroable};

use crate::description::row_layout::{self, Sharing, sum_units};
use crate::{Binding, Call, Case, Data, Error, Generator, Kernel, Module, Operand, Sequence, Sizes, Target, Tolerance};

const MODULE: Module = Module::new::<Uniform>(
    wgsl!("../library/rows.wgsl", "../library/sum_lanes.wgsl", "mean_squared_error.wgsl"),
    passes,
);

/// One loop over the row, and the lanes that are joined.
fn passes(call: &Call) -> u64 {
    let Uniform { columns, .. } = call.uniform();
    row_layout::passes(call, columns, 1, 1)
}

/// The kernels of this file.
pub const KERNELS: &[&Kernel] = &[&MEAN_SQUARED_ERROR];

/// Loss and gradient of each row.
pub static MEAN_SQUARED_ERROR: Kernel = MODULE
    .kernel(
        "mean_squared_error",
        &[
            Binding::read("prediction", "(rows, columns)"),
            Binding::read("goal", "(rows, columns)"),
            Binding::write("losses", "(rows)"),
            Binding::write("dprediction", "(rows, columns)"),
        ],
        twin,
        tolerance,
        case,
    )
    .with_flops(|call| 5.0 * call.lengths[0] as f64);

/// The uniform block of `mean_squared_error.wgsl`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
pub(crate) struct Uniform {
    pub rows: u32,
    pub columns: u32,
}

/// The mean squared error of each of `rows` rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Problem {
    /// Rows of predictions.
    pub rows: usize,
    /// Columns of a row, over which the mean is taken.
    pub columns: usize,
}

impl Problem {
    /// Returns the dispatch with operands `prediction`, `goal`, `losses`, `dprediction`.
    ///
    /// # Errors
    /// A size or a factor out of range.
    pub fn sequence(&self, target: &Target) -> Result<Sequence, Error> {
        Sizes("mean_squared_error")
            .tensor(&[("rows", self.rows), ("columns", self.columns)])?
            .sequence(self.call(target))
    }

    pub(crate) fn call(&self, target: &Target) -> Call {
        let Self { rows, columns } = *self;
        let uniform = Uniform { rows: rows as u32, columns: columns as u32 };
        let elements = rows * columns;
        let lengths = [elements, elements, rows, elements];
        Sharing::choose(rows, columns, target).call(&MEAN_SQUARED_ERROR, &uniform, rows, lengths)
    }
}

/// The twin.
pub(crate) fn mean_squared_error(
    uniform: &Uniform,
    prediction: &[f32],
    goal: &[f32],
    losses: &mut [f32],
    dprediction: &mut [f32],
) {
    let columns = uniform.columns as usize;
    let rows = prediction.chunks(columns).zip(goal.chunks(columns)).zip(losses).zip(dprediction.chunks_mut(columns));
    for (((prediction, goal), loss), dprediction) in rows {
        let mut total = 0.0;
        for ((prediction, goal), dprediction) in prediction.iter().zip(goal).zip(dprediction) {
            let error = f64::from(*prediction) - f64::from(*goal);
            total += error * error;
            *dprediction = (2.0 * error / columns as f64) as f32;
        }
        *loss = (total / columns as f64) as f32;
    }
}

fn twin(call: &Call, operands: &mut [Operand<'_>]) {
    let [prediction, goal, losses, dprediction] = operands else { unreachable!("a squared error has four operands") };
    mean_squared_error(&call.uniform(), prediction.f32(), goal.f32(), losses.f32(), dprediction.f32());
}

/// A difference of two inputs is rounded once, a reciprocal errs by 2.5 units in the last place, and the loss sums
/// terms of one sign: all errors are relative, but for inputs that are flushed to zero.
fn tolerance(call: &Call, _: &[Data], output: usize) -> Tolerance {
    let Uniform { columns, .. } = call.uniform();
    let units = 10.0 + if output == 2 { sum_units(columns as usize) } else { 0.0 };
    let flushed = 4.0 * f64::from(f32::MIN_POSITIVE) / f64::from(columns);
    Tolerance::Within { relative: units * Tolerance::EPSILON, absolute: flushed }
}

fn case(generator: &mut Generator) -> Case {
    let (rows, columns) = row_layout::shape(generator);
    let problem = Problem { rows, columns };
    let prediction = generator.values_with_specials(rows * columns, 1e15);
    let goal = generator.values(rows * columns, 1e15);
    Case::new(problem, problem.call(&generator.target()), [prediction, goal])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loss_is_the_mean_over_the_columns_and_the_gradient_its_own() {
        let (mut losses, mut dprediction) = ([f32::NAN; 2], [f32::NAN; 4]);
        let uniform = Uniform { rows: 2, columns: 2 };
        mean_squared_error(&uniform, &[1.0, 2.0, 5.0, 5.0], &[0.0, 4.0, 5.0, 5.0], &mut losses, &mut dprediction);
        assert_eq!(losses, [2.5, 0.0]);
        assert_eq!(dprediction, [1.0, -2.0, 0.0, 0.0]);
    }
}
