//! The WGSL of a program: the only kernels that are generated.

use std::borrow::Cow;
use std::fmt::Write;
use std::sync::Arc;

use super::{Binary, Compare, Mode, Op, Program, Unary, case, interpreter};
use crate::description::judge;
use crate::{Access, Binding, Element, Kernel};

/// Invocations of a workgroup; each computes four neighbouring elements.
pub(super) const WORKGROUP: usize = 256;

/// The library of functions.
const LIBRARY: &str = wgsl!("../library/not_a_number.wgsl", "elementwise.wgsl");

const INPUTS: [&str; Program::MAX_OPERANDS] = ["x0", "x1", "x2", "x3", "x4", "x5", "x6", "x7"];
const OUTPUTS: [&str; Program::MAX_OPERANDS] = ["y0", "y1", "y2", "y3", "y4", "y5", "y6", "y7"];

/// The way in which the four elements of an input come to an invocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// One aligned load of four neighbours.
    Vector,
    /// One element for all four.
    Splat,
    /// Four loads.
    Gather,
}

impl Form {
    /// The form for an input read by `mode` with the given lengths, for `count` elements of output.
    pub(super) fn of(mode: Mode, lengths: &[u32], count: usize) -> Form {
        let innermost = lengths.first().is_some_and(|length| length.is_multiple_of(4));
        match mode {
            Mode::Scalar => Form::Splat,
            _ if !count.is_multiple_of(4) => Form::Gather,
            Mode::Same => Form::Vector,
            Mode::Suffix | Mode::Strided { contiguous: true, .. } if innermost => Form::Vector,
            Mode::Prefix | Mode::Strided { contiguous: false, .. } if innermost => Form::Splat,
            _ => Form::Gather,
        }
    }
}

/// The kernel of a program; `aligned` where the elements of an output are a multiple of four.
pub(super) fn kernel(program: &Program, aligned: bool, forms: &[Form]) -> Arc<Kernel> {
    let inputs = program.inputs.iter().enumerate();
    let inputs = inputs.map(|(index, input)| (INPUTS[index], Access::Read, input.element, shape(input.mode)));
    let outputs = program.outputs.iter().enumerate();
    let outputs = outputs.map(|(index, &value)| (OUTPUTS[index], Access::Write, program.element(value), "(n)"));
    let bindings = inputs.chain(outputs);
    let bindings = bindings.map(|(name, access, element, shape)| Binding { name, access, element, shape });
    let lengths: usize = program.inputs.iter().map(|input| input.mode.lengths()).sum();
    Arc::new(Kernel {
        name: Cow::Owned(program.name()),
        source: Cow::Owned(text(program, aligned, forms)),
        entry_point: "elementwise",
        bindings: bindings.collect(),
        uniform_bytes: Element::BYTES * (1 + lengths + program.constants.len()),
        subgroup_sizes: None,
        passes: |_| 0,
        twin: judge::twin(interpreter::twin),
        tolerance: judge::tolerance(interpreter::tolerance),
        case: judge::case(case::random),
        flops: |call| {
            let operations = call.context_of::<Program>().map_or(0, |program| program.operations().count());
            operations as f64 * call.lengths.last().copied().unwrap_or(0) as f64
        },
    })
}

fn shape(mode: Mode) -> &'static str {
    match mode {
        Mode::Same => "(n)",
        Mode::Scalar => "(1)",
        Mode::Suffix => "(trailing dimensions of n)",
        Mode::Prefix => "(leading dimensions of n)",
        Mode::Strided { .. } => "(some dimensions of n)",
    }
}

fn type_name(element: Element) -> &'static str {
    match element {
        Element::F32 => "f32",
        Element::U32 => "u32",
    }
}

/// The whole text.
fn text(program: &Program, aligned: bool, forms: &[Form]) -> String {
    let main = main_function(program, aligned, forms);
    let mut text = format!("// {}, generated: n elements, four to an invocation.\n\n", program.name());
    text += "struct Uniform {\n    count: u32,  // n\n";
    for (index, input) in program.inputs.iter().enumerate() {
        for length in 0..input.mode.lengths() {
            let _ = writeln!(text, "    {}: u32,", length_name(index, length));
        }
    }
    for (op, element) in &program.values {
        if let Op::Constant(index) = op {
            let _ = writeln!(text, "    c{index}: {},", type_name(*element));
        }
    }
    text += "}\n\n";
    let inputs = program
        .inputs
        .iter()
        .zip(forms)
        .enumerate()
        .map(|(index, (input, form))| (INPUTS[index], "read", input.element, *form == Form::Vector));
    let outputs = program.outputs.iter().enumerate();
    let outputs = outputs.map(|(index, &value)| (OUTPUTS[index], "read_write", program.element(value), aligned));
    for (index, (name, access, element, vector)) in inputs.chain(outputs).enumerate() {
        let element = type_name(element);
        let element = if vector { format!("vec4<{element}>") } else { element.into() };
        let _ = writeln!(text, "@group(0) @binding({index}) var<storage, {access}> {name}: array<{element}>;");
    }
    text += "@group(1) @binding(0) var<uniform> params: Uniform;\n\n";
    text += &functions(&main);
    text + &main
}

fn length_name(input: usize, length: usize) -> String {
    format!("x{input}_length{length}")
}

fn main_function(program: &Program, aligned: bool, forms: &[Form]) -> String {
    let mut text = format!(
        "@compute @workgroup_size({WORKGROUP})
fn elementwise(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {{
    let group = (workgroup.x + workgroup.y * workgroups.x) * {WORKGROUP}u + local;
    let first = group * 4u;
    if first >= params.count {{
        return;
    }}
"
    );
    if forms.contains(&Form::Gather) {
        // Elements past the last repeat it: every load stays inside.
        text += "    let each = min(vec4(first) + vec4(0u, 1u, 2u, 3u), vec4(params.count - 1u));\n";
    }
    for (index, &(op, element)) in program.values.iter().enumerate() {
        let expression = match op {
            Op::Input(input) => {
                let mode = program.inputs[input].mode;
                let name = INPUTS[input];
                match forms[input] {
                    Form::Vector if mode == Mode::Same => format!("{name}[group]"),
                    Form::Vector => {
                        let index = position(&mut text, mode, input, "first", "");
                        format!("{name}[({index}) / 4u]")
                    }
                    Form::Splat => {
                        let index = position(&mut text, mode, input, "first", "");
                        format!("vec4({name}[{index}])")
                    }
                    Form::Gather => {
                        let index = position(&mut text, mode, input, "each", "vec4");
                        let _ = writeln!(text, "    let i{input} = {index};");
                        format!("vec4({name}[i{input}.x], {name}[i{input}.y], {name}[i{input}.z], {name}[i{input}.w])")
                    }
                }
            }
            Op::Constant(constant) => format!("vec4(params.c{constant})"),
            Op::Unary(operation, x) => unary(operation, &format!("v{}", x.0)),
            Op::Binary(operation, a, b) => binary(operation, element, a.0, b.0),
            Op::Compare(comparison, a, b) => {
                // Translators write `!=` so that it fails for a NaN, where all others rightly fail.
                let (symbol, otherwise, holds) = match comparison {
                    Compare::Lt => ("<", "ZERO", "ONE"),
                    Compare::Le => ("<=", "ZERO", "ONE"),
                    Compare::Gt => (">", "ZERO", "ONE"),
                    Compare::Ge => (">=", "ZERO", "ONE"),
                    Compare::Eq => ("==", "ZERO", "ONE"),
                    Compare::Ne => ("==", "ONE", "ZERO"),
                };
                format!("select({otherwise}, {holds}, v{} {symbol} v{})", a.0, b.0)
            }
            Op::Select { condition, yes, no } => {
                format!("select(v{}, v{}, v{} == ZERO)", yes.0, no.0, condition.0)
            }
            Op::Cast(Element::F32, x) => format!("vec4<f32>(v{})", x.0),
            Op::Cast(Element::U32, x) => format!("to_u32(v{})", x.0),
        };
        let _ = writeln!(text, "    let v{index} = {expression};");
    }
    for (name, value) in OUTPUTS.iter().zip(&program.outputs) {
        let value = value.0;
        if aligned {
            let _ = writeln!(text, "    {name}[group] = v{value};");
            continue;
        }
        let _ = writeln!(text, "    {name}[first] = v{value}.x;");
        for (offset, part) in [(1, "y"), (2, "z"), (3, "w")] {
            let _ = writeln!(text, "    if first + {offset}u < params.count {{");
            let _ = writeln!(text, "        {name}[first + {offset}u] = v{value}.{part};\n    }}");
        }
    }
    text + "}\n"
}

/// The expression of an input's element for the element `flat` of the output; `wrap` makes a vector of a length.
/// Statements that it needs before it go to `text`. It follows [`Mode::index`].
fn position(text: &mut String, mode: Mode, input: usize, flat: &str, wrap: &str) -> String {
    let length = |length| format!("{wrap}(params.{})", length_name(input, length));
    match mode {
        Mode::Same => flat.into(),
        Mode::Scalar => "0u".into(),
        Mode::Suffix => format!("{flat} % {}", length(0)),
        Mode::Prefix => format!("{flat} / {}", length(0)),
        Mode::Strided { contiguous, .. } => {
            let mut rest = flat.to_string();
            let mut stride = String::new();
            let mut terms = Vec::new();
            let mut kept = contiguous;
            for index in 0..mode.lengths() {
                // One division gives quotient and remainder.
                let next = format!("r{input}_{index}");
                let _ = writeln!(text, "    let {next} = {rest} / {};", length(index));
                if kept {
                    terms.push(format!("({rest} - {next} * {}){stride}", length(index)));
                    stride += &format!(" * {}", length(index));
                }
                rest = next;
                kept = !kept;
            }
            if kept {
                terms.push(format!("{rest}{stride}"));
            }
            terms.join(" + ")
        }
    }
}

fn unary(operation: Unary, x: &str) -> String {
    match operation {
        Unary::Neg => format!("-{x}"),
        Unary::Abs => format!("abs({x})"),
        Unary::Sign => format!("sign_of({x})"),
        Unary::Step => format!("heaviside({x})"),
        Unary::Relu => format!("rectified({x})"),
        Unary::Floor => format!("whole_below({x})"),
        Unary::Square => format!("{x} * {x}"),
        Unary::Sqrt => format!("root({x})"),
        Unary::Rsqrt => format!("reciprocal_root({x})"),
        Unary::Recip => format!("1.0 / {x}"),
        Unary::Exp => format!("bounded_exp({x})"),
        Unary::Log => format!("bounded_log({x})"),
        Unary::Sin => format!("reduced_sin({x})"),
        Unary::Cos => format!("reduced_cos({x})"),
        Unary::Tanh => format!("rational_tanh({x})"),
        Unary::Erf => format!("rational_erf({x})"),
        Unary::Sigmoid => format!("sigmoid({x})"),
        Unary::Softplus => format!("softplus({x})"),
        Unary::GeluErf => format!("gelu_erf({x})"),
        Unary::GeluErfDerivative => format!("gelu_erf_derivative({x})"),
        Unary::GeluTanh => format!("gelu_tanh({x})"),
        Unary::GeluTanhDerivative => format!("gelu_tanh_derivative({x})"),
    }
}

fn binary(operation: Binary, element: Element, a: usize, b: usize) -> String {
    match operation {
        Binary::Add => format!("v{a} + v{b}"),
        Binary::Sub => format!("v{a} - v{b}"),
        Binary::Mul => format!("v{a} * v{b}"),
        Binary::Div if element == Element::U32 => format!("whole_quotient(v{a}, v{b})"),
        Binary::Div => format!("v{a} / v{b}"),
        Binary::Min if element == Element::U32 => format!("min(v{a}, v{b})"),
        Binary::Max if element == Element::U32 => format!("max(v{a}, v{b})"),
        Binary::Min => format!("smaller(v{a}, v{b})"),
        Binary::Max => format!("larger(v{a}, v{b})"),
        Binary::Pow => format!("power(v{a}, v{b})"),
    }
}

/// The constants and functions of the library that `main` uses, directly or through others, in the library's order.
fn functions(main: &str) -> String {
    let pieces: Vec<&str> = LIBRARY.split("\n\n").collect();
    let mut needed = vec![false; pieces.len()];
    let mut open = vec![main];
    while let Some(caller) = open.pop() {
        for (piece, needed) in pieces.iter().zip(&mut needed) {
            if !*needed && declared(piece).iter().any(|name| uses(caller, name)) {
                *needed = true;
                open.push(piece);
            }
        }
    }
    let needed = pieces.iter().zip(needed).filter(|&(_, needed)| needed);
    needed.map(|(piece, _)| format!("{}\n\n", piece.trim_end())).collect()
}

/// The names that a paragraph of the library declares.
fn declared(piece: &str) -> Vec<&str> {
    let declarations = piece.lines().filter_map(|line| line.strip_prefix("fn ").or(line.strip_prefix("const ")));
    declarations.filter_map(|line| line.split(['(', ':']).next()).collect()
}

/// True if `text` holds `name` as a whole word.
fn uses(text: &str, name: &str) -> bool {
    let word = |character: char| character.is_alphanumeric() || character == '_';
    text.match_indices(name)
        .any(|(start, _)| !text[..start].ends_with(word) && !text[start + name.len()..].starts_with(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_holds_the_functions_it_needs_and_no_others() {
        let text = functions("y = gelu_erf(x);");
        for name in ["fn gelu_erf(", "fn normal_distribution(", "fn rational_erf(", "const ONE"] {
            assert!(text.contains(name), "{name}");
        }
        assert!(!text.contains("fn softplus(") && !text.contains("derivative("));
    }

    #[test]
    fn programs_that_differ_in_constants_and_lengths_alone_share_their_text() {
        let call = |constant, rows| {
            let mut program = Program::new();
            let x = program.input(Element::F32, Mode::Same);
            let c = program.constant(constant);
            let y = program.binary(Binary::Mul, x, c);
            program.output(y);
            program.call(&[rows, 4], &[&[rows, 4]])
        };
        assert_eq!(call(0.5, 3).kernel.source, call(7.0, 90).kernel.source);
        assert_ne!(call(0.5, 3).uniform, call(7.0, 3).uniform);
    }
}
