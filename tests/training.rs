//! Whole training steps: one submission, no readback, the same bits every time, and kernels that agree with twins.

use fourfold::Gpu;
use fourfold::graph::{Graph, Plan, Session, Tag, TensorType, TwinSession, Values};
use fourfold::nn::{Linear, Parameters};
use fourfold::optim::{Optimiser, Sam, Sgd};
use fourfold::shaders::Data;
use fourfold::shaders::threefry::Random;

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
        session.run(1).unwrap();
        for name in ["loss", "sharpened_loss"] {
            let (expected, got) = (twins.read(name).unwrap().f32()[0], session.read(name).unwrap().f32()[0]);
            assert!((expected - got).abs() <= 1e-5 * expected.abs(), "{name}: {expected} on twins, {got} on kernels");
        }
    }
}
