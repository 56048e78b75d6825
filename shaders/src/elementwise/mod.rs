//! Elementwise kernels: any expression over the elements of broadcast inputs as one dispatch.
//!
//! These are the only generated kernels. `elementwise.wgsl` is a plain library of functions; a [`Program`] (a graph of
//! operations such as `gelu(x * 0.5 + bias)`) takes from it what it needs and adds a main function. Its twin
//! interprets the program in f64, and its tolerance is a bound for each element by running error analysis.
//! [`unary`], [`binary`] and [`compare`] are the programs of one operation.

mod activation;
mod broadcast;
mod case;
mod estimate;
mod interpreter;
mod operation;
mod program;
mod text;

pub use activation::Activation;
pub use broadcast::{BroadcastError, Mode, broadcast_shape};
pub use operation::{Binary, Compare, Unary};
pub(crate) use operation::{larger, smaller};
pub use program::{Input, Op, Program, Value};

use crate::{Case, Element, Error, Generator, KernelRef, Sequence};

/// `y = operation(x)` over `count` elements, with operands `x`, `y`.
///
/// # Errors
/// If there are no elements, or too many.
pub fn unary(operation: Unary, count: usize) -> Result<Sequence, Error> {
    let mut program = Program::new();
    let x = program.input(Element::F32, Mode::Same);
    let y = program.unary(operation, x);
    program.output(y);
    program.sequence(&[count], &[&[count]])
}

/// `y = operation(a, b)` on `f32` tensors of the given shapes, broadcast as [`broadcast_shape`] tells, with operands `a`,
/// `b`, `y`.
///
/// # Errors
/// If the shapes do not broadcast together or are too large.
pub fn binary(operation: Binary, a: &[usize], b: &[usize]) -> Result<Sequence, Error> {
    of_two(a, b, |program, a, b| program.binary(operation, a, b))
}

/// `y = 1` where the comparison of `a` and `b` holds, else 0; operands `a`, `b`, `y` as those of [`binary`].
///
/// # Errors
/// If the shapes do not broadcast together or are too large.
pub fn compare(comparison: Compare, a: &[usize], b: &[usize]) -> Result<Sequence, Error> {
    of_two(a, b, |program, a, b| program.compare(comparison, a, b))
}

fn of_two(
    a_shape: &[usize],
    b_shape: &[usize],
    operation: impl FnOnce(&mut Program, Value, Value) -> Value,
) -> Result<Sequence, Error> {
    let output = broadcast_shape(a_shape, b_shape)?;
    let mode = |shape: &[usize]| {
        let unfit = || BroadcastError { left: output.clone(), right: shape.to_vec() };
        Mode::of(&output, shape).ok_or_else(unfit)
    };
    let mut program = Program::new();
    let a = program.input(Element::F32, mode(a_shape)?);
    let b = program.input(Element::F32, mode(b_shape)?);
    let y = operation(&mut program, a, b);
    program.output(y);
    program.sequence(&output, &[a_shape, b_shape])
}

/// A kernel for each operation alone, and one whose cases are random programs.
pub fn kernels() -> Vec<KernelRef> {
    let unary = Unary::ALL.map(|operation| own_name(move |generator| case::unary(generator, operation)));
    let binary = Binary::ALL.map(|operation| own_name(move |generator| case::binary(generator, operation)));
    let compare = Compare::ALL.map(|comparison| own_name(move |generator| case::compare(generator, comparison)));
    let others = [
        own_name(case::select),
        KernelRef::listed("elementwise(cast)", case::cast),
        KernelRef::listed("elementwise(random)", case::random),
    ];
    unary.into_iter().chain(binary).chain(compare).chain(others).collect()
}

/// A kernel whose program `case` draws, listed by the name of the program.
fn own_name(case: impl Fn(&mut Generator) -> Case + Send + Sync + 'static) -> KernelRef {
    let drawn = case(&mut Generator::new(0, 1)).call.kernel.clone();
    KernelRef::listed(drawn.name.clone(), case)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Data;

    fn run(sequence: &Sequence, inputs: Vec<Data>) -> Data {
        Case::new("", sequence.steps[0].call.clone(), inputs).expected().pop().unwrap()
    }

    #[test]
    fn a_row_and_a_column_broadcast_to_a_matrix() {
        let call = binary(Binary::Mul, &[2, 1], &[3]).unwrap();
        let y = run(&call, vec![Data::F32(vec![1.0, 10.0]), Data::F32(vec![1.0, 2.0, 3.0])]);
        assert_eq!(y, Data::F32(vec![1.0, 2.0, 3.0, 10.0, 20.0, 30.0]));
    }

    #[test]
    fn shapes_that_do_not_broadcast_are_named() {
        let error = binary(Binary::Add, &[2, 3], &[2]).unwrap_err();
        assert_eq!(error, Error::Broadcast(BroadcastError { left: vec![2, 3], right: vec![2] }));
    }

    #[test]
    fn the_listed_kernels_have_distinct_names() {
        let kernels = kernels();
        let mut names: Vec<String> = kernels.iter().map(|kernel| kernel.name.to_string()).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), kernels.len());
    }

    #[test]
    fn every_random_program_is_valid_wgsl() {
        use naga::valid::{Capabilities, ValidationFlags, Validator};
        for seed in 0..300 {
            let add = |generator: &mut Generator| case::binary(generator, Binary::Add);
            for kernel in [case::random, case::cast, add] {
                let source = kernel(&mut Generator::new(seed, Generator::FULL)).call.kernel.source.clone();
                let module = naga::front::wgsl::parse_str(&source);
                let module = module.unwrap_or_else(|error| panic!("{}\n{source}", error.emit_to_string(&source)));
                let validated = Validator::new(ValidationFlags::all(), Capabilities::empty()).validate(&module);
                validated.unwrap_or_else(|error| panic!("{error:?}\n{source}"));
            }
        }
    }

    #[test]
    fn few_elements_of_random_programs_are_unspecified() {
        let (mut unspecified, mut elements) = (0, 0);
        for seed in 0..300 {
            let case = case::random(&mut Generator::new(seed, Generator::FULL));
            for output in case.call.kernel.outputs() {
                let crate::Tolerance::PerElement(bounds) =
                    (case.call.kernel.tolerance)(&case.call, &case.operands, output)
                else {
                    panic!("a bound for each element")
                };
                unspecified += bounds.iter().filter(|bound| bound.is_infinite()).count();
                elements += bounds.len();
            }
        }
        assert!(unspecified * 10 < elements, "{unspecified} of {elements}");
    }
}
