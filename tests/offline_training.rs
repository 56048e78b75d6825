//! Learning from recorded trajectories: windows that the GPU draws, and training on them.

use std::sync::OnceLock;

use fourfold::Gpu;
use fourfold::graph::{
    EpisodeTables, Graph, Plan, Reference, Session, Tensor, TensorType, TwinSession, Values, WindowOptions, WindowRows,
};
use fourfold::shaders::{Data, Target, windows};

fn gpu() -> &'static Gpu {
    static GPU: OnceLock<Gpu> = OnceLock::new();
    GPU.get_or_init(|| Gpu::open().unwrap_or_else(|error| panic!("{error}")))
}

/// Windows of 5 steps out of episodes of 3, 9 and 1 steps, with a table of one number a step gathered by them.
fn drawn(graph: &Graph) -> (WindowRows<'_>, Tensor<'_>) {
    let tables = EpisodeTables {
        starts: graph.input("starts", TensorType::u32([13])),
        episodes: graph.input("episodes", TensorType::u32([13])),
        firsts: graph.input("firsts", TensorType::u32([4])),
    };
    let options = WindowOptions { batch: 16, context: 5, restart: false, largest: 6 };
    let rows = graph.input("seed", TensorType::u32([2])).windows(9, tables, options);
    (rows, graph.input("table", TensorType::f32([13, 1])).gather(rows.rows).reshape([16, 5]))
}

#[test]
fn windows_of_a_graph_are_the_same_on_the_gpu_the_twins_and_the_reference() {
    let graph = Graph::new();
    let (WindowRows { rows, times, mask }, gathered) = drawn(&graph);
    let outputs = [("rows", rows), ("times", times), ("mask", mask), ("gathered", gathered)];
    outputs.iter().for_each(|(name, tensor)| graph.output(name, *tensor));
    let (episodes, firsts) = windows::tables(&[3, 9, 1]);
    let whole = [("seed", vec![7, 1]), ("starts", (0..13).collect()), ("episodes", episodes), ("firsts", firsts)];
    let table: Vec<f32> = (1..=13).map(|value| value as f32).collect();
    let mut values: Values = whole.iter().map(|(name, values)| (name.to_string(), Data::U32(values.clone()))).collect();
    values.insert("table".into(), Data::F32(table.clone()));
    let mut reference =
        Reference::new(whole.iter().map(|(name, values)| (*name, values.iter().map(|&v| v.into()).collect())));
    reference.set("table", table.iter().map(|&value| value.into()).collect());

    let mut session = Session::new(gpu(), Plan::new(&graph, &gpu().target()).unwrap(), &values).unwrap();
    session.run(1).unwrap();
    let mut twins = TwinSession::new(Plan::new(&graph, &Target::default()).unwrap(), &values).unwrap();
    twins.run(1);
    for (name, tensor) in outputs {
        let got = session.read(name).unwrap();
        assert_eq!(got, twins.read(name).unwrap(), "{name}");
        let got: Vec<f64> = match got {
            Data::F32(values) => values.into_iter().map(f64::from).collect(),
            Data::U32(values) => values.into_iter().map(f64::from).collect(),
        };
        assert_eq!(got, reference.evaluate(tensor).unwrap(), "{name}");
    }
    // Rows past the table, the padding, gather zeros.
    let (gathered, mask) = (session.read("gathered").unwrap(), session.read("mask").unwrap());
    let padded = gathered.f32().iter().zip(mask.f32()).map(|(value, mask)| (*value == 0.0, *mask == 0.0));
    assert!(padded.clone().all(|(zero, padding)| zero == padding) && padded.clone().any(|(zero, _)| zero));
}

#[test]
fn windows_of_tables_that_are_none_are_refused_with_what_came() {
    let graph = Graph::new();
    let starts = graph.input("starts", TensorType::f32([4]));
    let episodes = graph.input("episodes", TensorType::u32([4]));
    let firsts = graph.input("firsts", TensorType::u32([3]));
    let options = WindowOptions { batch: 2, context: 3, restart: false, largest: 9 };
    let seed = graph.input("seed", TensorType::u32([2]));
    seed.windows(0, EpisodeTables { starts, episodes, firsts }, options);
    let error = graph.check().unwrap_err().to_string();
    assert!(error.starts_with("windows: takes u32 starts (n), episodes (steps) and firsts (episodes + 1)"), "{error}");
    assert!(error.contains("got input F32[4], input U32[4], input U32[3] and 2 windows of 3"), "{error}");
}
