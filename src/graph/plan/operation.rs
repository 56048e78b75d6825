//! Checks of fused operations: their dispatches against inputs and outputs, their kernels against their descriptions.

use std::borrow::Cow;
use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use fourfold_shaders::{Access, Data, Element, Generator, Kernel, Sequence, Slot, Step, Target};

use crate::gpu::{self, inspect};
use crate::graph::operation::Fused;
use crate::graph::{GraphError, Node, TensorType};

/// Cases on which the twin of each kernel is tried, and their size (of [`Generator::FULL`]).
const CASES: u64 = 4;
const SIZE: u32 = 8;

/// The dispatches of a fused operation, checked against the types of its inputs and outputs.
pub(super) fn sequence(
    operation: &Fused,
    node: &Node,
    inputs: &[&TensorType],
    target: &Target,
) -> Result<Sequence, GraphError> {
    let refuse = |message| GraphError { operation: operation.name(), message, location: node.location };
    let kinds: Vec<TensorType> = inputs.iter().map(|&kind| kind.clone()).collect();
    let sequence = operation.sequence(&kinds, target).map_err(refuse)?;
    let arguments: Vec<_> = kinds.iter().chain(&node.outputs).map(|kind| (kind.element, kind.elements())).collect();
    for step in &sequence.steps {
        let kernel = &step.call.kernel;
        check(step, &sequence, &arguments, inputs.len())
            .map_err(|message| refuse(format!("kernel `{}` ({}): {message}", kernel.name, kernel.file())))?;
    }
    for output in 0..node.outputs.len() {
        let slot = Slot::Argument(inputs.len() + output);
        let writes = |step: &Step| step.call.kernel.outputs().any(|binding| step.operands[binding] == slot);
        if !sequence.steps.iter().any(writes) {
            return Err(refuse(format!("none of its dispatches writes output {output}")));
        }
    }
    Ok(sequence)
}

/// Checks one dispatch; `arguments` are the elements of inputs and outputs.
fn check(step: &Step, sequence: &Sequence, arguments: &[(Element, usize)], inputs: usize) -> Result<(), String> {
    let (call, kernel) = (&step.call, &*step.call.kernel);
    let bindings = kernel.bindings.len();
    if call.lengths.len() != bindings || step.operands.len() != bindings {
        let (lengths, operands) = (call.lengths.len(), step.operands.len());
        return Err(format!("it has {bindings} bindings, but the call has {lengths} lengths and {operands} operands"));
    }
    if call.uniform.len() != kernel.uniform_bytes {
        let (expected, got) = (kernel.uniform_bytes, call.uniform.len());
        return Err(format!("it takes a uniform block of {expected} bytes, but the call has {got}"));
    }
    if call.grid.contains(&0) {
        return Err(format!("the grid {:?} has no workgroups", call.grid));
    }
    for ((slot, binding), &length) in step.operands.iter().zip(kernel.bindings.iter()).zip(&call.lengths) {
        let name = binding.name;
        let found = match *slot {
            Slot::Argument(index) => arguments.get(index).copied(),
            Slot::Scratch(index) => sequence.scratch.get(index).map(|scratch| (scratch.element, scratch.length)),
        };
        let Some((element, elements)) = found else {
            let (arguments, scratch) = (arguments.len(), sequence.scratch.len());
            return Err(format!(
                "`{name}` is {slot:?}, but there are {arguments} arguments and {scratch} scratch buffers"
            ));
        };
        if element != binding.element || length > elements {
            return Err(format!(
                "`{name}` takes {length} {:?} elements, but {slot:?} has {elements} {element:?}",
                binding.element
            ));
        }
        if binding.access.writes() && matches!(*slot, Slot::Argument(index) if index < inputs) {
            return Err(format!("`{name}` is written, but {slot:?} is an input: write to an output or scratch buffer"));
        }
        let bound = step.operands.iter().filter(|other| *other == slot).count();
        if bound > 1 && binding.access.writes() {
            return Err(format!("`{name}` is written, but {slot:?} is bound twice in this dispatch"));
        }
    }
    Ok(())
}

/// The kernels that were found right: source and entry point.
pub(super) type Checked = HashSet<(Cow<'static, str>, &'static str)>;

/// Checks the user's kernels among those of a sequence, each once: its WGSL and its twin.
pub(super) fn check_kernels(node: &Node, sequence: &Sequence, checked: &mut Checked) -> Result<(), GraphError> {
    let refuse = |error: gpu::Error| {
        let message = format!("its kernel is wrong: {error}");
        GraphError { operation: node.op.name(), message, location: node.location }
    };
    for step in sequence.steps.iter().filter(|step| step.call.has_runtime_checks()) {
        let kernel = &*step.call.kernel;
        if checked.insert((kernel.source.clone(), kernel.entry_point)) {
            inspect(kernel).map_err(refuse)?;
            if cfg!(feature = "twins") {
                (0..CASES).try_for_each(|seed| try_twin(kernel, seed)).map_err(refuse)?;
            }
        }
    }
    Ok(())
}

/// Runs the twin on one of its cases: it must give numbers from numbers.
fn try_twin(kernel: &Kernel, seed: u64) -> Result<(), gpu::Error> {
    let wrong = |message: String| gpu::Error::Wgsl {
        file: kernel.file(),
        line: gpu::line_of(kernel),
        function: kernel.entry_point.into(),
        message,
    };
    let run = || {
        let case = kernel.case.draw(&mut Generator::new(seed, SIZE));
        if case.call.kernel.entry_point != kernel.entry_point {
            return (case, Vec::new());
        }
        let mut expected = case.operands.clone();
        (kernel.twin)(&case.call, &mut expected.iter_mut().map(Data::operand).collect::<Vec<_>>());
        (case, expected)
    };
    let (case, expected) = catch_unwind(AssertUnwindSafe(run)).map_err(|panic| {
        let text = panic.downcast_ref::<&str>().copied().or(panic.downcast_ref::<String>().map(String::as_str));
        wrong(format!("its case generator or twin panics for seed {seed}: {}", text.unwrap_or("no message")))
    })?;
    if case.call.kernel.entry_point != kernel.entry_point {
        return Err(wrong(format!("its case generator draws calls of `{}`", case.call.kernel.entry_point)));
    }
    let nan = |data: &Data| match data {
        Data::F32(values) => values.iter().position(|value| value.is_nan()),
        Data::U32(_) => None,
    };
    let bindings = kernel.bindings.iter();
    if bindings
        .clone()
        .zip(&case.operands)
        .any(|(binding, data)| binding.access != Access::Write && nan(data).is_some())
    {
        return Ok(());
    }
    let mut outputs = bindings.zip(&expected).filter(|(binding, _)| binding.access.writes());
    let found = outputs.find_map(|(binding, data)| Some((binding.name, nan(data)?)));
    found.map_or(Ok(()), |(name, index)| {
        let label = &case.label;
        Err(wrong(format!(
            "its twin gives NaN, or nothing, at `{name}[{index}]` from numbers (case {label}, seed {seed})"
        )))
    })
}
