// An antithetic pair of particles in the middle of an unroll, and the steps that both take. The kernel has `unroll`, whose
// fields are those of `truncation.wgsl`, and `spread`, which it hands to `parameter`.

struct Pair {
    // The unroll whose draw the perturbation is, and unrolls since then.
    drawn: u32,
    age: u32,
    // Inner problems finished, steps into the present one, and steps at which it is cut off (0 before the first).
    episode: u32,
    time: u32,
    limit: u32,
    // 1 if an inner problem has ended in this unroll.
    ended: u32,
    // L+ - L- of the steps that count, up to that end and after it; L+ and L-; and the losses of the last step.
    before: f32,
    after: f32,
    losses: vec2<f32>,
    last: vec2<f32>,
}

// The beginning of unroll `number` of a pair in chunk `chunk`.
fn begin_unroll(pair: ptr<function, Pair>, number: u32, chunk: u32) {
    if (*pair).limit == 0u {
        (*pair).limit = unroll.horizon;
        if unroll.staggered == 1u {
            (*pair).limit = max(unroll.horizon / unroll.chunks * (chunk + 1u), 1u);
        }
    }
    // An inner problem that has started since the last draw takes a perturbation of its own.
    if (*pair).time < unroll.truncation || (*pair).age >= unroll.interval {
        (*pair).drawn = number;
        (*pair).age = 0u;
    }
}

// `steps` steps from step `first` of the unroll on. The random numbers are those of place `lane` of `lanes` in each inner
// problem, under key `key`; `scale` is that of the perturbation.
fn take_steps(
    pair: ptr<function, Pair>,
    plus: ptr<function, array<f32, STATE>>,
    minus: ptr<function, array<f32, STATE>>,
    key: u32, lanes: u32, lane: u32, scale: f32, first: u32, steps: u32,
) {
    for (var steps_done = 0u; steps_done < steps; steps_done++) {
        var random = Random(vec2<u32>(key, unroll.stream + RESET), (*pair).episode * lanes + lane, 0u);
        if (*pair).time == 0u {
            *plus = problem_reset(&random);
            *minus = *plus;
        }
        random.key.y = unroll.stream + STEP;
        random.drawn = (*pair).time * 256u;
        var again = random;
        spread = scale;
        let up = problem_step(plus, (*pair).time, &random);
        spread = -scale;
        let down = problem_step(minus, (*pair).time, &again);
        (*pair).last = vec2<f32>(up.value, down.value);
        (*pair).time += 1u;

        let over = up.done || down.done || (*pair).time >= (*pair).limit;
        if unroll.objective == SUM || over || first + steps_done + 1u == unroll.truncation {
            (*pair).losses += (*pair).last;
            if (*pair).ended == 0u {
                (*pair).before += (*pair).last.x - (*pair).last.y;
            } else {
                (*pair).after += (*pair).last.x - (*pair).last.y;
            }
        }
        if over {
            (*pair).ended = 1u;
            (*pair).episode += 1u;
            (*pair).time = 0u;
            (*pair).limit = unroll.horizon;
        }
    }
}
