//! The twin of whole outer iterations: the twins of the kernels that would be dispatched one after the other.

use super::{COUNTERS_BINDING, Context, SEED};
use crate::inner_problem::unrolled::SHARES;
use crate::optimiser::sgd;
use crate::{Call, Data, Operand, Sequence, Target, Tolerance, packed};

fn context_of(call: &Call) -> &Context {
    call.context_of().expect("the call of outer iterations carries what is unrolled")
}

fn run(sequence: Result<Sequence, crate::Error>, arguments: &mut [Data]) {
    sequence.expect("sizes that were checked").run_twins(arguments);
}

/// The twin.
pub(super) fn twin(call: &Call, operands: &mut [Operand<'_>]) {
    let Context { iterations, problem } = context_of(call);
    let [seed, theta, gradient, data, saved, counters, accumulators, outer] = operands else {
        unreachable!("eight operands")
    };
    let (seed, theta, gradient) = (seed.u32(), theta.f32(), gradient.f32());
    let (saved, counters) = (saved.f32(), counters.u32());
    let (accumulators, outer, numbers) = (accumulators.f32(), outer.f32(), data.f32().to_vec());
    let target = Target::default();
    let (truncation, parameters) = (iterations.truncation(), theta.len());
    let places = problem.places(iterations);
    let [step_at, shares_at, means_at] =
        [&places.seed, &places.saved, &places.accumulators].map(|lengths| packed(lengths).0[1]);
    let (outer_at, ring) = (packed(&places.outer).0, problem.ring);
    let part = |numbers: &[f32], first: usize, count: usize| Data::F32(numbers[first..][..count].to_vec());
    let unroll_kernel = truncation.kernel();

    for _ in 0..problem.iterations {
        let key = Data::U32(seed[..2].to_vec());
        let mut unroll = [
            key.clone(),
            Data::F32(theta.to_vec()),
            Data::F32(numbers.clone()),
            part(saved, 0, places.saved[0]),
            Data::U32(counters.to_vec()),
            part(saved, shares_at, places.saved[1]),
        ];
        run(problem.unroll.sequence(&truncation, unroll_kernel.clone(), &target), &mut unroll);
        let [.., states, counted, shares] = unroll;
        saved[..places.saved[0]].copy_from_slice(states.f32());
        counters.copy_from_slice(counted.u32());

        let zeros = Data::F32(vec![0.0; parameters]);
        let mut estimate = [shares.clone(), counted, key, zeros, part(accumulators, 0, places.accumulators[0])];
        run(problem.gradient(iterations).sequence(&target), &mut estimate);
        let [.., whole, sums] = estimate;
        accumulators[..places.accumulators[0]].copy_from_slice(sums.f32());

        let bound = problem.clip.unwrap_or(f32::INFINITY);
        let clip = |&g: &f32| if g.is_nan() { g } else { g.clamp(-bound, bound) };
        let clipped = Data::F32(whole.f32().iter().map(clip).collect());
        let (center, rate) = (Data::F32(theta.to_vec()), part(outer, 0, 1));
        match &problem.adam {
            Some(adam) => {
                let moments = [3, 4].map(|index| part(outer, outer_at[index], parameters));
                let [first, second] = moments;
                let step = Data::U32(vec![seed[step_at]]);
                let mut update = [center, first, second, clipped, rate, step];
                run(adam.sequence(&target), &mut update);
                theta.copy_from_slice(update[0].f32());
                outer[outer_at[3]..][..parameters].copy_from_slice(update[1].f32());
                outer[outer_at[4]..][..parameters].copy_from_slice(update[2].f32());
            }
            None => {
                let plain =
                    sgd::Problem { count: parameters, momentum: 0.0, nesterov: false, weight_decay: 0.0, decayed: 0 };
                let mut update = [center.clone(), center, clipped, rate];
                run(plain.sequence(&target), &mut update);
                theta.copy_from_slice(update[0].f32());
            }
        }
        if problem.remembered {
            gradient.copy_from_slice(whole.f32());
            saved[shares_at..].copy_from_slice(shares.f32());
            let row = seed[step_at] as usize % ring;
            outer[outer_at[1] + row * parameters..][..parameters].copy_from_slice(theta);
            for (index, row_of_shares) in shares.f32().chunks_exact(problem.unroll.pairs).enumerate() {
                let sum: f64 = row_of_shares.iter().map(|&share| f64::from(share)).sum();
                let mean = (sum / problem.unroll.pairs as f64) as f32;
                accumulators[means_at + index] = mean;
                outer[outer_at[2] + row * SHARES + index] = mean;
            }
        }
        seed[1] = seed[1].wrapping_add(1);
        seed[step_at] = seed[step_at].wrapping_add(1);
    }
}

/// Losses err as those of [`Truncation`](crate::inner_problem::Truncation) over all steps of all iterations: the rounding
/// of the problem, which each later step magnifies. The gradient is a mean of products of two losses, each with
/// perturbations below 6 or their sums, over sigma; theta, which the next iteration starts from, errs by the rate, at most
/// a tenth, of that or of a step of Adam, whose moments are no smaller than a half in the cases.
pub(super) fn tolerance(call: &Call, operands: &[Data], binding: usize) -> Tolerance {
    if binding == SEED || binding == COUNTERS_BINDING {
        return Tolerance::Exact;
    }
    let Context { iterations, problem } = context_of(call);
    let mut after = operands.to_vec();
    call.run_twin(&mut after.iter_mut().map(Data::operand).collect::<Vec<_>>());
    let largest = |data: &[Data]| {
        let numbers = [4, 2].into_iter().flat_map(|binding| data[binding].f32());
        numbers.filter(|x| x.is_finite()).fold(1.0_f64, |most, &x| most.max(f64::from(x).abs()))
    };
    let steps = (problem.iterations * problem.unroll.truncation) as f64;
    let growth = iterations.problem.growth().powf(steps - 1.0);
    let unit = iterations.problem.rounding().max(64.0) * growth * steps * Tolerance::EPSILON;
    let scale = largest(&after).max(largest(operands));
    let unit = if binding == 4 { unit } else { unit * (1.0 + 8.0 / f64::from(problem.unroll.sigma)) };
    Tolerance::Within { relative: unit, absolute: unit * scale }
}
