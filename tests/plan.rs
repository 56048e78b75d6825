//! Plans: what they contain, and that twins and kernels run them alike.

use fourfold::Gpu;
use fourfold::graph::plan::Plan;
use fourfold::graph::session::{Session, TwinSession, Values};
use fourfold::graph::{Graph, Tag, TensorType};
use fourfold::shaders::{Data, Generator, Target};

fn values(seed: u64, count: usize) -> Data {
    let mut generator = Generator::new(seed, 100);
    Data::F32((0..count).map(|_| generator.normal()).collect())
}

#[test]
fn a_linear_layer_with_an_activation_is_one_dispatch() {
    let graph = Graph::new();
    let x = graph.input("x", TensorType::f32([5, 7]));
    let weights = graph.state("weights", Tag::Weights, TensorType::f32([128]));
    let y = x.linear(weights.view(0, [3, 7]), weights.view(64, [3])).gelu_tanh();
    graph.output("y", y);
    let plan = Plan::new(&graph, &Target::default()).unwrap();
    assert_eq!(plan.dispatches.len(), 1, "{plan}");

    let gpu = Gpu::open().unwrap();
    let initial = Values::from([("x".into(), values(1, 35)), ("weights".into(), values(2, 128))]);
    let mut twins = TwinSession::new(plan.clone(), &initial).unwrap();
    twins.run(1);
    let mut session = Session::new(&gpu, plan, &initial).unwrap();
    session.run(1).unwrap();
    let (expected, got) = (twins.read("y").unwrap(), session.read("y").unwrap());
    for (a, b) in expected.f32().iter().zip(got.f32()) {
        assert!((a - b).abs() < 1e-5, "{a} {b}");
    }
}
