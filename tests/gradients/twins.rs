//! Plans of gradients on the CPU twins against the interpreter: fused operations mean the same in both, and lowering,
//! fusion and the reuse of buffers change nothing.

use fourfold::graph::{Graph, Op, Plan, Reference, TwinSession, Value, Values, gradients};
use fourfold::shaders::{Data, Element, Target};

use super::finite_differences::{bend, fixed};
use super::rules::all;

/// Relative to the largest element of each value. The twins round to f32 (6e-8) after every dispatch, and what is left
/// of terms that cancel carries the rounding of the terms: 7e-6 is the worst seen.
const TOLERANCE: f64 = 2e-5;

/// The values of the inputs as both sides take them: rounded to f32.
fn values(graph: &Graph, reference: &mut Reference) -> Values {
    let mut values = Values::new();
    for index in 0..graph.len() {
        let node = graph.node(index);
        if let Op::Input { name } | Op::State { name, .. } = &node.op {
            let given = reference.evaluate(graph.tensor(Value { node: index, output: 0 })).expect("a value");
            let data = match node.outputs[0].element {
                Element::F32 => Data::F32(given.iter().map(|&value| value as f32).collect()),
                Element::U32 => Data::U32(given.iter().map(|&value| value as u32).collect()),
            };
            if let Data::F32(rounded) = &data {
                reference.set(name, rounded.iter().map(|&value| f64::from(value)).collect());
            }
            values.insert(name.clone(), data);
        }
    }
    values
}

#[test]
fn plans_of_first_and_second_derivatives_agree_with_the_interpreter() {
    let mut failures = Vec::new();
    for case in all() {
        let graph = Graph::new();
        let (leaves, made, mut reference) = case.inputs(&graph);
        let loss = bend(&graph, &mut reference, made);
        let slopes = gradients(loss, &leaves);
        let along = slopes
            .iter()
            .enumerate()
            .map(|(index, slope)| slope.dot(fixed(&graph, &mut reference, &format!("direction {index}"), *slope)));
        let products = gradients(along.reduce(|a, b| a + b).expect("at least one leaf"), &leaves);
        let named: Vec<_> = [made, loss].into_iter().chain(slopes).chain(products).collect();
        for (index, tensor) in named.iter().enumerate() {
            graph.output(&index.to_string(), *tensor);
        }
        let plan = Plan::new(&graph, &Target::default()).unwrap_or_else(|error| panic!("{}: {error}", case.name));
        let values = values(&graph, &mut reference);
        let mut session = TwinSession::new(plan, &values).expect("a value of every input");
        session.run(1);
        for (index, expected) in reference.evaluate_all(&named).expect("a value of every input").iter().enumerate() {
            let got = session.read(&index.to_string()).expect("a named output");
            let scale = expected.iter().fold(1e-2, |scale: f64, value| scale.max(value.abs()));
            let errors = got.f32().iter().zip(expected).map(|(&got, expected)| (f64::from(got) - expected).abs());
            let worst =
                errors.fold(0.0, |worst: f64, error| if error > worst || error.is_nan() { error } else { worst });
            if worst.is_nan() || worst > TOLERANCE * scale {
                failures.push(format!("{}, value {index}: off by {worst} of {scale}", case.name));
            }
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
}
