// Whole inner problems at given outer parameters: each invocation plays one, `steps` steps in a dispatch.

struct Uniform {
    steps: u32,
    // 1 where the inner problems start anew: counters count as zero, whatever their buffer holds.
    fresh: u32,
    points: u32,
    // Inner problems of each point; number e draws the same random numbers for all points.
    episodes: u32,
    horizon: u32,
    // The first place that draws, see random.wgsl: of starts; the next is that of steps.
    stream: u32,
}

@group(1) @binding(0) var<uniform> unroll: Uniform;

override WORKGROUP: u32 = 64u;

// Rows of `counters`: steps taken, and whether the inner problem is over.
const TIME = 0u;
const OVER = 1u;

var<private> row: u32;

fn parameter(i: u32) -> f32 {
    return points[row * PARAMETERS + i];
}

@compute @workgroup_size(WORKGROUP)
fn evaluate(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let slot = (workgroup.x + workgroup.y * workgroups.x) * WORKGROUP + local;
    let slots = unroll.points * unroll.episodes;
    if slot < slots {
        row = slot / unroll.episodes;
        let episode = slot % unroll.episodes;
        var time = 0u;
        var over = 0u;
        var sum = 0.0;
        var last = 0.0;
        var state: array<f32, STATE>;
        if unroll.fresh == 0u {
            time = counters[TIME * slots + slot];
            over = counters[OVER * slots + slot];
            sum = losses[slot];
            last = losses[slots + slot];
            for (var i = 0u; i < STATE; i++) {
                state[i] = saved[i * slots + slot];
            }
        }
        // The sum keeps drivers from building a kernel for each number of steps.
        let steps = unroll.steps + workgroup.z;
        for (var steps_done = 0u; steps_done < steps; steps_done++) {
            if over == 1u {
                break;
            }
            var random = Random(vec2<u32>(seed[0], unroll.stream), episode, 0u);
            if time == 0u {
                state = problem_reset(&random);
            }
            random.key.y = unroll.stream + 1u;
            random.drawn = time * 256u;
            let loss = problem_step(&state, time, &random);
            sum += loss.value;
            last = loss.value;
            time += 1u;
            over = select(0u, 1u, loss.done || time >= unroll.horizon);
        }
        for (var i = 0u; i < STATE; i++) {
            saved[i * slots + slot] = state[i];
        }
        losses[slot] = sum;
        losses[slots + slot] = last;
        counters[TIME * slots + slot] = time;
        counters[OVER * slots + slot] = over;
    }
}
