//! Elementwise operations; operands broadcast to a common shape.

use std::ops::{Add, Div, Mul, Neg, Sub};

use fourfold_shaders::Element;
use fourfold_shaders::elementwise::{Binary, Compare, Unary};

use crate::graph::{Op, Tensor, TensorType};

impl<'g> Tensor<'g> {
    /// Applies a function to each element.
    #[track_caller]
    pub fn unary(self, function: Unary) -> Self {
        if self.element() != Element::F32 {
            return self.graph().fail("elementwise", format!("{function:?} takes f32, got {self:?}"));
        }
        self.graph().add(Op::Unary(function), &[self], [self.kind()])
    }

    /// Combines two tensors of one type element by element; powers take `f32`. Whole numbers wrap around.
    #[track_caller]
    pub fn binary(self, function: Binary, other: Self) -> Self {
        self.combine(Op::Binary(function), other, &format!("{function:?}"))
    }

    /// The `f32` 1 where the comparison of two tensors of one type holds, 0 elsewhere.
    #[track_caller]
    pub fn compare(self, comparison: Compare, other: Self) -> Self {
        self.combine(Op::Compare(comparison), other, &format!("{comparison:?}"))
    }

    #[track_caller]
    fn combine(self, op: Op, other: Self, name: &str) -> Self {
        let whole = self.element() == Element::U32 && op != Op::Binary(Binary::Pow);
        if self.element() != other.element() || self.element() == Element::U32 && !whole {
            let expected = if op == Op::Binary(Binary::Pow) { "f32 tensors" } else { "tensors of one type" };
            let message = format!("{name} takes {expected}, got {self:?} and {other:?}");
            return self.graph().fail("elementwise", message);
        }
        let element = if matches!(op, Op::Compare(_)) { Element::F32 } else { self.element() };
        match self.shape().broadcast(&other.shape()) {
            Some(shape) => self.graph().add(op, &[self, other], [TensorType { element, shape }]),
            None => {
                let message =
                    format!("{name} of shapes {} and {}, which do not broadcast", self.shape(), other.shape());
                self.graph().fail("elementwise", message)
            }
        }
    }

    /// `a` where this tensor is not 0, `b` elsewhere.
    #[track_caller]
    pub fn select(self, a: Self, b: Self) -> Self {
        if [self, a, b].iter().any(|operand| operand.element() != Element::F32) {
            let message = format!("select takes f32 tensors, got {self:?}, {a:?} and {b:?}");
            return self.graph().fail("elementwise", message);
        }
        let shape = a.shape().broadcast(&b.shape()).and_then(|shape| shape.broadcast(&self.shape()));
        match shape {
            Some(shape) => self.graph().add(Op::Select, &[self, a, b], [TensorType::f32(shape)]),
            None => {
                let (condition, a, b) = (self.shape(), a.shape(), b.shape());
                let message = format!("select of shapes {condition}, {a} and {b}, which do not broadcast");
                self.graph().fail("elementwise", message)
            }
        }
    }

    /// The same numbers as another element type; `f32` to `u32` truncates and clamps.
    #[track_caller]
    pub fn cast(self, element: Element) -> Self {
        if self.element() == element {
            return self;
        }
        self.graph().add(Op::Cast(element), &[self], [TensorType { element, shape: self.shape() }])
    }

    /// The larger of the two, element by element; broadcasts.
    #[track_caller]
    pub fn max(self, other: Self) -> Self {
        self.binary(Binary::Max, other)
    }

    /// The smaller of the two, element by element; broadcasts.
    #[track_caller]
    pub fn min(self, other: Self) -> Self {
        self.binary(Binary::Min, other)
    }
}

macro_rules! functions {
    ($($(#[$doc:meta])* $method:ident: $function:ident;)*) => {
        impl Tensor<'_> {
            $($(#[$doc])*
            #[track_caller]
            pub fn $method(self) -> Self {
                self.unary(Unary::$function)
            })*
        }
    };
}

functions! {
    /// The exponential, e to the power of each element.
    exp: Exp;
    /// The natural logarithm.
    log: Log;
    /// The square root; WGSL specifies no value below 0.
    sqrt: Sqrt;
    /// Each element times itself.
    square: Square;
    /// The absolute value.
    abs: Abs;
    /// -1, 0 or 1.
    sign: Sign;
    /// The hyperbolic tangent.
    tanh: Tanh;
    /// `max(x, 0)`.
    relu: Relu;
    /// GELU in the tanh form: `x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))`.
    gelu_tanh: GeluTanh;
    /// GELU in the exact form: `x/2 (1 + erf(x / sqrt(2)))`.
    gelu_erf: GeluErf;
}

macro_rules! operator {
    ($trait:ident, $method:ident, $function:ident, $neutral:expr) => {
        impl<'g> $trait for Tensor<'g> {
            type Output = Tensor<'g>;

            #[track_caller]
            fn $method(self, other: Tensor<'g>) -> Tensor<'g> {
                self.binary(Binary::$function, other)
            }
        }

        impl<'g> $trait<f32> for Tensor<'g> {
            type Output = Tensor<'g>;

            #[track_caller]
            fn $method(self, other: f32) -> Tensor<'g> {
                if other == $neutral {
                    return self;
                }
                self.binary(Binary::$function, self.graph().constant(other))
            }
        }

        impl<'g> $trait<Tensor<'g>> for f32 {
            type Output = Tensor<'g>;

            #[track_caller]
            fn $method(self, other: Tensor<'g>) -> Tensor<'g> {
                other.graph().constant(self).binary(Binary::$function, other)
            }
        }
    };
}

operator!(Add, add, Add, 0.0);
operator!(Sub, sub, Sub, 0.0);
operator!(Mul, mul, Mul, 1.0);
operator!(Div, div, Div, 1.0);

impl<'g> Neg for Tensor<'g> {
    type Output = Tensor<'g>;

    #[track_caller]
    fn neg(self) -> Tensor<'g> {
        self.unary(Unary::Neg)
    }
}
