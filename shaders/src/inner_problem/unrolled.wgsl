// The parts that kernels that unroll an inner problem share: places of random numbers, the losses that count, and the
// share of an unroll in the estimate of a gradient.

// Places of random numbers, counted from `stream`; the first is a kernel's own.
const RESET = 1u;
const STEP = 2u;

// Every step; the last of each unroll and of each inner problem; the same, as the change since the unroll before.
const SUM = 0u;
const LAST = 1u;
const FINAL = 2u;

// (a, b, keep, add) of an unroll whose state goes on from the unroll before. `before` and `after` are what counts up to the
// end of an inner problem, the last step included, and after it; `renewed`: the perturbation is new in this unroll;
// `within`: the unroll stops within an inner problem.
fn accumulated_shares(
    before: f32, after: f32, previous: f32, renewed: bool, ended: bool, within: bool,
) -> vec4<f32> {
    return vec4<f32>(
        before - previous,
        after + select(0.0, before, renewed),
        select(1.0, 0.0, ended),
        // After an end, what is left is the present perturbation, if it has been used at all.
        select(0.0, 1.0, select(renewed, within, ended)),
    );
}

// The same where state starts anew, or from an unperturbed one: the present perturbation alone counts.
fn present_shares(before: f32, after: f32) -> vec4<f32> {
    return vec4<f32>(0.0, before + after, 0.0, 0.0);
}
