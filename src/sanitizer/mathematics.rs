//! WGSL's builtin functions on words: rounded from `f64` where IEEE says nothing about `f32`.

use naga::{MathFunction, ScalarKind};

use super::arithmetic::{Binary, Unary, on_floats};
use super::code::Block;

pub(super) type Ternary = fn(u32, u32, u32) -> u32;

/// A function of components.
pub(super) enum Componentwise {
    One(Unary),
    Two(Binary),
    Three(Ternary),
}

/// A function of `f32` computed in `f64`.
macro_rules! wide {
    (|$a:ident| $value:expr) => {
        on_floats!(|a| {
            let $a = f64::from(a);
            ($value) as f32
        })
    };
    (|$a:ident, $b:ident| $value:expr) => {
        on_floats!(|a, b| {
            let ($a, $b) = (f64::from(a), f64::from(b));
            ($value) as f32
        })
    };
}

/// Returns a function that treats each component by itself.
pub(super) fn componentwise(function: MathFunction, kind: ScalarKind) -> Option<Componentwise> {
    use Componentwise::{One, Three, Two};
    match kind {
        ScalarKind::Float => floats(function),
        ScalarKind::Sint => Some(match function {
            MathFunction::Abs => One(|a| (a as i32).wrapping_abs() as u32),
            MathFunction::Min => Two(|a, b| (a as i32).min(b as i32) as u32),
            MathFunction::Max => Two(|a, b| (a as i32).max(b as i32) as u32),
            MathFunction::Clamp => Three(|a, low, high| (a as i32).max(low as i32).min(high as i32) as u32),
            MathFunction::Sign => One(|a| (a as i32).signum() as u32),
            MathFunction::FirstLeadingBit => One(|a| {
                let bits = if (a as i32) < 0 { !a } else { a };
                31u32.wrapping_sub(bits.leading_zeros())
            }),
            _ => return bits(function),
        }),
        ScalarKind::Uint => Some(match function {
            MathFunction::Abs => One(|a| a),
            MathFunction::Min => Two(|a, b| a.min(b)),
            MathFunction::Max => Two(|a, b| a.max(b)),
            MathFunction::Clamp => Three(|a, low, high| a.max(low).min(high)),
            MathFunction::FirstLeadingBit => One(|a| 31u32.wrapping_sub(a.leading_zeros())),
            _ => return bits(function),
        }),
        _ => None,
    }
}

fn bits(function: MathFunction) -> Option<Componentwise> {
    use Componentwise::One;
    Some(match function {
        MathFunction::CountTrailingZeros => One(|a| a.trailing_zeros()),
        MathFunction::CountLeadingZeros => One(|a| a.leading_zeros()),
        MathFunction::CountOneBits => One(|a| a.count_ones()),
        MathFunction::ReverseBits => One(|a| a.reverse_bits()),
        MathFunction::FirstTrailingBit => One(|a| if a == 0 { u32::MAX } else { a.trailing_zeros() }),
        _ => return None,
    })
}

fn floats(function: MathFunction) -> Option<Componentwise> {
    use Componentwise::{One, Three, Two};
    Some(match function {
        MathFunction::Abs => One(on_floats!(|a| a.abs())),
        MathFunction::Min => Two(on_floats!(|a, b| a.min(b))),
        MathFunction::Max => Two(on_floats!(|a, b| a.max(b))),
        MathFunction::Clamp => Three(on_floats!(|a, low, high| a.max(low).min(high))),
        MathFunction::Saturate => One(on_floats!(|a| a.clamp(0.0, 1.0))),
        MathFunction::Cos => One(wide!(|a| a.cos())),
        MathFunction::Cosh => One(wide!(|a| a.cosh())),
        MathFunction::Sin => One(wide!(|a| a.sin())),
        MathFunction::Sinh => One(wide!(|a| a.sinh())),
        MathFunction::Tan => One(wide!(|a| a.tan())),
        MathFunction::Tanh => One(wide!(|a| a.tanh())),
        MathFunction::Acos => One(wide!(|a| a.acos())),
        MathFunction::Asin => One(wide!(|a| a.asin())),
        MathFunction::Atan => One(wide!(|a| a.atan())),
        MathFunction::Atan2 => Two(wide!(|a, b| a.atan2(b))),
        MathFunction::Asinh => One(wide!(|a| a.asinh())),
        MathFunction::Acosh => One(wide!(|a| a.acosh())),
        MathFunction::Atanh => One(wide!(|a| a.atanh())),
        MathFunction::Radians => One(wide!(|a| a.to_radians())),
        MathFunction::Degrees => One(wide!(|a| a.to_degrees())),
        MathFunction::Ceil => One(on_floats!(|a| a.ceil())),
        MathFunction::Floor => One(on_floats!(|a| a.floor())),
        MathFunction::Round => One(on_floats!(|a| a.round_ties_even())),
        MathFunction::Fract => One(on_floats!(|a| a - a.floor())),
        MathFunction::Trunc => One(on_floats!(|a| a.trunc())),
        MathFunction::Ldexp => Two(|a, b| {
            let power = f64::from((b as i32).clamp(-1000, 1000));
            ((f64::from(f32::from_bits(a)) * power.exp2()) as f32).to_bits()
        }),
        MathFunction::Exp => One(wide!(|a| a.exp())),
        MathFunction::Exp2 => One(wide!(|a| a.exp2())),
        MathFunction::Log => One(wide!(|a| a.ln())),
        MathFunction::Log2 => One(wide!(|a| a.log2())),
        MathFunction::Pow => Two(wide!(|a, b| a.powf(b))),
        MathFunction::Sign => One(on_floats!(|a| if a == 0.0 || a.is_nan() { a } else { a.signum() })),
        MathFunction::Fma => Three(on_floats!(|a, b, c| a.mul_add(b, c))),
        MathFunction::Mix => Three(on_floats!(|a, b, share| a * (1.0 - share) + b * share)),
        MathFunction::Step => Two(on_floats!(|edge, a| if edge <= a { 1.0 } else { 0.0 })),
        MathFunction::SmoothStep => Three(on_floats!(|low, high, a| {
            let t = ((a - low) / (high - low)).clamp(0.0, 1.0);
            t * t * (3.0 - 2.0 * t)
        })),
        MathFunction::Sqrt => One(on_floats!(|a| a.sqrt())),
        MathFunction::InverseSqrt => One(wide!(|a| 1.0 / a.sqrt())),
        _ => return None,
    })
}

fn at(memory: &[u32], place: usize) -> f32 {
    f32::from_bits(memory[place])
}

fn put(memory: &mut [u32], place: usize, value: f32) {
    memory[place] = value.to_bits();
}

fn dot(memory: &[u32], a: usize, b: usize, count: usize) -> f32 {
    (0..count).map(|i| at(memory, a + i) * at(memory, b + i)).fold(0.0, |sum, product| sum + product)
}

fn stride(rows: u8) -> usize {
    usize::from(if rows == 3 { 4 } else { rows })
}

/// Returns a function of whole vectors or matrices. Its shape is that of the first argument: columns (1 for a vector)
/// and rows.
pub(super) fn whole(function: MathFunction, kind: ScalarKind) -> Option<Block> {
    if kind != ScalarKind::Float {
        let integer_dot: Block = |memory, to, [a, b, _], [_, rows]| {
            let products = (0..usize::from(rows)).map(|i| memory[a + i].wrapping_mul(memory[b + i]));
            memory[to] = products.fold(0, u32::wrapping_add);
        };
        return (function == MathFunction::Dot).then_some(integer_dot);
    }
    Some(match function {
        MathFunction::Dot => |memory, to, [a, b, _], [_, rows]| put(memory, to, dot(memory, a, b, rows.into())),
        MathFunction::Length => |memory, to, [a, ..], [_, rows]| put(memory, to, dot(memory, a, a, rows.into()).sqrt()),
        MathFunction::Distance => |memory, to, [a, b, _], [_, rows]| {
            let squares = (0..usize::from(rows)).map(|i| (at(memory, a + i) - at(memory, b + i)).powi(2));
            let distance = squares.sum::<f32>().sqrt();
            put(memory, to, distance);
        },
        MathFunction::Normalize => |memory, to, [a, ..], [_, rows]| {
            let length = dot(memory, a, a, rows.into()).sqrt();
            (0..usize::from(rows)).for_each(|i| put(memory, to + i, at(memory, a + i) / length));
        },
        MathFunction::Cross => |memory, to, [a, b, _], _| {
            let [a, b] = [a, b].map(|from| [at(memory, from), at(memory, from + 1), at(memory, from + 2)]);
            put(memory, to, a[1] * b[2] - a[2] * b[1]);
            put(memory, to + 1, a[2] * b[0] - a[0] * b[2]);
            put(memory, to + 2, a[0] * b[1] - a[1] * b[0]);
        },
        MathFunction::Transpose => |memory, to, [a, ..], [columns, rows]| {
            for column in 0..usize::from(columns) {
                for row in 0..usize::from(rows) {
                    memory[to + row * stride(columns) + column] = memory[a + column * stride(rows) + row];
                }
            }
        },
        MathFunction::Determinant => |memory, to, [a, ..], [_, rows]| {
            let element = |row: usize, column: usize| at(memory, a + column * stride(rows) + row);
            let determinant = determinant(usize::from(rows), &element);
            put(memory, to, determinant);
        },
        _ => return None,
    })
}

/// Expansion by the first row.
fn determinant(size: usize, element: &dyn Fn(usize, usize) -> f32) -> f32 {
    if size == 1 {
        return element(0, 0);
    }
    let terms = (0..size).map(|column| {
        let minor = |row: usize, other: usize| element(row + 1, other + usize::from(other >= column));
        let sign = if column % 2 == 0 { 1.0 } else { -1.0 };
        sign * element(0, column) * determinant(size - 1, &minor)
    });
    terms.sum()
}

/// The product of a matrix (shape: columns, rows) and a vector.
pub(super) fn matrix_vector(memory: &mut [u32], to: usize, [a, b, _]: [usize; 3], [columns, rows]: [u8; 2]) {
    for row in 0..usize::from(rows) {
        let products = (0..usize::from(columns)).map(|i| at(memory, a + i * stride(rows) + row) * at(memory, b + i));
        let sum = products.fold(0.0, |sum, product| sum + product);
        put(memory, to + row, sum);
    }
}

/// The product of a vector and a matrix (shape: columns, rows).
pub(super) fn vector_matrix(memory: &mut [u32], to: usize, [a, b, _]: [usize; 3], [columns, rows]: [u8; 2]) {
    for column in 0..usize::from(columns) {
        let sum = dot(memory, a, b + column * stride(rows), rows.into());
        put(memory, to + column, sum);
    }
}

/// True if all (or any) components are true; the shape's rows are the components.
pub(super) fn all(memory: &mut [u32], to: usize, [a, ..]: [usize; 3], [_, rows]: [u8; 2]) {
    memory[to] = u32::from(memory[a..a + usize::from(rows)].iter().all(|&word| word != 0));
}

/// See [`all`].
pub(super) fn any(memory: &mut [u32], to: usize, [a, ..]: [usize; 3], [_, rows]: [u8; 2]) {
    memory[to] = u32::from(memory[a..a + usize::from(rows)].iter().any(|&word| word != 0));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_determinant_is_that_of_the_matrix() {
        let matrix = [[2.0, 0.0, 1.0], [1.0, 3.0, 2.0], [0.0, 1.0, 4.0]];
        assert_eq!(determinant(3, &|row, column| matrix[row][column]), 21.0);
    }

    #[test]
    fn the_first_bits_of_zero_are_minus_one() {
        for function in [MathFunction::FirstLeadingBit, MathFunction::FirstTrailingBit] {
            let Some(Componentwise::One(bit)) = componentwise(function, ScalarKind::Uint) else { panic!("unary") };
            assert_eq!(bit(0), u32::MAX);
            assert_eq!(bit(16), 4);
        }
    }
}
