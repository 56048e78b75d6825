//! Every elementwise operation on NaN, infinities, zeros of both signs and subnormal numbers.

use fourfold::graph::TensorType;
use fourfold::shaders::Element;
use fourfold::shaders::elementwise::{Binary, Compare, Unary};

use super::harness::{INFINITY, Judge, NAN};

/// PyTorch's results for NaN, infinity, minus infinity and 0, but for the clamps that the documentation of the
/// operations states: the root of a negative number is that of 0, and the logarithm of 0 that of the smallest normal
/// number.
fn at_special(operation: Unary) -> [f64; 4] {
    const RSQRT_OF_SMALLEST: f64 = 9.223_372_036_854_776e18;
    const LOG_OF_SMALLEST: f64 = -87.336_544_750_553_1;
    match operation {
        Unary::Neg => [NAN, -INFINITY, INFINITY, 0.0],
        Unary::Abs | Unary::Square => [NAN, INFINITY, INFINITY, 0.0],
        Unary::Sign => [NAN, 1.0, -1.0, 0.0],
        Unary::Step => [NAN, 1.0, 0.0, 0.0],
        Unary::Relu => [NAN, INFINITY, 0.0, 0.0],
        Unary::Floor => [NAN, INFINITY, -INFINITY, 0.0],
        Unary::Sqrt => [NAN, INFINITY, 0.0, 0.0],
        Unary::Rsqrt => [NAN, 0.0, RSQRT_OF_SMALLEST, RSQRT_OF_SMALLEST],
        Unary::Recip => [NAN, 0.0, 0.0, INFINITY],
        Unary::Exp => [NAN, INFINITY, 0.0, 1.0],
        Unary::Log => [NAN, INFINITY, LOG_OF_SMALLEST, LOG_OF_SMALLEST],
        Unary::Sin => [NAN, NAN, NAN, 0.0],
        Unary::Cos => [NAN, NAN, NAN, 1.0],
        Unary::Tanh | Unary::Erf => [NAN, 1.0, -1.0, 0.0],
        Unary::Sigmoid => [NAN, 1.0, 0.0, 0.5],
        Unary::Softplus => [NAN, INFINITY, 0.0, 2f64.ln()],
        Unary::GeluErf | Unary::GeluTanh => [NAN, INFINITY, NAN, 0.0],
        Unary::GeluErfDerivative | Unary::GeluTanhDerivative => [NAN, NAN, NAN, 0.5],
    }
}

#[test]
fn functions_of_one_number_pass_nan_on_and_keep_to_their_formula_at_infinity() {
    let mut judge = Judge::default();
    for operation in Unary::ALL {
        let [nan, above, below, zero] = at_special(operation);
        // The quotient by zero has the sign of the zero, if the device keeps it.
        let at_zero: &[f64] = if operation == Unary::Recip { &[] } else { &[0.0, -0.0, 1e-40, -1e-40] };
        let mut given = [&[NAN, -NAN, INFINITY, -INFINITY], at_zero].concat();
        let mut expected = vec![nan, nan, above, below];
        expected.resize(given.len(), zero);
        if matches!(operation, Unary::Sign | Unary::Step | Unary::Floor | Unary::Sqrt) {
            // A subnormal number may count as zero and may not, and 1e-20 is more than that.
            given.truncate(6);
            expected.truncate(6);
        }
        // Four elements to an invocation where they are a multiple of four, else one by one.
        for padding in [0, 1, 3] {
            given.resize(given.len() + padding, NAN);
            expected.resize(given.len(), NAN);
            let inputs = [("x", TensorType::f32([given.len()]), &given[..])];
            judge.expect(operation.name(), &inputs, |_, x| [x[0].unary(operation)], [&expected], 1e-5);
        }
    }
    judge.finish();
}

#[test]
fn functions_stay_finite_where_their_results_are() {
    let large = [1e30, -1e30, 3e38, -3e38, 200.0, -200.0];
    let mut judge = Judge::default();
    for (operation, expected) in [
        (Unary::Tanh, [1.0, -1.0, 1.0, -1.0, 1.0, -1.0]),
        (Unary::Sigmoid, [1.0, 0.0, 1.0, 0.0, 1.0, 0.0]),
        (Unary::Erf, [1.0, -1.0, 1.0, -1.0, 1.0, -1.0]),
        (Unary::GeluErfDerivative, [1.0, 0.0, 1.0, 0.0, 1.0, 0.0]),
        (Unary::GeluTanhDerivative, [1.0, 0.0, 1.0, 0.0, 1.0, 0.0]),
        (Unary::Softplus, [1e30, 0.0, 3e38, 0.0, 200.0, 0.0]),
        (Unary::GeluErf, [1e30, 0.0, 3e38, 0.0, 200.0, 0.0]),
        (Unary::GeluTanh, [1e30, 0.0, 3e38, 0.0, 200.0, 0.0]),
    ] {
        for (x, expected) in large.iter().zip(expected) {
            let inputs = [("x", TensorType::f32([1]), std::slice::from_ref(x))];
            judge.expect(operation.name(), &inputs, |_, x| [x[0].unary(operation)], [&[expected]], 1e-6);
        }
    }
    judge.finish();
}

/// Pairs with what PyTorch gives of sum, difference, product, quotient, minimum, maximum and power.
#[rustfmt::skip]
const PAIRS: [(f64, f64, [f64; 7]); 14] = [
    (NAN, 1.0, [NAN, NAN, NAN, NAN, NAN, NAN, NAN]),
    (1.0, NAN, [NAN, NAN, NAN, NAN, NAN, NAN, 1.0]),
    (NAN, 0.5, [NAN, NAN, NAN, NAN, NAN, NAN, NAN]),
    (-2.0, NAN, [NAN, NAN, NAN, NAN, NAN, NAN, NAN]),
    (0.0, NAN, [NAN, NAN, NAN, NAN, NAN, NAN, NAN]),
    (NAN, INFINITY, [NAN, NAN, NAN, NAN, NAN, NAN, NAN]),
    (-INFINITY, NAN, [NAN, NAN, NAN, NAN, NAN, NAN, NAN]),
    (INFINITY, INFINITY, [INFINITY, NAN, INFINITY, NAN, INFINITY, INFINITY, INFINITY]),
    (-INFINITY, 3.0, [-INFINITY, -INFINITY, -INFINITY, -INFINITY, -INFINITY, 3.0, -INFINITY]),
    (-INFINITY, 2.0, [-INFINITY, -INFINITY, -INFINITY, -INFINITY, -INFINITY, 2.0, INFINITY]),
    (2.0, INFINITY, [INFINITY, -INFINITY, INFINITY, 0.0, 2.0, INFINITY, INFINITY]),
    (0.5, INFINITY, [INFINITY, -INFINITY, INFINITY, 0.0, 0.5, INFINITY, 0.0]),
    (-1.0, -INFINITY, [-INFINITY, INFINITY, INFINITY, 0.0, -INFINITY, -1.0, 1.0]),
    (1.0, -INFINITY, [-INFINITY, INFINITY, -INFINITY, 0.0, -INFINITY, 1.0, 1.0]),
];

/// Both sides of [`PAIRS`].
fn sides() -> [Vec<f64>; 2] {
    [PAIRS.iter().map(|pair| pair.0).collect(), PAIRS.iter().map(|pair| pair.1).collect()]
}

#[test]
fn functions_of_two_numbers_pass_nan_on() {
    let mut judge = Judge::default();
    for (index, operation) in Binary::ALL.into_iter().enumerate() {
        for count in [12, 14] {
            let [a, b] = sides();
            let expected: Vec<f64> = PAIRS.iter().map(|pair| pair.2[index]).collect();
            let kind = TensorType::f32([count]);
            let inputs = [("a", kind.clone(), &a[..count]), ("b", kind, &b[..count])];
            judge.expect(operation.name(), &inputs, |_, x| [x[0].binary(operation, x[1])], [&expected[..count]], 1e-5);
        }
    }
    judge.finish();
}

#[test]
fn with_a_nan_all_comparisons_fail_but_that_of_inequality() {
    let mut judge = Judge::default();
    let [a, b] = sides();
    let kind = TensorType::f32([a.len()]);
    for comparison in Compare::ALL {
        let expected: Vec<f64> = a.iter().zip(&b).map(|(a, b)| f64::from(u8::from(comparison.holds(a, b)))).collect();
        let inputs = [("a", kind.clone(), &a[..]), ("b", kind.clone(), &b[..])];
        judge.expect(comparison.name(), &inputs, |_, x| [x[0].compare(comparison, x[1])], [&expected], 0.0);
    }
    judge.finish();
}

#[test]
fn a_nan_chooses_as_a_number_that_is_not_zero_and_the_other_choice_stays_out() {
    let mut judge = Judge::default();
    let (condition, yes, no) = ([NAN, 0.0, 1.0, -0.0], [1.0, NAN, 2.0, INFINITY], [NAN, 3.0, NAN, 4.0]);
    let kind = TensorType::f32([4]);
    let inputs = [("condition", kind.clone(), &condition[..]), ("yes", kind.clone(), &yes), ("no", kind, &no)];
    judge.expect("select", &inputs, |_, x| [x[0].select(x[1], x[2])], [&[1.0, 3.0, 2.0, 4.0]], 0.0);
    judge.finish();
}

#[test]
fn the_whole_number_of_a_nan_is_zero() {
    let mut judge = Judge::default();
    let inputs = [("x", TensorType::f32([4]), &[NAN, -NAN, -INFINITY, 7.9][..])];
    judge.expect("cast", &inputs, |_, x| [x[0].cast(Element::U32)], [&[0.0, 0.0, 0.0, 7.0]], 0.0);
    judge.finish();
}
