//! Operations of one's own: where a graph's own operations go, these go too, and what is wrong in them is named.

#![forbid(unsafe_code)]

use std::borrow::Cow::Borrowed;
use std::sync::Arc;

use fourfold::graph::session::{find_wrong_kernel, run_mixed};
use fourfold::graph::{
    Fused, Graph, Operation, OutputGradients, Plan, Reference, Session, Shape, Tensor, TensorType, TwinSession, Values,
    gradients,
};
use fourfold::shaders::elementwise::Unary::Rsqrt;
use fourfold::shaders::random::threefry::Random;
use fourfold::shaders::{
    Activation, Binding, Call, Case, Cases, Data, Element, Generator, Kernel, Sequence, Slot, Target, Tolerance, matmul,
};
use fourfold::{Gpu, verify};

/// RMS norm in two dispatches: the factor of each row, then the product.
const WGSL: &str = "
@group(0) @binding(0) var<storage, read> x: array<f32>;  // (rows, columns)
@group(0) @binding(1) var<storage, read_write> factor: array<f32>;  // (rows)
@group(1) @binding(0) var<uniform> size: vec2<u32>;  // rows, columns

@compute @workgroup_size(32)
fn factors(@builtin(global_invocation_id) at: vec3<u32>) {
    let row = at.x;
    if row >= size.x {
        return;
    }
    var square = 0.0;
    for (var c = 0u; c < size.y; c++) {
        let value = x[row * size.y + c];
        square += value * value;
    }
    factor[row] = inverseSqrt(square / f32(size.y) + 1e-5);
}
";

const PRODUCT: &str = "
@group(0) @binding(0) var<storage, read> x: array<f32>;  // (rows, columns)
@group(0) @binding(1) var<storage, read> factor: array<f32>;  // (rows)
@group(0) @binding(2) var<storage, read> scale: array<f32>;  // (columns)
@group(0) @binding(3) var<storage, read_write> y: array<f32>;  // (rows, columns)
@group(1) @binding(0) var<uniform> size: vec2<u32>;  // rows, columns

@compute @workgroup_size(32)
fn product(@builtin(global_invocation_id) at: vec3<u32>) {
    if at.x < size.x * size.y {
        y[at.x] = x[at.x] * factor[at.x / size.y] * scale[at.x % size.y];
    }
}
";

fn tolerance(call: &Call, _: &[Data], _: usize) -> Tolerance {
    let [_, columns]: [u32; 2] = call.uniform();
    Tolerance::Within { relative: f64::from(columns + 16) * Tolerance::EPSILON, absolute: 0.0 }
}

static FACTORS: Kernel = Kernel {
    name: Borrowed("rms_norm.factors"),
    source: Borrowed(WGSL),
    entry_point: "factors",
    bindings: Borrowed(&[Binding::read("x", "(rows, columns)"), Binding::write("factor", "(rows)")]),
    uniform_bytes: 8,
    subgroup_sizes: None,
    passes: |call| 1 + u64::from(call.uniform::<[u32; 2]>()[1]),
    twin: |call, operands| {
        let [x, factor] = operands else { panic!("two operands") };
        let columns = call.uniform::<[u32; 2]>()[1] as usize;
        for (row, factor) in x.f32().chunks(columns).zip(factor.f32()) {
            let square: f64 = row.iter().map(|value| f64::from(*value).powi(2)).sum();
            *factor = (1.0 / (square / columns as f64 + 1e-5).sqrt()) as f32;
        }
    },
    tolerance,
    case: Cases::Drawn(|generator| {
        let (rows, columns) = (generator.length(50), generator.length(50));
        Case::new((rows, columns), factors(rows, columns), [generator.values(rows * columns, 1e3)])
    }),
    flops: |call| 2.0 * call.lengths[0] as f64,
};

static SCALED: Kernel = Kernel {
    name: Borrowed("rms_norm_product"),
    source: Borrowed(PRODUCT),
    entry_point: "product",
    bindings: Borrowed(&[
        Binding::read("x", "(rows, columns)"),
        Binding::read("factor", "(rows)"),
        Binding::read("scale", "(columns)"),
        Binding::write("y", "(rows, columns)"),
    ]),
    uniform_bytes: 8,
    subgroup_sizes: None,
    passes: |_| 0,
    twin: |call, operands| {
        let [x, factor, scale, y] = operands else { panic!("four operands") };
        let columns = call.uniform::<[u32; 2]>()[1] as usize;
        for (index, (x, y)) in x.f32().iter().zip(y.f32()).enumerate() {
            *y = x * factor.f32()[index / columns] * scale.f32()[index % columns];
        }
    },
    tolerance,
    case: Cases::Drawn(|generator| {
        let (rows, columns) = (generator.length(50), generator.length(50));
        let inputs = [rows * columns, rows, columns].map(|count| generator.values(count, 1e3));
        Case::new((rows, columns), product(rows, columns), inputs)
    }),
    flops: |_| 0.0,
};

fn factors(rows: usize, columns: usize) -> Call {
    Call::checked(&FACTORS, &[rows as u32, columns as u32], rows.div_ceil(32), [rows * columns, rows])
}

fn product(rows: usize, columns: usize) -> Call {
    let lengths = [rows * columns, rows, columns, rows * columns];
    Call::checked(&SCALED, &[rows as u32, columns as u32], (rows * columns).div_ceil(32), lengths)
}

/// RMS norm, with or without a gradient and a definition; `wrong` changes its dispatches.
#[derive(Debug, Clone, Copy)]
struct RmsNorm {
    gradient: bool,
    definition: bool,
    wrong: fn(&mut Sequence),
}

const NORM: RmsNorm = RmsNorm { gradient: true, definition: true, wrong: |_| () };

/// The reciprocal root of the mean square of each row, as a column.
fn factor(x: Tensor<'_>) -> Tensor<'_> {
    (row_mean(x.square()) + 1e-5).unary(Rsqrt)
}

fn row_mean(x: Tensor<'_>) -> Tensor<'_> {
    x.mean(1).reshape([x.shape()[0], 1])
}

impl Operation for RmsNorm {
    fn name(&self) -> &'static str {
        "rms_norm"
    }

    fn outputs(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, String> {
        match inputs {
            [x, scale] if x.shape.rank() == 2 && *scale == TensorType::f32([x.shape[1]]) => Ok(vec![x.clone()]),
            _ => Err("takes x (rows, columns) and scale (columns)".into()),
        }
    }

    fn sequence(&self, inputs: &[TensorType], _: &Target) -> Result<Sequence, String> {
        let (rows, columns) = (inputs[0].shape[0], inputs[0].shape[1]);
        let mut sequence = Sequence::default();
        let factor = sequence.scratch(Element::F32, rows);
        let [x, scale, y] = [0, 1, 2].map(Slot::Argument);
        sequence.step(factors(rows, columns), [x, factor]);
        sequence.step(product(rows, columns), [x, factor, scale, y]);
        (self.wrong)(&mut sequence);
        Ok(sequence)
    }

    fn definition<'g>(&self, _: &'g Graph, inputs: &[Tensor<'g>]) -> Option<Vec<Tensor<'g>>> {
        self.definition.then(|| vec![inputs[0] * factor(inputs[0]) * inputs[1]])
    }

    fn gradient<'g>(&self, node: &OutputGradients<'g>) -> Option<Vec<(usize, Tensor<'g>)>> {
        let (x, dy) = (node.inputs[0], node.gradient(0));
        let g = dy * node.inputs[1];
        let factor = factor(x);
        // The same operation serves once more, so that its gradient is taken again in second derivatives.
        let ones = x.graph().full([x.shape()[1]], 1.0);
        let [normal] = x.graph().custom(*self, &[x, ones]);
        let dx = (g - normal * row_mean(g * normal)) * factor;
        self.gradient.then(|| vec![(0, dx), (1, (dy * normal).sum(0))])
    }
}

const SHAPE: [usize; 2] = [5, 7];

fn inputs(graph: &Graph) -> [Tensor<'_>; 2] {
    [graph.input("x", TensorType::f32(SHAPE)), graph.input("scale", TensorType::f32([SHAPE[1]]))]
}

fn values() -> Values {
    let mut random = Random::new(4, 0);
    let mut draw = |count| Data::F32((0..count).map(|_| random.normal()).collect());
    Values::from([("x".into(), draw(SHAPE[0] * SHAPE[1])), ("scale".into(), draw(SHAPE[1]))])
}

fn reference() -> Reference {
    let wide = |data: &Data| data.f32().iter().copied().map(f64::from).collect();
    Reference::new(values().iter().map(|(name, data)| (name.clone(), wide(data))))
}

fn gpu() -> Gpu {
    Gpu::open().unwrap_or_else(|error| panic!("{error}"))
}

/// A loss through the norm, its gradients, and those of their sum of squares.
fn outputs<'g>(graph: &'g Graph, norm: RmsNorm) -> Vec<(&'static str, Tensor<'g>)> {
    let [x, scale] = inputs(graph);
    let [y] = graph.custom(norm, &[x * 2.0, scale]);
    let loss = (y.tanh() * x).sum_all();
    let first = gradients(loss, &[x, scale]);
    let second = gradients(first[0].square().sum_all() + first[1].square().sum_all(), &[x, scale]);
    let named = [("loss", loss), ("dx", first[0]), ("dscale", first[1]), ("ddx", second[0]), ("ddscale", second[1])];
    named.iter().for_each(|(name, tensor)| graph.output(name, *tensor));
    named.to_vec()
}

fn close(name: &str, expected: &[f64], got: &[f64], bound: f64) {
    let largest = expected.iter().fold(1e-30_f64, |largest, value| largest.max(value.abs()));
    let worst = expected.iter().zip(got).map(|(a, b)| (a - b).abs()).fold(0.0_f64, f64::max);
    assert!(worst <= bound * largest && expected.len() == got.len(), "{name}: {worst:e} of {largest:e}");
}

fn wide(data: &Data) -> Vec<f64> {
    data.f32().iter().copied().map(f64::from).collect()
}

#[test]
fn first_and_second_derivatives_are_those_of_the_definition_on_kernels_and_on_twins() {
    let (graph, plain) = (Graph::new(), Graph::new());
    let named = outputs(&graph, NORM);
    // By the definition alone.
    let defined = outputs(&plain, RmsNorm { gradient: false, ..NORM });
    let gpu = gpu();
    let plan = Plan::new(&graph, &gpu.target()).unwrap_or_else(|error| panic!("{error}"));
    let mut session = Session::new(&gpu, plan.clone(), &values()).unwrap_or_else(|error| panic!("{error}"));
    session.submit(1).unwrap_or_else(|error| panic!("{error}"));
    let mut twins = TwinSession::new(plan, &values()).unwrap_or_else(|error| panic!("{error}"));
    twins.run(1);
    for ((name, tensor), (_, defined)) in named.into_iter().zip(defined) {
        let expected = reference().evaluate(defined).unwrap_or_else(|error| panic!("{error}"));
        close(name, &expected, &reference().evaluate(tensor).expect("a definition"), 1e-12);
        close(name, &expected, &wide(&session.read(name).expect("a name")), 2e-5);
        close(name, &expected, &wide(&twins.read(name).expect("a name")), 2e-5);
    }
}

#[test]
fn without_a_definition_the_reference_goes_by_the_twins() {
    let graph = Graph::new();
    let [x, scale] = inputs(&graph);
    let [defined] = graph.custom(NORM, &[x, scale]);
    let [twin] = graph.custom(RmsNorm { definition: false, ..NORM }, &[x, scale]);
    let [expected, got] = [defined, twin].map(|y| reference().evaluate(y).unwrap_or_else(|error| panic!("{error}")));
    close("y", &expected, &got, 1e-6);
    assert_ne!(expected, got, "the twins compute in f32");
}

#[test]
fn a_plan_prints_counts_and_fuses_around_it() {
    let graph = Graph::new();
    let [x, scale] = inputs(&graph);
    let [y] = graph.custom(NORM, &[(x * 2.0).tanh(), scale]);
    graph.output("y", y.square() + 1.0);
    let plan = Plan::new(&graph, &Target::default()).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(plan.dispatches.len(), 4, "a chain before, two dispatches, a chain after:\n{plan}");
    let text = plan.to_string();
    assert!(text.contains("rms_norm.factors") && text.contains("rms_norm at tests/custom_operations.rs"), "{text}");
    let (elements, rows, columns) = (SHAPE[0] * SHAPE[1], SHAPE[0], SHAPE[1]);
    let own = (elements + rows) + (2 * elements + rows + columns);
    assert_eq!(plan.bytes_moved(), 4 * (own + 4 * elements));
    assert!(plan.flops() >= 2.0 * elements as f64);
    assert!(plan.dispatches[1].call.has_runtime_checks());
}

#[test]
fn nodes_of_one_operation_with_the_same_inputs_are_computed_once() {
    let graph = Graph::new();
    let [x, scale] = inputs(&graph);
    let norm = fourfold::graph::operation::Fused::from(NORM);
    let [a] = graph.custom(norm.clone(), &[x, scale]);
    let [b] = graph.custom(norm, &[x, scale]);
    graph.output("a", a + b);
    let plan = Plan::new(&graph, &Target::default()).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(plan.kernels()["rms_norm.factors"], 1, "{plan}");
}

#[test]
fn a_fault_planted_in_it_is_found_by_halving_and_by_the_judge() {
    let graph = Graph::new();
    outputs(&graph, NORM);
    let gpu = gpu();
    let mut plan = Plan::new(&graph, &gpu.target()).unwrap_or_else(|error| panic!("{error}"));
    let agree = |_: &str, expected: &Data, got: &Data| {
        let pairs = expected.f32().iter().zip(got.f32());
        pairs.into_iter().all(|(a, b)| (a - b).abs() <= 1e-4 * a.abs().max(1.0))
    };
    assert!(find_wrong_kernel(&gpu, plan.clone(), &values(), agree).expect("a run").is_none());
    let mixed = run_mixed(&gpu, plan.clone(), &values(), plan.dispatches.len() / 2).expect("a run");
    assert!(mixed["dx"].f32().iter().all(|value| value.is_finite()));

    let wrong = plan.dispatches.iter().position(|dispatch| dispatch.call.kernel.name == FACTORS.name);
    let wrong = wrong.expect("the first of its kernels");
    let kernel = changed(&FACTORS, |kernel| kernel.source = kernel.source.replace("+ 1e-5", "+ 0.5").into());
    let call = plan.dispatches[wrong].call.clone().changed(|call| call.kernel = kernel.clone().into());
    plan.dispatches[wrong].call = call;
    let suspect = find_wrong_kernel(&gpu, plan, &values(), agree).expect("a run").expect("a wrong kernel");
    assert_eq!((suspect.dispatch, suspect.kernel.as_str()), (wrong, "rms_norm.factors"));
    assert!(suspect.label.starts_with("rms_norm at tests/custom_operations.rs"), "{}", suspect.label);

    for seed in 0..20 {
        for kernel in [&FACTORS, &SCALED] {
            let verdict = verify::run(&gpu, &kernel.case.draw(&mut Generator::new(seed, 100))).expect("a run");
            assert!(verdict.passed(), "{verdict}");
        }
    }
    let case = FACTORS.case.draw(&mut Generator::new(1, 100));
    let case = Case { call: case.call.clone().changed(|call| call.kernel = kernel.into()), ..case };
    assert!(!verify::run(&gpu, &case).expect("a run").passed());
}

/// A copy of a kernel, changed.
fn changed(kernel: &Kernel, change: impl FnOnce(&mut Kernel)) -> Arc<Kernel> {
    let mut copy = kernel.clone();
    change(&mut copy);
    Arc::new(copy)
}

/// The error of planning a norm with wrong dispatches.
fn refusal(wrong: fn(&mut Sequence)) -> String {
    let graph = Graph::new();
    let [x, scale] = inputs(&graph);
    let [y] = graph.custom(RmsNorm { wrong, ..NORM }, &[x, scale]);
    graph.output("y", y);
    let text = Plan::new(&graph, &Target::default()).expect_err("its dispatches are wrong").to_string();
    assert!(text.starts_with("rms_norm: ") && text.contains("(at tests/custom_operations.rs:"), "{text}");
    println!("{text}");
    text
}

/// As [`refusal`], to a first kernel that was changed.
macro_rules! kernel_refusal {
    ($change:expr) => {
        refusal(|sequence| {
            let kernel = changed(&FACTORS, $change);
            sequence.steps[0].call = sequence.steps[0].call.clone().changed(|call| call.kernel = kernel.into());
        })
    };
}

#[test]
fn a_wrong_kernel_is_named_by_file_line_and_function() {
    let text = kernel_refusal!(|kernel| kernel.source = kernel.source.replace("square += ", "square ++ ").into());
    assert!(text.contains("rms_norm.wgsl:15, function `factors`: "), "{text}");
    let text = kernel_refusal!(|kernel| kernel.source = kernel.source.replace("f32(size.y)", "size.y").into());
    assert!(text.contains("rms_norm.wgsl:17, function `factors`: "), "{text}");
    let text = kernel_refusal!(|kernel| kernel.source = kernel.source.replace("read_write> f", "read> f").into());
    assert!(text.contains("rms_norm.wgsl:3,") && text.contains("needs `var<storage, read_write>`"), "{text}");
    let text = kernel_refusal!(|kernel| kernel.source = kernel.source.replace("@binding(1)", "@binding(7)").into());
    assert!(text.contains("rms_norm.wgsl:7, function `factors`: expected `@group(0) @binding(1)`"), "{text}");
    let text =
        kernel_refusal!(|kernel| kernel.source = kernel.source.replace("size: vec2<u32>;", "size: vec4<u32>;").into());
    assert!(text.contains("rms_norm.wgsl:4,") && text.contains("`size` has 16 bytes in the WGSL, but 8"), "{text}");
    let text = kernel_refusal!(|kernel| kernel.twin = |_, operands| operands[1].f32().fill(f32::NAN));
    assert!(text.contains("rms_norm.wgsl:7, function `factors`: its twin gives NaN"), "{text}");
    let text = kernel_refusal!(|kernel| kernel.twin = |_, operands| operands[2].f32().fill(0.0));
    assert!(text.contains("rms_norm.wgsl:7, function `factors`: its case generator or twin panics"), "{text}");
    let text = kernel_refusal!(|kernel| kernel.case = SCALED.case.clone());
    assert!(text.contains("draws calls of `product`"), "{text}");
}

#[test]
fn wrong_dispatches_are_named_by_kernel_and_binding() {
    let text = refusal(|sequence| sequence.steps[1].operands[1] = Slot::Scratch(3));
    assert!(text.contains("kernel `rms_norm_product` (rms_norm_product.wgsl): `factor` is Scratch(3)"), "{text}");
    let text = refusal(|sequence| sequence.steps[1].operands[3] = Slot::Argument(0));
    assert!(text.contains("`y` is written, but Argument(0) is an input"), "{text}");
    let text = refusal(|sequence| sequence.steps[1].operands[1] = Slot::Argument(2));
    assert!(text.contains("Argument(2) is bound twice"), "{text}");
    let text = refusal(|sequence| sequence.scratch[0].length = 3);
    assert!(text.contains("`factor` takes 5 F32 elements, but Scratch(0) has 3"), "{text}");
    let text = refusal(|sequence| sequence.scratch[0].element = Element::U32);
    assert!(text.contains("Scratch(0) has 5 U32"), "{text}");
    let text = refusal(|sequence| {
        sequence.steps.pop();
    });
    assert!(text.contains("none of its dispatches writes output 0"), "{text}");
    let text = refusal(|sequence| {
        sequence.steps[0].call = sequence.steps[0].call.clone().changed(|call| call.uniform.push(0));
    });
    assert!(text.contains("takes a uniform block of 8 bytes, but the call has 9"), "{text}");
    let text = refusal(|sequence| {
        sequence.steps[0].call = sequence.steps[0].call.clone().changed(|call| call.grid[0] = 0);
    });
    assert!(text.contains("the grid [0, 1, 1] has no workgroups"), "{text}");
    let text = refusal(|sequence| {
        sequence.steps[0].operands.pop();
    });
    assert!(text.contains("it has 2 bindings, but the call has 2 lengths and 1 operands"), "{text}");
}

#[test]
fn wrong_inputs_and_numbers_of_outputs_are_named_with_the_line() {
    let graph = Graph::new();
    let [x, scale] = inputs(&graph);
    let [_] = graph.custom(NORM, &[scale, x]);
    let text = graph.check().expect_err("the inputs are swapped").to_string();
    assert!(text.starts_with("rms_norm: takes x (rows, columns) and scale (columns), got ["), "{text}");
    let graph = Graph::new();
    let [_, _] = graph.custom(NORM, &inputs(&graph));
    let text = graph.check().expect_err("it has one output").to_string();
    assert!(text.contains("has 1 outputs, but 2 were asked for"), "{text}");
}

#[test]
fn an_operation_without_a_gradient_is_an_error_and_no_gradient_of_zero() {
    let graph = Graph::new();
    let [x, scale] = inputs(&graph);
    let [y] = graph.custom(RmsNorm { gradient: false, definition: false, ..NORM }, &[x, scale]);
    gradients(y.sum_all(), &[x]);
    let text = graph.check().expect_err("no rule").to_string();
    assert!(text.starts_with("rms_norm: has no gradient: no rule"), "{text}");
    assert!(text.contains("custom_operations.rs"), "{text}");
}

/// An operation whose gradient and definition have wrong shapes.
#[derive(Debug)]
struct Misshapen {
    gradient: bool,
}

impl Operation for Misshapen {
    fn name(&self) -> &'static str {
        "misshapen"
    }

    fn outputs(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, String> {
        Ok(vec![inputs[0].clone()])
    }

    fn sequence(&self, _: &[TensorType], _: &Target) -> Result<Sequence, String> {
        Ok(Sequence::default())
    }

    fn definition<'g>(&self, _: &'g Graph, inputs: &[Tensor<'g>]) -> Option<Vec<Tensor<'g>>> {
        Some(vec![inputs[0].sum_all()])
    }

    fn gradient<'g>(&self, node: &OutputGradients<'g>) -> Option<Vec<(usize, Tensor<'g>)>> {
        self.gradient.then(|| vec![(0, node.gradient(0).sum_all())])
    }
}

#[test]
fn a_gradient_or_a_definition_of_another_shape_is_an_error() {
    for (gradient, expected) in [(true, "its gradient gives"), (false, "its definition gives")] {
        let graph = Graph::new();
        let x = graph.input("x", TensorType::f32(Shape::from([3])));
        let [y] = graph.custom(Misshapen { gradient }, &[x]);
        let values = Reference::new([("x", vec![1.0; 3])]);
        let text = values.evaluate(y).expect_err("its definition is one number").to_string();
        assert!(text.starts_with("misshapen: its definition gives") && text.contains("custom_operations.rs"), "{text}");
        gradients(y.sum_all(), &[x]);
        let text = graph.check().expect_err("a wrong shape").to_string();
        assert!(text.starts_with(&format!("misshapen: {expected}")), "{text}");
    }
}

#[derive(Debug, Clone, Copy)]
struct Linear(bool);

impl Operation for Linear {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn outputs(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, String> {
        Ok(vec![TensorType::f32([inputs[0].shape[0], inputs[1].shape[1]])])
    }

    fn sequence(&self, _: &[TensorType], target: &Target) -> Result<Sequence, String> {
        let product = matmul::Problem::new(5, 5, 7).with_epilogue(self.0, Activation::None);
        product.sequence(target).map_err(|error| error.to_string())
    }

    fn with_bias(&self, activation: Activation) -> Option<Fused> {
        (activation == Activation::None).then(|| Linear(true).into())
    }
}

#[test]
fn an_operation_that_takes_a_bias_and_no_activation_is_computed_with_both() {
    let (graph, gpu) = (Graph::new(), gpu());
    let [x, scale] = inputs(&graph);
    let linear = |sign: f32| graph.custom::<1>(Linear(false), &[x, x.transpose() * sign])[0] + scale.slice(&[0], [5]);
    let compared = [("plain", linear(0.5)), ("relu", linear(-0.5).relu())];
    compared.iter().for_each(|(name, tensor)| graph.output(name, *tensor));
    let plan = Plan::new(&graph, &gpu.target()).expect("a plan");
    let mut session = Session::new(&gpu, plan, &values()).expect("a session");
    session.submit(1).expect("a step");
    for (name, tensor) in compared {
        close(name, &reference().evaluate(tensor).expect("twins"), &wide(&session.read(name).expect("a name")), 2e-5);
    }
}
