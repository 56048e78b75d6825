//! Convolutions, batch norm and pooling on the GPU and on the twins against PyTorch 2.15.0 in f64.
//!
//! Inputs are formulas of the flat index in PyTorch's order (images, channels, rows, columns), so that the tables need no files:
//! x is sin(0.37 j + 0.11 (j mod 13)), weights are 0.5 sin(1.7 k), cotangents cos(0.9 k).

use std::collections::BTreeMap;

use fourfold::Gpu;
use fourfold::graph::{
    ConvolutionOptions, Graph, Plan, PoolOptions, Reference, Session, Tensor, TensorType, TwinSession, Values,
    gradients,
};
use fourfold::shaders::{Data, Generator, Target};

/// The values of `f` over the flat index of a tensor in PyTorch's order of axes, in ours: channels last.
fn channels_last([images, channels, rows, columns]: [usize; 4], f: impl Fn(usize) -> f64) -> Vec<f32> {
    let mut values = Vec::with_capacity(images * channels * rows * columns);
    for image in 0..images {
        for (row, column) in (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column))) {
            for channel in 0..channels {
                values.push(f(((image * channels + channel) * rows + row) * columns + column) as f32);
            }
        }
    }
    values
}

/// As [`channels_last`] for weights: `(outputs, channels, rows, columns)` to `(rows, columns, channels, outputs)`.
fn outputs_last([outputs, channels, rows, columns]: [usize; 4], f: impl Fn(usize) -> f64) -> Vec<f32> {
    let mut values = Vec::new();
    for (row, column) in (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column))) {
        for (channel, output) in (0..channels).flat_map(|channel| (0..outputs).map(move |output| (channel, output))) {
            values.push(f(((output * channels + channel) * rows + row) * columns + column) as f32);
        }
    }
    values
}

fn image(j: usize) -> f64 {
    (0.37 * j as f64 + 0.11 * (j % 13) as f64).sin()
}

fn norm(values: &[f32]) -> f64 {
    values.iter().map(|&value| f64::from(value).powi(2)).sum::<f64>().sqrt()
}

/// The outputs of a graph, by a session on the GPU and by one on the twins.
fn both(build: impl for<'g> Fn(&'g Graph) -> Named<'g>, values: &Values) -> [BTreeMap<String, Vec<f32>>; 2] {
    let plan = |target: &Target| {
        let graph = Graph::new();
        let outputs = build(&graph);
        for (name, tensor) in &outputs {
            graph.output(name, *tensor);
        }
        let names: Vec<&str> = outputs.iter().map(|(name, _)| *name).collect();
        (Plan::new(&graph, target).expect("a plan"), names)
    };
    let gpu = Gpu::open().unwrap_or_else(|error| panic!("{error}"));
    let (on_gpu, names) = plan(&gpu.target());
    let mut session = Session::new(&gpu, on_gpu, values).expect("a session");
    session.submit(1).expect("a step");
    let mut read = |name: &&str| (name.to_string(), session.read(name).expect("an output").f32().to_vec());
    let of_gpu = names.iter().map(&mut read).collect();
    // The twins of the kernels for GPUs.
    let (of_any_gpu, names) = plan(&Target::default());
    let mut twins = TwinSession::new(of_any_gpu, values).expect("a session");
    twins.run(1);
    let read = |name: &&str| (name.to_string(), twins.read(name).expect("an output").f32().to_vec());
    [of_gpu, names.iter().map(read).collect()]
}

#[track_caller]
fn close(name: &str, got: f64, expected: f64, tolerance: f64) {
    assert!((got - expected).abs() <= tolerance * expected.abs().max(1.0), "{name} is {got}, PyTorch's is {expected}");
}

struct Convolution {
    name: &'static str,
    /// In PyTorch's order of axes.
    x: [usize; 4],
    w: [usize; 4],
    options: ConvolutionOptions,
    /// The norm and the last element of y, the norms and first elements of dx and dw.
    expected: [f64; 6],
}

/// Tensors that are read, by name.
type Named<'g> = Vec<(&'static str, Tensor<'g>)>;

impl Convolution {
    fn build<'g>(&self, graph: &'g Graph) -> Named<'g> {
        let [images, channels, rows, columns] = self.x;
        let [outputs, of_group, kernel_rows, kernel_columns] = self.w;
        let x = graph.input("x", TensorType::f32([images, rows, columns, channels]));
        let w = graph.input("w", TensorType::f32([kernel_rows, kernel_columns, of_group, outputs]));
        let y = x.convolution(w, self.options);
        let dy = graph.input("dy", y.kind());
        let slopes = gradients(y.dot(dy), &[x, w]);
        vec![("y", y), ("dx", slopes[0]), ("dw", slopes[1])]
    }
}

fn convolutions() -> Vec<Convolution> {
    let plain = ConvolutionOptions::new;
    let grouped = |groups| ConvolutionOptions { groups, ..plain(1, 1) };
    let uneven = ConvolutionOptions { strides: [2, 3], rows: [2, 2], columns: [1, 1], groups: 1 };
    let case = |name, x, w, options, expected| Convolution { name, x, w, options, expected };
    vec![
        case(
            "3 x 3",
            [2, 3, 5, 7],
            [4, 3, 3, 3],
            plain(1, 1),
            [6.12563285, -0.67696221, 10.16485754, 0.29572592, 39.01594124, -0.75644459],
        ),
        case(
            "3 x 3, stride 2",
            [2, 3, 5, 7],
            [4, 3, 3, 3],
            plain(2, 1),
            [4.30394434, -0.67696221, 13.72763516, 0.61284365, 16.14712882, 0.86466628],
        ),
        case(
            "1 x 1, stride 2",
            [2, 3, 5, 7],
            [4, 3, 1, 1],
            plain(2, 0),
            [3.35589205, -0.31625731, 4.65989321, 0.52328866, 5.15296785, 0.24163214],
        ),
        case(
            "5 x 4, strides 2 and 3",
            [2, 3, 9, 8],
            [4, 3, 5, 4],
            uneven,
            [4.75493765, -0.52953146, 11.24997386, -0.75999602, 18.21493627, 1.05995978],
        ),
        case(
            "two groups",
            [2, 4, 5, 7],
            [6, 2, 3, 3],
            grouped(2),
            [7.52038004, -0.37292550, 33.28649436, -0.47482514, 48.02315158, 3.06425210],
        ),
        case(
            "depthwise",
            [2, 4, 5, 7],
            [4, 1, 3, 3],
            grouped(4),
            [5.73151326, 0.17225970, 13.54935105, 0.45507117, 27.87569030, 2.85725110],
        ),
        case(
            "8 x 8, stride 4",
            [1, 2, 20, 20],
            [3, 2, 8, 8],
            plain(4, 0),
            [18.12178206, -1.80330797, 37.10596516, -0.33489403, 48.91787157, 0.48659407],
        ),
    ]
}

#[test]
fn convolutions_and_their_gradients_are_those_of_pytorch() {
    for case in convolutions() {
        let Convolution { name, x, w, expected, .. } = case;
        let graph = Graph::new();
        let shape = case.build(&graph)[0].1.shape();
        let dy = channels_last([shape[0], shape[3], shape[1], shape[2]], |k| (0.9 * k as f64).cos());
        let values = Values::from([
            ("x".into(), Data::F32(channels_last(x, image))),
            ("w".into(), Data::F32(outputs_last(w, |k| 0.5 * (1.7 * k as f64).sin()))),
            ("dy".into(), Data::F32(dy)),
        ]);
        for got in both(|graph| case.build(graph), &values) {
            let [y, dx, dw] = ["y", "dx", "dw"].map(|tensor| &got[tensor]);
            let last = *y.last().expect("an element");
            let got = [norm(y), f64::from(last), norm(dx), f64::from(dx[0]), norm(dw), f64::from(dw[0])];
            for (got, expected) in got.into_iter().zip(expected) {
                close(name, got, expected, 2e-6);
            }
        }
    }
}

/// Three images of four channels, a scale and a shift for each, and a cotangent.
fn norm_values() -> Values {
    let shape = [3, 4, 2, 3];
    let parameter = |one: f64| (0..4).map(|k| (one + 0.5 * (1.7 * f64::from(k)).sin()) as f32).collect();
    Values::from([
        ("x".into(), Data::F32(channels_last(shape, image))),
        ("scale".into(), Data::F32(parameter(1.0))),
        ("shift".into(), Data::F32(parameter(0.0))),
        ("dy".into(), Data::F32(channels_last(shape, |k| (0.9 * k as f64).cos()))),
    ])
}

#[test]
fn batch_norm_and_its_gradients_are_those_of_pytorch() {
    let values = norm_values();
    fn build(graph: &Graph) -> Named<'_> {
        let x = graph.input("x", TensorType::f32([3, 2, 3, 4]));
        let [scale, shift] = ["scale", "shift"].map(|name| graph.input(name, TensorType::f32([4])));
        let norm = x.batch_norm(scale, shift, 1e-5);
        let slopes = gradients(norm.y.dot(graph.input("dy", x.kind())), &[x, scale, shift]);
        // R = 18: the running variance takes the unbiased one.
        let (mean, variance) = (norm.mean * 0.1, norm.variance * (0.1 * 18.0 / 17.0) + 0.9);
        vec![
            ("y", norm.y),
            ("dx", slopes[0]),
            ("dscale", slopes[1]),
            ("dshift", slopes[2]),
            ("mean", mean),
            ("variance", variance),
        ]
    }
    for got in both(build, &values) {
        close("the norm of y", norm(&got["y"]), 9.25939893, 1e-6);
        let first = |name: &str| f64::from(got[name][0]);
        close("y[0]", first("y"), -0.22251242, 1e-6);
        close("the norm of dx", norm(&got["dx"]), 7.69188946, 1e-6);
        close("dx[0]", first("dx"), 1.38737103, 2e-6);
        close("dscale[0]", first("dscale"), -4.15863044, 1e-6);
        close("dshift[0]", first("dshift"), -0.23696867, 1e-6);
        close("running mean[0]", first("mean"), 0.01542506, 1e-6);
        close("running variance[0]", first("variance"), 0.95088149, 1e-6);
    }
}

#[test]
fn group_norm_and_its_gradients_are_those_of_pytorch() {
    let values = norm_values();
    fn build(graph: &Graph) -> Named<'_> {
        let x = graph.input("x", TensorType::f32([3, 2, 3, 4]));
        let [scale, shift] = ["scale", "shift"].map(|name| graph.input(name, TensorType::f32([4])));
        let y = x.group_norm(2, scale, shift, 1e-5);
        let slopes = gradients(y.dot(graph.input("dy", x.kind())), &[x, scale]);
        vec![("y", y), ("dx", slopes[0]), ("dscale", slopes[1])]
    }
    for got in both(build, &values) {
        close("the norm of y", norm(&got["y"]), 9.39515947, 1e-6);
        close("y[0]", got["y"][0].into(), -0.06031858, 1e-6);
        close("the norm of dx", norm(&got["dx"]), 9.61210962, 1e-6);
        close("dscale[0]", got["dscale"][0].into(), -4.48047105, 1e-6);
    }
}

#[test]
fn pooling_of_images_of_one_channel_is_that_of_pytorch() {
    let values = Values::from([("x".into(), Data::F32((1u8..=9).map(f32::from).collect()))]);
    fn build(graph: &Graph) -> Named<'_> {
        let x = graph.input("x", TensorType::f32([1, 3, 3, 1]));
        let options = PoolOptions { kernel: [3; 2], strides: [2; 2], padding: [1; 2] };
        let largest = x.max_pool(options);
        let slope = gradients(largest.sum_all(), &[x])[0];
        vec![("largest", largest), ("mean", x.average_pool(options)), ("slope", slope)]
    }
    for got in both(build, &values) {
        assert_eq!(got["largest"], [5.0, 6.0, 8.0, 9.0]);
        assert_eq!(got["mean"], [12.0 / 9.0, 16.0 / 9.0, 24.0 / 9.0, 28.0 / 9.0]);
        assert_eq!(got["slope"], [0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0]);
    }
}

#[test]
fn images_that_no_kernel_takes_are_refused_with_their_shapes() {
    let refused = |build: for<'g> fn(&'g Graph, Tensor<'g>) -> Tensor<'g>| {
        let graph = Graph::new();
        build(&graph, graph.input("x", TensorType::f32([1, 4, 4, 3])));
        graph.check().expect_err("a mistake").to_string()
    };
    let large = refused(|graph, x| {
        x.convolution(graph.input("w", TensorType::f32([5, 5, 3, 2])), ConvolutionOptions::new(1, 0))
    });
    assert!(large.contains("convolution: takes F32 x (images, rows, columns, channels)"), "{large}");
    let alone = refused(|graph, x| {
        let one = graph.full([3], 1.0);
        x.narrow(0, 0, 1).slice(&[0, 0, 0, 0], [1, 1, 1, 3]).batch_norm(one, one, 1e-5).y
    });
    assert!(alone.contains("at least two elements a channel"), "{alone}");
    let padded = refused(|_, x| x.max_pool(PoolOptions { padding: [2; 2], ..PoolOptions::new(2) }));
    assert!(padded.contains("padded by at most half of it"), "{padded}");
}

#[test]
fn a_convolution_with_a_bias_and_relu_is_one_dispatch_of_the_same_values() {
    // The second is a product of matrices: its window is one pixel.
    for (kernel, padding) in [(3, 1), (1, 0)] {
        let graph = Graph::new();
        let x = graph.input("x", TensorType::f32([2, 6, 5, 4]));
        let w = graph.input("w", TensorType::f32([kernel, kernel, 4, 7]));
        let bias = graph.input("bias", TensorType::f32([7]));
        let y = (x.convolution(w, ConvolutionOptions::new(1, padding)) + bias).relu();
        graph.output("y", y);
        let plan = Plan::new(&graph, &Target::default()).unwrap();
        assert_eq!(plan.dispatches.len(), 1, "{plan}");

        let lengths = [("x", 240), ("w", 28 * kernel * kernel), ("bias", 7)];
        let mut generator = Generator::new(3, 100);
        let mut values = |length| Data::F32((0..length).map(|_| generator.normal()).collect());
        let initial: Values = lengths.map(|(name, length)| (name.to_owned(), values(length))).into();
        let wide = |data: &Data| data.f32().iter().map(|&x| f64::from(x)).collect::<Vec<_>>();
        let expected =
            Reference::new(initial.iter().map(|(name, data)| (name.clone(), wide(data)))).evaluate(y).unwrap();
        let mut session = Session::new(&Gpu::open().unwrap(), plan, &initial).unwrap();
        session.submit(1).unwrap();
        // At most 36 products and a bias, of which the largest is below 40: some twenty roundings.
        for (got, expected) in session.read("y").unwrap().f32().iter().zip(&expected) {
            assert!((f64::from(*got) - expected).abs() < 1e-4, "{kernel} x {kernel}: expected {expected}, got {got}");
        }
    }
}

#[test]
fn a_convolution_that_something_else_reads_is_stored_before_its_bias_is_added() {
    let graph = Graph::new();
    let x = graph.input("x", TensorType::f32([1, 4, 4, 2]));
    let w = graph.input("w", TensorType::f32([3, 3, 2, 8]));
    let y = x.convolution(w, ConvolutionOptions::new(1, 0));
    graph.output("sum", (y + graph.input("bias", TensorType::f32([8]))).relu());
    graph.output("square", y.square());
    let plan = Plan::new(&graph, &Target::default()).unwrap();
    assert_eq!(plan.dispatches.len(), 3, "{plan}");
}
