//! WGSL's operators and conversions on words: `f32` as IEEE has it, integers that wrap.

use naga::{BinaryOperator, ScalarKind, UnaryOperator};

pub(super) type Unary = fn(u32) -> u32;
pub(super) type Binary = fn(u32, u32) -> u32;

/// The `f32` of a word.
pub(super) fn float(word: u32) -> f32 {
    f32::from_bits(word)
}

/// A function of `f32` as one of words.
macro_rules! on_floats {
    (|$a:ident| $value:expr) => {
        |a| {
            let $a = f32::from_bits(a);
            f32::to_bits($value)
        }
    };
    (|$a:ident, $b:ident| $value:expr) => {
        |a, b| {
            let ($a, $b) = (f32::from_bits(a), f32::from_bits(b));
            f32::to_bits($value)
        }
    };
    (|$a:ident, $b:ident, $c:ident| $value:expr) => {
        |a, b, c| {
            let ($a, $b, $c) = (f32::from_bits(a), f32::from_bits(b), f32::from_bits(c));
            f32::to_bits($value)
        }
    };
}
pub(super) use on_floats;

/// A comparison of `f32`.
macro_rules! compare {
    ($operator:tt) => {
        |a, b| u32::from(f32::from_bits(a) $operator f32::from_bits(b))
    };
    ($type:ty, $operator:tt) => {
        |a, b| u32::from((a as $type) $operator (b as $type))
    };
}

/// Returns a binary operator on scalars of one kind, by components.
pub(super) fn binary(operator: BinaryOperator, kind: ScalarKind) -> Option<Binary> {
    use BinaryOperator as Op;
    Some(match kind {
        ScalarKind::Float => match operator {
            Op::Add => on_floats!(|a, b| a + b),
            Op::Subtract => on_floats!(|a, b| a - b),
            Op::Multiply => on_floats!(|a, b| a * b),
            Op::Divide => on_floats!(|a, b| a / b),
            Op::Modulo => on_floats!(|a, b| a % b),
            Op::Equal => compare!(==),
            Op::NotEqual => compare!(!=),
            Op::Less => compare!(<),
            Op::LessEqual => compare!(<=),
            Op::Greater => compare!(>),
            Op::GreaterEqual => compare!(>=),
            _ => return None,
        },
        ScalarKind::Sint | ScalarKind::Uint | ScalarKind::Bool => match (operator, kind == ScalarKind::Sint) {
            (Op::Add, _) => |a, b| a.wrapping_add(b),
            (Op::Subtract, _) => |a, b| a.wrapping_sub(b),
            (Op::Multiply, _) => |a, b| a.wrapping_mul(b),
            (Op::Divide, false) => |a, b| a.checked_div(b).unwrap_or(a),
            (Op::Divide, true) => |a, b| (a as i32).checked_div(b as i32).unwrap_or(a as i32) as u32,
            (Op::Modulo, false) => |a, b| a.checked_rem(b).unwrap_or(0),
            (Op::Modulo, true) => |a, b| (a as i32).checked_rem(b as i32).unwrap_or(0) as u32,
            (Op::Equal, _) => compare!(u32, ==),
            (Op::NotEqual, _) => compare!(u32, !=),
            (Op::Less, false) => compare!(u32, <),
            (Op::LessEqual, false) => compare!(u32, <=),
            (Op::Greater, false) => compare!(u32, >),
            (Op::GreaterEqual, false) => compare!(u32, >=),
            (Op::Less, true) => compare!(i32, <),
            (Op::LessEqual, true) => compare!(i32, <=),
            (Op::Greater, true) => compare!(i32, >),
            (Op::GreaterEqual, true) => compare!(i32, >=),
            (Op::And | Op::LogicalAnd, _) => |a, b| a & b,
            (Op::InclusiveOr | Op::LogicalOr, _) => |a, b| a | b,
            (Op::ExclusiveOr, _) => |a, b| a ^ b,
            (Op::ShiftLeft, _) => |a, b| a << (b & 31),
            (Op::ShiftRight, false) => |a, b| a >> (b & 31),
            (Op::ShiftRight, true) => |a, b| ((a as i32) >> (b & 31)) as u32,
        },
        _ => return None,
    })
}

/// Returns a unary operator on scalars of one kind.
pub(super) fn unary(operator: UnaryOperator, kind: ScalarKind) -> Option<Unary> {
    Some(match (operator, kind) {
        (UnaryOperator::Negate, ScalarKind::Float) => on_floats!(|a| -a),
        (UnaryOperator::Negate, ScalarKind::Sint) => |a| a.wrapping_neg(),
        (UnaryOperator::LogicalNot, ScalarKind::Bool) => |a| a ^ 1,
        (UnaryOperator::BitwiseNot, ScalarKind::Sint | ScalarKind::Uint) => |a| !a,
        _ => return None,
    })
}

/// Returns the conversion of a value; a number that does not fit becomes the nearest that does.
pub(super) fn convert(from: ScalarKind, to: ScalarKind) -> Option<Unary> {
    use ScalarKind::{Bool, Float, Sint, Uint};
    Some(match (from, to) {
        (Float, Float) | (Sint | Uint, Sint | Uint) | (Bool, Bool | Sint | Uint) => |a| a,
        (Float, Sint) => |a| float(a) as i32 as u32,
        (Float, Uint) => |a| float(a) as u32,
        (Float, Bool) => |a| u32::from(float(a) != 0.0),
        (Sint, Float) => |a| (a as i32 as f32).to_bits(),
        (Uint | Bool, Float) => |a| (a as f32).to_bits(),
        (Sint | Uint, Bool) => |a| u32::from(a != 0),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_wrap_and_division_by_zero_is_defined() {
        let divide = binary(BinaryOperator::Divide, ScalarKind::Sint).expect("an operator of integers");
        assert_eq!(divide(7, 0), 7);
        assert_eq!(divide(i32::MIN as u32, u32::MAX), i32::MIN as u32);
        let modulo = binary(BinaryOperator::Modulo, ScalarKind::Uint).expect("an operator of integers");
        assert_eq!(modulo(7, 0), 0);
        let shift = binary(BinaryOperator::ShiftRight, ScalarKind::Sint).expect("an operator of integers");
        assert_eq!(shift(-8i32 as u32, 33), -4i32 as u32);
    }

    #[test]
    fn conversions_saturate() {
        let signed = convert(ScalarKind::Float, ScalarKind::Sint).expect("a conversion");
        assert_eq!(signed((-1e20f32).to_bits()), i32::MIN as u32);
        let unsigned = convert(ScalarKind::Float, ScalarKind::Uint).expect("a conversion");
        assert_eq!(unsigned((-3.0f32).to_bits()), 0);
    }
}
