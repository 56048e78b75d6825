// Whole iterations of an outer loop by antithetic pairs of particles (persistent evolution strategies and their kin), many
// of them in one dispatch of one workgroup: for populations so small that a dispatch of each kernel costs more than its
// work. It computes what `truncation.wgsl`, `persistent_gradient.wgsl`, `gradient_sum`, the optimiser and the rings do one
// after the other, with the same sums in the same order; the means of the shares are those of `fitness.mean`.
//
// Invocation d owns pair d of the population and keeps its particles, perturbation and accumulator to itself. Invocation p
// owns the outer parameters 2 p and 2 p + 1: it sums their gradient over the pairs and moves them. In between lie
//
//   terms[p, d] = (b[d] normal(d, p), a[d] xi[d, p])   of `round` pairs of parameters at a time,
//
// and theta itself, in the memory of the workgroup. The fields of the uniform block that truncation.wgsl has too mean the same.

struct Uniform {
    // Iterations of this dispatch; 1 where those are read: theta and metrics go into the rings, and gradient, shares and
    // their means are stored.
    iterations: u32,
    remembered: u32,
    truncation: u32,
    pairs: u32,
    chunks: u32,
    horizon: u32,
    interval: u32,
    common_random_numbers: u32,
    stream: u32,
    objective: u32,
    staggered: u32,
    // Pairs of a slice of the sum, pairs of parameters of a round, rows of the rings.
    slice: u32,
    round: u32,
    ring: u32,
    // Places: of shares in `saved`, of their means in `accumulators`, and of the rest in `outer`, whose first number is
    // the rate.
    shares_at: u32,
    means_at: u32,
    centers_at: u32,
    metrics_at: u32,
    first_moment_at: u32,
    second_moment_at: u32,
    sigma: f32,
    // 1 / (2 pairs sigma).
    scale: f32,
    // The largest magnitude of a number of the gradient; 0 where it is not clipped.
    clip: f32,
    // As adamw.wgsl has them.
    weight_decay: f32,
    epsilon: f32,
    beta2: f32,
    complement1: f32,
    complement2: f32,
    log_beta1: f32,
    log_beta2: f32,
}

@group(1) @binding(0) var<uniform> unroll: Uniform;

override WORKGROUP: u32 = 64u;
// Else plain gradient descent.
override ADAM: bool = true;

// The place of random numbers, counted from `stream`, that perturbations take.
const PERTURBATION = 0u;

// The place in `seed` of the iterations from 1 on.
const STEP_AT = 64u;

// Rows of `saved` and `counters`: see truncation.wgsl.
const BEFORE = 2u * STATE;
const SHARE_ROWS = 6u;

// Terms that fit 16 KiB with theta.
const TERMS = 960u;

var<workgroup> terms: array<vec4<f32>, TERMS>;              // (round, pairs)
var<workgroup> center: array<f32, 2u * PARAMETER_PAIRS>;

var<private> column: u32;
var<private> spread: f32;
var<private> accumulated: array<vec2<f32>, PARAMETER_PAIRS>;

// The numbers within plus and minus `bound`; what is no number stays so.
fn clipped(g: vec2<f32>, bound: f32) -> vec2<f32> {
    let is_nan = (bitcast<vec2<u32>>(g) & vec2<u32>(0x7FFFFFFFu)) > vec2<u32>(0x7F800000u);
    return select(select(max(min(g, vec2<f32>(bound)), vec2<f32>(-bound)), g, is_nan), g, vec2<bool>(bound == 0.0));
}

@compute @workgroup_size(WORKGROUP)
fn iterate(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    // z is 0: without it some drivers build a kernel for each value that a loop or a branch depends on.
    let iterations = unroll.iterations + workgroup.z;
    let remembered = unroll.remembered + workgroup.z == 1u;
    let pairs = unroll.pairs + workgroup.z;
    let width = unroll.round + workgroup.z;
    let first_unroll = seed[1];
    let first_step = seed[STEP_AT];
    let rate = outer[0];

    // The parameters of this invocation; of an odd number, the last is taken twice and stored once.
    let moves = local < PARAMETER_PAIRS;
    let p = vec2<u32>(min(2u * local, PARAMETERS - 1u), min(2u * local + 1u, PARAMETERS - 1u));
    var weights = vec2<f32>(0.0);
    var first_moment = vec2<f32>(0.0);
    var second_moment = vec2<f32>(0.0);
    if moves {
        weights = vec2<f32>(theta[p.x], theta[p.y]);
        if ADAM {
            first_moment = vec2<f32>(outer[unroll.first_moment_at + p.x], outer[unroll.first_moment_at + p.y]);
            second_moment = vec2<f32>(outer[unroll.second_moment_at + p.x], outer[unroll.second_moment_at + p.y]);
        }
        center[2u * local] = weights.x;
        center[2u * local + 1u] = weights.y;
    }

    // The pair of this invocation.
    let present = local < pairs;
    column = local;
    let chunk = local / ((unroll.pairs + unroll.chunks - 1u) / unroll.chunks);
    let alike = unroll.common_random_numbers == 1u;
    let lanes = select(unroll.pairs, unroll.chunks, alike);
    let lane = select(local, chunk, alike);
    var pair: Pair;
    pair.time = 0u;
    var previous = 0.0;
    var plus: array<f32, STATE>;
    var minus: array<f32, STATE>;
    if present {
        pair.drawn = counters[local];
        pair.age = counters[pairs + local];
        pair.episode = counters[2u * pairs + local];
        pair.time = counters[3u * pairs + local];
        pair.limit = counters[4u * pairs + local];
        previous = saved[(BEFORE + 4u) * pairs + local];
        if pair.time > 0u {
            for (var i = 0u; i < STATE; i++) {
                plus[i] = saved[i * pairs + local];
                minus[i] = saved[(STATE + i) * pairs + local];
            }
        }
        for (var i = 0u; i < PARAMETER_PAIRS; i++) {
            let at = 2u * (local * PARAMETER_PAIRS + i);
            accumulated[i] = vec2<f32>(accumulators[at], accumulators[at + 1u]);
        }
    }
    workgroupBarrier();
    // One invocation writes the seed at the end, which all have read.
    storageBarrier();

    for (var done = 0u; done < iterations; done++) {
        let row = (first_step + done) % unroll.ring;
        var share = vec4<f32>(0.0);
        if present {
            pair.ended = 0u;
            pair.before = 0.0;
            pair.after = 0.0;
            pair.losses = vec2<f32>(0.0);
            pair.last = vec2<f32>(0.0);
            begin_unroll(&pair, first_unroll + done, chunk);
            prepare(pair.drawn, false, pair.age == 0u);
            let steps = unroll.truncation + workgroup.z;
            take_steps(&pair, &plus, &minus, seed[0], lanes, lane, unroll.sigma, 0u, steps);
            let renewed = pair.drawn == first_unroll + done;
            share = accumulated_shares(pair.before, pair.after, previous, renewed, pair.ended == 1u, pair.time > 0u);
            pair.age += 1u;
            let telescoped = unroll.objective == FINAL && pair.time > 0u;
            previous = select(0.0, pair.last.x - pair.last.y, telescoped);
            if remembered {
                for (var i = 0u; i < 4u; i++) {
                    saved[unroll.shares_at + i * pairs + local] = share[i];
                }
                saved[unroll.shares_at + 4u * pairs + local] = pair.losses.x;
                saved[unroll.shares_at + 5u * pairs + local] = pair.losses.y;
            }
        }
        for (var first = 0u; first < PARAMETER_PAIRS; first += width) {
            if present {
                for (var i = 0u; i < PARAMETER_PAIRS; i++) {
                    if i >= first && i < first + width {
                        let n = vec2<f32>(normal(2u * i), normal(2u * i + 1u));
                        let xi = accumulated[i];
                        terms[(i - first) * pairs + local] = vec4<f32>(share.y * n, share.x * xi);
                        // Nothing is kept of what may not be a number.
                        accumulated[i] = select(vec2<f32>(0.0), xi, share.z != 0.0) + share.w * n;
                    }
                }
            }
            workgroupBarrier();
            if moves && local >= first && local < first + width {
                // The slices are summed one by one, and their sums as they come.
                var total = vec2<f32>(0.0);
                var sum = vec2<f32>(0.0);
                var left = unroll.slice;
                for (var d = 0u; d < pairs; d++) {
                    let term = terms[(local - first) * pairs + d];
                    sum += term.xy;
                    sum += term.zw;
                    left -= 1u;
                    if left == 0u {
                        total += sum;
                        sum = vec2<f32>(0.0);
                        left = unroll.slice;
                    }
                }
                let whole = (total + sum) * unroll.scale;
                let g = clipped(whole, unroll.clip);
                if ADAM {
                    first_moment = first_moment + unroll.complement1 * (g - first_moment);
                    second_moment = unroll.beta2 * second_moment + unroll.complement2 * g * g;
                    let t = f32(max(first_step + done, 1u));
                    let bias1 = one_minus_exp(t * unroll.log_beta1);
                    let bias2 = one_minus_exp(t * unroll.log_beta2);
                    // second_moment / bias2 could overflow where this cannot.
                    let update = (first_moment / bias1) / (sqrt(second_moment) / sqrt(bias2) + unroll.epsilon);
                    weights = weights - rate * (unroll.weight_decay * weights + update);
                } else {
                    weights = weights - rate * g;
                }
                center[2u * local] = weights.x;
                center[2u * local + 1u] = weights.y;
                if remembered {
                    gradient[p.x] = whole.x;
                    outer[unroll.centers_at + row * PARAMETERS + p.x] = weights.x;
                    if p.y > p.x {
                        gradient[p.y] = whole.y;
                        outer[unroll.centers_at + row * PARAMETERS + p.y] = weights.y;
                    }
                }
            }
            workgroupBarrier();
        }
        if remembered {
            storageBarrier();
            if local < SHARE_ROWS {
                var sum = 0.0;
                for (var d = 0u; d < pairs; d++) {
                    sum += saved[unroll.shares_at + local * pairs + d];
                }
                let mean = sum / f32(pairs);
                accumulators[unroll.means_at + local] = mean;
                outer[unroll.metrics_at + row * SHARE_ROWS + local] = mean;
            }
            // The shares of the next iteration wait until these have been read.
            storageBarrier();
        }
    }

    if local == 0u {
        seed[1] = first_unroll + iterations;
        seed[STEP_AT] = first_step + iterations;
    }
    if moves {
        theta[p.x] = weights.x;
        if ADAM {
            outer[unroll.first_moment_at + p.x] = first_moment.x;
            outer[unroll.second_moment_at + p.x] = second_moment.x;
        }
        if p.y > p.x {
            theta[p.y] = weights.y;
            if ADAM {
                outer[unroll.first_moment_at + p.y] = first_moment.y;
                outer[unroll.second_moment_at + p.y] = second_moment.y;
            }
        }
    }
    if present {
        for (var i = 0u; i < STATE; i++) {
            saved[i * pairs + local] = plus[i];
            saved[(STATE + i) * pairs + local] = minus[i];
        }
        saved[BEFORE * pairs + local] = pair.before;
        saved[(BEFORE + 1u) * pairs + local] = pair.after;
        saved[(BEFORE + 2u) * pairs + local] = pair.losses.x;
        saved[(BEFORE + 3u) * pairs + local] = pair.losses.y;
        saved[(BEFORE + 4u) * pairs + local] = previous;
        counters[local] = pair.drawn;
        counters[pairs + local] = pair.age;
        counters[2u * pairs + local] = pair.episode;
        counters[3u * pairs + local] = pair.time;
        counters[4u * pairs + local] = pair.limit;
        counters[5u * pairs + local] = pair.ended;
        for (var i = 0u; i < PARAMETER_PAIRS; i++) {
            let at = 2u * (local * PARAMETER_PAIRS + i);
            accumulators[at] = accumulated[i].x;
            accumulators[at + 1u] = accumulated[i].y;
        }
    }
}
