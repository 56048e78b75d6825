//! An operation of one's own in the graph: the rotary position embedding (Su et al. 2021), with its gradient.
//!
//! A row of queries or keys is seen as pairs of numbers, and each pair is turned by an angle that grows with the row's
//! position. Products of turned queries and keys then depend on how far apart they stand, not on where. The gradient of
//! a turn is the turn back, which is the same operation with other sines: derivatives of every order come for free.
//!
//! Run it with `cargo run --release -p fourfold-demos --example rotary`.

use std::borrow::Cow::Borrowed;
use std::error::Error;

use fourfold::graph::{Graph, Operation, OutputGradients, Plan, Session, Tensor, TensorType, Values, gradients};
use fourfold::shaders::{
    Binding, Call, Case, Cases, Data, Generator, Kernel, Operand, Sequence, Target, Tolerance, grid,
};
use fourfold::{Gpu, verify};

const POSITIONS: usize = 6;
const SIZE: usize = 8;

/// One invocation turns one pair.
const WGSL: &str = "
@group(0) @binding(0) var<storage, read> x: array<vec2<f32>>;  // (positions, size / 2)
@group(0) @binding(1) var<storage, read> cosine: array<f32>;  // (positions, size / 2)
@group(0) @binding(2) var<storage, read> sine: array<f32>;  // (positions, size / 2)
@group(0) @binding(3) var<storage, read_write> y: array<vec2<f32>>;  // (positions, size / 2)
@group(1) @binding(0) var<uniform> pairs: u32;

@compute @workgroup_size(64)
fn rotary(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = (group.x + group.y * groups.x) * 64u + lane;
    if i < pairs {
        y[i] = cosine[i] * x[i] + sine[i] * vec2<f32>(-x[i].y, x[i].x);
    }
}
";

static ROTARY: Kernel = Kernel {
    name: Borrowed("rotary"),
    source: Borrowed(WGSL),
    entry_point: "rotary",
    bindings: Borrowed(&[
        Binding::read("x", "(positions, size)"),
        Binding::read("cosine", "(positions, size / 2)"),
        Binding::read("sine", "(positions, size / 2)"),
        Binding::write("y", "(positions, size)"),
    ]),
    uniform_bytes: 4,
    subgroup_sizes: None,
    passes: |_| 0,
    twin,
    // Two products and their sum round three times, each by at most the largest product.
    tolerance: |_, operands, _| {
        let largest = |index: usize| operands[index].f32().iter().fold(0.0_f32, |most, value| most.max(value.abs()));
        let product = f64::from(largest(0)) * f64::from(largest(1).max(largest(2)));
        Tolerance::Within { relative: 0.0, absolute: 4.0 * Tolerance::EPSILON * product }
    },
    case: Cases::Drawn(|generator| {
        let pairs = generator.length(5_000);
        let inputs = [2 * pairs, pairs, pairs].map(|count| generator.values(count, 1e3));
        Case::new(pairs, call(pairs), inputs)
    }),
    flops: |call| 6.0 * call.lengths[1] as f64,
};

fn call(pairs: usize) -> Call {
    Call::checked(&ROTARY, &(pairs as u32), pairs.div_ceil(64), [2 * pairs, pairs, pairs, 2 * pairs])
        .changed(|call| call.grid = grid(pairs.div_ceil(64)))
}

fn twin(_: &Call, operands: &mut [Operand<'_>]) {
    let [x, cosine, sine, y] = operands else { unreachable!("the kernel has four bindings") };
    let turns = cosine.f32().iter().zip(sine.f32());
    for ((x, y), (cosine, sine)) in x.f32().chunks(2).zip(y.f32().chunks_mut(2)).zip(turns) {
        let [a, b, cosine, sine] = [x[0], x[1], *cosine, *sine].map(f64::from);
        y[0] = (cosine * a - sine * b) as f32;
        y[1] = (cosine * b + sine * a) as f32;
    }
}

/// Turns the pairs of `x` by the angles of the tables: (x, cosine, sine) to y.
#[derive(Debug, Clone, Copy)]
struct Rotary;

impl Operation for Rotary {
    fn name(&self) -> &'static str {
        "rotary"
    }

    fn outputs(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, String> {
        match inputs {
            [x, cosine, sine]
                if x.shape.rank() == 2
                    && x.shape[1].is_multiple_of(2)
                    && *cosine == TensorType::f32([x.shape[0], x.shape[1] / 2])
                    && sine == cosine =>
            {
                Ok(vec![x.clone()])
            }
            _ => Err("takes x (positions, size), and cosines and sines (positions, size / 2)".into()),
        }
    }

    fn sequence(&self, inputs: &[TensorType], _: &Target) -> Result<Sequence, String> {
        Ok(call(inputs[1].elements()).into())
    }

    /// The turn back; the tables are constants.
    fn gradient<'g>(&self, node: &OutputGradients<'g>) -> Option<Vec<(usize, Tensor<'g>)>> {
        let [dx] = node.graph.custom(*self, &[node.gradient(0), node.inputs[1], -node.inputs[2]]);
        Some(vec![(0, dx)])
    }
}

/// Cosines and sines of the angles `position / 10000^(2 pair / size)`.
fn tables() -> [Data; 2] {
    let angle = |index: usize| {
        let (position, pair) = (index / (SIZE / 2), index % (SIZE / 2));
        position as f64 / 10_000_f64.powf(2.0 * pair as f64 / SIZE as f64)
    };
    let table =
        |of: fn(f64) -> f64| Data::F32((0..POSITIONS * SIZE / 2).map(|index| of(angle(index)) as f32).collect());
    [table(f64::cos), table(f64::sin)]
}

fn main() -> Result<(), Box<dyn Error>> {
    let gpu = Gpu::open()?;
    for seed in 0..20 {
        let verdict = verify::run(&gpu, &ROTARY.case.draw(&mut Generator::new(seed, Generator::FULL)))?;
        if !verdict.passed() {
            return Err(verdict.to_string().into());
        }
    }
    println!("20 cases of the kernel agree with its twin on {}\n", gpu.info().name);

    // The same query and the same key at every position.
    let graph = Graph::new();
    let table = TensorType::f32([POSITIONS, SIZE / 2]);
    let [cosine, sine] = ["cosine", "sine"].map(|name| graph.input(name, table.clone()));
    let [query, key] = ["query", "key"].map(|name| graph.input(name, TensorType::f32([1, SIZE])));
    let turned = |row: Tensor<'_>| {
        let [y] = graph.custom(Rotary, &[row.broadcast_to([POSITIONS, SIZE]), cosine, sine]);
        graph.tensor(y.value())
    };
    let (queries, keys) = (turned(query), turned(key));
    graph.output("scores", queries.matmul_transposed(keys, false, true));
    // A turn keeps lengths: the gradient of half the square of all queries is the query, once for each position, and the
    // gradient of half of that one's square is the query once for each pair of positions.
    let first = gradients(queries.square().sum_all() * 0.5, &[query])[0];
    let second = gradients(first.square().sum_all() * 0.5, &[query])[0];
    graph.output("first", first / POSITIONS as f32);
    graph.output("second", second / (POSITIONS * POSITIONS) as f32);

    let plan = Plan::new(&graph, &gpu.target())?;
    println!("{plan}");
    let row = |of: fn(usize) -> f32| Data::F32((0..SIZE).map(of).collect());
    let [cosines, sines] = tables();
    let values = Values::from([
        ("cosine".into(), cosines),
        ("sine".into(), sines),
        ("query".into(), row(|index| 1.0 - 0.2 * index as f32)),
        ("key".into(), row(|index| 0.3 + 0.1 * index as f32)),
    ]);
    let mut session = Session::new(&gpu, plan, &values)?;
    session.submit(1)?;

    println!("The product of a query and a key says how far apart they stand, wherever that is:");
    let scores = session.read("scores")?;
    for row in scores.f32().chunks(POSITIONS) {
        println!("{}", row.iter().map(|score| format!("{score:8.3}")).collect::<String>());
    }
    for name in ["first", "second"] {
        let gradient = session.read(name)?;
        let pairs = gradient.f32().iter().zip(values["query"].f32());
        let error = pairs.map(|(got, expected)| (got - expected).abs()).fold(0.0_f32, f32::max);
        println!("{name} derivative: off the closed form by at most {error:.1e}");
        if error.is_nan() || error > 1e-5 {
            return Err(format!("the {name} derivative is wrong").into());
        }
    }
    Ok(())
}
