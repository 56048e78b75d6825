//! The CPU twin of every elementwise program, and the bound on a kernel's error that it carries along.

use super::estimate::Estimate;
use super::{Op, Program};
use crate::{Call, Data, Element, Operand, Tolerance};

/// Evaluates the program in f64 and rounds once, at the end. `u32` values are whole numbers and stay exact.
pub(super) fn twin(call: &Call, operands: &mut [Operand<'_>]) {
    let program = program(call);
    let (inputs, outputs) = operands.split_at_mut(program.inputs.len());
    let inputs: Vec<Values<'_>> = inputs
        .iter()
        .map(|operand| match operand {
            Operand::F32(values) => Values::F32(values),
            Operand::U32(values) => Values::U32(values),
        })
        .collect();
    evaluate(program, &call.uniform, &inputs, |flat, values| {
        for (output, value) in outputs.iter_mut().zip(&program.outputs) {
            let value = values[value.0].value;
            match output {
                Operand::F32(y) => y[flat] = value as f32,
                Operand::U32(y) => y[flat] = value as u32,
            }
        }
    });
}

/// Running error analysis: each value of the program carries a bound on its distance from the twin's, which starts at
/// the flushing of subnormal inputs and grows by the errors that WGSL allows each operation (see [`Estimate`]). The
/// twin's own rounding at the end adds half a unit.
pub(super) fn tolerance(call: &Call, operands: &[Data], binding: usize) -> Tolerance {
    let program = program(call);
    let inputs: Vec<Values<'_>> = operands[..program.inputs.len()]
        .iter()
        .map(|data| match data {
            Data::F32(values) => Values::F32(values),
            Data::U32(values) => Values::U32(values),
        })
        .collect();
    let output = program.outputs[binding - program.inputs.len()];
    let rounding = if program.element(output) == Element::F32 { Tolerance::EPSILON } else { 0.0 };
    let mut bounds = vec![0.0; call.lengths[binding]];
    evaluate(program, &call.uniform, &inputs, |flat, values| {
        bounds[flat] = match values[output.0] {
            // Its value may be NaN, which would make the bound NaN.
            Estimate { error: f64::INFINITY, .. } => f64::INFINITY,
            Estimate { value, error } => error + rounding * value.abs(),
        };
    });
    Tolerance::PerElement(bounds)
}

fn program(call: &Call) -> &Program {
    // Calls of generated kernels come from `Program::call` alone, which sets the program.
    call.context_of().expect("a call of an elementwise kernel carries its program")
}

enum Values<'a> {
    F32(&'a [f32]),
    U32(&'a [u32]),
}

/// Calls `visit` with all values of the program for each flat index of the output.
fn evaluate(program: &Program, uniform: &[u8], inputs: &[Values<'_>], mut visit: impl FnMut(usize, &[Estimate])) {
    let words: Vec<u32> = bytemuck::pod_collect_to_vec(uniform);
    let (count, mut words) = (words[0] as usize, &words[1..]);
    let mut lengths = Vec::with_capacity(inputs.len());
    for input in &program.inputs {
        let (own, rest) = words.split_at(input.mode.lengths());
        lengths.push(own);
        words = rest;
    }
    let mut values = vec![Estimate::exact(0.0); program.values.len()];
    for flat in 0..count {
        for (index, &(op, element)) in program.values.iter().enumerate() {
            values[index] = match op {
                Op::Input(input) => {
                    let position = program.inputs[input].mode.index(lengths[input], flat);
                    match inputs[input] {
                        Values::F32(values) => Estimate::read(values[position]),
                        Values::U32(values) => Estimate::exact(f64::from(values[position])),
                    }
                }
                Op::Constant(constant) => match element {
                    Element::F32 => Estimate::read(f32::from_bits(words[constant])),
                    Element::U32 => Estimate::exact(f64::from(words[constant])),
                },
                Op::Unary(operation, x) => values[x.0].unary(operation),
                Op::Binary(operation, a, b) => match element {
                    Element::F32 => values[a.0].binary(operation, values[b.0]),
                    Element::U32 => values[a.0].binary_u32(operation, values[b.0]),
                },
                Op::Compare(comparison, a, b) => values[a.0].compare(comparison, values[b.0]),
                Op::Select { condition, yes, no } => values[condition.0].select(values[yes.0], values[no.0]),
                Op::Cast(Element::F32, x) => values[x.0].to_f32(),
                Op::Cast(Element::U32, x) => values[x.0].to_u32(),
            };
        }
        visit(flat, &values);
    }
}
