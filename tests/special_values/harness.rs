//! Runs a graph on kernels, twins and the f64 reference and compares each with numbers that the test states.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use fourfold::Gpu;
use fourfold::graph::{Graph, Plan, Reference, Session, Tensor, TensorType, TwinSession, Values};
use fourfold::shaders::{Data, Element, Target};

pub const NAN: f64 = f64::NAN;
pub const INFINITY: f64 = f64::INFINITY;
pub const LOWEST: f64 = f32::MIN as f64;

/// An input by name, with its type and its values, which are rounded to f32.
pub type Given<'a> = (&'a str, TensorType, &'a [f64]);

pub fn gpu() -> &'static Gpu {
    static GPU: OnceLock<Gpu> = OnceLock::new();
    GPU.get_or_init(|| Gpu::open().unwrap_or_else(|error| panic!("{error}")))
}

/// The same number, or one within `tolerance` of the largest finite magnitude expected.
fn is_right(got: f64, expected: f64, tolerance: f64) -> bool {
    got == expected || (got.is_nan() && expected.is_nan()) || (got - expected).abs() <= tolerance
}

fn compare(label: &str, got: &[f64], expected: &[f64], tolerance: f64, failures: &mut Vec<String>) {
    let scale = expected.iter().filter(|value| value.is_finite()).fold(0.0, |scale: f64, value| scale.max(value.abs()));
    // Each device chooses the result of numbers below the smallest normal one.
    let tolerance = (tolerance * scale).max(f64::from(f32::MIN_POSITIVE));
    assert_eq!(got.len(), expected.len(), "{label}");
    let wrong = (0..got.len()).filter(|&index| !is_right(got[index], expected[index], tolerance));
    let wrong: Vec<usize> = wrong.collect();
    if let Some(&first) = wrong.first() {
        let (got, expected) = (got[first], expected[first]);
        failures.push(format!("{label}: {} wrong, first [{first}]: got {got:e}, expected {expected:e}", wrong.len()));
    }
}

fn numbers(data: &Data) -> Vec<f64> {
    match data {
        Data::F32(values) => values.iter().copied().map(f64::from).collect(),
        Data::U32(values) => values.iter().copied().map(f64::from).collect(),
    }
}

/// Collects what differs from the numbers that are expected.
#[derive(Default)]
pub struct Judge {
    failures: Vec<String>,
}

impl Judge {
    /// Judges the tensors that `build` makes of the inputs, each against its numbers: on the kernels that this device
    /// gets and those that a GPU with default limits gets, on the twins of both, and on the f64 reference.
    pub fn expect<const N: usize>(
        &mut self,
        name: &str,
        inputs: &[Given<'_>],
        build: impl for<'g> Fn(&'g Graph, &[Tensor<'g>]) -> [Tensor<'g>; N],
        expected: [&[f64]; N],
        tolerance: f64,
    ) {
        let graph = Graph::new();
        let mut values = Values::new();
        let mut rounded = BTreeMap::new();
        let mut tensors = Vec::new();
        for (input, kind, given) in inputs {
            tensors.push(graph.input(input, kind.clone()));
            let data = match kind.element {
                Element::F32 => Data::F32(given.iter().map(|&value| value as f32).collect()),
                Element::U32 => Data::U32(given.iter().map(|&value| value as u32).collect()),
            };
            rounded.insert(input.to_string(), numbers(&data));
            values.insert(input.to_string(), data);
        }
        let made = build(&graph, &tensors);
        let expected =
            expected.map(|expected| expected.iter().map(|&value| f64::from(value as f32)).collect::<Vec<_>>());
        for (index, tensor) in made.iter().enumerate() {
            graph.output(&format!("output {index}"), *tensor);
        }
        for (of, target) in [("this device", gpu().target()), ("a GPU", Target::default())] {
            let plan = Plan::new(&graph, &target).unwrap_or_else(|error| panic!("{name}: {error}"));
            let mut session =
                Session::new(gpu(), plan.clone(), &values).unwrap_or_else(|error| panic!("{name}: {error}"));
            session.submit(1).unwrap_or_else(|error| panic!("{name}: {error}"));
            let mut twins = TwinSession::new(plan, &values).expect("a value of every input");
            twins.run(1);
            for (index, expected) in expected.iter().enumerate() {
                let output = format!("output {index}");
                let got = session.read(&output).unwrap_or_else(|error| panic!("{name}: {error}"));
                let label = format!("{name}, {output}, kernels of {of}");
                compare(&label, &numbers(&got), expected, tolerance, &mut self.failures);
                let got = twins.read(&output).expect("a named output");
                let label = format!("{name}, {output}, twins of {of}");
                compare(&label, &numbers(&got), expected, tolerance, &mut self.failures);
            }
        }
        let got = Reference::new(rounded).evaluate_all(&made).unwrap_or_else(|error| panic!("{name}: {error}"));
        for (index, (got, expected)) in got.iter().zip(&expected).enumerate() {
            // The reference has the range of f64.
            let narrowed: Vec<f64> = got.iter().map(|&value| f64::from(value as f32)).collect();
            compare(&format!("{name}, output {index}, reference"), &narrowed, expected, tolerance, &mut self.failures);
        }
    }

    /// Fails with all that was wrong.
    pub fn finish(self) {
        assert!(self.failures.is_empty(), "{} differ:\n{}", self.failures.len(), self.failures.join("\n"));
    }
}

/// Numbers in [-1, 1) that depend on the seed alone, exact in f32.
pub fn noise(count: usize, seed: u64) -> Vec<f64> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        f64::from(((state >> 11) as f64 / (1u64 << 53) as f64 * 2.0 - 1.0) as f32)
    };
    (0..count).map(|_| next()).collect()
}
