// Unbiased online recurrent optimisation (Tallec and Ollivier, 2017): the derivative ds/dtheta of an inner problem's
// state, (STATE, PARAMETERS), is replaced by a product  s~ theta~^T  of rank one that has it as its mean.
//
// One invocation owns a replica of s~ and theta~. With nu a vector of random signs, each step does
//
//   gradient += (dL/ds s~) theta~ + dL/dtheta,   d = df/ds s~,   w = nu^T df/dtheta,
//   rho0 = sqrt((|theta~| + 1e-7) / (|d| + 1e-7)),   rho1 = sqrt((|w| + 1e-7) / (|nu| + 1e-7)),
//   s~ <- rho0 d + rho1 nu,   theta~ <- theta~ / rho0 + w / rho1.
//
// All replicas see the same states. Both factors are zero where an inner problem starts. d is the derivative itself, by
// the problem's tangent (a difference quotient of 1e-7 is rounding error in f32), and so is each component of w.

struct Uniform {
    // Steps of this dispatch, and those of the unroll before it.
    steps: u32,
    first: u32,
    // Steps of the whole unroll.
    truncation: u32,
    replicas: u32,
    // Steps of the inner problem; the greatest number where it never ends.
    horizon: u32,
    // The place that draws, see random.wgsl; the two after it are taken too.
    stream: u32,
    // The losses that count: SUM, LAST or FINAL, which is not telescoped here: the last of each inner problem.
    objective: u32,
}

@group(1) @binding(0) var<uniform> unroll: Uniform;

override WORKGROUP: u32 = 64u;

// The place of random numbers, counted from `stream`, that signs take.
const SIGNS = 0u;

// Rows of `counters`: inner problems finished, steps into the present one.
const EPISODE = 0u;
const TIME = 1u;

const SIGN_PAIRS = (STATE + 1u) / 2u;
const SMALL = 1e-7;

// The outer parameter along which a tangent is taken; PARAMETERS for none.
var<private> along: u32;

fn parameter(i: u32) -> f32 {
    return center[i];
}

fn parameter_tangent(i: u32) -> f32 {
    return select(0.0, 1.0, i == along);
}

@compute @workgroup_size(WORKGROUP)
fn differentiate(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let replica = (workgroup.x + workgroup.y * workgroups.x) * WORKGROUP + local;
    let replicas = unroll.replicas;
    if replica < replicas {
        var episode = counters[EPISODE * replicas + replica];
        var time = counters[TIME * replicas + replica];
        var state: array<f32, STATE>;
        var s_tilde: array<f32, STATE>;
        var theta_tilde: array<f32, PARAMETERS>;
        if time > 0u {
            for (var i = 0u; i < STATE; i++) {
                state[i] = saved[i * replicas + replica];
                s_tilde[i] = saved[(STATE + i) * replicas + replica];
            }
            for (var p = 0u; p < PARAMETERS; p++) {
                theta_tilde[p] = saved[(2u * STATE + p) * replicas + replica];
            }
        }
        var gradient: array<f32, PARAMETERS>;
        var sum = 0.0;
        if unroll.first > 0u {
            for (var p = 0u; p < PARAMETERS; p++) {
                gradient[p] = estimates[p * replicas + replica];
            }
            sum = losses[replica];
        }

        var signs: array<f32, 2u * SIGN_PAIRS>;
        var w: array<f32, PARAMETERS>;
        // The sum keeps drivers from building a kernel for each number of steps.
        let steps = unroll.steps + workgroup.z;
        for (var steps_done = 0u; steps_done < steps; steps_done++) {
            var random = Random(vec2<u32>(seed[0], unroll.stream + RESET), episode, 0u);
            if time == 0u {
                state = problem_reset(&random);
                s_tilde = array<f32, STATE>();
                theta_tilde = array<f32, PARAMETERS>();
            }
            random.key.y = unroll.stream + STEP;
            random.drawn = time * 256u;
            let step = unroll.first + steps_done;
            let key = vec2<u32>(seed[0], unroll.stream + SIGNS);
            for (var pair = 0u; pair < SIGN_PAIRS; pair++) {
                let counter = vec2<u32>(replica * SIGN_PAIRS + pair, seed[1] * unroll.truncation + step);
                let bits = threefry(key, counter) >> vec2<u32>(31u);
                signs[2u * pair] = 1.0 - 2.0 * f32(bits.x);
                signs[2u * pair + 1u] = 1.0 - 2.0 * f32(bits.y);
            }

            var next = state;
            var drawing = random;
            let loss = problem_step(&next, time, &drawing);
            let over = loss.done || time + 1u >= unroll.horizon;
            let unroll_ends = step + 1u == unroll.truncation;
            let counts = unroll.objective == SUM || over || (unroll.objective == LAST && unroll_ends);
            sum += select(0.0, loss.value, counts);

            along = PARAMETERS;
            var d = s_tilde;
            drawing = random;
            let slope = problem_tangent(state, &d, time, &drawing);
            var lengths = vec2<f32>(0.0);
            for (var p = 0u; p < PARAMETERS; p++) {
                along = p;
                var tangent = array<f32, STATE>();
                drawing = random;
                let direct = problem_tangent(state, &tangent, time, &drawing);
                gradient[p] += select(0.0, slope * theta_tilde[p] + direct, counts);
                var product = 0.0;
                for (var i = 0u; i < STATE; i++) {
                    product += signs[i] * tangent[i];
                }
                w[p] = product;
                lengths += vec2<f32>(theta_tilde[p] * theta_tilde[p], product * product);
            }
            var square = 0.0;
            for (var i = 0u; i < STATE; i++) {
                square += d[i] * d[i];
            }
            lengths = sqrt(lengths) + SMALL;
            let rho0 = sqrt(lengths.x / (sqrt(square) + SMALL));
            let rho1 = sqrt(lengths.y / (sqrt(f32(STATE)) + SMALL));
            for (var i = 0u; i < STATE; i++) {
                s_tilde[i] = rho0 * d[i] + rho1 * signs[i];
            }
            for (var p = 0u; p < PARAMETERS; p++) {
                theta_tilde[p] = theta_tilde[p] / rho0 + w[p] / rho1;
            }
            state = next;
            time += 1u;
            if over {
                episode += 1u;
                time = 0u;
            }
        }

        for (var p = 0u; p < PARAMETERS; p++) {
            estimates[p * replicas + replica] = gradient[p];
            saved[(2u * STATE + p) * replicas + replica] = theta_tilde[p];
        }
        losses[replica] = sum;
        for (var i = 0u; i < STATE; i++) {
            saved[i * replicas + replica] = state[i];
            saved[(STATE + i) * replicas + replica] = s_tilde[i];
        }
        counters[EPISODE * replicas + replica] = episode;
        counters[TIME * replicas + replica] = time;
    }
}
