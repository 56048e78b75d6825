//! Whole training steps: one submission, no readback, the same bits every time, and kernels that agree with twins.

use fourfold::Gpu;
use fourfold::graph::session::Traffic;
use fourfold::graph::{AttentionMask, Graph, Plan, Session, Tag, TensorType, TwinSession, Values, gradients};
use fourfold::nn::{Linear, Noise, Parameters, TransformerBlock, TransformerOptions};
use fourfold::optim::{AdamW, Optimiser, Sam, Sgd};
use fourfold::shaders::Data;
use fourfold::shaders::random::threefry::Random;

const BATCH: usize = 24;

struct Mlp {
    parameters: Parameters,
    layers: Vec<Linear>,
}

impl Mlp {
    fn new(widths: &[usize]) -> Self {
        let mut parameters = Parameters::new();
        let layers = widths.windows(2).enumerate();
        let layers =
            layers.map(|(index, pair)| Linear::new(&mut parameters, &format!("fc{index}"), pair[0], pair[1])).collect();
        Self { parameters, layers }
    }

    fn forward<'g>(
        &self,
        flat: fourfold::graph::Tensor<'g>,
        x: fourfold::graph::Tensor<'g>,
    ) -> fourfold::graph::Tensor<'g> {
        let weights = self.parameters.of(flat);
        let last = self.layers.len() - 1;
        let layers = self.layers.iter().enumerate();
        layers.fold(x, |x, (index, layer)| {
            let y = layer.forward(&weights, x);
            if index == last { y } else { y.relu() }
        })
    }
}

fn sam_step(graph: &Graph, mlp: &Mlp, sam: &Sam, rho: f32) {
    let x = graph.input("x", TensorType::f32([BATCH, 10]));
    let labels = graph.input("labels", TensorType::u32([BATCH]));
    let weights = mlp.parameters.state(graph, "weights");
    let step = graph.state("step", Tag::Bookkeeping, TensorType::u32([]));
    let outcome = sam.gradient(weights, graph.constant(rho), |weights, _| {
        mlp.forward(weights, x).cross_entropy(labels, 0.1).mean_all()
    });
    graph.output("loss", outcome.loss);
    graph.output("sharpened_loss", outcome.sharpened_loss);
    let base = Optimiser::Sgd(Sgd { momentum: 0.9, nesterov: true, weight_decay: 5e-4 });
    base.step(weights, outcome.gradient, graph.constant(0.1), step);
}

fn values(mlp: &Mlp) -> Values {
    let mut random = Random::new(3, 0);
    let x = (0..BATCH * 10).map(|_| random.normal()).collect();
    let labels = (0..BATCH).map(|_| random.below(4)).collect();
    Values::from([
        ("x".into(), Data::F32(x)),
        ("labels".into(), Data::U32(labels)),
        ("weights".into(), mlp.parameters.initial(5)),
    ])
}

#[test]
fn a_sam_step_on_kernels_follows_the_twins() {
    let mlp = Mlp::new(&[10, 16, 4]);
    let graph = Graph::new();
    sam_step(&graph, &mlp, &Sam::default(), 0.05);
    let gpu = Gpu::open().unwrap();
    let plan = Plan::new(&graph, &gpu.target()).unwrap();
    let mut twins = TwinSession::new(plan.clone(), &values(&mlp)).unwrap();
    let mut session = Session::new(&gpu, plan, &values(&mlp)).unwrap();
    for _ in 0..5 {
        twins.run(1);
        session.submit(1).unwrap();
        for name in ["loss", "sharpened_loss"] {
            let (expected, got) = (twins.read(name).unwrap().f32()[0], session.read(name).unwrap().f32()[0]);
            assert!((expected - got).abs() <= 1e-5 * expected.abs(), "{name}: {expected} on twins, {got} on kernels");
        }
    }
}

fn sgd_step(graph: &Graph, mlp: &Mlp) {
    let x = graph.input("x", TensorType::f32([BATCH, 10]));
    let labels = graph.input("labels", TensorType::u32([BATCH]));
    let weights = mlp.parameters.state(graph, "weights");
    let step = graph.state("step", Tag::Bookkeeping, TensorType::u32([]));
    let loss = mlp.forward(weights, x).cross_entropy(labels, 0.1).mean_all();
    graph.output("loss", loss);
    let base = Optimiser::Sgd(Sgd { momentum: 0.9, nesterov: true, weight_decay: 5e-4 });
    base.step(weights, gradients(loss, &[weights])[0], graph.constant(0.1), step);
}

/// A plan of one step with what it begins with.
type Training = (Graph, Values);

fn sam_on_a_perceptron() -> Training {
    let mlp = Mlp::new(&[10, 16, 4]);
    let graph = Graph::new();
    sam_step(&graph, &mlp, &Sam::default(), 0.05);
    (graph, values(&mlp))
}

/// Sharpness-aware AdamW on a transformer block with dropout.
fn sam_on_a_transformer() -> Training {
    let mut parameters = Parameters::new();
    let options = TransformerOptions { hidden: 24, dropout: 0.2, ..TransformerOptions::new(16, 2) };
    let block = TransformerBlock::new(&mut parameters, "block", options, 0);
    let head = Linear::new(&mut parameters, "head", 16, 4);
    let graph = Graph::new();
    let x = graph.input("x", TensorType::f32([6, 5, 16]));
    let labels = graph.input("labels", TensorType::u32([6]));
    let weights = parameters.state(&graph, "weights");
    let step = graph.state("step", Tag::Bookkeeping, TensorType::u32([]));
    let seed = graph.state("seed", Tag::Bookkeeping, TensorType::u32([2]));
    let outcome = Sam::default().gradient(weights, graph.constant(0.05), |w, _| {
        let w = parameters.of(w);
        let mask = AttentionMask { causal: true, keys: None };
        let tokens = block.forward(&w, x, mask, Noise::of(seed));
        head.forward(&w, tokens.mean(1)).cross_entropy(labels, 0.0).mean_all()
    });
    graph.output("loss", outcome.loss);
    Optimiser::AdamW(AdamW::default()).step(weights, outcome.gradient, graph.constant(1e-2), step);
    graph.advance(seed);
    let mut random = Random::new(21, 0);
    let values = Values::from([
        ("x".into(), Data::F32((0..6 * 5 * 16).map(|_| random.normal()).collect())),
        ("labels".into(), Data::U32((0..6).map(|_| random.below(4)).collect())),
        ("weights".into(), parameters.initial(2)),
        ("seed".into(), Data::U32(vec![99, 0])),
    ]);
    (graph, values)
}

/// The states and the last loss after eight steps, `together` in each submission.
fn trained((graph, values): &Training, together: usize) -> Values {
    // A device of its own: nothing is shared with another run but the adapter.
    let gpu = Gpu::open().unwrap();
    let plan = Plan::new(graph, &gpu.target()).unwrap();
    let mut session = Session::new(&gpu, plan, values).unwrap();
    for _ in 0..8 / together {
        session.submit(together).unwrap();
    }
    let mut trained = session.states().unwrap();
    trained.insert("loss".into(), session.read("loss").unwrap());
    trained
}

#[track_caller]
fn assert_same_bytes(first: &Values, second: &Values, start: &Values) {
    assert!(first.keys().eq(second.keys()));
    for (name, data) in first {
        assert!(data.bytes() == second[name].bytes(), "`{name}` differs");
    }
    assert!(first["weights"].bytes() != start["weights"].bytes(), "nothing was trained");
    assert!(first["weights"].f32().iter().all(|weight| weight.is_finite()));
}

#[test]
fn training_a_perceptron_twice_gives_the_same_bytes() {
    let training = sam_on_a_perceptron();
    assert_same_bytes(&trained(&training, 1), &trained(&training, 1), &training.1);
}

#[test]
fn training_a_transformer_with_dropout_twice_gives_the_same_bytes() {
    let training = sam_on_a_transformer();
    assert_same_bytes(&trained(&training, 1), &trained(&training, 1), &training.1);
}

#[test]
fn many_steps_in_a_submission_give_the_bytes_of_one_in_each() {
    for training in [sam_on_a_perceptron(), sam_on_a_transformer()] {
        assert_same_bytes(&trained(&training, 8), &trained(&training, 1), &training.1);
    }
}

#[test]
fn a_sam_step_is_one_submission_without_a_readback() {
    let (graph, values) = sam_on_a_perceptron();
    let gpu = Gpu::open().unwrap();
    let mut session = Session::new(&gpu, Plan::new(&graph, &gpu.target()).unwrap(), &values).unwrap();
    assert_eq!(session.traffic(), Traffic::default());
    session.submit(1).unwrap();
    assert_eq!(session.traffic(), Traffic { submissions: 1, uploads: 0, readbacks: 0 });
    session.submit(100).unwrap();
    assert_eq!(session.traffic(), Traffic { submissions: 2, uploads: 0, readbacks: 0 });
    session.write("x", &values["x"]).unwrap();
    session.read("loss").unwrap();
    assert_eq!(session.traffic(), Traffic { submissions: 3, uploads: 1, readbacks: 1 });
}

#[test]
fn a_sam_step_takes_the_dispatches_of_two_gradients_and_of_the_ascent() {
    let (mlp, target) = (Mlp::new(&[10, 16, 4]), Default::default());
    let (sgd, sam) = (Graph::new(), Graph::new());
    sgd_step(&sgd, &mlp);
    sam_step(&sam, &mlp, &Sam::default(), 0.05);
    let (sgd, sam) = (Plan::new(&sgd, &target).unwrap(), Plan::new(&sam, &target).unwrap());
    let ascent: usize = sam.kernels().iter().filter(|(name, _)| is_ascent(name)).map(|(_, count)| count).sum();
    assert!((2..=3).contains(&ascent), "the norm in one or two stages, and the step\n{sam}");
    // The update of weights and counter comes once.
    let update = 2;
    assert_eq!(sam.dispatches.len(), 2 * (sgd.dispatches.len() - update) + ascent + update, "{sam}\n{sgd}");
}

fn is_ascent(kernel: &str) -> bool {
    kernel.starts_with("sam_ascent") || kernel.starts_with("global_norm")
}

#[test]
fn a_sam_step_needs_the_memory_of_an_sgd_step_and_the_ascended_weights() {
    let (mlp, target) = (Mlp::new(&[10, 16, 4]), Default::default());
    let (sgd, sam) = (Graph::new(), Graph::new());
    sgd_step(&sgd, &mlp);
    sam_step(&sam, &mlp, &Sam::default(), 0.05);
    let (sgd, sam) = (Plan::new(&sgd, &target).unwrap(), Plan::new(&sam, &target).unwrap());
    let (sgd_bytes, sam_bytes) = (sgd.peak_bytes(), sam.peak_bytes());
    let weights = 4 * mlp.parameters.length();
    assert_eq!(sgd_bytes[&Tag::Weights], weights);
    // The second pass computes its gradients where the first had them.
    for tag in [Tag::Input, Tag::Weights, Tag::OptimiserState, Tag::Gradients] {
        assert_eq!(sam_bytes[&tag], sgd_bytes[&tag], "{tag:?}\n{sam}\n{sgd}");
    }
    // Two small tensors more: the norm and the loss at the ascended weights.
    let more = sam_bytes[&Tag::Activations] - sgd_bytes[&Tag::Activations];
    assert!(more <= weights + 3 * 256, "{more} bytes more, {weights} bytes of weights\n{sam}\n{sgd}");
}

#[test]
fn a_plan_is_a_function_of_the_graph_and_the_target_alone() {
    for training in [sam_on_a_perceptron, sam_on_a_transformer] {
        let print = || Plan::new(&training().0, &Default::default()).unwrap().to_string();
        let (first, second) = (print(), print());
        assert!(first == second, "{first}\n{second}");
    }
}
