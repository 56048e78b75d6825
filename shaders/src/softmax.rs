//! Softmax along the last axis: `y[r, c] = exp(x[r, c] - max_c x[r, c]) / sum_c exp(x[r, c] - max_c x[r, c])`.

use bytemuck::{Pod, Zeroable};

use crate::{Binding, Call, Case, Data, Generator, Kernel, Operand, Target, Tolerance};

/// The kernels of this file.
pub const KERNELS: &[&Kernel] = &[&SOFTMAX];

/// `y = softmax(x)`.
pub static SOFTMAX: Kernel = Kernel {
    name: std::borrow::Cow::Borrowed("softmax"),
    source: std::borrow::Cow::Borrowed(include_str!("softmax.wgsl")),
    entry_point: "softmax",
    bindings: std::borrow::Cow::Borrowed(&[
        Binding::read("x", "(rows, columns)"),
        Binding::write("y", "(rows, columns)"),
    ]),
    uniform_bytes: size_of::<Uniform>(),
    needs_subgroups: false,
    twin,
    tolerance,
    case,
    flops: |call| 4.0 * call.lengths[0] as f64,
};

/// The uniform block of `softmax.wgsl`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
pub struct Uniform {
    pub rows: u32,
    pub columns: u32,
}

/// A softmax over each of `rows` rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Problem {
    pub rows: usize,
    pub columns: usize,
}

impl Problem {
    /// The call with operands `x`, `y`.
    pub fn call(&self, target: &Target) -> Call {
        const WORKGROUP: usize = 64;
        let lanes = self.lanes(target);
        let uniform = Uniform { rows: self.rows as u32, columns: self.columns as u32 };
        let elements = self.rows * self.columns;
        Call::new(&SOFTMAX, &uniform, self.rows.div_ceil(WORKGROUP / lanes), [elements, elements])
            .with_constant("LANES", lanes as u32)
    }

    /// Lanes that share a row: one where barriers cost more than they bring.
    fn lanes(&self, target: &Target) -> usize {
        if target.software || self.columns <= 16 { 1 } else { 32 }
    }
}

/// The twin.
pub fn softmax(uniform: &Uniform, x: &[f32], y: &mut [f32]) {
    let columns = uniform.columns as usize;
    for (x, y) in x.chunks(columns).zip(y.chunks_mut(columns)) {
        let largest = x.iter().copied().fold(f32::MIN, f32::max);
        let total: f64 = x.iter().map(|&x| f64::from(x - largest).exp()).sum();
        for (x, y) in x.iter().zip(y) {
            *y = (f64::from(x - largest).exp() / total) as f32;
        }
    }
}

fn twin(call: &Call, operands: &mut [Operand<'_>]) {
    let [x, y] = operands else { unreachable!("softmax has two operands") };
    softmax(&call.uniform(), x.f32(), y.f32());
}

/// WGSL lets `exp(t)` err by 3 + 2|t| units in the last place and `t` reaches about -100 before the result vanishes,
/// but the terms that matter have a small |t|; the sum adds half a unit for each term at worst, in practice its root.
fn tolerance(call: &Call, _: &[Data], _: usize) -> Tolerance {
    let Uniform { columns, .. } = call.uniform();
    let sum = 8.0 + 2.0 * f64::from(columns).sqrt();
    // An exp of a large negative number errs by 2|t| units of a result below exp(t): at most 2 |t| exp(t) < 1 unit.
    Tolerance::Within { relative: (sum + 16.0) * Tolerance::EPSILON, absolute: 2.0 * Tolerance::EPSILON }
}

fn case(generator: &mut Generator) -> Case {
    let huge = generator.huge();
    let problem = Problem {
        rows: if huge { 70_000 } else { generator.length(300) },
        columns: if huge { 3 } else { generator.length(700) },
    };
    let target = Target { software: generator.chance(0.5), ..Target::default() };
    let x = generator.values(problem.rows * problem.columns, 1e30);
    Case::new(problem, problem.call(&target), [x])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_logits_share_the_mass_equally_however_large() {
        let mut y = [f32::NAN; 4];
        softmax(&Uniform { rows: 1, columns: 4 }, &[1e30; 4], &mut y);
        assert_eq!(y, [0.25; 4]);
    }
}
