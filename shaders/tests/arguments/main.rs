//! Problems of random arguments: either every binding has the size that the arguments say, or an error names what is wrong.
//! Nothing panics.

#[path = "../draw/mod.rs"]
mod draw;
mod rollout;
mod vision;

use std::sync::Arc;

use draw::Draw;
use fourfold_shaders::attention::{self, attention_backward, masked_softmax};
use fourfold_shaders::convolution::{self, Geometry, Map};
use fourfold_shaders::elementwise::{self, Binary, Compare, Mode, Unary};
use fourfold_shaders::inner_problem::problems::ToyRegression;
use fourfold_shaders::inner_problem::{
    Directions, Evaluation, EvaluationProblem, Objective, OuterIterations, OuterIterationsProblem, SHARES,
    TangentProblem, Tangents, Truncation, TruncationProblem, Uoro, UoroProblem,
};
use fourfold_shaders::layout::{concatenate, copy, gather, pad, scatter_add};
use fourfold_shaders::loss::{cross_entropy, mean_squared_error};
use fourfold_shaders::matmul::{self, Batch};
use fourfold_shaders::normalisation::{
    batch_norm, batch_norm_backward, layer_norm, layer_norm_backward, layer_norm_parameters, softmax, softmax_backward,
};
use fourfold_shaders::optimiser::sam_ascent::{self, Norm};
use fourfold_shaders::optimiser::{adamw, advance_step, clip, ring, sgd};
use fourfold_shaders::pooling::{average_pool, max_pool};
use fourfold_shaders::random::threefry::{self, Distribution, Random};
use fourfold_shaders::random::{augment, dropout};
use fourfold_shaders::reduction::reduce::{self, Reduction};
use fourfold_shaders::reduction::{argmax, global_norm};
use fourfold_shaders::trajectories::{frames, returns_to_go, windows};
use fourfold_shaders::{
    Activation, Element, Error, MAX_ELEMENTS, MAX_WORKGROUPS, Sequence, Slot, Target, grid, packed,
};

/// Random arguments of each kind of problem.
const ROUNDS: usize = 2_500;

/// The product of sizes, exact below 2^128.
fn of(sizes: &[usize]) -> u128 {
    if sizes.contains(&0) {
        0
    } else {
        sizes.iter().fold(1, |product: u128, &size| product.saturating_mul(size as u128))
    }
}

/// How often problems were accepted and refused.
#[derive(Default)]
struct Tally {
    accepted: usize,
    refused: usize,
}

impl Tally {
    /// Checks an accepted sequence: `arguments` has the elements of each, `None` where it is not bound.
    #[track_caller]
    fn judge(&mut self, sequence: Result<Sequence, Error>, arguments: &[u128]) {
        let sequence = match sequence {
            Ok(sequence) => sequence,
            Err(error) => {
                assert!(error.to_string().len() > 20, "{error}");
                self.refused += 1;
                return;
            }
        };
        self.accepted += 1;
        let mut lengths = vec![0; arguments.len()];
        for step in &sequence.steps {
            let (call, kernel) = (&step.call, &*step.call.kernel);
            assert_eq!(call.lengths.len(), kernel.bindings.len(), "{}", kernel.name);
            assert_eq!(step.operands.len(), kernel.bindings.len(), "{}", kernel.name);
            assert_eq!(call.uniform.len(), kernel.uniform_bytes, "{}", kernel.name);
            assert!(
                call.grid.iter().all(|side| (1..=MAX_WORKGROUPS).contains(side)),
                "{}: {:?}",
                kernel.name,
                call.grid
            );
            for ((&length, slot), binding) in call.lengths.iter().zip(&step.operands).zip(&*kernel.bindings) {
                assert!((1..=MAX_ELEMENTS).contains(&length), "{}: {}", kernel.name, binding.name);
                match *slot {
                    Slot::Argument(index) => lengths[index] = length.max(lengths[index]),
                    Slot::Scratch(index) => {
                        assert!(sequence.scratch[index].length >= length, "{}: {}", kernel.name, binding.name);
                        assert_eq!(sequence.scratch[index].element, binding.element, "{}", kernel.name);
                    }
                }
            }
        }
        for (index, (length, &expected)) in lengths.into_iter().zip(arguments).enumerate() {
            let bound = length > 0;
            assert!(
                !bound || length as u128 == expected,
                "argument {index} of {}: {length}",
                sequence.steps[0].call.kernel.name
            );
        }
    }
}

/// Judges `ROUNDS` problems.
fn try_arguments(seed: u32, mut judge: impl FnMut(&mut Draw, &mut Tally, &Target)) {
    let (mut draw, mut tally) = (Draw(Random::new(seed, 0)), Tally::default());
    for _ in 0..ROUNDS {
        let target = draw.target();
        judge(&mut draw, &mut tally, &target);
    }
    assert!(
        tally.accepted > ROUNDS / 100 && tally.refused > ROUNDS / 100,
        "{} accepted, {} refused",
        tally.accepted,
        tally.refused
    );
}

#[test]
fn products_and_attention() {
    try_arguments(1, |draw, tally, target| {
        let [m, n, k] = [(); 3].map(|()| draw.size());
        let mut axis = || Batch { count: draw.small(), a_stride: draw.size(), b_stride: draw.size() };
        let batch = [axis(), axis()];
        let plain = matmul::Problem::new(m, n, k).transposed(draw.flag(2), draw.flag(2));
        let plain = plain.with_epilogue(draw.flag(2), Activation::Relu);
        let count = draw.small();
        let bias = |lengths: [u128; 3]| match plain.bias {
            true => vec![lengths[0], lengths[1], n as u128, lengths[2]],
            false => lengths.to_vec(),
        };
        let lengths = bias([of(&[count, m, k]), of(&[count, k, n]), of(&[count, m, n])]);
        tally.judge(plain.batched(count).sequence(target), &lengths);
        let strided = matmul::Problem { batch, ..plain };
        let [outer, inner] = batch;
        let last = |strides: [usize; 2], own| {
            let before = |count: usize, stride| of(&[count.saturating_sub(1), stride]);
            before(outer.count, strides[0]).saturating_add(before(inner.count, strides[1])).saturating_add(own)
        };
        let a = last([outer.a_stride, inner.a_stride], of(&[m, k]));
        let b = last([outer.b_stride, inner.b_stride], of(&[k, n]));
        tally.judge(strided.sequence(target), &bias([a, b, of(&[outer.count, inner.count, m, n])]));
    });
    try_arguments(2, |draw, tally, target| {
        let [batch, heads, length_q, length_k] = [(); 4].map(|()| draw.small());
        let head_size = if draw.flag(4) { draw.size() } else { 4 * draw.small().min(1 << 40) };
        let (factor, causal, keys) = (draw.factor(), draw.flag(2), draw.flag(2));
        let problem = attention::Problem { batch, heads, length_q, length_k, head_size, factor, causal, keys };
        let [rows, mask] = [of(&[batch, heads, length_q]), of(&[batch, length_k])];
        let [q, k] = [length_q, length_k].map(|length| of(&[batch, heads, length, head_size]));
        let given = if keys { vec![mask] } else { Vec::new() };
        let masked = |before: &[u128], after: &[u128]| [before, &given, after].concat();
        tally.judge(problem.sequence(target), &masked(&[q, k, k], &[q, rows]));
        let backward = attention_backward::sequence(&problem, target);
        tally.judge(backward, &masked(&[q, k, k, q, rows, q], &[q, k, k]));
        let causal = if draw.flag(2) {
            problem.masked_softmax().causal
        } else {
            Some(masked_softmax::Causal::strided(draw.size(), draw.size()))
        };
        let scores = masked_softmax::Problem { causal, ..problem.masked_softmax() };
        let x = of(&[batch, heads, length_q, length_k]);
        tally.judge(scores.sequence(target), &masked(&[x], &[x]));
        tally.judge(scores.backward(target), &[x; 3]);
        attention::prefers_products(&problem, target);
    });
}

#[test]
fn rows() {
    try_arguments(3, |draw, tally, target| {
        let [rows, columns] = [(); 2].map(|()| draw.size());
        let (all, r, c) = (of(&[rows, columns]), rows as u128, columns as u128);
        let (log, factor) = (draw.flag(2), draw.factor());
        tally.judge(softmax::Problem { rows, columns, log }.sequence(target), &[all; 2]);
        tally.judge(softmax_backward::Problem { rows, columns, log, factor }.sequence(target), &[all; 3]);
        let norm = layer_norm::Problem { rows, columns, epsilon: factor }.sequence(target);
        tally.judge(norm, &[all, c, c, all, r, r]);
        let batch = batch_norm::Problem { rows, columns, epsilon: factor, rectified: true }.sequence(target);
        tally.judge(batch, &[all, c, c, all, c, c, c]);
        let backward = batch_norm_backward::Problem { rows, columns, rectified: false }.sequence(target);
        tally.judge(backward, &[all, c, c, c, c, all, all, c, c]);
        tally.judge(layer_norm_backward::Problem { rows, columns }.sequence(target), &[all, c, r, r, all, all]);
        tally.judge(layer_norm_parameters::Problem { rows, columns }.sequence(target), &[all, r, r, all, c, c]);
        let entropy = cross_entropy::Problem { rows, classes: columns, smoothing: factor };
        tally.judge(entropy.sequence(target), &[all, r, r, all]);
        tally.judge(mean_squared_error::Problem { rows, columns }.sequence(target), &[all, all, r, all]);
        let count = draw.size();
        let picked = of(&[count, columns]);
        tally.judge(gather::Problem { rows, columns, count }.sequence(target), &[all, count as u128, picked]);
        tally.judge(scatter_add::Problem { rows, columns, count }.sequence(target), &[picked, count as u128, all]);
        tally.judge(ring::Problem { length: rows, columns }.sequence(target), &[all, c, 1]);
    });
    try_arguments(4, |draw, tally, target| {
        let [outer, axis, inner] = [(); 3].map(|()| draw.size());
        let reduction = [Reduction::Sum, Reduction::Mean, Reduction::Max][draw.0.below(3) as usize];
        let lengths = [of(&[outer, axis, inner]), of(&[outer, inner])];
        tally.judge(reduce::Problem { reduction, outer, axis, inner }.sequence(target), &lengths);
        tally.judge(argmax::Problem { outer, axis, inner }.sequence(target), &lengths);
        let tensors: Vec<usize> = (0..draw.0.below(5)).map(|_| draw.size()).collect();
        let lengths: Vec<u128> = tensors.iter().map(|&length| length as u128).chain([1]).collect();
        tally.judge(global_norm::Problem { lengths: tensors }.sequence(target), &lengths);
    });
}

#[test]
fn images() {
    try_arguments(12, |draw, tally, target| {
        let groups = if draw.flag(2) { 1 } else { draw.small() };
        let mut pair = || [(); 2].map(|()| draw.small());
        let [input, output, kernel, strides, before] = [(); 5].map(|()| pair());
        let [images, channels, outputs] = [(); 3].map(|()| draw.small());
        let [channels, outputs] = [channels, outputs].map(|of_group| of_group.saturating_mul(groups));
        let geometry = Geometry { images, input, channels, output, outputs, kernel, strides, before, groups };
        let [x, y] = [(input, channels), (output, outputs)].map(|([rows, columns], c)| of(&[images, rows, columns, c]));
        let w = of(&[kernel[0], kernel[1], channels / groups.max(1), outputs]);
        let bias = draw.flag(2);
        let with_bias = Map::Output { bias, activation: Activation::Relu };
        let given = if bias { vec![x, w, outputs as u128, y] } else { vec![x, w, y] };
        tally.judge(convolution::Problem::new(geometry, with_bias).sequence(target), &given);
        tally.judge(convolution::Problem::new(geometry, Map::InputGradient).sequence(target), &[y, w, x]);
        tally.judge(convolution::Problem::new(geometry, Map::WeightGradient).sequence(target), &[x, y, w]);
        let geometry = Geometry { groups: channels, outputs: channels, ..geometry };
        let y = of(&[images, output[0], output[1], channels]);
        let max = |map| max_pool::Problem { geometry, map }.sequence(target);
        tally.judge(max(max_pool::Map::Output), &[x, y, y]);
        tally.judge(max(max_pool::Map::InputGradient), &[y, y, x]);
        tally.judge(max(max_pool::Map::Pick), &[x, y, y]);
        let average = |map| average_pool::Problem { geometry, map }.sequence(target);
        tally.judge(average(average_pool::Map::Output), &[x, y]);
        tally.judge(average(average_pool::Map::InputGradient), &[y, x]);
        let [crop, hole] = [draw.small(), draw.small()];
        let options = augment::Options { crop, mirror: bias, hole, hole_of_batch: bias };
        let ([rows, columns], stream) = (input, 1);
        let moved =
            |border| augment::Problem { images, rows, columns, channels, border, options, stream }.sequence(target);
        tally.judge(moved(augment::Border::Reflected), &[x, 2, x]);
        tally.judge(moved(augment::Border::Black), &[x, 2, of(&[rows, columns, channels]), x]);
    });
}

#[test]
fn copies() {
    try_arguments(5, |draw, tally, target| {
        let (element, shape) = ([Element::F32, Element::U32][draw.0.below(2) as usize], draw.shape());
        let all = of(&shape);
        let order: Vec<usize> = match draw.flag(4) {
            true => draw.shape(),
            false => (0..shape.len()).rev().collect(),
        };
        let permuted = copy::Problem::permute(element, &shape, &order).and_then(|copy| copy.sequence(target));
        tally.judge(permuted, &[all; 2]);
        let starts: Vec<usize> = shape.iter().map(|_| if draw.flag(9) { draw.size() } else { 0 }).collect();
        let lengths: Vec<usize> =
            shape.iter().map(|&length| if draw.flag(2) { length } else { draw.small() }).collect();
        let part = copy::Problem::slice(element, &shape, &starts, &lengths).and_then(|copy| copy.sequence(target));
        tally.judge(part, &[all, of(&lengths)]);
        let region = copy::Problem::into_region(element, &lengths, &shape, &starts);
        tally.judge(region.and_then(|copy| copy.sequence(target)), &[of(&lengths), all]);
        let broadcast = copy::Problem::broadcast(element, &shape, &lengths).and_then(|copy| copy.sequence(target));
        tally.judge(broadcast, &[all, of(&lengths)]);
        let mut view = || copy::View { offset: if draw.flag(2) { 0 } else { draw.size() }, strides: draw.shape() };
        let (source, destination) = (view(), view());
        let [source_length, destination_length] = [(); 2].map(|()| draw.size());
        let any =
            copy::Problem { element, shape: shape.clone(), source, source_length, destination, destination_length };
        tally.judge(any.sequence(target), &[source_length as u128, destination_length as u128]);
        let padding: Vec<_> =
            lengths.iter().map(|_| [(); 2].map(|()| if draw.flag(9) { draw.size() } else { 1 })).collect();
        let pad = pad::Problem { element, shape: shape.clone(), padding, word: 7 };
        let padded = of(&pad.output());
        tally.judge(pad.sequence(target), &[all, padded]);
        let axis = draw.0.below(5) as usize;
        let joined = [&shape[..], &lengths[..]];
        let result = match (shape.get(axis), lengths.get(axis)) {
            (Some(&a), Some(&b)) if shape.len() == lengths.len() && a > 0 => {
                (all / a as u128).saturating_mul(a as u128 + b as u128)
            }
            _ => 0,
        };
        tally.judge(concatenate::concatenate(element, &joined, axis), &[all, of(&lengths), result]);
        tally.judge(concatenate::concatenate(element, &[], axis), &[]);
    });
}

#[test]
fn elements() {
    try_arguments(6, |draw, tally, target| {
        let (count, factor) = (draw.size(), draw.factor());
        let [n, decayed, stream] = [count, draw.size(), draw.size()];
        let (n, stream) = (n as u128, stream as u32);
        let kind = [Distribution::Bits, Distribution::Uniform, Distribution::Normal][draw.0.below(3) as usize];
        tally.judge(threefry::Problem { distribution: kind, count, stream }.sequence(target), &[2, n]);
        tally.judge(dropout::Problem { count, probability: factor, stream }.sequence(target), &[n, 2, n]);
        tally.judge(advance_step::Problem { length: count, increment: stream }.sequence(target), &[n]);
        tally.judge(advance_step::Problem { length: count, increment: stream }.both(target), &[n, 1]);
        let (momentum, weight_decay) = (draw.factor(), draw.factor());
        let sgd = sgd::Problem { count, momentum, nesterov: draw.flag(2), weight_decay, decayed };
        tally.judge(sgd.sequence(target), &[n, n, n, 1]);
        let [beta1, beta2] = [(); 2].map(|()| f64::from(draw.factor()));
        let adamw = adamw::Problem { count, beta1, beta2, epsilon: factor, weight_decay, decayed };
        tally.judge(adamw.sequence(target), &[n, n, n, n, 1, 1]);
        for (norm, lengths) in [(Norm::L2, &[n, n, 1, 1, n][..]), (Norm::LInfinity, &[n, n, 1, n])] {
            let ascent = sam_ascent::Problem { count, norm, adaptive: decayed, eta: factor };
            tally.judge(ascent.sequence(target), lengths);
            tally.judge(ascent.scaled_gradient(target), &[n; 3]);
        }
        tally.judge(clip::Problem { count, max_norm: factor }.sequence(target), &[n, 1, n]);
    });
    try_arguments(7, |draw, tally, _| {
        let (a, mut b) = (draw.shape(), draw.shape());
        if draw.flag(2) {
            b = a.iter().map(|&length| if draw.flag(3) { 1 } else { length }).collect();
        }
        let shape = elementwise::broadcast_shape(&a, &b);
        let y = of(shape.as_deref().unwrap_or(&[]));
        tally.judge(elementwise::binary(Binary::Add, &a, &b), &[of(&a), of(&b), y]);
        tally.judge(elementwise::compare(Compare::Lt, &a, &b), &[of(&a), of(&b), y]);
        let count = draw.size();
        tally.judge(elementwise::unary(Unary::Exp, count), &[count as u128; 2]);
        let rank = draw.0.below(256) as u8;
        let modes =
            [Mode::Same, Mode::Scalar, Mode::Suffix, Mode::Prefix, Mode::Strided { rank, contiguous: rank < 9 }];
        let mut program = elementwise::Program::new();
        let x = program.input(Element::F32, modes[draw.0.below(5) as usize]);
        if !draw.flag(9) {
            program.output(x);
        }
        tally.judge(program.sequence(&a, &[&b]), &[of(&b), of(&a)]);
    });
}

#[test]
fn populations() {
    use fourfold_shaders::evolution::*;
    try_arguments(8, |draw, tally, target| {
        let [members, episodes, parameters, pairs] =
            [(); 4].map(|()| if draw.flag(2) { draw.small() } else { draw.size() });
        let (sigma, factor, stream) = (draw.factor(), draw.factor(), 3);
        let (m, p, d) = (members as u128, parameters as u128, pairs as u128);
        let all = of(&[members, episodes]);
        let fitness = fitness::Problem { members, episodes };
        tally.judge(fitness.sequence(target), &[all, m]);
        tally.judge(fitness.summary(target), &[m, all, 7]);
        tally.judge(centred_ranks::Problem { members }.sequence(target), &[m; 2]);
        let deviation = pgpe_deviation::Problem { count: parameters, fraction: factor, floor: sigma };
        tally.judge(deviation.sequence(target), &[p, p, 1]);
        let gradient = evolution_gradient::Problem { parameters, directions: pairs, stream, sigma, factor };
        tally.judge(gradient.sequence(target), &[2 * d, 2, p]);
        let gradients = pgpe_gradient::Problem { parameters, directions: pairs, stream, factor };
        tally.judge(gradients.sequence(target), &[2 * d, 2, p, p, p]);
        let persistent = persistent_gradient::Problem { parameters, pairs, stream, sigma, accumulated: draw.flag(2) };
        let accumulators = persistent.accumulators();
        let accumulators = accumulators.iter().flatten().map(|&numbers| numbers as u128);
        let lengths: Vec<u128> = [SHARES as u128 * d, d, 2, p].into_iter().chain(accumulators).collect();
        tally.judge(persistent.sequence(target), &lengths);
        let [first, present] = [(); 2].map(|()| draw.small());
        let mirrored = mirrored::Problem { parameters, directions: pairs, stream };
        tally.judge(mirrored.sequence(target), &[p, p, 2, of(&[2, pairs, parameters])]);
        let perturb = perturb::Problem { parameters, pairs, first, present, members, renewed: false, stream, sigma };
        tally.judge(perturb.sequence(target), &[p, 2, d, of(&[members, parameters])]);
        let shares = pair_shares::Problem {
            steps: episodes,
            members,
            pairs,
            first,
            present,
            ended: draw.option(),
            horizon: draw.option(),
            objective: Objective::Sum,
            renewed: true,
            independent_state: draw.flag(2),
        };
        tally.judge(shares.sequence(target), &[of(&[episodes, members]), d, SHARES as u128 * d]);
        fitness::Summary::from_row([f32::MAX; 7]);
    });
    try_arguments(9, |draw, tally, target| {
        let [batch, context, count, steps, episodes, longest] =
            [(); 6].map(|()| if draw.flag(3) { draw.size().min(1 << 40) } else { draw.small() });
        let windows = windows::Problem { batch, context, count, steps, episodes, stream: 1, restart: true, largest: 9 };
        let (all, e, s) = (of(&[batch, context]), episodes as u128 + 1, steps as u128);
        tally.judge(windows.sequence(target), &[2, count as u128, s, e, all, all, all]);
        let returns = returns_to_go::Problem { episodes, steps, longest: longest.min(1 << 24), delayed: draw.flag(2) };
        tally.judge(returns.sequence(target), &[e, s, s]);
        let stacks = frames::Problem { rows: steps, words: context, count, stack: batch, lead: episodes };
        let [table, wanted] = [of(&[steps, context]), count as u128];
        tally.judge(stacks.sequence(target), &[table, wanted, wanted, of(&[count, 4, context, batch])]);
        assert!(windows::tables(&[count, usize::MAX]).is_err());
        grid(draw.size());
    });
}

#[test]
fn inner_problems() {
    try_arguments(11, |draw, tally, target| {
        let problem = Arc::new(ToyRegression::default());
        let [count, chunks, truncation, first, steps] = [(); 5].map(|()| draw.small());
        let (horizon, interval) = (draw.option(), draw.option());
        let objective = Objective::Last;
        let (n, flag) = (count as u128, draw.flag(2));

        let truncated = Truncation::new(problem.clone(), count, flag);
        let sizes = TruncationProblem {
            pairs: count,
            first_pair: 0,
            present: count,
            chunks,
            truncation,
            horizon,
            first,
            steps,
            interval,
            shared_state: flag,
            common_random_numbers: true,
            objective,
            staggered: true,
            sigma: draw.factor(),
            stream: 0,
        };
        let columns = sizes.columns() as u128;
        let lengths = [2, 2, 1, 9 * columns, 6 * columns, SHARES as u128 * n, 2];
        tally.judge(sizes.sequence(&truncated, truncated.kernel(), target), &lengths);

        let iterations = OuterIterations { problem: problem.clone() };
        let adam = adamw::Problem { count: 2, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.0, decayed: 0 };
        let unroll = TruncationProblem { first: 0, steps: truncation, shared_state: false, ..sizes };
        let whole = OuterIterationsProblem {
            unroll,
            adam: draw.flag(2).then_some(adam),
            clip: draw.flag(2).then(|| draw.factor()),
            iterations: steps,
            ring: first,
            remembered: flag,
        };
        let places = whole.places(&iterations);
        let [seed, saved, sums, outer] = [places.seed, places.saved, places.accumulators, places.outer];
        let [seed, saved, sums, outer] = [seed, saved, sums, outer].map(|lengths| packed(&lengths).1 as u128);
        let lengths = [seed, 2, 2, 1, saved, 6 * n, sums, outer];
        tally.judge(whole.sequence(&iterations, iterations.kernel(), target), &lengths);

        let directions = [Directions::Axes, Directions::Drawn][draw.0.below(2) as usize];
        let tangents = Tangents { problem: problem.clone(), directions };
        let sizes = TangentProblem {
            directions: count,
            truncation,
            horizon,
            first,
            steps,
            interval,
            carried: true,
            objective,
            stream: 0,
        };
        let lengths = [2, 2, 1, 8 * n, 5 * n, SHARES as u128 * n];
        tally.judge(sizes.sequence(&tangents, tangents.kernel(), target), &lengths);

        let uoro = Uoro { problem: problem.clone() };
        let sizes = UoroProblem { replicas: count, truncation, horizon, first, steps, objective, stream: 0 };
        let lengths = [2, 2, 1, 6 * n, 2 * n, 2 * n, n];
        tally.judge(sizes.sequence(&uoro, uoro.kernel(), target), &lengths);

        let evaluation = Evaluation { problem };
        let sizes =
            EvaluationProblem { points: count, episodes: chunks, horizon: truncation, steps, fresh: true, stream: 0 };
        let slots = of(&[2, count, chunks]);
        let lengths = [2, 2 * n, 1, slots, slots, slots];
        tally.judge(sizes.sequence(&evaluation, evaluation.kernel(), target), &lengths);
    });
}
