//! The second step of a matrix product whose sum was split: `out[i] = activation(sum_s partials[s, i] + bias[i % columns])`.

use bytemuck::{Pod, Zeroable};

use crate::matmul::matmul_layout::{bound, largest, smooth};
use crate::{Activation, Binding, Call, Case, Data, Generator, Kernel, Module, Operand, Tolerance};

const MODULE: Module = Module::new::<Uniform>(
    wgsl!("../library/not_a_number.wgsl", "../library/activation.wgsl", "matmul_reduce.wgsl"),
    passes,
);

/// The slices.
fn passes(call: &Call) -> u64 {
    let Uniform { slices, .. } = call.uniform();
    1 + u64::from(slices)
}

/// Adds partial products in order, then bias and activation.
pub static MATMUL_REDUCE: Kernel = MODULE.kernel(
    "matmul_reduce",
    &[
        Binding::read("partials", "(slices, elements)"),
        Binding::read("bias", "(columns); any where there is none"),
        Binding::write("out", "(elements)"),
    ],
    twin,
    tolerance,
    case,
);

/// The uniform block of `matmul_reduce.wgsl`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
pub(crate) struct Uniform {
    pub slices: u32,
    pub elements: u32,
    pub columns: u32,
    /// 1 where `bias` is added.
    pub bias: u32,
    /// The code of an [`Activation`].
    pub activation: u32,
}

/// A sum of `slices` partial products of `elements` elements in rows of `columns`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Problem {
    /// Partial products to add, at least 1.
    pub slices: usize,
    /// Elements of each partial product.
    pub elements: usize,
    /// Columns of a row.
    pub columns: usize,
    /// True if a bias of `columns` elements is added to every row.
    pub bias: bool,
    /// Elements of what is bound as `bias`.
    pub bias_length: usize,
    /// Applied to the sum.
    pub activation: Activation,
}

impl Problem {
    /// The call with operands `partials`, `bias`, `out`.
    pub fn call(&self) -> Call {
        const WORKGROUP: usize = 64;
        let uniform = Uniform {
            slices: self.slices as u32,
            elements: self.elements as u32,
            columns: self.columns as u32,
            bias: self.bias.into(),
            activation: self.activation.code(),
        };
        let lengths = [self.slices * self.elements, self.bias_length, self.elements];
        smooth(Call::new(&MATMUL_REDUCE, &uniform, self.elements.div_ceil(WORKGROUP), lengths), self.activation)
    }
}

/// The twin.
pub(crate) fn matmul_reduce(uniform: &Uniform, partials: &[f32], bias: &[f32], out: &mut [f32]) {
    let &Uniform { slices, elements, columns, .. } = uniform;
    let activation = Activation::from_code(uniform.activation);
    for i in 0..elements {
        let sum: f64 = (0..slices).map(|slice| f64::from(partials[(slice * elements + i) as usize])).sum();
        let bias = if uniform.bias == 0 { 0.0 } else { f64::from(bias[(i % columns) as usize]) };
        out[i as usize] = activation.apply(sum + bias) as f32;
    }
}

fn twin(call: &Call, operands: &mut [Operand<'_>]) {
    let [partials, bias, out] = operands else { unreachable!("matmul_reduce has three operands") };
    matmul_reduce(&call.uniform(), partials.f32(), bias.f32(), out.f32());
}

/// A sum of `slices` terms, each a product with 1.
fn tolerance(call: &Call, operands: &[Data], _: usize) -> Tolerance {
    let Uniform { slices, bias, activation, .. } = call.uniform();
    let bias = if bias == 0 { 0.0 } else { largest(&operands[1]) };
    bound(slices, largest(&operands[0]), 1.0, bias, Activation::from_code(activation))
}

fn case(generator: &mut Generator) -> Case {
    let huge = generator.huge();
    let columns = generator.length(100);
    let bias = generator.chance(0.5);
    let problem = Problem {
        slices: if huge { 1 } else { generator.length(16) },
        elements: columns * if huge { 4_300_000 / columns } else { generator.length(100) },
        columns,
        bias,
        bias_length: if bias { columns } else { generator.length(10) },
        activation: generator.pick(&Activation::ALL),
    };
    let partials = generator.values_with_specials(problem.slices * problem.elements, 1e30);
    let bias = generator.values(problem.bias_length, 1e30);
    Case::new(problem, problem.call(), [partials, bias])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_are_added_before_the_bias_and_the_activation() {
        let uniform = Uniform { slices: 2, elements: 4, columns: 2, bias: 1, activation: Activation::Relu.code() };
        let mut out = [f32::NAN; 4];
        matmul_reduce(&uniform, &[1.0, 2.0, 3.0, 4.0, 10.0, -20.0, 30.0, 40.0], &[0.5, 1.0], &mut out);
        assert_eq!(out, [11.5, 0.0, 33.5, 45.0]);
    }
}
