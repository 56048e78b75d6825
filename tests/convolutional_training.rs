//! A convolutional network with batch norm, a max pooling and a shortcut in training, against PyTorch 2.15.0 in f64: loss,
//! gradients, running statistics, ten steps of SGD and of SAM, and products with the Hessian.
//!
//! Parameters and images are formulas of the flat index in PyTorch's order of axes, so that no file is needed: whoever writes the
//! same network in PyTorch finds the same numbers.

use fourfold::Gpu;
use fourfold::graph::{
    ConvolutionOptions, Graph, Plan, PoolOptions, Session, Tag, Tensor, TensorType, Values, gradients,
};
use fourfold::nn::{BatchNorm2d, Conv2d, Linear, Mode, Noise, Parameters, SeenStatistics, Statistics};
use fourfold::optim::{Optimiser, Sam, Sgd};
use fourfold::shaders::Data;

/// The network: 987 parameters for images of 8 x 8 pixels and two channels, three classes.
struct Network {
    parameters: Parameters,
    statistics: Parameters,
    convolutions: [Conv2d; 3],
    norms: [BatchNorm2d; 2],
    head: Linear,
}

const IMAGES: usize = 6;

impl Network {
    fn new() -> Self {
        let (mut parameters, mut statistics) = (Parameters::new(), Parameters::new());
        let convolution = |parameters: &mut Parameters, name: &str, [channels, outputs]: [usize; 2], stride| {
            Conv2d::new(parameters, name, [3, 3, channels, outputs], ConvolutionOptions::new(stride, 1))
        };
        let conv1 = convolution(&mut parameters, "conv1", [2, 4], 1);
        let bn1 = BatchNorm2d::new(&mut parameters, &mut statistics, "bn1", 4);
        let conv2 = convolution(&mut parameters, "conv2", [4, 8], 2);
        let bn2 = BatchNorm2d::new(&mut parameters, &mut statistics, "bn2", 8);
        let conv3 = convolution(&mut parameters, "conv3", [8, 8], 1);
        let head = Linear::new(&mut parameters, "fc", 8, 3);
        Self { parameters, statistics, convolutions: [conv1, conv2, conv3], norms: [bn1, bn2], head }
    }

    /// The values of all parameters, `0.3 sin(1.7 i)` over PyTorch's flat index of all, and 1 more for scales.
    fn weights(&self) -> Data {
        let mut tensors = std::collections::BTreeMap::new();
        let mut first = 0;
        for parameter in self.parameters.iter() {
            let one = if parameter.name.starts_with("bn") && parameter.name.ends_with("weight") { 1.0 } else { 0.0 };
            let value = |i: usize| (one + 0.3 * (1.7 * (first + i) as f64).sin()) as f32;
            let mut values: Vec<f32> = (0..parameter.shape.elements()).map(value).collect();
            if let [rows, columns, channels, outputs] = *parameter.shape {
                for (place, value_of) in values.iter_mut().enumerate() {
                    let (output, channel) = (place % outputs, place / outputs % channels);
                    let (column, row) = (place / outputs / channels % columns, place / outputs / channels / columns);
                    *value_of = value(((output * channels + channel) * rows + row) * columns + column);
                }
            }
            first += values.len();
            tensors.insert(parameter.name.clone(), (parameter.shape.clone(), values));
        }
        self.parameters.pack(&tensors).expect("all parameters")
    }

    fn logits<'a, 'g: 'a>(&'a self, flat: Tensor<'g>, x: Tensor<'g>, mode: Mode<'a, 'g>) -> Tensor<'g> {
        let weights = self.parameters.of(flat);
        let [conv1, conv2, conv3] = &self.convolutions;
        let norm = |index: usize, x: Tensor<'g>| self.norms[index].forward(&weights, &self.statistics, x, mode);
        let x = norm(0, conv1.forward(&weights, x)).relu().max_pool(PoolOptions::new(2));
        // Half the size and twice the channels, the new ones zeros.
        let shortcut = x.average_pool(PoolOptions::new(2)).pad(&[0; 4], [IMAGES, 2, 2, 8]);
        let y = norm(1, conv2.forward(&weights, x)).relu();
        let y = (conv3.forward(&weights, y) + shortcut).relu();
        self.head.forward(&weights, y.reshape([IMAGES, 4, 8]).mean(1))
    }

    fn loss<'a, 'g: 'a>(&'a self, flat: Tensor<'g>, batch: [Tensor<'g>; 2], mode: Mode<'a, 'g>) -> Tensor<'g> {
        self.logits(flat, batch[0], mode).cross_entropy(batch[1], 0.0).mean_all()
    }

    fn values(&self) -> Values {
        let mut images = vec![0.0; IMAGES * 64 * 2];
        for (place, value) in images.iter_mut().enumerate() {
            let (channel, pixel) = (place % 2, place / 2);
            let j = (pixel / 64 * 2 + channel) * 64 + pixel % 64;
            *value = (0.37 * j as f64 + 0.11 * (j % 13) as f64).sin() as f32;
        }
        Values::from([
            ("images".into(), Data::F32(images)),
            ("labels".into(), Data::U32((0..IMAGES as u32).map(|n| n % 3).collect())),
            ("weights".into(), self.weights()),
            ("statistics".into(), self.statistics.initial(0)),
        ])
    }

    /// (weights, running statistics, images and labels) of a graph.
    fn leaves<'g>(&self, graph: &'g Graph) -> (Tensor<'g>, Tensor<'g>, [Tensor<'g>; 2]) {
        let images = graph.input("images", TensorType::f32([IMAGES, 8, 8, 2]));
        let labels = graph.input("labels", TensorType::u32([IMAGES]));
        let running = TensorType::f32([self.statistics.length()]);
        let running = graph.state("statistics", Tag::Bookkeeping, running);
        (self.parameters.state(graph, "weights"), running, [images, labels])
    }

    /// A running value of the flat tensor by its name.
    fn running(&self, flat: &Data, name: &str) -> Vec<f32> {
        self.statistics.unpack(flat.f32())[name].1.clone()
    }
}

fn session(graph: &Graph, values: &Values) -> Session {
    let gpu = Gpu::open().unwrap_or_else(|error| panic!("{error}"));
    let plan = Plan::new(graph, &gpu.target()).expect("a plan");
    Session::new(&gpu, plan, values).expect("a session")
}

fn norm(values: &[f32]) -> f64 {
    values.iter().map(|&value| f64::from(value).powi(2)).sum::<f64>().sqrt()
}

#[track_caller]
fn close(name: &str, got: f32, expected: f64, tolerance: f64) {
    let difference = (f64::from(got) - expected).abs();
    assert!(difference <= tolerance * expected.abs().max(1.0), "{name} is {got}, PyTorch's is {expected}");
}

#[test]
fn loss_and_gradients_are_those_of_pytorch() {
    let (network, graph) = (Network::new(), Graph::new());
    assert_eq!(network.parameters.count(), 987);
    let (weights, _, batch) = network.leaves(&graph);
    let logits = network.logits(weights, batch[0], Noise::NONE.into());
    let loss = logits.cross_entropy(batch[1], 0.0).mean_all();
    let slopes = gradients(loss, &[weights, batch[0]]);
    for (name, tensor) in [("logits", logits), ("loss", loss), ("gradient", slopes[0]), ("dx", slopes[1])] {
        graph.output(name, tensor);
    }
    let mut session = session(&graph, &network.values());
    session.submit(1).expect("a step");
    let mut read = |name| session.read(name).expect("an output").f32().to_vec();
    close("the loss", read("loss")[0], 1.169184906146, 1e-6);
    for (got, expected) in read("logits").into_iter().zip([0.2172669043, -0.2202703228, -0.4307365968]) {
        close("a logit", got, expected, 2e-6);
    }
    let gradient = read("gradient");
    close("the gradient's norm", norm(&gradient) as f32, 1.0836681223, 1e-5);
    close("the norm of dx", norm(&read("dx")) as f32, 0.2523187082, 1e-5);
    let parts = network.parameters.unpack(&gradient);
    let expected = [
        ("conv1.weight", 0.8198249195, -0.1306136653),
        ("conv2.weight", 0.3114623590, 0.0070821668),
        ("conv3.weight", 0.3353333948, 0.0009232155),
        ("fc.weight", 0.4936736918, 0.0526156724),
    ];
    for (name, length, first) in expected {
        close(name, norm(&parts[name].1) as f32, length, 1e-5);
        close(name, parts[name].1[0], first, 1e-6);
    }
    for (name, length) in [
        ("bn1.weight", 0.0812845718),
        ("bn1.bias", 0.0766706195),
        ("bn2.weight", 0.0383183361),
        ("bn2.bias", 0.0254055675),
        ("fc.bias", 0.1856162620),
    ] {
        close(name, norm(&parts[name].1) as f32, length, 1e-5);
    }
}

/// Ten steps; the losses at w (and at w + eps), and what is left of a training.
struct Training {
    losses: Vec<f32>,
    sharpened: Vec<f32>,
    weights: Data,
    running: Data,
    /// In evaluation.
    loss: f32,
}

/// Trains with SGD (rate 0.1, Nesterov 0.9, decay 5e-4 on all) by itself, or with SAM of radius 0.1 around it.
fn train(network: &Network, sam: bool, both: bool) -> Training {
    let graph = Graph::new();
    let (weights, running, batch) = network.leaves(&graph);
    let (seen, seen_moved) = (SeenStatistics::new(), SeenStatistics::new());
    let step = graph.state("step", Tag::Bookkeeping, TensorType::u32([]));
    let mode = |w: Tensor<'_>| {
        let kept = if w.value() == weights.value() { &seen } else { &seen_moved };
        Mode { noise: Noise::NONE, statistics: Statistics::Kept(kept) }
    };
    let (gradient, losses) = if sam {
        let outcome = Sam::default().gradient(weights, graph.constant(0.1), |w, _| network.loss(w, batch, mode(w)));
        (outcome.gradient, [outcome.loss, outcome.sharpened_loss])
    } else {
        let loss = network.loss(weights, batch, mode(weights));
        (gradients(loss, &[weights])[0], [loss; 2])
    };
    let sgd = Optimiser::Sgd(Sgd { momentum: 0.9, nesterov: true, weight_decay: 5e-4 });
    sgd.step(weights, gradient, graph.constant(0.1), step);
    let passes = [&seen, &seen_moved];
    let passes = if both { &passes[..] } else { &passes[..1] };
    SeenStatistics::update(passes, &network.statistics, running, BatchNorm2d::MOMENTUM);
    for (name, loss) in ["loss", "sharpened"].into_iter().zip(losses) {
        graph.output(name, loss);
    }
    let mut session = session(&graph, &network.values());
    let (mut at, mut moved) = (Vec::new(), Vec::new());
    for _ in 0..10 {
        session.submit(1).expect("a step");
        at.push(session.read("loss").expect("a loss").f32()[0]);
        moved.push(session.read("sharpened").expect("a loss").f32()[0]);
    }
    let [weights, running] = ["weights", "statistics"].map(|name| session.read(name).expect("a state"));
    let loss = evaluate(network, &weights, &running);
    Training { losses: at, sharpened: moved, weights, running, loss }
}

fn evaluate(network: &Network, flat: &Data, running: &Data) -> f32 {
    let graph = Graph::new();
    let (weights, statistics, batch) = network.leaves(&graph);
    graph.output("loss", network.loss(weights, batch, Mode::evaluation(statistics)));
    let mut values = network.values();
    values.insert("weights".into(), flat.clone());
    values.insert("statistics".into(), running.clone());
    let mut session = session(&graph, &values);
    session.submit(1).expect("a step");
    session.read("loss").expect("a loss").f32()[0]
}

#[track_caller]
fn all_close(name: &str, got: &[f32], expected: &[f64], tolerance: f64) {
    for (index, (&got, &expected)) in got.iter().zip(expected).enumerate() {
        close(&format!("{name}[{index}]"), got, expected, tolerance);
    }
}

#[test]
fn ten_steps_of_sgd_are_those_of_pytorch() {
    let network = Network::new();
    let trained = train(&network, false, false);
    let losses = [
        1.1691849061,
        1.0620271896,
        0.9622464310,
        0.8703112744,
        0.8441554321,
        0.7614382737,
        0.6885958311,
        0.5342019069,
        0.4507912341,
        0.3685996697,
    ];
    all_close("loss", &trained.losses, &losses, 1e-5);
    close("the norm of w", norm(trained.weights.f32()) as f32, 8.0120813666, 1e-5);
    let running = |name| network.running(&trained.running, name);
    all_close("mean", &running("bn2.running_mean"), &[-0.1580503800, -0.4473224270, 0.3312267563], 1e-5);
    all_close("variance", &running("bn2.running_var"), &[0.4995568433, 0.5041231516, 0.5440376728], 1e-5);
    close("the loss in evaluation", trained.loss, 0.6032463490, 1e-5);
}

#[test]
fn ten_steps_of_sam_are_those_of_pytorch_and_the_first_pass_alone_moves_the_running_statistics() {
    let network = Network::new();
    let trained = train(&network, true, false);
    let losses = [
        1.1691849061,
        1.0986770262,
        1.0650357851,
        1.0511070915,
        1.0349972538,
        1.0109425630,
        0.9761689934,
        0.9365210511,
        0.9061386185,
        0.8526574599,
    ];
    let sharpened = [
        1.2464747749,
        1.1480874913,
        1.1143605800,
        1.0848950614,
        1.0782888772,
        1.0527303529,
        1.0179360818,
        0.9944606486,
        0.9936812308,
        0.9584573998,
    ];
    all_close("loss", &trained.losses, &losses, 1e-5);
    all_close("sharpened loss", &trained.sharpened, &sharpened, 1e-5);
    close("the norm of w", norm(trained.weights.f32()) as f32, 7.6094637118, 1e-5);
    let running = |name| network.running(&trained.running, name);
    all_close("mean", &running("bn2.running_mean"), &[-0.2912554022, -0.2742774408, 0.3150226418], 1e-5);
    all_close("variance", &running("bn2.running_var"), &[0.7123222723, 0.8526211395, 0.6843994325], 1e-5);
    close("the loss in evaluation", trained.loss, 0.8503555945, 1e-5);
    // Which pass moved them shows in evaluation alone: the losses of training are the same bits.
    let both = train(&network, true, true);
    assert_eq!((both.losses, both.weights), (trained.losses, trained.weights));
    close("the loss in evaluation, statistics of both passes", both.loss, 0.8151388144, 1e-5);
}

#[test]
fn running_statistics_begin_with_a_tenth_of_the_first_batch() {
    let network = Network::new();
    let graph = Graph::new();
    let (weights, running, batch) = network.leaves(&graph);
    let seen = SeenStatistics::new();
    let mode = Mode { noise: Noise::NONE, statistics: Statistics::Kept(&seen) };
    graph.output("loss", network.loss(weights, batch, mode));
    SeenStatistics::update(&[&seen], &network.statistics, running, 0.1);
    let mut session = session(&graph, &network.values());
    session.submit(1).expect("a step");
    let flat = session.read("statistics").expect("a state");
    let mean = [-0.0004000411, -0.0002939187, -0.0000027414, 0.0002901618];
    let variance = [0.9057934328, 0.9058457538, 0.9056281407, 0.9056023767];
    all_close("mean", &network.running(&flat, "bn1.running_mean"), &mean, 1e-6);
    all_close("variance", &network.running(&flat, "bn1.running_var"), &variance, 1e-6);
}

#[test]
fn products_with_the_hessian_are_those_of_pytorch_in_both_modes() {
    let network = Network::new();
    // After one training forward pass, as in the numbers for evaluation.
    let running = {
        let graph = Graph::new();
        let (weights, running, batch) = network.leaves(&graph);
        let seen = SeenStatistics::new();
        let mode = Mode { noise: Noise::NONE, statistics: Statistics::Kept(&seen) };
        graph.output("loss", network.loss(weights, batch, mode));
        SeenStatistics::update(&[&seen], &network.statistics, running, 0.1);
        let mut session = session(&graph, &network.values());
        session.submit(1).expect("a step");
        session.read("statistics").expect("a state")
    };
    let modes: [(bool, [f64; 4]); 2] = [
        (false, [1.169184906146, 1.0836681223, 1.0292065511, 5.2744939318]),
        (true, [1.1518014039, 0.3292587771, 0.3564530240, 0.8520940578]),
    ];
    for (evaluation, [loss_of, slope_of, curvature_of, product_of]) in modes {
        let graph = Graph::new();
        let (weights, statistics, batch) = network.leaves(&graph);
        let mode = if evaluation { Mode::evaluation(statistics) } else { Noise::NONE.into() };
        let loss = network.loss(weights, batch, mode);
        let slope = gradients(loss, &[weights])[0];
        let direction = (slope / slope.norm()).stop_gradient();
        let product = gradients(slope.dot(direction), &[weights])[0];
        graph.output("loss", loss);
        graph.output("slope", slope.norm());
        graph.output("curvature", product.dot(direction));
        graph.output("product", product.norm());
        let mut values = network.values();
        values.insert("statistics".into(), running.clone());
        let mut session = session(&graph, &values);
        session.submit(1).expect("a step");
        let mut read = |name| session.read(name).expect("an output").f32()[0];
        close("the loss", read("loss"), loss_of, 1e-5);
        close("the gradient's norm", read("slope"), slope_of, 1e-5);
        close("v H v", read("curvature"), curvature_of, 1e-4);
        close("the norm of H v", read("product"), product_of, 1e-4);
    }
}
