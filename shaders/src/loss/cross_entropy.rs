//! Cross-entropy of the softmax of logits with smoothed one-hot targets, loss and gradient at once:
//! `target[r, c] = (1 - smoothing) * [c = label[r]] + smoothing / classes`,
//! `loss[r] = -sum_c target[r, c] * log_softmax(logits)[r, c]`, and `dlogits = softmax(logits) - target`, the gradient
//! of each row's own loss. The reduction over rows is the caller's: for a mean loss, scale both by `1 / rows`.
//!
//! The smoothing spreads its mass over all classes, the right one included, as in Szegedy et al. 2016, section 7.
//! A row whose label is not below `classes` is left out: its loss and its gradient are 0. As in PyTorch, a class whose
//! logit is minus infinity has probability 0, and an infinite loss if it is the label or smoothed; a row of nothing else,
//! or with a NaN or infinity, is NaN.

use bytemuck::{Pod, Zeroable};

use crate::description::row_layout::{self, Sharing, sum_units};
use crate::normalisation::softmax::{normaliser, normaliser_units};
use crate::{Binding, Call, Case, Data, Error, Generator, Kernel, Module, Operand, Sequence, Sizes, Target, Tolerance};

const MODULE: Module = Module::new::<Uniform>(
    wgsl!("../library/rows.wgsl", "../library/join_lanes.wgsl", "../library/not_a_number.wgsl", "cross_entropy.wgsl"),
    passes,
);

/// Two loops over the row, and the lanes that are joined.
fn passes(call: &Call) -> u64 {
    let Uniform { classes, .. } = call.uniform();
    row_layout::passes(call, classes, 2, 3)
}

/// The kernels of this file.
pub const KERNELS: &[&Kernel] = &[&CROSS_ENTROPY];

/// Loss and gradient of each row.
pub static CROSS_ENTROPY: Kernel = MODULE
    .kernel(
        "cross_entropy",
        &[
            Binding::read("logits", "(rows, classes)"),
            Binding::read("labels", "(rows)").u32(),
            Binding::write("losses", "(rows)"),
            Binding::write("dlogits", "(rows, classes)"),
        ],
        twin,
        tolerance,
        case,
    )
    .with_flops(|call| 8.0 * call.lengths[0] as f64);

/// The uniform block of `cross_entropy.wgsl`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
pub(crate) struct Uniform {
    pub rows: u32,
    pub classes: u32,
    pub smoothing: f32,
}

/// The cross-entropy of each of `rows` rows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Problem {
    /// Rows of logits, each with a label.
    pub rows: usize,
    /// Classes: columns of the logits.
    pub classes: usize,
    /// The mass, from 0 to 1, that the targets spread evenly over all classes.
    pub smoothing: f32,
}

impl Problem {
    /// Returns the dispatch with operands `logits`, `labels`, `losses`, `dlogits`.
    ///
    /// # Errors
    /// A size or a factor out of range.
    pub fn sequence(&self, target: &Target) -> Result<Sequence, Error> {
        Sizes("cross_entropy")
            .tensor(&[("rows", self.rows), ("classes", self.classes)])?
            .expect("smoothing", (0.0..=1.0).contains(&self.smoothing), "0 to 1", self.smoothing)?
            .sequence(self.call(target))
    }

    pub(crate) fn call(&self, target: &Target) -> Call {
        let Self { rows, classes, smoothing } = *self;
        let uniform = Uniform { rows: rows as u32, classes: classes as u32, smoothing };
        let elements = rows * classes;
        Sharing::choose(rows, classes, target).call(&CROSS_ENTROPY, &uniform, rows, [elements, rows, rows, elements])
    }
}

/// The twin.
pub(crate) fn cross_entropy(
    uniform: &Uniform,
    logits: &[f32],
    labels: &[u32],
    losses: &mut [f32],
    dlogits: &mut [f32],
) {
    let classes = uniform.classes as usize;
    let smoothing = f64::from(uniform.smoothing);
    let rows = logits.chunks(classes).zip(labels).zip(losses).zip(dlogits.chunks_mut(classes));
    for (((logits, &label), loss), dlogits) in rows {
        if label >= uniform.classes {
            *loss = 0.0;
            dlogits.fill(0.0);
            continue;
        }
        let (largest, total) = normaliser(logits);
        let mut sum = 0.0;
        for (c, (&logit, dlogit)) in logits.iter().zip(dlogits).enumerate() {
            let right = if c == label as usize { 1.0 - smoothing } else { 0.0 };
            let goal = right + smoothing / classes as f64;
            let logarithm = f64::from(logit) - largest - total.ln();
            // A mass of 0 counts infinite logits out.
            sum -= if goal > 0.0 { goal * logarithm } else { 0.0 * total };
            *dlogit = (logarithm.exp() - goal) as f32;
        }
        *loss = sum as f32;
    }
}

fn twin(call: &Call, operands: &mut [Operand<'_>]) {
    let [logits, labels, losses, dlogits] = operands else { unreachable!("cross-entropy has four operands") };
    cross_entropy(&call.uniform(), logits.f32(), labels.u32(), losses.f32(), dlogits.f32());
}

/// The gradient differs from a softmax by a number below 1, so its bound is absolute. The loss is a sum of terms of
/// one sign; what cancels is the sum of logits against the row's first, whose magnitudes are summed here.
fn tolerance(call: &Call, operands: &[Data], output: usize) -> Tolerance {
    let Uniform { classes, smoothing, .. } = call.uniform();
    let units = normaliser_units(classes as usize);
    if output == 3 {
        return Tolerance::Within { relative: 0.0, absolute: (20.0 + units) * Tolerance::EPSILON };
    }
    let row = |logits: &[f32]| {
        let (largest, _) = normaliser(logits);
        let first = f64::from(logits[0]);
        logits.iter().map(|&logit| (f64::from(logit) - first).abs() + (largest - first)).sum::<f64>()
    };
    let spread = operands[0].f32().chunks(classes as usize).map(row);
    // A row of infinities says nothing about the others.
    let spread = spread.filter(|spread| spread.is_finite()).fold(0.0, f64::max);
    let cancelled = f64::from(smoothing) / f64::from(classes) * spread * (4.0 + sum_units(classes as usize));
    Tolerance::Within { relative: 16.0 * Tolerance::EPSILON, absolute: (8.0 + units + cancelled) * Tolerance::EPSILON }
}

fn case(generator: &mut Generator) -> Case {
    let (rows, classes) = row_layout::shape(generator);
    let problem = Problem { rows, classes, smoothing: generator.pick(&[0.0, 0.1, 1.0]) };
    let logits = generator.values_with_specials(rows * classes, 1e30);
    // One row in many is left out.
    let bound = if generator.chance(0.3) { classes + 1 } else { classes };
    let labels = generator.indices(rows, bound as u32);
    Case::new(problem, problem.call(&generator.target()), [logits, labels])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(logits: &[f32], labels: &[u32], smoothing: f32) -> (Vec<f32>, Vec<f32>) {
        let (rows, classes) = (labels.len() as u32, (logits.len() / labels.len()) as u32);
        let (mut losses, mut dlogits) = (vec![f32::NAN; labels.len()], vec![f32::NAN; logits.len()]);
        cross_entropy(&Uniform { rows, classes, smoothing }, logits, labels, &mut losses, &mut dlogits);
        (losses, dlogits)
    }

    #[test]
    fn equal_logits_lose_the_logarithm_of_the_number_of_classes() {
        for smoothing in [0.0, 0.3] {
            let (losses, _) = run(&[7.0; 10], &[3], smoothing);
            assert!((losses[0] - 10f32.ln()).abs() < 1e-6);
        }
    }

    #[test]
    fn the_gradient_of_a_row_sums_to_zero() {
        let (_, dlogits) = run(&[0.5, -1.0, 2.0], &[1], 0.1);
        assert!(dlogits.iter().sum::<f32>().abs() < 1e-6);
    }

    #[test]
    fn a_label_past_the_last_class_leaves_the_row_out() {
        let (losses, dlogits) = run(&[0.5, -1.0, 2.0, 4.0], &[2, 0], 0.1);
        assert_eq!((losses[0], &dlogits[..2]), (0.0, &[0.0, 0.0][..]));
        assert!(losses[1] > 0.0);
    }
}
