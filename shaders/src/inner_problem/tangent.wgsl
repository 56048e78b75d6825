// Derivatives of an inner problem's loss along directions of the outer parameters, in forward mode: `truncation` steps of
// one unroll, in one dispatch or in several, from saved state to saved state.
//
// One invocation owns a direction v: it advances the state and its tangent  t = ds/dtheta v  together,
//
//   s <- f(s, theta),   t <- df/ds t + df/dtheta v,   slope = dL/ds t + dL/dtheta v,
//
// and sums the slopes of the losses that count. All directions see the same states. Tangents are zero where an inner
// problem starts, and at the start of every unroll unless they are carried from one to the next.
//
// Directions that are drawn take the place of perturbations, as an estimate in the limit of small ones: with xi the sum
// of the directions that a tangent has had since it was zero, the gradient is the mean over directions of  slope xi, and
// one unroll adds
//
//   a xi + b v  to the sum,  and then  xi = keep xi + add v,
//
// see truncation.wgsl. Directions along the axes need no such sum: there the row of a is the gradient.

struct Uniform {
    // Steps of this dispatch, and those of the unroll before it.
    steps: u32,
    first: u32,
    // Steps of the whole unroll.
    truncation: u32,
    directions: u32,
    // Steps of the inner problem; the greatest number where it never ends.
    horizon: u32,
    // Unrolls that a drawn direction lasts, if no inner problem starts within them.
    interval: u32,
    // 1 where tangents are carried from unroll to unroll.
    carried: u32,
    // The place that draws, see random.wgsl; the two after it are taken too.
    stream: u32,
    // The losses that count: SUM, LAST or FINAL.
    objective: u32,
}

@group(1) @binding(0) var<uniform> unroll: Uniform;

override WORKGROUP: u32 = 64u;

// The place of random numbers, counted from `stream`, that drawn directions take.
const PERTURBATION = 0u;

// Rows of `counters`: the unroll whose draw the direction is, unrolls since then, inner problems finished, steps into the
// present one, and whether one has ended in this unroll.
const DRAWN = 0u;
const AGE = 1u;
const EPISODE = 2u;
const TIME = 3u;
const ENDED = 4u;

// Rows of `saved` after state and tangent: the slopes up to the end and after it, the losses, and what the last slope was
// in the unroll before.
const BEFORE = 2u * STATE;
const AFTER = 2u * STATE + 1u;
const LOSSES = 2u * STATE + 2u;
const PREVIOUS = 2u * STATE + 3u;

// The direction of this invocation.
var<private> column: u32;

fn parameter(i: u32) -> f32 {
    return center[i];
}

@compute @workgroup_size(WORKGROUP)
fn differentiate(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    column = (workgroup.x + workgroup.y * workgroups.x) * WORKGROUP + local;
    let columns = unroll.directions;
    if column < columns {
        let begins = unroll.first == 0u;
        var drawn = counters[DRAWN * columns + column];
        var age = counters[AGE * columns + column];
        var episode = counters[EPISODE * columns + column];
        var time = counters[TIME * columns + column];
        var ended = 0u;
        var before = 0.0;
        var after = 0.0;
        var losses = 0.0;
        let previous = saved[PREVIOUS * columns + column];
        if begins {
            // An inner problem that has started since the last draw takes a direction of its own.
            if time < unroll.truncation || age >= unroll.interval {
                drawn = seed[1];
                age = 0u;
            }
        } else {
            ended = counters[ENDED * columns + column];
            before = saved[BEFORE * columns + column];
            after = saved[AFTER * columns + column];
            losses = saved[LOSSES * columns + column];
        }
        set_direction(drawn);

        var state: array<f32, STATE>;
        var tangent: array<f32, STATE>;
        if time > 0u {
            for (var i = 0u; i < STATE; i++) {
                state[i] = saved[i * columns + column];
            }
            if unroll.carried == 1u || !begins {
                for (var i = 0u; i < STATE; i++) {
                    tangent[i] = saved[(STATE + i) * columns + column];
                }
            }
        }

        // The sum keeps drivers from building a kernel for each number of steps.
        let steps = unroll.steps + workgroup.z;
        var last = 0.0;
        for (var steps_done = 0u; steps_done < steps; steps_done++) {
            var random = Random(vec2<u32>(seed[0], unroll.stream + RESET), episode, 0u);
            if time == 0u {
                state = problem_reset(&random);
                tangent = array<f32, STATE>();
            }
            random.key.y = unroll.stream + STEP;
            random.drawn = time * 256u;
            var again = random;
            last = problem_tangent(state, &tangent, time, &again);
            let loss = problem_step(&state, time, &random);
            time += 1u;

            let over = loss.done || time >= unroll.horizon;
            if unroll.objective == SUM || over || unroll.first + steps_done + 1u == unroll.truncation {
                losses += loss.value;
                if ended == 0u {
                    before += last;
                } else {
                    after += last;
                }
            }
            if over {
                ended = 1u;
                episode += 1u;
                time = 0u;
            }
        }

        if unroll.first + unroll.steps == unroll.truncation {
            let earlier = select(0.0, previous, unroll.carried == 1u);
            let carried = accumulated_shares(before, after, earlier, drawn == seed[1], ended == 1u, time > 0u);
            let share = directional_shares(carried, before, after);
            for (var row = 0u; row < 4u; row++) {
                shares[row * columns + column] = share[row];
            }
            shares[4u * columns + column] = losses;
            shares[5u * columns + column] = losses;
            age += 1u;
            saved[PREVIOUS * columns + column] = select(0.0, last, unroll.objective == FINAL && time > 0u);
        }

        for (var i = 0u; i < STATE; i++) {
            saved[i * columns + column] = state[i];
            saved[(STATE + i) * columns + column] = tangent[i];
        }
        saved[BEFORE * columns + column] = before;
        saved[AFTER * columns + column] = after;
        saved[LOSSES * columns + column] = losses;
        counters[DRAWN * columns + column] = drawn;
        counters[AGE * columns + column] = age;
        counters[EPISODE * columns + column] = episode;
        counters[TIME * columns + column] = time;
        counters[ENDED * columns + column] = ended;
    }
}
