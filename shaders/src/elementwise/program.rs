//! An expression over elements: a graph of operations in the order of their computation.

use std::sync::Arc;

use super::broadcast::address;
use super::{Binary, Compare, Mode, Unary, text};
use crate::{Call, CallParts, Element, Error, Sequence, Sizes, grid, product};

/// A value of a [`Program`]: an input, a constant, or the result of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Value(pub(super) usize);

/// The origin of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Op {
    /// The input of this index.
    Input(usize),
    /// The constant of this index, read from the uniform block.
    Constant(usize),
    /// A function of one value.
    Unary(Unary, Value),
    /// A function of two values, left then right.
    Binary(Binary, Value, Value),
    /// A comparison, 1 if it holds and 0 otherwise.
    Compare(Compare, Value, Value),
    /// `if condition != 0 { yes } else { no }`
    Select {
        /// The value that chooses.
        condition: Value,
        /// The result where the condition is not 0.
        yes: Value,
        /// The result where the condition is 0.
        no: Value,
    },
    /// Conversion to the element type: `u32` to `f32` rounds, `f32` to `u32` clamps to 0 ..= 4294967040 and cuts the
    /// fraction.
    Cast(Element, Value),
}

/// An input of a [`Program`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Input {
    /// The type of its elements.
    pub element: Element,
    /// Its broadcast to the shape of the output.
    pub mode: Mode,
}

/// An expression over elements, which becomes one generated kernel.
///
/// Constants and lengths stand in the uniform block: programs that differ in them alone share one text, hence one
/// pipeline.
///
/// ```
/// use fourfold_shaders::Element;
/// use fourfold_shaders::elementwise::{Binary, Mode, Program, Unary};
///
/// // y = gelu(0.5 * x + bias) for x of shape (8, 3) and a bias of shape (3).
/// let mut program = Program::new();
/// let x = program.input(Element::F32, Mode::Same);
/// let bias = program.input(Element::F32, Mode::Suffix);
/// let half = program.constant(0.5);
/// let scaled = program.binary(Binary::Mul, x, half);
/// let shifted = program.binary(Binary::Add, scaled, bias);
/// let y = program.unary(Unary::GeluTanh, shifted);
/// program.output(y);
/// let sequence = program.sequence(&[8, 3], &[&[8, 3], &[3]])?;
/// let call = &sequence.steps[0].call;
/// assert_eq!(call.kernel.name, "elementwise(mul,add,gelu_tanh)");
/// assert_eq!(call.lengths, [24, 3, 24]);
/// # Ok::<(), fourfold_shaders::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Program {
    pub(super) inputs: Vec<Input>,
    /// Bits of the constants.
    pub(super) constants: Vec<u32>,
    /// The values in order: each operation uses values before it.
    pub(super) values: Vec<(Op, Element)>,
    pub(super) outputs: Vec<Value>,
}

impl Program {
    /// Inputs and outputs together: WebGPU's default limit of storage buffers in one shader stage.
    pub const MAX_OPERANDS: usize = 8;

    /// Returns a program without inputs and outputs.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an input; inputs are the first operands of the call, in this order.
    ///
    /// # Panics
    /// Past 7 inputs.
    pub fn input(&mut self, element: Element, mode: Mode) -> Value {
        self.inputs.push(Input { element, mode });
        assert!(self.inputs.len() < Self::MAX_OPERANDS, "an elementwise program takes at most 7 inputs");
        self.push(Op::Input(self.inputs.len() - 1), element)
    }

    /// Adds a constant.
    pub fn constant(&mut self, value: f32) -> Value {
        self.constants.push(value.to_bits());
        self.push(Op::Constant(self.constants.len() - 1), Element::F32)
    }

    /// Adds a constant of type `u32`.
    pub fn constant_u32(&mut self, value: u32) -> Value {
        self.constants.push(value);
        self.push(Op::Constant(self.constants.len() - 1), Element::U32)
    }

    /// Adds an operation on an `f32`.
    ///
    /// # Panics
    /// If `x` is a `u32`.
    pub fn unary(&mut self, operation: Unary, x: Value) -> Value {
        assert_eq!(self.element(x), Element::F32, "{} takes an f32", operation.name());
        self.push(Op::Unary(operation, x), Element::F32)
    }

    /// Adds an operation on two values of one type.
    ///
    /// # Panics
    /// If the types differ, or for a power of `u32`.
    pub fn binary(&mut self, operation: Binary, a: Value, b: Value) -> Value {
        let element = self.element(a);
        assert_eq!(element, self.element(b), "{} takes two values of one type", operation.name());
        assert!(operation != Binary::Pow || element == Element::F32, "pow takes f32");
        self.push(Op::Binary(operation, a, b), element)
    }

    /// Adds a comparison of two values of one type, an `f32` that is 1 where it holds and 0 where not.
    ///
    /// # Panics
    /// If the types differ.
    pub fn compare(&mut self, comparison: Compare, a: Value, b: Value) -> Value {
        assert_eq!(self.element(a), self.element(b), "{} takes two values of one type", comparison.name());
        self.push(Op::Compare(comparison, a, b), Element::F32)
    }

    /// Adds the choice of `yes` where `condition` is not zero and of `no` where it is.
    ///
    /// # Panics
    /// If the types of `yes` and `no` differ, or `condition` is not an `f32`.
    pub fn select(&mut self, condition: Value, yes: Value, no: Value) -> Value {
        assert_eq!(self.element(condition), Element::F32, "the condition of a select is an f32");
        let element = self.element(yes);
        assert_eq!(element, self.element(no), "select takes two values of one type");
        self.push(Op::Select { condition, yes, no }, element)
    }

    /// Adds a conversion to `element`; the value itself where it has that type already.
    pub fn cast(&mut self, element: Element, x: Value) -> Value {
        if self.element(x) == element { x } else { self.push(Op::Cast(element, x), element) }
    }

    /// Makes a value an output; outputs are the operands after the inputs, in this order, all of the output's shape.
    ///
    /// # Panics
    /// If inputs and outputs together exceed 8.
    pub fn output(&mut self, value: Value) {
        assert!(value.0 < self.values.len(), "the value is of another program");
        self.outputs.push(value);
        let operands = self.inputs.len() + self.outputs.len();
        assert!(operands <= Self::MAX_OPERANDS, "an elementwise program has at most 8 inputs and outputs");
    }

    /// Returns the inputs, in the order of the operands.
    pub fn inputs(&self) -> &[Input] {
        &self.inputs
    }

    /// Returns the output values, in the order of the operands.
    pub fn outputs(&self) -> &[Value] {
        &self.outputs
    }

    /// The type of a value.
    ///
    /// # Panics
    /// If the value is of another program.
    pub fn element(&self, value: Value) -> Element {
        self.values[value.0].1
    }

    /// Operations other than inputs and constants.
    pub fn operations(&self) -> impl Iterator<Item = Op> + '_ {
        let operations = self.values.iter().map(|&(op, _)| op);
        operations.filter(|op| !matches!(op, Op::Input(_) | Op::Constant(_)))
    }

    /// The name of the kernel, which lists the operations: `elementwise(mul,add)`.
    pub fn name(&self) -> String {
        let names: Vec<&str> = self
            .operations()
            .map(|op| match op {
                Op::Unary(operation, _) => operation.name(),
                Op::Binary(operation, ..) => operation.name(),
                Op::Compare(comparison, ..) => comparison.name(),
                Op::Select { .. } => "select",
                Op::Cast(Element::F32, _) => "f32",
                Op::Cast(Element::U32, _) => "u32",
                Op::Input(_) | Op::Constant(_) => unreachable!("not an operation"),
            })
            .collect();
        if names.is_empty() { "elementwise(copy)".into() } else { format!("elementwise({})", names.join(",")) }
    }

    /// Returns the dispatch that computes all outputs, each of shape `output`, from inputs of the given shapes. Operands:
    /// the inputs, then the outputs.
    ///
    /// # Errors
    /// If there is no output, the mode of an input does not lead from its shape to the output's, or a shape is too large.
    pub fn sequence(&self, output: &[usize], inputs: &[&[usize]]) -> Result<Sequence, Error> {
        let sizes = Sizes("elementwise").positive(&[("outputs", self.outputs.len()), ("elements", product(output))])?;
        let (expected, got) = (self.inputs.len(), inputs.len());
        sizes.expect("shapes of inputs", got == expected, expected, got)?;
        for (input, shape) in self.inputs.iter().zip(inputs) {
            let read = address(input.mode, output, shape).is_some();
            let name = format!("an input read as {:?}", input.mode);
            let expected = format!("of a shape that it leads from to {output:?}");
            sizes.expect(name, read, expected, format_args!("{shape:?}"))?;
        }
        sizes.sequence(self.call(output, inputs))
    }

    pub(crate) fn call(&self, output: &[usize], inputs: &[&[usize]]) -> Call {
        let count: usize = output.iter().product();
        let mut uniform = vec![count as u32];
        let mut lengths = Vec::with_capacity(inputs.len() + self.outputs.len());
        let mut forms = Vec::with_capacity(inputs.len());
        for (input, shape) in self.inputs.iter().zip(inputs) {
            let Some(address) = address(input.mode, output, shape) else {
                unreachable!("shape {shape:?} is not read as {:?} for an output {output:?}", input.mode)
            };
            forms.push(text::Form::of(input.mode, &address, count));
            uniform.extend(address);
            lengths.push(shape.iter().product());
        }
        uniform.extend(&self.constants);
        lengths.extend(self.outputs.iter().map(|_| count));
        let parts = CallParts {
            kernel: text::kernel(self, count.is_multiple_of(4), &forms).into(),
            constants: Vec::new(),
            uniform: bytemuck::cast_slice(&uniform).to_vec(),
            grid: grid(count.div_ceil(4 * text::WORKGROUP)),
            lengths,
            context: Some(Arc::new(self.clone())),
        };
        Call::from(parts).checked_unless(true)
    }

    fn push(&mut self, op: Op, element: Element) -> Value {
        self.values.push((op, element));
        Value(self.values.len() - 1)
    }
}
