//! Random cases: each operation alone, and random programs.

use rand::RngExt;

use super::{Binary, Compare, Mode, Program, Unary, Value};
use crate::{Call, Case, Data, Element, Error, Generator, Sequence};

/// The largest magnitude of an input from which no operation overflows of itself.
const LARGE: f32 = 1e30;

/// The one call of a sequence.
fn only(sequence: Result<Sequence, Error>) -> Call {
    sequence.expect("shapes made to broadcast").steps.swap_remove(0).call
}

/// A program of one unary operation over any number of elements.
pub(super) fn unary(generator: &mut Generator, operation: Unary) -> Case {
    let count = count(generator);
    let largest = match operation {
        Unary::Square => 1e18,
        // Past 65,536 turns the reduction errs by more than the bound asks for.
        Unary::Sin | Unary::Cos => 4e5,
        _ => LARGE,
    };
    let mut x = generator.values_with_specials(count, largest);
    match operation {
        Unary::Recip => x = away_from_zero(x),
        // The last numbers with a fraction, and the first without.
        Unary::Floor if generator.chance(0.2) => {
            let large = |value: f32| value.abs().fract().mul_add(32.0 * 524_288.0, 0.25).copysign(value);
            x = Data::F32(x.f32().iter().map(|&value| large(value)).collect());
        }
        _ => {}
    }
    let call = only(super::unary(operation, count));
    Case::new((operation, count), call, [x])
}

/// A program of one binary operation on two `f32` of random broadcast shapes.
pub(super) fn binary(generator: &mut Generator, operation: Binary) -> Case {
    let (a_shape, b_shape) = shapes(generator);
    let call = only(super::binary(operation, &a_shape, &b_shape));
    let largest = match operation {
        Binary::Mul => 1e18,
        Binary::Pow => 30.0,
        _ => LARGE,
    };
    let a = generator.values_with_specials(a_shape.iter().product(), largest);
    let mut b = generator.values_with_specials(b_shape.iter().product(), largest);
    if operation == Binary::Div {
        b = away_from_zero(b);
    }
    Case::new((operation, &a_shape, &b_shape), call, [a, b])
}

/// A program of one comparison, with ties.
pub(super) fn compare(generator: &mut Generator, comparison: Compare) -> Case {
    let (a_shape, b_shape) = shapes(generator);
    let call = only(super::compare(comparison, &a_shape, &b_shape));
    let mut values = |shape: &[usize]| match generator.values(shape.iter().product(), LARGE) {
        Data::F32(values) if generator.chance(0.5) => Data::F32(values.iter().map(|value| value.round()).collect()),
        values => values,
    };
    let (a, b) = (values(&a_shape), values(&b_shape));
    Case::new((comparison, &a_shape, &b_shape), call, [a, b])
}

/// The choice between two tensors by a third of zeros and ones.
pub(super) fn select(generator: &mut Generator) -> Case {
    let shape = [count(generator)];
    let mut program = Program::new();
    let [condition, yes, no] = [(); 3].map(|()| program.input(Element::F32, Mode::Same));
    let chosen = program.select(condition, yes, no);
    program.output(chosen);
    let bits = (0..shape[0]).map(|_| f32::from(generator.chance(0.5))).collect();
    let [yes, no] = [(); 2].map(|()| generator.values(shape[0], LARGE));
    Case::new(("select", shape), program.call(&shape, &[&shape[..]; 3]), [Data::F32(bits), yes, no])
}

/// Conversions in both directions and whole-number arithmetic between them.
pub(super) fn cast(generator: &mut Generator) -> Case {
    let shape = [count(generator)];
    let mut program = Program::new();
    let x = program.input(Element::F32, Mode::Same);
    let index = program.input(Element::U32, Mode::Same);
    let whole = program.cast(Element::U32, x);
    let operation = generator.pick(&[Binary::Add, Binary::Sub, Binary::Mul, Binary::Div, Binary::Min, Binary::Max]);
    let result = program.binary(operation, whole, index);
    let number = program.cast(Element::F32, result);
    program.output(result);
    program.output(number);
    let bound = generator.pick(&[2, 1000, u32::MAX]);
    let inputs = [generator.values(shape[0], 1e12), generator.indices(shape[0], bound)];
    Case::new(("cast", operation, shape), program.call(&shape, &[&shape[..]; 2]), inputs)
}

/// A random program: up to 4 inputs of any mode, up to 12 operations, one or two outputs.
pub(super) fn random(generator: &mut Generator) -> Case {
    let rank = generator.rng().random_range(1..=5);
    let most = [4000, 70, 18, 9, 6][rank - 1];
    let output: Vec<usize> = (0..rank).map(|_| aligned_length(generator, most)).collect();
    let mut program = Program::new();
    let mut shapes = Vec::new();
    let mut values: Vec<Value> = Vec::new();
    for _ in 0..generator.rng().random_range(1..=4) {
        let shape = input_shape(generator, &output);
        // Every shape made from the output's broadcasts to it.
        let mode = Mode::of(&output, &shape).expect("a shape that broadcasts");
        let element = if generator.chance(0.1) { Element::U32 } else { Element::F32 };
        let value = program.input(element, mode);
        values.push(program.cast(Element::F32, value));
        shapes.push((shape, element));
    }
    for _ in 0..generator.rng().random_range(1..=12) {
        let value = operation(generator, &mut program, &values);
        values.push(value);
    }
    program.output(values[values.len() - 1]);
    if generator.chance(0.2) {
        program.output(generator.pick(&values));
    }
    let largest = generator.pick(&[3.0, 30.0, 1e6]);
    let inputs: Vec<Data> = shapes
        .iter()
        .map(|(shape, element)| match element {
            Element::F32 => generator.values(shape.iter().product(), largest),
            Element::U32 => generator.indices(shape.iter().product(), 1000),
        })
        .collect();
    let shapes: Vec<&[usize]> = shapes.iter().map(|(shape, _)| &shape[..]).collect();
    let call = program.call(&output, &shapes);
    Case::new((program.name(), &output, &shapes), call, inputs)
}

/// Adds one operation on values drawn from `values`.
fn operation(generator: &mut Generator, program: &mut Program, values: &[Value]) -> Value {
    let a = generator.pick(values);
    let b = if generator.chance(0.2) { constant(generator, program) } else { generator.pick(values) };
    match generator.rng().random_range(0..10) {
        0..=3 => program.unary(generator.pick(&Unary::ALL), a),
        4..=7 => {
            let operation = generator.pick(&Binary::ALL);
            let b = match operation {
                // One more than the absolute value: not near zero.
                Binary::Div => {
                    let magnitude = program.unary(Unary::Abs, b);
                    let one = program.constant(1.0);
                    program.binary(Binary::Add, magnitude, one)
                }
                _ => b,
            };
            program.binary(operation, a, b)
        }
        8 => program.compare(generator.pick(&Compare::ALL), a, b),
        _ => {
            let condition = program.compare(generator.pick(&Compare::ALL), a, b);
            let (yes, no) = (generator.pick(values), generator.pick(values));
            program.select(condition, yes, no)
        }
    }
}

fn constant(generator: &mut Generator, program: &mut Program) -> Value {
    let value = generator.pick(&[0.5, 2.0, -1.0, 3.0, 0.044_715]);
    program.constant(value)
}

fn count(generator: &mut Generator) -> usize {
    // One workgroup computes 1,024 elements, so that 65,535 of them would take 268 MB: the fold of the grid is tested
    // by other kernels, and the index arithmetic here is the same.
    aligned_length(generator, 5000)
}

/// A length that is a multiple of 4 in half of the cases, as the vector forms need.
fn aligned_length(generator: &mut Generator, most: usize) -> usize {
    let length = generator.length(most);
    if generator.chance(0.5) { length.next_multiple_of(4) } else { length }
}

/// Two shapes that broadcast together.
fn shapes(generator: &mut Generator) -> (Vec<usize>, Vec<usize>) {
    let rank = generator.rng().random_range(1..=5);
    let most = [4000, 70, 18, 9, 6][rank - 1];
    let output: Vec<usize> = (0..rank).map(|_| aligned_length(generator, most)).collect();
    let other = input_shape(generator, &output);
    if generator.chance(0.5) { (output, other) } else { (other, output) }
}

/// The output's shape with leading dimensions left out or dimensions set to 1.
fn input_shape(generator: &mut Generator, output: &[usize]) -> Vec<usize> {
    if generator.chance(0.4) {
        return output.to_vec();
    }
    let left_out = generator.rng().random_range(0..=output.len());
    output[left_out..].iter().map(|&length| if generator.chance(0.4) { 1 } else { length }).collect()
}

/// Divisors for which WGSL bounds the error of a quotient: magnitudes between 1e-30 and 1e30.
fn away_from_zero(data: Data) -> Data {
    Data::F32(data.f32().iter().map(|&value| if value.abs() < 1e-30 { 1e-3 } else { value }).collect())
}
