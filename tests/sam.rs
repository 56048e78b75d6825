//! Sharpness-aware minimisation (Foret et al. 2021): its closed forms on a quadratic, what it has in common with its base
//! optimiser, and its full gradient against finite differences in f64.

use std::sync::OnceLock;

use fourfold::Gpu;
use fourfold::graph::{Adaptive, Graph, Plan, Reference, Session, Tag, Tensor, TensorType, TwinSession, Values};
use fourfold::nn::{Linear, Parameters};
use fourfold::optim::{AdamW, Ascent, Optimiser, Sam, Sgd, WeightDecay, clip_by_global_norm};
use fourfold::shaders::Data;
use fourfold::shaders::random::threefry::Random;

/// One device for all tests of the file, which share its pipelines.
fn gpu() -> &'static Gpu {
    static GPU: OnceLock<Gpu> = OnceLock::new();
    GPU.get_or_init(|| Gpu::open().expect("an adapter"))
}

/// Elements of the flat weights; the quadratic depends on the first two.
const LENGTH: usize = 64;

const PLAIN: Sgd = Sgd { momentum: 0.0, nesterov: false, weight_decay: 0.0 };

const ADAPTIVE: Option<Adaptive> = Some(Adaptive { count: LENGTH, eta: 0.0 });

/// One step of SGD on `1/2 w^T diag(a) w`, with a diagonal for each chunk of the batch.
#[derive(Clone)]
struct Trial {
    sam: Sam,
    base: Sgd,
    rho: f32,
    rate: f32,
    clip: Option<f32>,
    curvature: Vec<[f32; 2]>,
    weights: [f32; 2],
}

impl Trial {
    /// The example of the pinned values: A = diag(1, 4), rho = 0.1, rate = 0.1.
    fn new(sam: Sam, weights: [f32; 2]) -> Self {
        Self { sam, base: PLAIN, rho: 0.1, rate: 0.1, clip: None, curvature: vec![[1.0, 4.0]], weights }
    }

    fn plan(&self) -> Plan {
        let graph = Graph::new();
        let curvature = graph.input("curvature", TensorType::f32([self.curvature.len(), 2]));
        let weights = graph.state("weights", Tag::Weights, TensorType::f32([LENGTH]));
        let step = graph.state("step", Tag::Bookkeeping, TensorType::u32([]));
        let outcome = self.sam.gradient(weights, graph.constant(self.rho), |w, chunk| {
            let curvature = curvature.narrow(0, chunk, 1).reshape([2]);
            (w.view(0, [2]).square() * curvature).sum_all() * 0.5
        });
        for (chunk, ascended) in outcome.ascended.iter().enumerate() {
            graph.output(&format!("ascended{chunk}"), *ascended);
        }
        graph.output("loss", outcome.loss);
        graph.output("sharpened_loss", outcome.sharpened_loss);
        let gradient = self.clip.map_or(outcome.gradient, |largest| clip_by_global_norm(outcome.gradient, largest));
        graph.output("gradient", gradient);
        Optimiser::Sgd(self.base).step(weights, gradient, graph.constant(self.rate), step);
        Plan::new(&graph, &gpu().target()).expect("a graph without mistakes")
    }

    /// The results of one step on the twins and on the GPU.
    fn outcomes(&self) -> [Outcome; 2] {
        let plan = self.plan();
        let mut flat = vec![0.0; LENGTH];
        flat[..2].copy_from_slice(&self.weights);
        let values = Values::from([
            ("curvature".into(), Data::F32(self.curvature.concat())),
            ("weights".into(), Data::F32(flat)),
        ]);
        let mut twins = TwinSession::new(plan.clone(), &values).expect("a session");
        twins.run(1);
        let mut session = Session::new(gpu(), plan, &values).expect("a session");
        session.submit(1).expect("a step");
        let read = |read: &mut dyn FnMut(&str) -> Data| {
            let mut f32 = |name: &str| read(name).f32().to_vec();
            let weights = f32("weights");
            let ascended = (0..self.sam.chunks).map(|chunk| f32(&format!("ascended{chunk}"))).collect();
            Outcome { start: self.weights, ascended, gradient: f32("gradient"), weights }
        };
        [
            read(&mut |name| twins.read(name).expect("a name of the plan")),
            read(&mut |name| session.read(name).expect("a name of the plan")),
        ]
    }
}

#[derive(Debug)]
struct Outcome {
    start: [f32; 2],
    ascended: Vec<Vec<f32>>,
    gradient: Vec<f32>,
    weights: Vec<f32>,
}

impl Outcome {
    /// The perturbation of the first chunk.
    fn eps(&self) -> [f64; 2] {
        std::array::from_fn(|index| f64::from(self.ascended[0][index]) - f64::from(self.start[index]))
    }

    /// The weights after the step; those that the loss does not depend on have stayed zero.
    #[track_caller]
    fn weights(&self) -> [f64; 2] {
        assert!(self.weights[2..].iter().all(|&weight| weight == 0.0), "{self:?}");
        [f64::from(self.weights[0]), f64::from(self.weights[1])]
    }
}

#[track_caller]
fn assert_near(got: [f64; 2], expected: [f64; 2]) {
    let near = got.iter().zip(&expected).all(|(got, expected)| (got - expected).abs() < 1e-6);
    assert!(near, "{got:?} is not {expected:?}");
}

#[test]
fn a_step_from_a_general_point_has_the_pinned_values() {
    for outcome in Trial::new(Sam::default(), [1.0, 1.0]).outcomes() {
        assert_near(outcome.eps(), [0.0242535625, 0.0970142500]);
        assert_near(std::array::from_fn(|index| f64::from(outcome.gradient[index])), [1.0242535625, 4.3880570001]);
        assert_near(outcome.weights(), [0.8975746437, 0.5611942999]);
    }
}

#[test]
fn a_step_from_equal_slopes_has_the_pinned_values() {
    for outcome in Trial::new(Sam::default(), [2.0, 0.5]).outcomes() {
        assert_near(outcome.eps(), [0.0707106781, 0.0707106781]);
        assert_near(outcome.weights(), [1.7929289322, 0.2717157287]);
    }
}

#[test]
fn an_adaptive_step_has_the_pinned_values() {
    for outcome in Trial::new(Sam { adaptive: ADAPTIVE, ..Sam::default() }, [2.0, 0.5]).outcomes() {
        assert_near(outcome.eps(), [0.1940285000, 0.0121267813]);
        assert_near(outcome.weights(), [1.7805971500, 0.2951492875]);
    }
}

/// Every form of ascent.
fn forms() -> Vec<Sam> {
    let mut forms = Vec::new();
    for ascent in [Ascent::L2, Ascent::LInfinity] {
        for adaptive in [None, ADAPTIVE] {
            for second_order in [false, true] {
                for steps in [1, 3] {
                    forms.push(Sam { ascent, adaptive, second_order, steps, ..Sam::default() });
                }
            }
        }
    }
    forms
}

#[test]
fn a_zero_gradient_moves_nothing() {
    // No slope anywhere, and the bottom of a bowl, where adaptive steps have a zero scale as well.
    for (curvature, weights) in [([0.0, 0.0], [1.5, -0.25]), ([1.0, 4.0], [0.0, 0.0])] {
        for sam in forms() {
            let base = Sgd { momentum: 0.9, nesterov: true, weight_decay: 0.0 };
            let trial = Trial { base, curvature: vec![curvature], ..Trial::new(sam, weights) };
            for outcome in trial.outcomes() {
                let moved = |values: &[f32]| values[..2] != weights || values[2..].iter().any(|&value| value != 0.0);
                assert!(!moved(&outcome.ascended[0]) && !moved(&outcome.weights), "{sam:?}: {outcome:?}");
            }
        }
    }
}

#[test]
fn several_ascent_steps_stay_in_the_ball() {
    let weights = [0.6, -1.3];
    for sam in forms().into_iter().filter(|sam| sam.steps > 1) {
        for outcome in (Trial { rho: 0.5, ..Trial::new(sam, weights) }).outcomes() {
            let eps = outcome.eps();
            let scale = weights.map(|w| if sam.adaptive.is_some() { f64::from(w).abs() } else { 1.0 });
            let unscaled = [eps[0] / scale[0], eps[1] / scale[1]];
            let length = match sam.ascent {
                Ascent::L2 => unscaled[0].hypot(unscaled[1]),
                Ascent::LInfinity => unscaled[0].abs().max(unscaled[1].abs()),
            };
            assert!(length <= 0.5 + 1e-6 && length > 0.49, "{length} in {sam:?}");
        }
    }
}

#[test]
fn a_further_ascent_step_climbs_higher() {
    // From equal slopes the first step goes half way to the steeper axis, the next ones turn towards it.
    let once = Trial { rho: 0.5, ..Trial::new(Sam::default(), [2.0, 0.5]) };
    let thrice = Trial { sam: Sam { steps: 3, ..Sam::default() }, ..once.clone() };
    for (once, thrice) in once.outcomes().iter().zip(thrice.outcomes()) {
        let height = |[x, y]: [f64; 2]| 0.5 * ((2.0 + x).powi(2) + 4.0 * (0.5 + y).powi(2));
        assert!(height(thrice.eps()) > height(once.eps()) + 1e-3, "{:?} {:?}", once.eps(), thrice.eps());
    }
}

/// `(A + decay) w` with A = diag(1, 4).
fn slope(w: [f64; 2], decay: f64) -> [f64; 2] {
    [(1.0 + decay) * w[0], (4.0 + decay) * w[1]]
}

fn ascended(w: [f64; 2], slope: [f64; 2]) -> [f64; 2] {
    let norm = slope[0].hypot(slope[1]);
    [w[0] + 0.1 * slope[0] / norm, w[1] + 0.1 * slope[1] / norm]
}

#[test]
fn weight_decay_inside_the_maximum_is_part_of_both_passes() {
    let (w, sam) = ([1.0, 1.0], Sam { weight_decay: WeightDecay::Inside(0.5), ..Sam::default() });
    let g = slope(ascended(w, slope(w, 0.5)), 0.5);
    for outcome in Trial::new(sam, [1.0, 1.0]).outcomes() {
        assert_near(outcome.weights(), [w[0] - 0.1 * g[0], w[1] - 0.1 * g[1]]);
    }
}

#[test]
fn weight_decay_outside_the_maximum_is_that_of_the_weights() {
    let w = [1.0, 1.0];
    let g = slope(ascended(w, slope(w, 0.0)), 0.0);
    let base = Sgd { weight_decay: 0.5, ..PLAIN };
    for outcome in (Trial { base, ..Trial::new(Sam::default(), [1.0, 1.0]) }).outcomes() {
        assert_near(outcome.weights(), [w[0] - 0.1 * (g[0] + 0.5 * w[0]), w[1] - 0.1 * (g[1] + 0.5 * w[1])]);
    }
}

#[test]
fn clipping_shortens_the_final_gradient_and_not_the_ascent() {
    let trial = Trial { clip: Some(0.5), ..Trial::new(Sam::default(), [1.0, 1.0]) };
    let (free, norm) = ([1.0242535625, 4.3880570001], 1.0242535625_f64.hypot(4.3880570001));
    for outcome in trial.outcomes() {
        assert_near(outcome.eps(), [0.0242535625, 0.0970142500]);
        let clipped = free.map(|slope| slope * 0.5 / norm);
        assert_near(std::array::from_fn(|index| f64::from(outcome.gradient[index])), clipped);
        assert_near(outcome.weights(), [1.0 - 0.1 * clipped[0], 1.0 - 0.1 * clipped[1]]);
    }
}

#[test]
fn a_gradient_within_bounds_keeps_its_bits_when_clipped() {
    let free = Trial::new(Sam::default(), [1.0, 1.0]);
    let clipped = Trial { clip: Some(5.0), ..free.clone() };
    for (free, clipped) in free.outcomes().iter().zip(clipped.outcomes()) {
        assert_eq!(bits(&Data::F32(free.gradient.clone())), bits(&Data::F32(clipped.gradient)));
    }
}

#[test]
fn chunks_climb_by_themselves_and_their_gradients_are_averaged() {
    let curvature = vec![[1.0, 4.0], [9.0, 0.5], [2.0, 2.0]];
    let sam = Sam { chunks: 3, ..Sam::default() };
    let together = Trial { rho: 0.3, curvature: curvature.clone(), ..Trial::new(sam, [1.0, -0.5]) };
    let alone: Vec<[Outcome; 2]> = curvature
        .iter()
        .map(|&curvature| Trial { sam: Sam::default(), curvature: vec![curvature], ..together.clone() }.outcomes())
        .collect();
    for (machine, outcome) in together.outcomes().iter().enumerate() {
        for (chunk, alone) in alone.iter().enumerate() {
            assert_eq!(outcome.ascended[chunk], alone[machine].ascended[0]);
        }
        let average = |index: usize| -> f64 {
            alone.iter().map(|outcomes| f64::from(outcomes[machine].gradient[index])).sum::<f64>() / 3.0
        };
        let got = std::array::from_fn(|index| f64::from(outcome.gradient[index]));
        assert_near(got, [average(0), average(1)]);
    }
}

/// A small classifier with dropout between its layers.
struct Network {
    parameters: Parameters,
    layers: [Linear; 2],
}

const BATCH: usize = 12;

impl Network {
    fn new() -> Self {
        let mut parameters = Parameters::new();
        let layers = [Linear::new(&mut parameters, "first", 6, 9), Linear::new(&mut parameters, "second", 9, 3)];
        Self { parameters, layers }
    }

    /// One step of training; the outputs are `loss`, `sharpened_loss`, `ascended` and `gradient`.
    fn graph(&self, sam: Option<&Sam>, rho: f32, optimiser: Optimiser, rate: f32, dropout: f32) -> Graph {
        let graph = Graph::new();
        let x = graph.input("x", TensorType::f32([BATCH, 6]));
        let labels = graph.input("labels", TensorType::u32([BATCH]));
        let weights = self.parameters.state(&graph, "weights");
        let step = graph.state("step", Tag::Bookkeeping, TensorType::u32([]));
        let seed = graph.state("seed", Tag::Bookkeeping, TensorType::u32([2]));
        let loss = |w| {
            let w = self.parameters.of(w);
            let hidden = self.layers[0].forward(&w, x).tanh();
            let hidden = if dropout > 0.0 { hidden.dropout(seed, 0, dropout) } else { hidden };
            self.layers[1].forward(&w, hidden).cross_entropy(labels, 0.1).mean_all()
        };
        let gradient = match sam {
            None => fourfold::graph::gradients(loss(weights), &[weights])[0],
            Some(sam) => {
                let outcome = sam.gradient(weights, graph.constant(rho), |w, _| loss(w));
                graph.output("loss", outcome.loss);
                graph.output("sharpened_loss", outcome.sharpened_loss);
                graph.output("ascended", outcome.ascended[0]);
                graph.output("gradient", outcome.gradient);
                outcome.gradient
            }
        };
        optimiser.step(weights, gradient, graph.constant(rate), step);
        graph.advance(seed);
        graph
    }

    fn values(&self) -> Values {
        let mut random = Random::new(11, 0);
        let x = (0..BATCH * 6).map(|_| random.normal()).collect();
        let labels = (0..BATCH).map(|_| random.below(3)).collect();
        Values::from([
            ("x".into(), Data::F32(x)),
            ("labels".into(), Data::U32(labels)),
            ("weights".into(), self.parameters.initial(4)),
            ("seed".into(), Data::U32(vec![17, 0])),
        ])
    }

    fn session(&self, graph: &Graph) -> Session {
        let plan = Plan::new(graph, &gpu().target()).expect("a graph without mistakes");
        Session::new(gpu(), plan, &self.values()).expect("a session")
    }
}

fn bits(data: &Data) -> Vec<u8> {
    data.bytes().to_vec()
}

const MOMENTUM: Optimiser = Optimiser::Sgd(Sgd { momentum: 0.9, nesterov: true, weight_decay: 5e-4 });

#[test]
fn a_ball_of_radius_zero_leaves_the_base_optimiser_bit_for_bit() {
    let network = Network::new();
    for optimiser in [MOMENTUM, Optimiser::AdamW(AdamW::default())] {
        let mut base = network.session(&network.graph(None, 0.0, optimiser, 0.05, 0.0));
        base.submit(5).unwrap();
        let expected = base.states().unwrap();
        for ascent in [Ascent::L2, Ascent::LInfinity] {
            let sam = Sam { ascent, ..Sam::default() };
            let mut session = network.session(&network.graph(Some(&sam), 0.0, optimiser, 0.05, 0.0));
            session.submit(5).unwrap();
            for (name, got) in session.states().unwrap() {
                assert!(bits(&got) == bits(&expected[&name]), "`{name}` differs after {optimiser:?}");
            }
        }
    }
}

#[test]
fn a_rate_of_zero_restores_the_weights_bit_for_bit() {
    let network = Network::new();
    let mut session = network.session(&network.graph(Some(&Sam::default()), 0.3, MOMENTUM, 0.0, 0.0));
    session.submit(3).unwrap();
    assert!(session.read("ascended").unwrap() != network.parameters.initial(4));
    assert!(bits(&session.read("weights").unwrap()) == bits(&network.parameters.initial(4)));
}

#[test]
fn the_perturbation_of_a_network_has_the_length_of_the_radius() {
    let network = Network::new();
    let initial = network.parameters.initial(4);
    for (ascent, rho) in [(Ascent::L2, 0.05), (Ascent::LInfinity, 0.01)] {
        let sam = Sam { ascent, ..Sam::default() };
        let graph = network.graph(Some(&sam), rho, MOMENTUM, 0.1, 0.0);
        let mut session = network.session(&graph);
        session.submit(1).unwrap();
        let ascended = session.read("ascended").unwrap();
        let eps = ascended.f32().iter().zip(initial.f32()).map(|(&a, &w)| f64::from(a) - f64::from(w));
        let length = match ascent {
            Ascent::L2 => eps.map(|eps| eps * eps).sum::<f64>().sqrt(),
            Ascent::LInfinity => eps.fold(0.0, |largest: f64, eps| largest.max(eps.abs())),
        };
        // The weights, below 1 in magnitude, are rounded to half a unit in the last place.
        assert!((length - f64::from(rho)).abs() < 1e-6, "{length} is not {rho}");
    }
}

#[test]
fn both_passes_of_a_step_drop_the_same_elements_and_the_next_step_others() {
    let network = Network::new();
    // With a ball and a rate of zero only the mask tells one loss from another.
    let graph = network.graph(Some(&Sam::default()), 0.0, MOMENTUM, 0.0, 0.5);
    let mut session = network.session(&graph);
    let mut losses = Vec::new();
    for _ in 0..4 {
        session.submit(1).unwrap();
        let loss = session.read("loss").unwrap().f32()[0];
        assert_eq!(loss.to_bits(), session.read("sharpened_loss").unwrap().f32()[0].to_bits());
        assert!(!losses.contains(&loss.to_bits()), "a mask came twice");
        losses.push(loss.to_bits());
    }
}

/// A loss of three tanh units, not quadratic, of the first 6 of the flat weights and the 3 from 64 on.
fn bent<'g>(w: Tensor<'g>, x: Tensor<'g>) -> Tensor<'g> {
    let hidden = (x.matmul(w.view(0, [2, 3])) + w.view(64, [3])).tanh();
    (hidden - 0.3).square().mean_all()
}

#[test]
fn the_second_order_gradient_is_that_of_the_sharpened_loss() {
    let mut random = Random::new(2, 1);
    let x: Vec<f64> = (0..10).map(|_| f64::from(random.normal())).collect();
    let weights: Vec<f64> = (0..67).map(|_| f64::from(random.normal())).collect();
    let used: Vec<usize> = (0..6).chain(64..67).collect();
    for ascent in [Ascent::L2, Ascent::LInfinity] {
        for (adaptive, steps) in [(None, 1), (None, 2), (Some(Adaptive { count: 64, eta: 0.1 }), 1)] {
            let sam = Sam { ascent, adaptive, steps, second_order: true, ..Sam::default() };
            let graph = Graph::new();
            let w = graph.state("weights", Tag::Weights, TensorType::f32([67]));
            let input = graph.input("x", TensorType::f32([5, 2]));
            let outcome = sam.gradient(w, graph.constant(0.25), |w, _| bent(w, input));
            let mut reference = Reference::new([("x", x.clone()), ("weights", weights.clone())]);
            let gradient = reference.evaluate(outcome.gradient).unwrap();
            let mut at = |index: usize, change: f64| {
                let mut moved = weights.clone();
                moved[index] += change;
                reference.set("weights", moved);
                reference.evaluate(outcome.sharpened_loss).unwrap()[0]
            };
            let step = 1e-5;
            for &index in &used {
                let slope = (at(index, step) - at(index, -step)) / (2.0 * step);
                assert!((gradient[index] - slope).abs() < 1e-8, "{sam:?} {index}: {} is not {slope}", gradient[index]);
            }
        }
    }
}

#[test]
fn the_second_order_gradient_is_not_the_first_order_one_and_comes_out_on_the_gpu() {
    let mut random = Random::new(2, 1);
    let x: Vec<f32> = (0..10).map(|_| random.normal()).collect();
    let weights: Vec<f32> = (0..67).map(|_| random.normal()).collect();
    let graph = Graph::new();
    let w = graph.state("weights", Tag::Weights, TensorType::f32([67]));
    let input = graph.input("x", TensorType::f32([5, 2]));
    let gradient = |second_order| {
        let sam = Sam { second_order, ..Sam::default() };
        sam.gradient(w, graph.constant(0.25), |w, _| bent(w, input)).gradient
    };
    let (whole, first) = (gradient(true), gradient(false));
    graph.output("gradient", whole);
    let wide = |values: &[f32]| values.iter().map(|&value| f64::from(value)).collect::<Vec<_>>();
    let reference = Reference::new([("x", wide(&x)), ("weights", wide(&weights))]);
    let (expected, first) = (reference.evaluate(whole).unwrap(), reference.evaluate(first).unwrap());
    assert!(expected.iter().zip(&first).any(|(whole, first)| (whole - first).abs() > 1e-3));

    let values = Values::from([("x".into(), Data::F32(x)), ("weights".into(), Data::F32(weights))]);
    let plan = Plan::new(&graph, &gpu().target()).unwrap();
    let mut session = Session::new(gpu(), plan, &values).unwrap();
    session.submit(1).unwrap();
    for (got, expected) in session.read("gradient").unwrap().f32().iter().zip(&expected) {
        assert!((f64::from(*got) - expected).abs() < 1e-5, "{got} is not {expected}");
    }
}
