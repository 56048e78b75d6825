// The share of an unroll in the estimate of a gradient, from the losses of antithetic pairs that advanced in lockstep:
// for pair d the numbers a, b, keep and add of `persistent_gradient`, then the losses of both members.
//
// The members 2 r and 2 r + 1 are those of pair d = first + r, and losses[t] are theirs after step t of the unroll. With
// delta[t] = losses[t, 2 r] - losses[t, 2 r + 1], summed over the steps that count (all, or the last of the unroll and
// of each inner problem),
//
//   before = sum of delta[t] up to the step at which an inner problem ended, that one included, or up to the last
//   after  = sum of delta[t] over the others
//   a      = before - previous            (0 where members start each unroll from one state)
//   b      = after + before               (after alone where the perturbation is not new)
//   keep   = 1 if no inner problem ended
//   add    = 1 if the perturbation is new; where an inner problem ended, if another has begun
//
// `previous` is 0 but for telescoped losses, where it is the last delta of the unroll before, of the same inner problem.
//
// Takes `Place` and `index_of` from library/place.wgsl.

struct Uniform {
    steps: u32,      // of the unroll
    members: u32,    // a row of losses
    pairs: u32,      // of all populations
    first: u32,      // of the pairs of this population among all
    present: u32,    // pairs of this population
    ended: u32,      // steps up to the first end of an inner problem; 0 where none ended
    period: u32,     // steps between ends
    objective: u32,  // SUM, LAST or FINAL
    renewed: u32,    // 1 where the perturbation is new
    independent_state: u32,  // 1 where members have states of their own from unroll to unroll
}

@group(0) @binding(0) var<storage, read> losses: array<f32>;            // (steps, members)
@group(0) @binding(1) var<storage, read_write> previous: array<f32>;    // (pairs)
@group(0) @binding(2) var<storage, read_write> shares: array<f32>;      // (6, pairs): a, b, keep, add, L+, L-
@group(1) @binding(0) var<uniform> params: Uniform;

override WORKGROUP: u32 = 64u;

const SUM = 0u;
const LAST = 1u;
const FINAL = 2u;

@compute @workgroup_size(WORKGROUP)
fn pair_shares(at: Place) {
    let row = index_of(at);
    if row < params.present {
        let d = params.first + row;
        var before = 0.0;
        var after = 0.0;
        var sum = vec2<f32>(0.0);
        var last = vec2<f32>(0.0);
        // z is 0: without it one software driver compiles a kernel anew for each number of steps.
        let steps = params.steps + at.workgroup.z;
        for (var t = 0u; t < steps; t++) {
            last = vec2<f32>(losses[t * params.members + 2u * row], losses[t * params.members + 2u * row + 1u]);
            let over = params.ended > 0u && t + 1u >= params.ended && (t + 1u - params.ended) % params.period == 0u;
            if params.objective == SUM || over || t + 1u == steps {
                sum += last;
                if params.ended == 0u || t < params.ended {
                    before += last.x - last.y;
                } else {
                    after += last.x - last.y;
                }
            }
        }
        let ends = params.ended > 0u;
        // True if the unroll stops within an inner problem.
        let within = !ends || (params.steps - params.ended) % params.period != 0u;
        var share = vec4<f32>(0.0, before + after, 0.0, 0.0);
        if params.independent_state == 1u {
            share.x = before - previous[d];
            share.y = after + select(0.0, before, params.renewed == 1u);
            share.z = select(1.0, 0.0, ends);
            share.w = select(0.0, 1.0, select(params.renewed == 1u, within, ends));
        }
        for (var i = 0u; i < 4u; i++) {
            shares[i * params.pairs + d] = share[i];
        }
        shares[4u * params.pairs + d] = sum.x;
        shares[5u * params.pairs + d] = sum.y;
        previous[d] = select(0.0, last.x - last.y, params.objective == FINAL && within);
    }
}
