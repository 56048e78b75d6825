//! Expressions: values into slots, pointers into addresses.

use naga::{
    ArraySize, BinaryOperator, Expression, Handle, MathFunction, RelationalFunction, Scalar, ScalarKind,
    SwizzleComponent, TypeInner,
};

use super::{Body, Compiler, Pointer, Value, constant};
use crate::sanitizer::arithmetic::{binary, convert, unary};
use crate::sanitizer::code::{Length, Op, Slot};
use crate::sanitizer::layout::{Unknown, column_stride, elements, offset, words};
use crate::sanitizer::mathematics::{self, Componentwise, componentwise};

/// The components of a scalar, a vector or a matrix with their type.
fn components(inner: &TypeInner) -> Result<(u8, Scalar), Unknown> {
    match *inner {
        TypeInner::Scalar(scalar) => Ok((1, scalar)),
        TypeInner::Vector { size, scalar } => Ok((size as u8, scalar)),
        TypeInner::Matrix { columns, rows, scalar } => Ok((columns as u8 * column_stride(rows) as u8, scalar)),
        ref other => Err(format!("arithmetic on {other:?}")),
    }
}

/// Columns and rows; a vector is one column.
fn shape(inner: &TypeInner) -> [u8; 2] {
    match *inner {
        TypeInner::Vector { size, .. } => [1, size as u8],
        TypeInner::Matrix { columns, rows, .. } => [columns as u8, rows as u8],
        _ => [1, 1],
    }
}

impl<'m> Compiler<'m> {
    /// The value of an expression that was emitted, or that needs not be.
    pub(super) fn value(&mut self, body: &mut Body<'m>, handle: Handle<Expression>) -> Result<Value, Unknown> {
        if let Some(value) = body.values[handle.index()] {
            return Ok(value);
        }
        let module = self.module;
        let value = match body.function.expressions[handle] {
            Expression::FunctionArgument(index) => {
                let slot = body.arguments[index as usize];
                match self.inner_of(body, handle) {
                    TypeInner::Pointer { space, .. } | TypeInner::ValuePointer { space, .. } => match space {
                        naga::AddressSpace::Function | naga::AddressSpace::Private => {
                            let name = body.function.arguments[index as usize].name.clone();
                            let variable = self.variable(name.as_deref().unwrap_or("an argument"));
                            Value::Pointer(Pointer { global: None, at: Some(slot), plus: 0, variable })
                        }
                        space => return Err(format!("a pointer to {space:?} memory as an argument")),
                    },
                    _ => Value::Words(slot),
                }
            }
            Expression::GlobalVariable(variable) => Value::Pointer(self.globals[&variable]),
            Expression::LocalVariable(variable) => Value::Pointer(body.locals[&variable]),
            Expression::AccessIndex { base, index } => {
                let inner = self.inner(body, base);
                let offset = offset(module, &inner, index)?;
                match self.value(body, base)? {
                    Value::Words(slot) => Value::Words(slot + offset),
                    Value::Pointer(pointer) => Value::Pointer(Pointer { plus: pointer.plus + offset, ..pointer }),
                }
            }
            _ => {
                let words = constant(self.module, &body.function.expressions, handle)?;
                Value::Words(self.constant(&words))
            }
        };
        body.values[handle.index()] = Some(value);
        Ok(value)
    }

    /// The slot of a value's words.
    pub(super) fn words(&mut self, body: &mut Body<'m>, handle: Handle<Expression>) -> Result<Slot, Unknown> {
        match self.value(body, handle)? {
            Value::Words(slot) => Ok(slot),
            Value::Pointer(pointer) => Ok(self.address(pointer)),
        }
    }

    pub(super) fn pointer(&mut self, body: &mut Body<'m>, handle: Handle<Expression>) -> Result<Pointer, Unknown> {
        match self.value(body, handle)? {
            Value::Pointer(pointer) => Ok(pointer),
            Value::Words(_) => Err("a pointer that is a value".to_string()),
        }
    }

    /// A slot with the whole address of a pointer.
    fn address(&mut self, pointer: Pointer) -> Slot {
        let plus = self.constant(&[pointer.plus]);
        let Some(at) = pointer.at else { return plus };
        let to = self.allocate(1);
        self.emit(Op::Binary { function: |a, b| a + b, to, from: [at, plus], steps: [0, 0], count: 1 });
        to
    }

    /// The slot of a pointer's address, to which `plus` is added.
    pub(super) fn at(&mut self, pointer: Pointer) -> Slot {
        pointer.at.unwrap_or_else(|| self.constant(&[0]))
    }

    /// Reads what a pointer points to into slots of its own.
    pub(super) fn load(&mut self, pointer: Pointer, count: u32, atomic: bool) -> Slot {
        let to = self.allocate(count);
        let (at, plus) = (self.at(pointer), pointer.plus);
        let op = match (pointer.global, pointer.at) {
            (Some(global), _) => Op::Load { to, global, at, plus, count, atomic },
            (None, Some(at)) => Op::LoadOwn { to, at, plus, count },
            (None, None) => Op::Copy { to, from: plus, count },
        };
        self.emit_on(pointer.variable, op);
        to
    }

    /// Writes the code of an expression that a statement emits.
    pub(super) fn expression(&mut self, body: &mut Body<'m>, handle: Handle<Expression>) -> Result<(), Unknown> {
        let module = self.module;
        let expression = &body.function.expressions[handle];
        self.mark(body.function.expressions.get_span(handle));
        let slot = match *expression {
            Expression::Compose { ty, ref components } => {
                let inner = &module.types[ty].inner;
                let to = self.allocate(words(module, inner)?);
                let mut next = 0;
                for (index, &component) in components.iter().enumerate() {
                    let (from, count) = (self.words(body, component)?, self.count(body, component)?);
                    let place = match inner {
                        TypeInner::Vector { .. } => next,
                        _ => offset(module, inner, index as u32)?,
                    };
                    next = place + count;
                    self.emit(Op::Copy { to: to + place, from, count });
                }
                to
            }
            Expression::Access { base, index } => {
                let kind = self.inner_of(body, index).scalar_kind();
                let index = self.words(body, index)?;
                return self.access(body, handle, base, (index, kind == Some(ScalarKind::Sint)));
            }
            // Only the binding says if even a constant index is within bounds.
            Expression::AccessIndex { base, index }
                if matches!(self.inner(body, base), TypeInner::Array { size: ArraySize::Dynamic, .. }) =>
            {
                let index = self.constant(&[index]);
                return self.access(body, handle, base, (index, false));
            }
            Expression::Splat { size, value } => {
                let from = self.words(body, value)?;
                let to = self.allocate(size as u32);
                self.emit(Op::Unary { function: |a| a, to, from, count: 1 });
                (1..size as u32).for_each(|lane| {
                    self.emit(Op::Copy { to: to + lane, from, count: 1 });
                });
                to
            }
            Expression::Swizzle { size, vector, pattern } => {
                let from = self.words(body, vector)?;
                let to = self.allocate(size as u32);
                for (lane, component) in (0..size as u32).zip(pattern) {
                    let component = match component {
                        SwizzleComponent::X => 0,
                        SwizzleComponent::Y => 1,
                        SwizzleComponent::Z => 2,
                        SwizzleComponent::W => 3,
                    };
                    self.emit(Op::Copy { to: to + lane, from: from + component, count: 1 });
                }
                to
            }
            Expression::Load { pointer } => {
                let atomic = matches!(self.inner(body, pointer), TypeInner::Atomic(_));
                let (pointer, count) = (self.pointer(body, pointer)?, self.count(body, handle)?);
                self.load(pointer, count, atomic)
            }
            Expression::Unary { op, expr } => {
                let (count, scalar) = components(self.inner_of(body, expr))?;
                let function = unary(op, scalar.kind).ok_or_else(|| format!("{op:?} of {:?}", scalar.kind))?;
                self.unary(body, expr, function, count.into())?
            }
            Expression::Binary { op, left, right } => self.binary(body, op, left, right)?,
            Expression::Select { condition, accept, reject } => {
                let count = self.count(body, accept)? as u8;
                let step = u8::from(matches!(self.inner_of(body, condition), TypeInner::Vector { .. }));
                let from = [self.words(body, condition)?, self.words(body, accept)?, self.words(body, reject)?];
                let to = self.allocate(count.into());
                let function = |condition, accept, reject| if condition != 0 { accept } else { reject };
                self.emit(Op::Ternary { function, to, from, steps: [step, 1, 1], count });
                to
            }
            Expression::Relational { fun: RelationalFunction::IsNan, argument } => {
                let count = self.count(body, argument)?;
                self.unary(body, argument, |a| u32::from(f32::from_bits(a).is_nan()), count)?
            }
            Expression::Relational { fun: RelationalFunction::IsInf, argument } => {
                let count = self.count(body, argument)?;
                self.unary(body, argument, |a| u32::from(f32::from_bits(a).is_infinite()), count)?
            }
            Expression::Relational { fun, argument } => {
                let function = if fun == RelationalFunction::All { mathematics::all } else { mathematics::any };
                let (from, count) = (self.words(body, argument)?, self.count(body, argument)? as u8);
                let to = self.allocate(1);
                self.emit(Op::Block { function, to, from: [from; 3], shape: [1, count] });
                to
            }
            Expression::Math { fun, arg, arg1, arg2, arg3: None } => {
                self.mathematics(body, handle, fun, [Some(arg), arg1, arg2])?
            }
            Expression::As { expr, kind, convert: width } => {
                let (count, scalar) = components(self.inner_of(body, expr))?;
                let function = match width {
                    None => |a| a,
                    Some(4 | 1) => convert(scalar.kind, kind)
                        .ok_or_else(|| format!("the conversion of {:?} to {kind:?}", scalar.kind))?,
                    Some(width) => return Err(format!("a conversion to {width} bytes")),
                };
                self.unary(body, expr, function, count.into())?
            }
            Expression::ArrayLength(array) => {
                let inner = self.inner(body, array);
                let pointer = self.pointer(body, array)?;
                let to = self.allocate(1);
                let length = self.length(pointer, &inner)?.1;
                self.emit(Op::ArrayLength { to, length });
                to
            }
            Expression::AccessIndex { .. }
            | Expression::Literal(_)
            | Expression::Constant(_)
            | Expression::ZeroValue(_)
            | Expression::FunctionArgument(_)
            | Expression::GlobalVariable(_)
            | Expression::LocalVariable(_) => return self.value(body, handle).map(|_| ()),
            ref other => return Err(format!("the expression {other:?}")),
        };
        body.values[handle.index()] = Some(Value::Words(slot));
        Ok(())
    }

    /// The words between an array's elements, and its length.
    fn length(&self, pointer: Pointer, inner: &TypeInner) -> Result<(u32, Length), Unknown> {
        let (stride, length) = elements(self.module, inner)?;
        let length = match (length, pointer.global) {
            (Some(length), _) => Length::Fixed(length),
            (None, Some(global)) => Length::Bound { global, offset: pointer.plus, stride },
            (None, None) => return Err("an array without a length".to_string()),
        };
        Ok((stride, length))
    }

    fn access(
        &mut self,
        body: &mut Body<'m>,
        handle: Handle<Expression>,
        base: Handle<Expression>,
        (index, signed): (Slot, bool),
    ) -> Result<(), Unknown> {
        let inner = self.inner(body, base);
        let (pointer, by_value) = match self.value(body, base)? {
            Value::Pointer(pointer) => (pointer, false),
            Value::Words(plus) => (Pointer { global: None, at: None, plus, variable: 0 }, true),
        };
        let (stride, length) = self.length(pointer, &inner)?;
        let to = self.allocate(1);
        let base = self.at(pointer);
        self.emit_on(pointer.variable, Op::Index { to, base, plus: pointer.plus, index, signed, stride, length });
        let element = Pointer { at: Some(to), plus: 0, ..pointer };
        let value = if by_value {
            let count = self.count(body, handle)?;
            Value::Words(self.load(element, count, false))
        } else {
            Value::Pointer(element)
        };
        body.values[handle.index()] = Some(value);
        Ok(())
    }

    fn unary(
        &mut self,
        body: &mut Body<'m>,
        argument: Handle<Expression>,
        function: fn(u32) -> u32,
        count: u32,
    ) -> Result<Slot, Unknown> {
        let from = self.words(body, argument)?;
        let to = self.allocate(count);
        self.emit(Op::Unary { function, to, from, count });
        Ok(to)
    }

    fn binary(
        &mut self,
        body: &mut Body<'m>,
        op: BinaryOperator,
        left: Handle<Expression>,
        right: Handle<Expression>,
    ) -> Result<Slot, Unknown> {
        let (a, b) = (self.inner_of(body, left).clone(), self.inner_of(body, right).clone());
        let from = [self.words(body, left)?, self.words(body, right)?];
        let matrix = |inner: &TypeInner| matches!(inner, TypeInner::Matrix { .. });
        let vector = |inner: &TypeInner| matches!(inner, TypeInner::Vector { .. });
        if op == BinaryOperator::Multiply && (matrix(&a) || matrix(&b)) && !(shape(&a) == [1, 1] || shape(&b) == [1, 1])
        {
            return Ok(self.matrix_product((&a, from[0]), (&b, from[1]), vector(&a)));
        }
        let ((count_a, scalar), (count_b, _)) = (components(&a)?, components(&b)?);
        let count = count_a.max(count_b);
        let steps = [count_a, count_b].map(|own| u8::from(own > 1));
        let function = binary(op, scalar.kind).ok_or_else(|| format!("{op:?} of {:?}", scalar.kind))?;
        let to = self.allocate(count.into());
        self.emit(Op::Binary { function, to, from, steps, count });
        Ok(to)
    }

    fn matrix_product(&mut self, a: (&TypeInner, Slot), b: (&TypeInner, Slot), vector_first: bool) -> Slot {
        if vector_first {
            let to = self.allocate(shape(b.0)[0].into());
            let from = [a.1, b.1, b.1];
            self.emit(Op::Block { function: mathematics::vector_matrix, to, from, shape: shape(b.0) });
            return to;
        }
        let stride = |rows: u8| u32::from(if rows == 3 { 4 } else { rows });
        let ([_, rows], [columns, terms]) = (shape(a.0), shape(b.0));
        let to = self.allocate(u32::from(columns) * stride(rows));
        for column in 0..u32::from(columns) {
            let from = [a.1, b.1 + column * stride(terms), b.1];
            let to = to + column * stride(rows);
            self.emit(Op::Block { function: mathematics::matrix_vector, to, from, shape: shape(a.0) });
        }
        to
    }

    fn mathematics(
        &mut self,
        body: &mut Body<'m>,
        handle: Handle<Expression>,
        function: MathFunction,
        arguments: [Option<Handle<Expression>>; 3],
    ) -> Result<Slot, Unknown> {
        let given: Vec<_> = arguments.into_iter().flatten().collect();
        let inner = self.inner_of(body, given[0]).clone();
        let (_, scalar) = components(&inner)?;
        let count = self.count(body, handle)?;
        let mut from = [0; 3];
        let mut steps = [0; 3];
        for (index, &argument) in given.iter().enumerate() {
            from[index] = self.words(body, argument)?;
            steps[index] = u8::from(!matches!(self.inner_of(body, argument), TypeInner::Scalar(_)));
        }
        let to = self.allocate(count);
        let narrow = count as u8;
        let op = match componentwise(function, scalar.kind) {
            Some(Componentwise::One(function)) => Op::Unary { function, to, from: from[0], count },
            Some(Componentwise::Two(function)) => {
                Op::Binary { function, to, from: [from[0], from[1]], steps: [steps[0], steps[1]], count: narrow }
            }
            Some(Componentwise::Three(function)) => Op::Ternary { function, to, from, steps, count: narrow },
            None => {
                let function = mathematics::whole(function, scalar.kind)
                    .ok_or_else(|| format!("{function:?} of {:?}", scalar.kind))?;
                Op::Block { function, to, from, shape: shape(&inner) }
            }
        };
        self.emit(op);
        Ok(to)
    }
}
