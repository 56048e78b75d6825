//! The comparison of a graph's gradients with central differences.

use fourfold::graph::{Graph, Reference, Tensor, TensorType, Value, gradients};

/// Relative to the largest element of the compared vector.
///
/// The differences themselves are good to about 1e-10 (five points, step 1e-3). What is left is f32: the graph's
/// constants, such as the sqrt(2/pi) of a derivative, are rounded to 6e-8.
const TOLERANCE: f64 = 1e-6;

/// Something with derivatives, built from leaves of given shapes.
pub struct Case {
    pub name: &'static str,
    pub leaves: Vec<Vec<usize>>,
    /// Further inputs without derivatives, handed to `build` after the leaves.
    pub given: Vec<(TensorType, Vec<f64>)>,
    pub build: for<'g> fn(&'g Graph, &[Tensor<'g>]) -> Tensor<'g>,
}

impl Case {
    pub fn new(
        name: &'static str,
        leaves: &[&[usize]],
        build: for<'g> fn(&'g Graph, &[Tensor<'g>]) -> Tensor<'g>,
    ) -> Self {
        Self { name, leaves: leaves.iter().map(|shape| shape.to_vec()).collect(), given: Vec::new(), build }
    }

    pub fn with(mut self, kind: TensorType, values: Vec<f64>) -> Self {
        self.given.push((kind, values));
        self
    }

    /// The leaves, the value that `build` makes of all inputs, and the values of all inputs.
    pub fn inputs<'g>(&self, graph: &'g Graph) -> (Vec<Tensor<'g>>, Tensor<'g>, Reference) {
        let name = |index: usize| format!("x{index}");
        let mut reference = Reference::default();
        let mut inputs = Vec::new();
        for (index, shape) in self.leaves.iter().enumerate() {
            let leaf = graph.input(&name(index), TensorType::f32(shape.clone()));
            reference.set(&name(index), spread(leaf.elements(), index));
            inputs.push(leaf);
        }
        let leaves = inputs.clone();
        for (kind, values) in &self.given {
            let name = name(inputs.len());
            inputs.push(graph.input(&name, kind.clone()));
            reference.set(&name, values.clone());
        }
        let made = (self.build)(graph, &inputs);
        (leaves, made, reference)
    }
}

/// Numbers between -1.5 and 1.5 without any two alike: fractions of multiples of the golden ratio.
pub fn spread(count: usize, salt: usize) -> Vec<f64> {
    (0..count).map(|index| ((index + 1 + 97 * salt) as f64 * 0.618_033_988_749_894_9).fract() * 3.0 - 1.5).collect()
}

/// An `f32` input that holds fixed numbers.
pub fn fixed<'g>(graph: &'g Graph, reference: &mut Reference, name: &str, like: Tensor<'g>) -> Tensor<'g> {
    let tensor = graph.input(name, TensorType::f32(like.shape()));
    reference.set(name, spread(like.elements(), name.len() * 7 + name.bytes().map(usize::from).sum::<usize>()));
    tensor
}

/// A loss in which neither the cotangent of `made` is constant nor its second derivative zero.
pub fn bend<'g>(graph: &'g Graph, reference: &mut Reference, made: Tensor<'g>) -> Tensor<'g> {
    use fourfold::shaders::elementwise::Unary;
    let weights = fixed(graph, reference, "weights", made);
    (made + made.unary(Unary::Sin) * 0.5).dot(weights)
}

/// Compares the gradients of `loss`, the Hessian's product with a fixed vector, and that product's gradient along
/// another, with differences of what each is the derivative of. `orders` says how many of the three.
pub fn compare<'g>(name: &str, loss: Tensor<'g>, leaves: &[Tensor<'g>], reference: &mut Reference, orders: usize) {
    let graph = loss.graph();
    let mut number = loss;
    for order in 1..=orders {
        let slopes = gradients(number, leaves);
        graph.check().unwrap_or_else(|error| panic!("{name}, order {order}: {error}"));
        let analytic = reference.evaluate_all(&slopes).unwrap_or_else(|error| panic!("{name}: {error}"));
        for (index, (leaf, analytic)) in leaves.iter().zip(&analytic).enumerate() {
            let expected = differences(reference, number, &format!("x{index}"), leaf.elements());
            assert_close(&format!("{name}: derivative {order} for leaf {index}"), analytic, &expected);
        }
        // The next order is that of the directional derivative.
        let along = slopes
            .iter()
            .enumerate()
            .map(|(index, slope)| slope.dot(fixed(graph, reference, &format!("direction {order} {index}"), *slope)));
        number = along.reduce(|a, b| a + b).unwrap_or(number);
    }
}

/// The gradient of `number` for the input `name`, element by element, by five points.
pub fn differences(reference: &Reference, number: Tensor<'_>, name: &str, elements: usize) -> Vec<f64> {
    const STEP: f64 = 1e-3;
    let center = reference.evaluate(number.graph().tensor(input(number.graph(), name))).expect("a given input");
    assert_eq!(center.len(), elements);
    let mut moved = reference.clone();
    (0..elements)
        .map(|element| {
            let mut at = |steps: f64| {
                let mut values = center.clone();
                values[element] += steps * STEP;
                moved.set(name, values);
                moved.evaluate(number).expect("a graph without mistakes")[0]
            };
            (8.0 * (at(1.0) - at(-1.0)) - (at(2.0) - at(-2.0))) / (12.0 * STEP)
        })
        .collect()
}

fn input(graph: &Graph, name: &str) -> fourfold::graph::Value {
    use fourfold::graph::{Op, Value};
    let is_it = |index: &usize| matches!(&graph.node(*index).op, Op::Input { name: own } if own == name);
    Value { node: (0..graph.len()).find(is_it).expect("an input of this name"), output: 0 }
}

#[track_caller]
pub fn assert_close(what: &str, got: &[f64], expected: &[f64]) {
    assert_eq!(got.len(), expected.len(), "{what}");
    let scale = expected.iter().fold(1e-3, |scale: f64, value| scale.max(value.abs()));
    for (index, (got, expected)) in got.iter().zip(expected).enumerate() {
        let error = (got - expected).abs();
        assert!(error <= TOLERANCE * scale, "{what}: element {index} is {got}, expected {expected} (scale {scale})");
    }
}

/// The derivative of `loss` as the values of a leaf move along `direction`, by five points.
fn along(reference: &Reference, loss: Tensor<'_>, leaf: Value, name: &str, direction: &[f64]) -> f64 {
    const STEP: f64 = 1e-4;
    let start = reference.evaluate(loss.graph().tensor(leaf)).expect("a given leaf");
    let at = |steps: f64| {
        let mut moved = reference.clone();
        moved.set(name, start.iter().zip(direction).map(|(x, d)| x + steps * STEP * d).collect());
        moved.evaluate(loss).expect("all values given")[0]
    };
    (8.0 * (at(1.0) - at(-1.0)) - (at(2.0) - at(-2.0))) / (12.0 * STEP)
}

/// Compares the gradients of `loss` for leaves with differences along several directions that touch every element: one difference
/// for each of thousands of elements would take minutes.
pub fn assert_along(reference: &Reference, loss: Tensor<'_>, leaves: &[(&str, Tensor<'_>)], found: &[Vec<f64>]) {
    for ((name, leaf), found) in leaves.iter().zip(found) {
        for salt in 0..6 {
            let direction = spread(leaf.elements(), 17 + 4 * salt);
            let slope: f64 = found.iter().zip(&direction).map(|(a, b)| a * b).sum();
            let expected = along(reference, loss, leaf.value(), name, &direction);
            assert_close(&format!("{name}, direction {salt}"), &[slope], &[expected]);
        }
        assert!(found.iter().any(|slope| slope.abs() > 1e-4), "the loss does not depend on {name}");
    }
}
