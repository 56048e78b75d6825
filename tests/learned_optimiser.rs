//! The learned optimiser: its step against plain arithmetic, and networks that are trained by it and by its rivals.

use fourfold::Gpu;
use fourfold::data::{Dataset, digits};
use fourfold::evolution::{GraphProblem, Population};
use fourfold::graph::{Graph, Plan, Session, Tag, TensorType, Values};
use fourfold::models::hyperparameters::{ImageTask, Judgement, TaskSettings};
use fourfold::models::learned_optimiser::{
    LearnedOptimiser, LearnedTraining, OptimiserConstants, OptimiserInput, RatedTraining, Rule,
};
use fourfold::shaders::random::threefry::Random;
use fourfold::shaders::{Data, Element};

const SIZES: [usize; 3] = [12, 1, 6];
const WEIGHTS: usize = 19;
const MEMBERS: usize = 3;
const OPTIMISER: LearnedOptimiser = LearnedOptimiser { hidden: 5, direction: 1e-2, magnitude: 0.1 };

fn gpu() -> Gpu {
    Gpu::open().unwrap_or_else(|error| panic!("{error}"))
}

fn normal(random: &mut Random, count: usize, deviation: f32) -> Vec<f32> {
    (0..count).map(|_| random.normal() * deviation).collect()
}

/// Steps with the same gradients on a device; the weights after each.
fn on_the_device(theta: &[f32], weights: &[f32], gradients: &[Vec<f32>], first: u32) -> Vec<Vec<f32>> {
    let gpu = gpu();
    let graph = Graph::new();
    {
        let state = |name, shape: &[usize]| graph.state(name, Tag::Weights, TensorType::f32(shape));
        let constants = LearnedOptimiser::constants(&SIZES);
        let [decays, rates, means, belongs] = ["decays", "rates", "means", "belongs"];
        let constant = |index: usize, name| state(name, &constants[index].1);
        let input = OptimiserInput {
            theta: state("theta", &[MEMBERS, OPTIMISER.parameters()]),
            time: graph.state("time", Tag::Bookkeeping, TensorType::u32([])),
            weights: state("weights", &[MEMBERS, WEIGHTS]),
            gradient: graph.input("gradient", TensorType::f32([MEMBERS, WEIGHTS])),
            averages: state("averages", &[MEMBERS, 4, WEIGHTS]),
            squares: state("squares", &[MEMBERS, WEIGHTS]),
            constants: OptimiserConstants {
                decays: constant(0, decays),
                rates: constant(1, rates),
                means: constant(2, means),
                belongs: constant(3, belongs),
            },
        };
        let step = OPTIMISER.step(&graph, &input);
        graph.assign(input.weights, step.weights);
        graph.assign(input.averages, step.averages);
        graph.assign(input.squares, step.squares);
        graph.advance(input.time);
    }
    let [decays, rates, means, belongs] = LearnedOptimiser::constants(&SIZES).map(|(data, _)| data);
    let values = [
        ("theta", Data::F32(theta.to_vec())),
        ("time", Data::U32(vec![first])),
        ("weights", Data::F32(weights.to_vec())),
        ("averages", Data::F32(vec![0.0; MEMBERS * 4 * WEIGHTS])),
        ("squares", Data::F32(vec![0.0; MEMBERS * WEIGHTS])),
        ("decays", decays),
        ("rates", rates),
        ("means", means),
        ("belongs", belongs),
    ];
    let values = Values::from(values.map(|(name, data)| (name.to_owned(), data)));
    let mut session = Session::new(&gpu, Plan::new(&graph, &gpu.target()).unwrap(), &values).unwrap();
    let step = |gradient: &Vec<f32>| {
        session.write("gradient", &Data::F32(gradient.clone())).unwrap();
        session.submit(1).unwrap();
        session.read("weights").unwrap().f32().to_vec()
    };
    gradients.iter().map(step).collect()
}

/// The same for one member, one number at a time.
fn by_hand(theta: &[f32], weights: &[f32], gradients: &[&[f32]], first: u32) -> Vec<Vec<f64>> {
    let theta: Vec<f64> = theta.iter().map(|&value| value.into()).collect();
    let mut weights: Vec<f64> = weights.iter().map(|&value| value.into()).collect();
    let mut averages = [[0.0; 4]; WEIGHTS];
    let mut squares = [0.0; WEIGHTS];
    let hidden = OPTIMISER.hidden;
    let (weight, rest) = theta.split_at(hidden * 8);
    let (timed, rest) = rest.split_at(hidden * 9);
    let (bias, rest) = rest.split_at(hidden);
    let (output, shift) = rest.split_at(2 * hidden);
    let mut trajectory = Vec::new();
    for (step, gradient) in gradients.iter().enumerate() {
        let mut features = [[0.0; 8]; WEIGHTS];
        for index in 0..WEIGHTS {
            let g = f64::from(gradient[index]);
            for (average, decay) in averages[index].iter_mut().zip([0.5, 0.9, 0.99, 0.999]) {
                *average = decay * *average + (1.0 - decay) * g;
            }
            squares[index] = 0.999 * squares[index] + 0.001 * g * g;
            let root = f64::sqrt(squares[index]) + 1e-8;
            let m = averages[index];
            features[index] = [g, weights[index], g / root, m[1] / root, m[0], m[1], m[2], m[3]];
        }
        let mut begin = 0;
        for size in SIZES {
            let tensor = &mut features[begin..begin + size];
            let mut means = [0.0; 8];
            for read in tensor.iter() {
                means.iter_mut().zip(read).for_each(|(mean, feature)| *mean += feature * feature / size as f64);
            }
            for read in tensor {
                read.iter_mut().zip(means).for_each(|(feature, mean)| *feature /= f64::sqrt(mean + 1e-12));
            }
            begin += size;
        }
        let time = f64::from(first) + step as f64;
        let times = [1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1e3, 3e3, 1e4].map(|scale: f64| (time / scale - 1.0).tanh());
        for index in 0..WEIGHTS {
            let units: Vec<f64> = (0..hidden)
                .map(|unit| {
                    let read: f64 = (0..8).map(|feature| weight[unit * 8 + feature] * features[index][feature]).sum();
                    let clock: f64 = (0..9).map(|scale| timed[unit * 9 + scale] * times[scale]).sum();
                    (read + clock + bias[unit]).max(0.0)
                })
                .collect();
            let answer = |row: usize| -> f64 {
                shift[row]
                    + units.iter().enumerate().map(|(unit, value)| output[row * hidden + unit] * value).sum::<f64>()
            };
            weights[index] -= 0.01 * answer(0) * (0.1 * answer(1)).exp();
        }
        trajectory.push(weights.clone());
    }
    trajectory
}

/// The numbers of one member.
fn row(values: &[f32], member: usize) -> &[f32] {
    &values[member * WEIGHTS..][..WEIGHTS]
}

#[test]
fn steps_are_those_of_plain_arithmetic() {
    let mut random = Random::new(11, 0);
    let theta = normal(&mut random, MEMBERS * OPTIMISER.parameters(), 0.7);
    let weights = normal(&mut random, MEMBERS * WEIGHTS, 1.0);
    let mut gradients: Vec<_> = [1.0, 0.01, 30.0].map(|size| normal(&mut random, MEMBERS * WEIGHTS, size)).to_vec();
    // A tensor without a gradient.
    gradients[1][12] = 0.0;
    for first in [0, 250] {
        let device = on_the_device(&theta, &weights, &gradients, first);
        for member in 0..MEMBERS {
            let gradients: Vec<_> = gradients.iter().map(|gradient| row(gradient, member)).collect();
            let parameters = OPTIMISER.parameters();
            let expected =
                by_hand(&theta[member * parameters..][..parameters], row(&weights, member), &gradients, first);
            for (step, expected) in expected.iter().enumerate() {
                for (got, expected) in row(&device[step], member).iter().zip(expected) {
                    let error = (f64::from(*got) - expected).abs();
                    assert!(error < 2e-5, "member {member}, step {step}: {got} where {expected} was expected");
                }
            }
        }
    }
}

#[test]
fn an_optimiser_of_zeros_stays_and_one_of_an_output_bias_moves_every_weight_alike() {
    let parameters = OPTIMISER.parameters();
    let mut theta = vec![0.0; MEMBERS * parameters];
    theta[2 * parameters - 2] = 3.0;
    theta[3 * parameters - 2] = 3.0;
    theta[3 * parameters - 1] = 2.0;
    let mut random = Random::new(5, 0);
    let weights = normal(&mut random, MEMBERS * WEIGHTS, 1.0);
    let gradient = normal(&mut random, MEMBERS * WEIGHTS, 1.0);
    let after = on_the_device(&theta, &weights, &[gradient], 0).remove(0);
    assert_eq!(after[..WEIGHTS], weights[..WEIGHTS]);
    let steps = [(1, 0.03), (2, 0.03 * f32::exp(0.2))];
    for (member, step) in steps {
        for index in member * WEIGHTS..(member + 1) * WEIGHTS {
            assert!((weights[index] - after[index] - step).abs() < 1e-6, "member {member}, weight {index}");
        }
    }
}

#[test]
fn a_new_optimiser_does_nothing_and_has_a_gradient_all_the_same() {
    let theta = OPTIMISER.initial(3);
    assert_eq!(theta.len(), OPTIMISER.parameters());
    let hidden = OPTIMISER.hidden * LearnedOptimiser::FEATURES;
    assert!(theta[..hidden].iter().all(|&weight| weight != 0.0), "units that are told apart");
    assert!(theta[hidden..].iter().all(|&weight| weight == 0.0), "no output yet");
}

fn task(horizon: usize) -> ImageTask {
    let set: Dataset = digits();
    let settings =
        TaskSettings { hidden: vec![12], batch: 16, horizon, judgement: Judgement::TrainingLoss, fixed_judge: false };
    ImageTask::new(set.clone(), set, settings).unwrap()
}

/// The losses of an episode, `(steps, members)`, at these rows of theta.
fn losses(gpu: &Gpu, problem: &dyn GraphProblem, theta: &[f32]) -> Vec<f32> {
    let (members, steps) = (theta.len() / problem.parameters(), problem.horizon().unwrap());
    let population = Population::new(gpu, problem, members, steps, 21).unwrap();
    let view = population.theta();
    gpu.queue().write_buffer(&view.buffer, view.offset, bytemuck::cast_slice(theta));
    let mut encoder = gpu.device().create_command_encoder(&Default::default());
    {
        let mut pass = encoder.begin_compute_pass(&Default::default());
        population.record_reset(&mut pass);
        (0..steps).for_each(|_| population.record_step(&mut pass));
    }
    let ticket = gpu.encode_readback(&mut encoder, &[(population.losses().clone(), Element::F32)]).unwrap();
    gpu.queue().submit([encoder.finish()]);
    ticket.wait().unwrap()[0].f32().to_vec()
}

/// An optimiser that follows the fourth feature, the average gradient over the root of the squares, as Adam does: a unit
/// for either sign of it.
fn following(optimiser: LearnedOptimiser, length: f32) -> Vec<f32> {
    let mut theta = vec![0.0; optimiser.parameters()];
    (theta[3], theta[LearnedOptimiser::FEATURES + 3]) = (1.0, -1.0);
    let output = theta.len() - 2 - 2 * optimiser.hidden;
    (theta[output], theta[output + 1]) = (length, -length);
    theta
}

#[test]
fn a_network_is_trained_among_others_as_it_is_alone() {
    let gpu = gpu();
    let optimiser = LearnedOptimiser { hidden: 4, ..Default::default() };
    let problem = LearnedTraining::new(task(15), optimiser);
    let members = [following(optimiser, 5.0), following(optimiser, 20.0), optimiser.initial(1)];
    let among = losses(&gpu, &problem, &members.concat());
    for (member, theta) in members.iter().enumerate() {
        for (step, alone) in losses(&gpu, &problem, theta).iter().enumerate() {
            let among = among[3 * step + member];
            assert!((among - alone).abs() < 1e-4, "member {member}, step {step}: {alone} alone, {among} among others");
        }
    }
}

#[test]
fn an_optimiser_that_follows_adam_learns_and_one_that_goes_up_is_cut_off_at_the_ceiling() {
    let gpu = gpu();
    let optimiser = LearnedOptimiser { hidden: 4, ..Default::default() };
    let problem = LearnedTraining::new(task(60), optimiser);
    let theta = [following(optimiser, 10.0), vec![0.0; optimiser.parameters()], following(optimiser, -1e6)];
    let losses = losses(&gpu, &problem, &theta.concat());
    let last = |member: usize| losses[3 * 50..].iter().skip(member).step_by(3).sum::<f32>() / 10.0;
    assert!(last(0) < 1.0, "{}", last(0));
    assert!((last(1) - f32::ln(10.0)).abs() < 0.3, "{}", last(1));
    assert!((last(2) - 3.0 * f32::ln(10.0)).abs() < 1e-5, "{}", last(2));
}

#[test]
fn adam_and_sgd_learn_at_their_rates_and_stay_finite_at_others() {
    let gpu = gpu();
    for (rule, rate) in [(Rule::Adam, 0.01f32), (Rule::Sgd { momentum: 0.9 }, 0.05)] {
        let problem = RatedTraining { task: task(60), rule };
        let losses = losses(&gpu, &problem, &[rate.ln(), -30.0, 30.0]);
        let last = |member: usize| losses[3 * 50..].iter().skip(member).step_by(3).sum::<f32>() / 10.0;
        assert!(last(0) < 1.0, "{rule:?}: {}", last(0));
        assert!((last(1) - f32::ln(10.0)).abs() < 0.3, "{rule:?}: {}", last(1));
        assert!(losses.iter().all(|loss| loss.is_finite()), "{rule:?}");
    }
}
