//! Operations at sizes whose loops are longer than a software driver runs, against f64 on the host.
//!
//! Mesa's llvmpipe leaves all loops of an invocation after 65,535 passes in sum, without an error: the plan cuts them.

use fourfold::Gpu;
use fourfold::graph::{AttentionMask, Graph, GraphError, Plan, Session, Tag, Tensor, TensorType, Values, gradients};
use fourfold::shaders::{Data, Target};

/// Numbers in [-1, 1) that repeat after a prime number of elements.
fn noise(count: usize) -> Vec<f32> {
    let number = |index: usize| {
        let bits = (index as u32 % 10_007).wrapping_mul(0x9E37_79B9) ^ 0x5F35_6495;
        (f64::from(bits.wrapping_mul(0x85EB_CA6B)) / 2f64.powi(31) - 1.0) as f32
    };
    (0..count).map(number).collect()
}

/// The output `y` of one step on the kernels.
fn run(gpu: &Gpu, graph: &Graph, values: &[(&str, Data)]) -> Data {
    let plan = Plan::new(graph, &gpu.target()).unwrap_or_else(|error| panic!("{error}"));
    let values: Values = values.iter().map(|(name, data)| (name.to_string(), data.clone())).collect();
    let mut session = Session::new(gpu, plan, &values).unwrap_or_else(|error| panic!("{error}"));
    session.submit(1).unwrap_or_else(|error| panic!("{error}"));
    session.read("y").unwrap_or_else(|error| panic!("{error}"))
}

/// The output of an operation on one tensor of noise of a shape.
fn of_noise(gpu: &Gpu, shape: [usize; 2], operation: impl FnOnce(Tensor<'_>) -> Tensor<'_>) -> (Vec<f32>, Data) {
    let graph = Graph::new();
    graph.output("y", operation(graph.input("x", TensorType::f32(shape))));
    let x = noise(shape[0] * shape[1]);
    let y = run(gpu, &graph, &[("x", Data::F32(x.clone()))]);
    (x, y)
}

/// Every element lies within `tolerance` of the largest magnitude expected.
#[track_caller]
fn assert_close(got: &Data, expected: &[f64], tolerance: f64) {
    let got = got.f32();
    assert_eq!(got.len(), expected.len());
    let scale = expected.iter().fold(1e-30, |scale: f64, value| scale.max(value.abs()));
    let wrong = |(&got, &expected): (&f32, &f64)| (f64::from(got) - expected).abs() > tolerance * scale || got.is_nan();
    let wrong: Vec<_> = got.iter().zip(expected).enumerate().filter(|(_, pair)| wrong(*pair)).collect();
    assert!(wrong.is_empty(), "{} of {} are wrong, first {:?}", wrong.len(), got.len(), wrong[0]);
}

fn columns_of(x: &[f32], columns: usize) -> Vec<f64> {
    let mut sums = vec![0.0; columns];
    for row in x.chunks(columns) {
        sums.iter_mut().zip(row).for_each(|(sum, &x)| *sum += f64::from(x));
    }
    sums
}

#[test]
fn sums_and_maxima_over_long_axes() {
    let gpu = Gpu::open().expect("an adapter");
    for (rows, columns) in [(66_000, 171), (66_000, 172), (200_000, 3), (200_000, 1)] {
        let (x, y) = of_noise(&gpu, [rows, columns], |x| x.sum(0));
        assert_close(&y, &columns_of(&x, columns), 1e-4);
    }
    for (rows, columns) in [(3, 66_001), (130, 66_001), (2, 200_000), (9, 200_001)] {
        let (x, y) = of_noise(&gpu, [rows, columns], |x| x.sum(1));
        let sums: Vec<f64> = x.chunks(columns).map(|row| row.iter().map(|&x| f64::from(x)).sum()).collect();
        assert_close(&y, &sums, 1e-3);
    }
    for (rows, columns, axis) in [(100_000, 5, 0), (100_001, 200, 0), (2, 100_000, 1), (9, 100_001, 1)] {
        let graph = Graph::new();
        graph.output("y", graph.input("x", TensorType::f32([rows, columns])).argmax(axis));
        let mut x = noise(rows * columns);
        let count = if axis == 0 { columns } else { rows };
        let (long, at) = (rows * columns / count, |output: usize| rows * columns / count - 2 - output % 7);
        for output in 0..count {
            x[if axis == 0 { at(output) * columns + output } else { output * long + at(output) }] = 2.0;
        }
        let y = run(&gpu, &graph, &[("x", Data::F32(x.clone()))]);
        assert_eq!(y.u32(), (0..count).map(|output| at(output) as u32).collect::<Vec<_>>());
        let graph = Graph::new();
        graph.output("y", graph.input("x", TensorType::f32([rows, columns])).maximum(axis));
        assert_eq!(run(&gpu, &graph, &[("x", Data::F32(x))]).f32(), vec![2.0; count]);
    }
}

#[test]
fn rows_of_many_columns() {
    let gpu = Gpu::open().expect("an adapter");
    for columns in [33_001, 100_000, 100_001] {
        let (x, y) = of_noise(&gpu, [9, columns], |x| {
            let graph = x.graph();
            x.layer_norm(graph.full([columns], 1.0), graph.full([columns], 0.0), 1e-5)
        });
        let normalised = x.chunks(columns).flat_map(|row| {
            let mean = row.iter().map(|&x| f64::from(x)).sum::<f64>() / columns as f64;
            let variance = row.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / columns as f64;
            row.iter().map(move |&x| (f64::from(x) - mean) / (variance + 1e-5).sqrt()).collect::<Vec<_>>()
        });
        assert_close(&y, &normalised.collect::<Vec<_>>(), 1e-4);
        let (x, y) = of_noise(&gpu, [9, columns + 32_536], |x| x.softmax());
        let softmax = x.chunks(columns + 32_536).flat_map(|row| {
            let total: f64 = row.iter().map(|&x| f64::from(x).exp()).sum();
            row.iter().map(move |&x| f64::from(x).exp() / total).collect::<Vec<_>>()
        });
        assert_close(&y, &softmax.collect::<Vec<_>>(), 1e-4);
    }
}

#[test]
fn gradients_of_a_vocabulary() {
    let gpu = Gpu::open().expect("an adapter");
    let (rows, classes) = (16, 50_257);
    let graph = Graph::new();
    let x = graph.input("x", TensorType::f32([rows, classes]));
    let labels = graph.input("labels", TensorType::u32([rows]));
    graph.output("y", gradients(x.cross_entropy(labels, 0.0).sum_all(), &[x])[0]);
    let x = noise(rows * classes);
    let expected = x.chunks(classes).enumerate().flat_map(|(row, x)| {
        let total: f64 = x.iter().map(|&x| f64::from(x).exp()).sum();
        let goal = move |class: usize| f64::from(u8::from(class == classes - 1 - row));
        x.iter().enumerate().map(move |(class, &x)| f64::from(x).exp() / total - goal(class)).collect::<Vec<_>>()
    });
    let expected: Vec<f64> = expected.collect();
    let labels = Data::U32((0..rows).map(|row| (classes - 1 - row) as u32).collect());
    assert_close(&run(&gpu, &graph, &[("x", Data::F32(x)), ("labels", labels)]), &expected, 1e-4);
    // Words of an embedding, each at one place; and one word at most places.
    for (words, count, columns) in [(50_257, 1_024, 4), (50_257, 1_024, 3), (300, 100_000, 4)] {
        let graph = Graph::new();
        let table = graph.state("table", Tag::Weights, TensorType::f32([words, columns]));
        let indices = graph.input("indices", TensorType::u32([count]));
        let weights = graph.input("weights", TensorType::f32([count, columns]));
        graph.output("y", gradients((table.gather(indices) * weights).sum_all(), &[table])[0]);
        let index =
            |place: usize| if count > words && !place.is_multiple_of(9) { 7 } else { (place * 7_919 + 50_256) % words };
        let weights = noise(count * columns);
        let mut expected = vec![0.0; words * columns];
        for place in 0..count * columns {
            expected[index(place / columns) * columns + place % columns] += f64::from(weights[place]);
        }
        let indices = Data::U32((0..count).map(|place| index(place) as u32).collect());
        let table = Data::F32(vec![0.0; words * columns]);
        let values = [("table", table), ("indices", indices), ("weights", Data::F32(weights))];
        assert_close(&run(&gpu, &graph, &values), &expected, 1e-3);
    }
}

/// In the form of this adapter and in that of GPUs.
#[test]
fn sums_of_many_rows_by_the_indices_of_a_large_table() {
    let gpu = Gpu::open().expect("an adapter");
    const COUNT: usize = 100_000;
    for (rows, columns, favoured) in [(100_000, 1, false), (100_000, 1, true), (100_001, 3, false), (1, 1, false)] {
        let graph = Graph::new();
        let indices = graph.input("indices", TensorType::u32([COUNT]));
        let x = graph.input("x", TensorType::f32([COUNT, columns]));
        graph.output("y", x.scatter_add(indices, rows));
        let scattered = |i: usize| (i * 7_919 + 13) % rows;
        let row = |i: usize| if favoured && !i.is_multiple_of(10) { rows - 1 } else { scattered(i) };
        let x = noise(COUNT * columns);
        let mut expected = vec![0.0; rows * columns];
        for (i, &value) in x.iter().enumerate() {
            expected[row(i / columns) * columns + i % columns] += f64::from(value);
        }
        let indices = Data::U32((0..COUNT).map(|i| row(i) as u32).collect());
        let values: Values = [("x".into(), Data::F32(x)), ("indices".into(), indices)].into();
        // A GPU's lanes go through all indices for a table of one row, further than a software driver can.
        let gpus = (rows > 1).then(Target::default);
        for target in [gpu.target()].into_iter().chain(gpus) {
            let plan = Plan::new(&graph, &target).unwrap_or_else(|error| panic!("{error}"));
            let results = [(); 2].map(|()| {
                let mut session = Session::new(&gpu, plan.clone(), &values).unwrap_or_else(|error| panic!("{error}"));
                session.submit(1).unwrap_or_else(|error| panic!("{error}"));
                session.read("y").unwrap_or_else(|error| panic!("{error}"))
            });
            assert_close(&results[0], &expected, 1e-3);
            assert!(results[0] == results[1], "the same bits");
        }
    }
}

#[test]
fn products_of_long_sums() {
    let gpu = Gpu::open().expect("an adapter");
    for (m, n, k) in [(128, 10, 60_000), (64, 33, 100_000), (1, 5, 100_000), (1, 300, 70_001)] {
        let graph = Graph::new();
        let a = graph.input("a", TensorType::f32([k, m]));
        graph.output("y", a.transpose().matmul(graph.input("b", TensorType::f32([k, n]))));
        let (a, b) = (noise(k * m), noise(k * n));
        let mut expected = vec![0.0; m * n];
        for (a, b) in a.chunks(m).zip(b.chunks(n)) {
            for (row, &a) in expected.chunks_mut(n).zip(a) {
                row.iter_mut().zip(b).for_each(|(sum, &b)| *sum += f64::from(a) * f64::from(b));
            }
        }
        assert_close(&run(&gpu, &graph, &[("a", Data::F32(a)), ("b", Data::F32(b))]), &expected, 1e-4);
    }
    let (x, y) = of_noise(&gpu, [10_000, 1_000], |x| x.norm());
    let square: f64 = x.iter().map(|&x| f64::from(x).powi(2)).sum();
    assert_close(&y, &[square.sqrt()], 1e-5);
}

#[test]
fn a_loop_that_cannot_be_cut_is_refused_by_name() {
    let plan = |target: &Target| {
        let graph = Graph::new();
        let [q, k, v] = ["q", "k", "v"].map(|name| graph.input(name, TensorType::f32([1, 1, 8_000, 128])));
        graph.output("y", q.attention(k, v, AttentionMask { causal: true, keys: None }));
        let line = line!() - 1;
        (Plan::new(&graph, target), line)
    };
    assert!(plan(&Target::default()).0.is_ok());
    let (refused, line) = plan(&Target { software: true, ..Target::default() });
    let error: GraphError = refused.expect_err("too many passes");
    let text = error.to_string();
    assert!(text.contains("kernel `attention.attention`") && text.contains("65535"), "{text}");
    assert!(text.contains(&format!("long_loops.rs:{line}")), "{text}");
}
