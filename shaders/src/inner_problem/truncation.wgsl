// Advances the particles of an inner problem by a truncation of their unroll: `truncation` steps, in one dispatch or in
// several, from saved state to saved state.
//
// One invocation owns an antithetic pair, the particles at  center + sigma n  and  center - sigma n. Both draw the same
// random numbers, and when either ends, or the horizon is reached, both start the inner problem again. Particles either
// have a state of their own from unroll to unroll, or (`shared_state`) start each unroll from one that an unperturbed
// particle of their chunk has reached; its invocation comes after those of the pairs.
//
// With xi the sum of the perturbations that a pair has had since its inner problem started, in units of sigma, the
// estimate of the gradient is  1 / (particles * sigma) * sum of  (L+ - L-) xi  over steps. A perturbation changes between
// unrolls only, so one unroll adds
//
//   a xi + b n  to the sum,  and then  xi = keep xi + add n,
//
// where a, b, keep and add also hold for an unroll in which an inner problem ended: its steps up to the end, the last
// included, count with all of xi, those after it with the present perturbation alone.

struct Uniform {
    // Steps of this dispatch, and those of the unroll before it.
    steps: u32,
    first: u32,
    // Steps of the whole unroll.
    truncation: u32,
    pairs: u32,
    // Chunks of neighbouring pairs: of a chunk, all are at the same time.
    chunks: u32,
    // Steps of the inner problem; the greatest number where it never ends.
    horizon: u32,
    // Unrolls that a perturbation lasts, if no inner problem starts within them.
    interval: u32,
    // 1 where particles start each unroll from one state.
    shared_state: u32,
    // 1 where all pairs of a chunk draw the same random numbers.
    common_random_numbers: u32,
    // The place that draws, see random.wgsl; the two after it are taken too.
    stream: u32,
    // The losses that count: SUM, LAST or FINAL.
    objective: u32,
    // 1 where the first inner problem of chunk c has only (c + 1) / chunks of the steps.
    staggered: u32,
    sigma: f32,
    // Pairs that this dispatch advances, from `first_pair` on; the others are advanced elsewhere.
    first_pair: u32,
    present: u32,
}

@group(1) @binding(0) var<uniform> unroll: Uniform;

override WORKGROUP: u32 = 64u;

// The place of random numbers, counted from `stream`, that perturbations take.
const PERTURBATION = 0u;

// Rows of `counters`: the unroll whose draw the perturbation is, unrolls since then, inner problems finished, steps into
// the present one, steps at which it is cut off (0 before the first), and whether one has ended in this unroll.
const DRAWN = 0u;
const AGE = 1u;
const EPISODE = 2u;
const TIME = 3u;
const LIMIT = 4u;
const ENDED = 5u;

// Rows of `saved` after the states of both particles: L+ - L- up to the end, and after it, L+ and L-, and what L+ - L-
// was in the unroll before.
const BEFORE = 2u * STATE;
const AFTER = 2u * STATE + 1u;
const PLUS = 2u * STATE + 2u;
const MINUS = 2u * STATE + 3u;
const PREVIOUS = 2u * STATE + 4u;

// The column of this invocation, and the scale of its perturbation for the particle that advances: sigma, -sigma or 0.
var<private> column: u32;
var<private> spread: f32;

@compute @workgroup_size(WORKGROUP)
fn advance(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let lane = (workgroup.x + workgroup.y * workgroups.x) * WORKGROUP + local;
    // Unperturbed particles come after all pairs, be they present or not.
    let index = lane + select(unroll.pairs - unroll.present, unroll.first_pair, lane < unroll.present);
    // An unperturbed particle reads the one column that the pairs read too, and writes another: they take turns.
    let columns = unroll.pairs + 2u * unroll.chunks * unroll.shared_state;
    if index < unroll.pairs + unroll.chunks * unroll.shared_state {
        let unperturbed = index >= unroll.pairs;
        let chunk = select(index / ((unroll.pairs + unroll.chunks - 1u) / unroll.chunks), index - unroll.pairs, unperturbed);
        let turn = seed[1] & 1u;
        column = select(index, unroll.pairs + 2u * chunk + 1u - turn, unperturbed);
        let begins = unroll.first == 0u;
        let source = select(column, unroll.pairs + 2u * chunk + turn, begins && unroll.shared_state == 1u);

        var pair: Pair;
        pair.drawn = counters[DRAWN * columns + column];
        pair.age = counters[AGE * columns + column];
        pair.episode = counters[EPISODE * columns + source];
        pair.time = counters[TIME * columns + source];
        pair.limit = counters[LIMIT * columns + source];
        pair.ended = 0u;
        pair.before = 0.0;
        pair.after = 0.0;
        pair.losses = vec2<f32>(0.0);
        pair.last = vec2<f32>(0.0);
        let previous = saved[PREVIOUS * columns + column];
        if begins {
            begin_unroll(&pair, seed[1], chunk);
        } else {
            pair.ended = counters[ENDED * columns + column];
            pair.before = saved[BEFORE * columns + column];
            pair.after = saved[AFTER * columns + column];
            pair.losses = vec2<f32>(saved[PLUS * columns + column], saved[MINUS * columns + column]);
        }
        let scale = select(unroll.sigma, 0.0, unperturbed);
        prepare(pair.drawn, unperturbed, begins && pair.age == 0u);

        var plus: array<f32, STATE>;
        var minus: array<f32, STATE>;
        if pair.time > 0u {
            for (var i = 0u; i < STATE; i++) {
                plus[i] = saved[i * columns + source];
                minus[i] = saved[(STATE + i) * columns + source];
            }
        }

        let alike = unroll.common_random_numbers == 1u || unperturbed;
        let lanes = select(unroll.pairs, unroll.chunks, alike);
        // The sum keeps drivers from building a kernel for each number of steps.
        let steps = unroll.steps + workgroup.z;
        take_steps(&pair, &plus, &minus, seed[0], lanes, select(index, chunk, alike), scale, unroll.first, steps);

        if unroll.first + unroll.steps == unroll.truncation {
            if !unperturbed {
                let renewed = pair.drawn == seed[1];
                let own =
                    accumulated_shares(pair.before, pair.after, previous, renewed, pair.ended == 1u, pair.time > 0u);
                let alone = present_shares(pair.before, pair.after);
                let share = subtract_known(select(own, alone, unroll.shared_state == 1u));
                for (var row = 0u; row < 4u; row++) {
                    shares[row * unroll.pairs + index] = share[row];
                }
                shares[4u * unroll.pairs + index] = pair.losses.x;
                shares[5u * unroll.pairs + index] = pair.losses.y;
            }
            pair.age += 1u;
            let telescoped = unroll.objective == FINAL && pair.time > 0u;
            saved[PREVIOUS * columns + column] = select(0.0, pair.last.x - pair.last.y, telescoped);
        }

        for (var i = 0u; i < STATE; i++) {
            saved[i * columns + column] = plus[i];
            saved[(STATE + i) * columns + column] = minus[i];
        }
        saved[BEFORE * columns + column] = pair.before;
        saved[AFTER * columns + column] = pair.after;
        saved[PLUS * columns + column] = pair.losses.x;
        saved[MINUS * columns + column] = pair.losses.y;
        counters[DRAWN * columns + column] = pair.drawn;
        counters[AGE * columns + column] = pair.age;
        counters[EPISODE * columns + column] = pair.episode;
        counters[TIME * columns + column] = pair.time;
        counters[LIMIT * columns + column] = pair.limit;
        counters[ENDED * columns + column] = pair.ended;
    }
}
