//! The functions of the library by themselves, element by element, against their twins, over all numbers that they take:
//! every magnitude, both zeros, subnormal numbers, and, where the function is defined there, infinities and NaN.

use bytemuck::{Pod, Zeroable};
use rand::RngExt;

use crate::description::elementwise_layout::NARROW;
use crate::random::threefry::{NORMAL_UNITS, box_muller, uniform_of};
use crate::{Activation, Binding, Call, Case, Data, Generator, Kernel, Module, Operand, Tolerance, grid};

const MODULE: Module = Module::new::<Uniform>(
    wgsl!("place.wgsl", "mathematics.wgsl", "random.wgsl", "activation.wgsl", "not_a_number.wgsl", "functions.wgsl"),
    |_| 0,
);

/// The kernels of this file.
pub const KERNELS: &[&Kernel] = &[&TURN, &TANGENT, &LOGISTIC, &ACTIVATION, &NORMAL, &UNIFORM_PAIR, &KIND, &EXTREMES];

const X: Binding = Binding::read("x", "(count)");
const Y: Binding = Binding::write("y", "(count)");
const BOTH: Binding = Binding::write("both", "(count, 2)");
const WORDS: Binding = Binding::read("words", "(count, 2)").u32();

/// Cosine and sine: the angle left within 45 degrees of an axis and both series err by a unit of 2^-24 each, twice that
/// where a sum is rounded to the other neighbour; from 2,000 turns on the second part of the reduction is rounded too,
/// which is half a unit of its last place, up to 16 units of 2^-24 at 10,000 turns.
static TURN: Kernel = MODULE.kernel(
    "functions.turn",
    &[X, BOTH],
    |_, operands| {
        let [x, both] = operands else { unreachable!("a function has an input and an output") };
        for (&mut x, both) in x.f32().iter_mut().zip(both.f32().chunks_mut(2)) {
            let (sine, cosine) = f64::from(x).sin_cos();
            both.copy_from_slice(&[cosine as f32, sine as f32]);
        }
    },
    |_, operands, _| {
        let bound = |x: &f32| (4.0 + f64::from(x.abs()) / 1_800.0) * Tolerance::EPSILON;
        Tolerance::PerElement(operands[0].f32().iter().map(bound).flat_map(|bound| [bound; 2]).collect())
    },
    |generator| {
        case(generator, &TURN, [1, 2], Activation::None, |generator, count| numbers(generator, count, 60_000.0))
    },
);

/// tanh: the ratio of polynomials errs by 12 units of 2^-24 of itself where all is rounded to nearest.
static TANGENT: Kernel = MODULE.kernel(
    "functions.tangent",
    &[X, Y],
    |_, operands| each(operands, f64::tanh),
    |_, _, _| Tolerance::Within { relative: 24.0 * Tolerance::EPSILON, absolute: 0.0 },
    |generator| case(generator, &TANGENT, [1, 1], Activation::None, any_numbers),
);

/// The logistic function: half of what tanh errs by near 1, and the rounding of the sum.
static LOGISTIC: Kernel = MODULE.kernel(
    "functions.logistic",
    &[X, Y],
    |_, operands| each(operands, |x| 1.0 / (1.0 + (-x).exp())),
    |_, _, _| Tolerance::Within { relative: 0.0, absolute: 10.0 * Tolerance::EPSILON },
    |generator| case(generator, &LOGISTIC, [1, 1], Activation::None, any_numbers),
);

/// The activation of a matrix product.
static ACTIVATION: Kernel = MODULE.kernel(
    "functions.activation",
    &[X, Y],
    |call, operands| each(operands, |x| Activation::from_code(call.uniform::<Uniform>().activation).apply(x)),
    activation_tolerance,
    |generator| {
        let activation = generator.pick(&Activation::ALL);
        case(generator, &ACTIVATION, [1, 1], activation, any_numbers)
    },
);

/// Two normal deviates from any two words.
static NORMAL: Kernel = MODULE.kernel(
    "functions.normal",
    &[WORDS, BOTH],
    |_, operands| {
        let [words, both] = operands else { unreachable!("a function has an input and an output") };
        for (words, both) in words.u32().chunks(2).zip(both.f32().chunks_mut(2)) {
            both.copy_from_slice(&box_muller([words[0], words[1]]).map(|deviate| deviate as f32));
        }
    },
    |_, _, _| Tolerance::Within { relative: NORMAL_UNITS * Tolerance::EPSILON, absolute: 0.0 },
    |generator| case(generator, &NORMAL, [2, 2], Activation::None, words),
);

/// The uniform deviates of any words.
static UNIFORM_PAIR: Kernel = MODULE.kernel(
    "functions.uniform_pair",
    &[WORDS, BOTH],
    |_, operands| {
        let [words, both] = operands else { unreachable!("a function has an input and an output") };
        both.f32().iter_mut().zip(words.u32()).for_each(|(deviate, &mut word)| *deviate = uniform_of(word));
    },
    |_, _, _| Tolerance::Exact,
    |generator| case(generator, &UNIFORM_PAIR, [2, 2], Activation::None, words),
);

/// The class of a number, and its place in the order of all.
static KIND: Kernel = MODULE.kernel(
    "functions.kind",
    &[X, Binding::write("integers", "(count, 2)").u32()],
    |_, operands| {
        let [x, integers] = operands else { unreachable!("a function has an input and an output") };
        for (x, integers) in x.f32().iter().zip(integers.u32().chunks_mut(2)) {
            let above = u32::from(x.is_nan() || *x == f32::INFINITY);
            let bits = 5 * u32::from(x.is_nan()) + 18 * above + 8 * u32::from(!x.is_finite());
            let magnitude = x.abs().to_bits();
            let order = if x.is_sign_negative() { 0x8000_0000 - magnitude } else { 0x8000_0000 + magnitude };
            integers.copy_from_slice(&[bits, if x.is_nan() { u32::MAX } else { order }]);
        }
    },
    // A subnormal number may count as 0.
    |_, operands, _| {
        let bound = |x: &f32| if x.is_subnormal() { f64::from(x.abs().to_bits()) } else { 0.0 };
        Tolerance::PerElement(operands[0].f32().iter().map(bound).flat_map(|bound| [0.0, bound]).collect())
    },
    |generator| case(generator, &KIND, [1, 2], Activation::None, any_numbers),
);

/// The larger and the smaller of two numbers, and what stands for NaN.
static EXTREMES: Kernel = MODULE.kernel(
    "functions.extremes",
    &[Binding::read("pairs", "(count, 2)"), Binding::write("four", "(count, 4)")],
    |_, operands| {
        let [pairs, four] = operands else { unreachable!("a function has an input and an output") };
        for (pair, four) in pairs.f32().chunks(2).zip(four.f32().chunks_mut(4)) {
            let [a, b] = [pair[0], pair[1]];
            let none = a.is_nan() || b.is_nan();
            let [larger, smaller] = [a.max(b), a.min(b)].map(|extreme| if none { f32::NAN } else { extreme });
            four.copy_from_slice(&[larger, smaller, if a.is_nan() { a } else { b }, f32::NAN]);
        }
    },
    |_, _, _| Tolerance::Within { relative: 0.0, absolute: 0.0 },
    |generator| case(generator, &EXTREMES, [2, 4], Activation::None, any_numbers),
);

/// The uniform block of `functions.wgsl`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
struct Uniform {
    count: u32,
    activation: u32,
}

/// The twin of a function of one number.
fn each(operands: &mut [Operand<'_>], function: impl Fn(f64) -> f64) {
    let [x, y] = operands else { unreachable!("a function has an input and an output") };
    y.f32().iter_mut().zip(x.f32()).for_each(|(y, &mut x)| *y = function(f64::from(x)) as f32);
}

/// WGSL lets its own tanh err by 1e-5, of which gelu makes half its argument times as many. The approximation of erf errs by
/// 2.5 units of 2^-24, and its terms are rounded some ten times. Beyond 10 gelu is the identity or 0.
fn activation_tolerance(call: &Call, operands: &[Data], _: usize) -> Tolerance {
    const TANH: f64 = 1e-5;
    let activation = Activation::from_code(call.uniform::<Uniform>().activation);
    let bound = |x: &f32| {
        let within = if x.abs() > 10.0 { 0.0 } else { f64::from(x.abs()) };
        match activation {
            Activation::None | Activation::Relu => 0.0,
            Activation::Tanh => TANH + 4.0 * Tolerance::EPSILON,
            Activation::GeluTanh => within * (0.5 * TANH + 16.0 * Tolerance::EPSILON),
            Activation::GeluErf => within * 16.0 * Tolerance::EPSILON,
        }
    };
    Tolerance::PerElement(operands[0].f32().iter().map(bound).collect())
}

/// A case of a kernel with `widths` numbers for each element of its input and its output.
fn case(
    generator: &mut Generator,
    kernel: &'static Kernel,
    widths: [usize; 2],
    activation: Activation,
    input: impl Fn(&mut Generator, usize) -> Data,
) -> Case {
    const WORKGROUP: usize = 64;
    let huge = generator.huge();
    // Past 65,535 workgroups by narrow workgroups.
    let count = if huge { NARROW * 65_537 + 1 } else { generator.length(2_000) };
    let uniform = Uniform { count: count as u32, activation: activation.code() };
    let mut call = Call::new(kernel, &uniform, count.div_ceil(WORKGROUP), widths.map(|width| width * count));
    if huge {
        call = call.with_grid(grid(count.div_ceil(NARROW))).with_constant("WORKGROUP", NARROW as u32);
    }
    let input = input(generator, widths[0] * count);
    Case::new((count, activation), call, [input])
}

/// Numbers of every kind, infinities and NaN among them.
fn any_numbers(generator: &mut Generator, count: usize) -> Data {
    numbers(generator, count, f32::INFINITY)
}

/// Numbers of every magnitude up to `largest`; where that is infinite, infinities and NaN too.
fn numbers(generator: &mut Generator, count: usize, largest: f32) -> Data {
    const EDGES: [f32; 8] = [0.0, f32::MIN_POSITIVE, 1e-45, 1.0, 10.0, f32::MAX, f32::INFINITY, f32::NAN];
    let number = |_| {
        let sign = generator.pick(&[-1.0, 1.0]);
        let number = match generator.rng().random_range(0..6) {
            0 => sign * generator.pick(&EDGES),
            1 => f32::from_bits(generator.rng().random()),
            2 => sign * generator.rng().random::<f32>() * largest.min(100.0),
            3 => sign * generator.rng().random::<f32>() * largest.min(1e5),
            _ => 3.0 * generator.normal(),
        };
        if number.abs() <= largest || largest == f32::INFINITY { number } else { sign }
    };
    Data::F32((0..count).map(number).collect())
}

/// Words, those at the ends of quadrants of a turn among them.
fn words(generator: &mut Generator, count: usize) -> Data {
    let word = |_| {
        let near = generator.rng().random_range(0..32u32).wrapping_sub(16);
        match generator.rng().random_range(0..3) {
            0 => (generator.rng().random_range(0..8u32) << 29).wrapping_add(near),
            _ => generator.rng().random(),
        }
    };
    Data::U32((0..count).map(word).collect())
}
