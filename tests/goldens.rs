//! The graph against PyTorch: logits, losses, every gradient, ten training losses and a Hessian-vector product of the
//! files in `tests/goldens`, whose README says what they hold and where the tolerances come from.

use std::collections::BTreeMap;
use std::path::Path;

use fourfold::Gpu;
use fourfold::data::Checkpoint;
use fourfold::graph::{
    AttentionMask, Graph, Op, Plan, Reference, Session, Shape, Tag, Tensor, TensorType, TwinSession, Values, gradients,
};
use fourfold::optim::{AdamW, Optimiser, Sam, Sgd};
use fourfold::shaders::{Data, Target};

/// A golden file, and the places of its parameters in one flat tensor of weights.
struct Golden {
    file: Checkpoint,
    places: BTreeMap<String, (usize, Shape)>,
    length: usize,
    model: Model,
}

#[derive(Clone, Copy)]
enum Model {
    Perceptron,
    Block { gelu: fn(Tensor<'_>) -> Tensor<'_>, causal: bool },
}

fn load(name: &str) -> Checkpoint {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens");
    Checkpoint::load(&folder.join(format!("{name}.safetensors"))).expect("a golden file")
}

impl Golden {
    fn new(name: &str, model: Model) -> Self {
        let file = load(name);
        let mut places = BTreeMap::new();
        let mut length = 0;
        for (tensor, shape, values) in file.tensors() {
            if let Some(parameter) = tensor.strip_prefix("parameter.") {
                places.insert(parameter.to_owned(), (length, Shape::from(shape.to_vec())));
                length += values.len().next_multiple_of(Op::ALIGNMENT);
            }
        }
        Self { file, places, length, model }
    }

    fn values(&self, name: &str) -> &Data {
        let found = self.file.tensors().find(|(tensor, ..)| *tensor == name);
        found.map(|(_, _, values)| values).unwrap_or_else(|| panic!("no `{name}` in the golden file"))
    }

    fn input<'g>(&self, graph: &'g Graph, name: &str) -> Tensor<'g> {
        let (_, shape, values) = self.file.tensors().find(|(tensor, ..)| *tensor == name).expect("an input");
        graph.input(name, TensorType { element: values.element(), shape: Shape::from(shape.to_vec()) })
    }

    /// The tensors `PREFIX.NAME` of all parameters, one after the other as in the flat weights.
    fn flat(&self, file: &Checkpoint, prefix: &str) -> Vec<f32> {
        let mut flat = vec![0.0; self.length];
        for (name, (offset, shape)) in &self.places {
            let values = file.f32(&format!("{prefix}.{name}"), shape).expect("one tensor a parameter");
            flat[*offset..][..values.len()].copy_from_slice(values);
        }
        flat
    }

    /// Inputs and weights at the starting point.
    fn start(&self) -> Values {
        let mut values: Values = ["input", "labels", "padding"]
            .into_iter()
            .filter_map(|name| self.file.tensors().find(|(tensor, ..)| *tensor == name))
            .map(|(name, _, values)| (name.to_owned(), values.clone()))
            .collect();
        values.insert("weights".into(), Data::F32(self.flat(&self.file, "parameter")));
        values
    }
}

/// The inputs of a model in a graph: made once, used by the loss at w and at w + eps.
struct Batch<'g> {
    input: Tensor<'g>,
    labels: Tensor<'g>,
    /// `(batch, length)`: 1 where a position counts.
    counts: Option<Tensor<'g>>,
}

impl<'g> Batch<'g> {
    fn new(graph: &'g Graph, golden: &Golden) -> Self {
        let padded = golden.file.tensors().any(|(name, ..)| name == "padding");
        let counts = padded.then(|| {
            let padding = golden.input(graph, "padding").cast(fourfold::shaders::Element::F32);
            graph.constant(1.0) - padding
        });
        Self { input: golden.input(graph, "input"), labels: golden.input(graph, "labels"), counts }
    }

    fn logits(&self, golden: &Golden, weights: Tensor<'g>) -> Tensor<'g> {
        let parameter = |name: &str| {
            let (offset, shape) = &golden.places[name];
            weights.view(*offset, shape.clone())
        };
        let linear = |name: &str, x: Tensor<'g>| {
            x.linear(parameter(&format!("{name}.weight")), parameter(&format!("{name}.bias")))
        };
        let norm = |name: &str, x: Tensor<'g>| {
            x.layer_norm(parameter(&format!("{name}.weight")), parameter(&format!("{name}.bias")), 1e-5)
        };
        match golden.model {
            Model::Perceptron => {
                let hidden = linear("layer1", self.input).relu();
                linear("layer3", linear("layer2", hidden).relu())
            }
            Model::Block { gelu, causal } => {
                let x = self.input;
                let (batch, length, width) = (x.shape()[0], x.shape()[1], x.shape()[2]);
                let normed = norm("norm1", x);
                let heads = |name: &str| {
                    linear(&format!("attention.{name}"), normed)
                        .reshape([batch, length, 4, width / 4])
                        .permute(&[0, 2, 1, 3])
                };
                let mask = AttentionMask { causal, keys: self.counts };
                let attended = heads("query").attention(heads("key"), heads("value"), mask);
                let x = x + linear("attention.output", attended.permute(&[0, 2, 1, 3]).reshape([batch, length, width]));
                let x = x + linear("mlp.contract", gelu(linear("mlp.expand", norm("norm2", x))));
                let pooled = match self.counts {
                    None => x.mean(1),
                    Some(counts) => (x * counts.reshape([batch, length, 1])).sum(1) / counts.sum(1).reshape([batch, 1]),
                };
                linear("head", pooled)
            }
        }
    }

    fn loss(&self, golden: &Golden, weights: Tensor<'g>) -> Tensor<'g> {
        let smoothing = if matches!(golden.model, Model::Perceptron) { 0.1 } else { 0.0 };
        self.logits(golden, weights).cross_entropy(self.labels, smoothing).mean_all()
    }
}

// The comparisons.

/// Checks each parameter's part of `got` against the tensors `PREFIX.NAME` of the file: the difference must stay below
/// `tolerance` times the tensor's largest value.
fn check_parameters(golden: &Golden, file: &Checkpoint, prefix: &str, got: &[f64], tolerance: f64) {
    for (name, (offset, shape)) in &golden.places {
        let got = &got[*offset..][..shape.elements()];
        if name == "attention.key.bias" {
            // No loss depends on it: softmax does not see a shift of all logits of a row.
            if prefix != "final.adamw" {
                let scale = largest(file.f32(&format!("{prefix}.attention.query.bias"), shape).expect("a bias"));
                assert!(got.iter().all(|value| value.abs() <= 1e-6 * scale), "{prefix}.{name} is {got:?}, not zero");
            }
            continue;
        }
        check(
            &format!("{prefix}.{name}"),
            got,
            file.f32(&format!("{prefix}.{name}"), shape).expect("a tensor"),
            tolerance,
        );
    }
}

fn check(name: &str, got: &[f64], expected: &[f32], tolerance: f64) {
    assert_eq!(got.len(), expected.len(), "{name}");
    let scale = largest(expected);
    for (index, (got, &expected)) in got.iter().zip(expected).enumerate() {
        let difference = (got - f64::from(expected)).abs();
        assert!(
            difference <= tolerance * scale,
            "{name}[{index}] is {got}, PyTorch's is {expected}: {:.1e} of the largest value apart, {tolerance:.0e} allowed",
            difference / scale
        );
    }
}

fn largest(values: &[f32]) -> f64 {
    f64::from(values.iter().fold(0.0_f32, |largest, value| largest.max(value.abs())))
}

fn wide(data: &Data) -> Vec<f64> {
    data.f32().iter().map(|&value| f64::from(value)).collect()
}

// The rules, in f64.

/// Half a unit in the last place of the stored f32, and as much again for f64 constants rounded to f32 on the way.
const STORED: f64 = 1.5e-7;

fn reference(golden: &Golden) -> Reference {
    let values = golden.start().into_iter().map(|(name, data)| {
        let values = match &data {
            Data::F32(values) => values.iter().map(|&value| f64::from(value)).collect(),
            Data::U32(values) => values.iter().map(|&value| f64::from(value)).collect(),
        };
        (name, values)
    });
    Reference::new(values)
}

fn weights<'g>(graph: &'g Graph, golden: &Golden) -> Tensor<'g> {
    graph.state("weights", Tag::Weights, TensorType::f32([golden.length]))
}

fn check_gradients_of(name: &str, model: Model) {
    let golden = Golden::new(name, model);
    let graph = Graph::new();
    let (weights, batch) = (weights(&graph, &golden), Batch::new(&graph, &golden));
    let (logits, loss) = (batch.logits(&golden, weights), batch.loss(&golden, weights));
    let gradients = gradients(loss, &[weights, batch.input]);

    let values = reference(&golden).evaluate_all(&[logits, loss, gradients[0], gradients[1]]).expect("values for all");
    check("logits", &values[0], golden.values("logits").f32(), STORED);
    check("loss", &values[1], golden.values("loss").f32(), STORED);
    check_parameters(&golden, &golden.file, "gradient", &values[2], STORED);
    check("gradient.input", &values[3], golden.values("gradient.input").f32(), STORED);
}

const CAUSAL: Model = Model::Block { gelu: |x| x.gelu_tanh(), causal: true };
const CAUSAL_ERF: Model = Model::Block { gelu: |x| x.gelu_erf(), causal: true };
const PADDED: Model = Model::Block { gelu: |x| x.gelu_tanh(), causal: false };

#[test]
fn the_gradients_of_a_perceptron_are_those_of_pytorch() {
    check_gradients_of("mlp", Model::Perceptron);
}

#[test]
fn the_gradients_of_a_transformer_block_are_those_of_pytorch() {
    check_gradients_of("transformer_block", CAUSAL);
}

#[test]
fn the_gradients_with_the_erf_form_of_gelu_are_those_of_pytorch() {
    check_gradients_of("transformer_block_erf", CAUSAL_ERF);
}

#[test]
fn the_gradients_under_a_padding_mask_are_those_of_pytorch() {
    check_gradients_of("transformer_block_padded", PADDED);
}

/// The Hessian of the block's loss times the direction of the golden file.
fn hessian_vector<'g>(golden: &Golden, batch: &Batch<'g>, weights: Tensor<'g>, direction: Tensor<'g>) -> Tensor<'g> {
    let gradient = gradients(batch.loss(golden, weights), &[weights])[0];
    gradients(gradient.dot(direction), &[weights])[0]
}

#[test]
fn the_product_of_hessian_and_vector_is_that_of_pytorch() {
    let (golden, file) = (Golden::new("transformer_block", CAUSAL), load("transformer_block_hessian"));
    let graph = Graph::new();
    let (weights, batch) = (weights(&graph, &golden), Batch::new(&graph, &golden));
    let direction = graph.input("direction", TensorType::f32([golden.length]));
    let product = hessian_vector(&golden, &batch, weights, direction);

    let mut reference = reference(&golden);
    let values = golden.flat(&file, "direction");
    reference.set("direction", values.iter().map(|&value| f64::from(value)).collect());
    check_parameters(&golden, &file, "hessian_vector", &reference.evaluate(product).expect("values for all"), STORED);
}

// The kernels, in f32.

/// The tolerance of a float32 implementation, as the README of the goldens derives it.
const LOGITS: f64 = 2e-6;
const SINGLE: f64 = 1e-5;

const SGD: Optimiser = Optimiser::Sgd(Sgd { momentum: 0.9, nesterov: true, weight_decay: 5e-4 });
const SGD_BELOW_SAM: Optimiser = Optimiser::Sgd(Sgd { momentum: 0.9, nesterov: false, weight_decay: 5e-4 });
const ADAMW: Optimiser = Optimiser::AdamW(AdamW { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 1e-2 });

/// The training of a run of a golden file; `label` is its name there.
struct Run {
    label: &'static str,
    optimiser: Optimiser,
    rate: f32,
    /// With a radius: SAM around the optimiser.
    rho: Option<f32>,
}

const ADAMW_OF_A_BLOCK: Run = Run { label: "adamw", optimiser: ADAMW, rate: 1e-3, rho: None };

/// A training step whose output `loss` is the loss before it.
fn training_step(golden: &Golden, run: &Run) -> Graph {
    let graph = Graph::new();
    let (weights, batch) = (weights(&graph, golden), Batch::new(&graph, golden));
    let step = graph.state("step", Tag::Bookkeeping, TensorType::u32([]));
    let rate = graph.constant(run.rate);
    graph.output("logits", batch.logits(golden, weights));
    match run.rho {
        None => {
            let loss = batch.loss(golden, weights);
            let gradient = gradients(loss, &[weights])[0];
            graph.output("loss", loss);
            graph.output("gradient", gradient);
            run.optimiser.step(weights, gradient, rate, step);
        }
        Some(rho) => {
            let sam = Sam::default().gradient(weights, graph.constant(rho), |w, _| batch.loss(golden, w));
            graph.output("loss", sam.loss);
            graph.output("ascended loss", sam.sharpened_loss);
            run.optimiser.step(weights, sam.gradient, rate, step);
        }
    }
    graph
}

/// Trains ten steps and compares the first step's logits and gradients, each loss and the final weights.
fn check_training(name: &str, model: Model, run: Run) {
    let golden = Golden::new(name, model);
    let gpu = Gpu::open().expect("an adapter");
    let plan = Plan::new(&training_step(&golden, &run), &gpu.target()).expect("a graph without mistakes");
    let mut session = Session::new(&gpu, plan, &golden.start()).expect("a session");
    let read = |session: &mut Session, name: &str| wide(&session.read(name).expect("a value of the plan"));

    let (mut losses, mut ascended) = (Vec::new(), Vec::new());
    for step in 0..10 {
        session.submit(1).expect("a step");
        losses.extend(read(&mut session, "loss"));
        if step == 0 {
            check("logits", &read(&mut session, "logits"), golden.values("logits").f32(), LOGITS);
        }
        match run.rho {
            Some(_) => ascended.extend(read(&mut session, "ascended loss")),
            None if step == 0 => {
                check_parameters(&golden, &golden.file, "gradient", &read(&mut session, "gradient"), SINGLE)
            }
            None => {}
        }
    }
    let each = |name: &str, got: &[f64]| {
        for (step, (got, &expected)) in got.iter().zip(golden.values(name).f32()).enumerate() {
            check(&format!("{name}[{step}]"), &[*got], &[expected], SINGLE);
        }
    };
    each(&format!("losses.{}", run.label), &losses);
    if run.rho.is_some() {
        each(&format!("ascended_losses.{}", run.label), &ascended);
    }
    let weights = read(&mut session, "weights");
    check_parameters(&golden, &golden.file, &format!("final.{}", run.label), &weights, SINGLE);
}

#[test]
fn ten_steps_of_sgd_are_those_of_pytorch() {
    let run = Run { label: "sgd", optimiser: SGD, rate: 0.1, rho: None };
    check_training("mlp", Model::Perceptron, run);
}

#[test]
fn ten_steps_of_adamw_are_those_of_pytorch() {
    let run = Run { label: "adamw", optimiser: ADAMW, rate: 1e-2, rho: None };
    check_training("mlp", Model::Perceptron, run);
}

#[test]
fn ten_steps_of_sam_are_those_of_pytorch() {
    let run = Run { label: "sam", optimiser: SGD_BELOW_SAM, rate: 0.1, rho: Some(0.05) };
    check_training("mlp", Model::Perceptron, run);
}

#[test]
fn ten_steps_of_a_transformer_block_are_those_of_pytorch() {
    check_training("transformer_block", CAUSAL, ADAMW_OF_A_BLOCK);
}

#[test]
fn ten_steps_with_the_erf_form_of_gelu_are_those_of_pytorch() {
    check_training("transformer_block_erf", CAUSAL_ERF, ADAMW_OF_A_BLOCK);
}

#[test]
fn ten_steps_under_a_padding_mask_are_those_of_pytorch() {
    check_training("transformer_block_padded", PADDED, ADAMW_OF_A_BLOCK);
}

#[test]
fn the_twins_compute_the_product_of_hessian_and_vector_of_pytorch() {
    let (golden, file) = (Golden::new("transformer_block", CAUSAL), load("transformer_block_hessian"));
    let graph = Graph::new();
    let (weights, batch) = (weights(&graph, &golden), Batch::new(&graph, &golden));
    let direction = graph.input("direction", TensorType::f32([golden.length]));
    graph.output("product", hessian_vector(&golden, &batch, weights, direction));
    let plan = Plan::new(&graph, &Target::default()).expect("a graph without mistakes");

    let mut values = golden.start();
    values.insert("direction".into(), Data::F32(golden.flat(&file, "direction")));
    let mut session = TwinSession::new(plan, &values).expect("a session");
    session.run(1);
    let product = session.read("product").expect("an output");
    check_parameters(&golden, &file, "hessian_vector", &wide(&product), SINGLE);
}
