// Advances a population up to `steps` steps, policy and environment in one dispatch.
//
// One invocation owns one slot: (member, group). A member's episodes are shared out to its groups, and a slot plays
// its own one after the other, so that an episode that ends early frees its lane at once. All state lies in buffers
// between dispatches, and how many dispatches an episode is cut into changes no bit of it.
//
// Per step:  inputs = sense(observe(state)),  action = act(weights, memory, inputs),  reward = step(state, action).

struct Uniform {
    // Steps of one slot in this dispatch.
    steps: u32,
    // 1 where the slots start anew: counters count as zero, whatever their buffer holds.
    fresh: u32,
    members: u32,
    groups: u32,
    // Episodes of one slot.
    episodes: u32,
    // Steps after which an episode is cut off.
    horizon: u32,
    // 1 where all members start their episodes alike.
    common_random_numbers: u32,
    // The place that draws, see random.wgsl; the three after it are taken too.
    stream: u32,
    // Steps between two wirings of the inputs, where they are wired.
    interval: u32,
    phases: u32,
    // Standard deviation of noise channels.
    noise: f32,
}

@group(1) @binding(0) var<uniform> unroll: Uniform;

override WORKGROUP: u32 = 64u;

// Places of random numbers, counted from `stream`; those of environments are in stepping.wgsl.
const PERTURBATION = 0u;
const NOISE = 3u;

// The member that this invocation plays.
var<private> member: u32;

// Rows of `counters`.
const EPISODE = 0u;
const TIME = 1u;
const FAULT = 2u;

// An array stays in registers where every index is a constant. So the memory is loaded into the end of a row that moves
// up, and saved from the front of one; at most 32 numbers to a row, since loops over whole arrays of as many are unrolled.
const MEMORY_ROW = min(MEMORY, 32u);
const MEMORY_ROWS = (MEMORY + MEMORY_ROW - 1u) / MEMORY_ROW;

fn remembered(first: u32, stride: u32) -> array<f32, MEMORY> {
    var rows: array<array<f32, MEMORY_ROW>, MEMORY_ROWS>;
    for (var i = 0u; i < MEMORY_ROWS * MEMORY_ROW; i++) {
        let last = saved[min(i, MEMORY - 1u) * stride + first];
        let before = rows;
        for (var row = 0u; row < MEMORY_ROWS; row++) {
            for (var k = 0u; k < MEMORY_ROW; k++) {
                rows[row][k] = before[(row + (k + 1u) / MEMORY_ROW) % MEMORY_ROWS][(k + 1u) % MEMORY_ROW];
            }
        }
        rows[MEMORY_ROWS - 1u][MEMORY_ROW - 1u] = last;
    }
    var memory: array<f32, MEMORY>;
    for (var row = 0u; row < MEMORY_ROWS; row++) {
        for (var k = 0u; k < MEMORY_ROW; k++) {
            if row * MEMORY_ROW + k < MEMORY {
                memory[row * MEMORY_ROW + k] = rows[row][k];
            }
        }
    }
    return memory;
}

fn save(memory: array<f32, MEMORY>, first: u32, stride: u32) {
    var rows: array<array<f32, MEMORY_ROW>, MEMORY_ROWS>;
    for (var row = 0u; row < MEMORY_ROWS; row++) {
        for (var k = 0u; k < MEMORY_ROW; k++) {
            if row * MEMORY_ROW + k < MEMORY {
                rows[row][k] = memory[row * MEMORY_ROW + k];
            }
        }
    }
    for (var i = 0u; i < MEMORY; i++) {
        saved[i * stride + first] = rows[0][0];
        let before = rows;
        for (var row = 0u; row < MEMORY_ROWS; row++) {
            for (var k = 0u; k < MEMORY_ROW; k++) {
                rows[row][k] = before[(row + (k + 1u) / MEMORY_ROW) % MEMORY_ROWS][(k + 1u) % MEMORY_ROW];
            }
        }
    }
}

@compute @workgroup_size(WORKGROUP)
fn advance(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let slots = unroll.members * unroll.groups;
    let slot = slot_of(workgroup.x + workgroup.y * workgroups.x, local);
    let in_range = slot < slots;
    member = slot / unroll.groups;

    var episode = 0u;
    var time = 0u;
    var fault = 0u;
    if in_range && unroll.fresh == 0u {
        episode = counters[EPISODE * slots + slot];
        time = counters[TIME * slots + slot];
        fault = counters[FAULT * slots + slot];
    }
    let needed = in_range && episode < unroll.episodes && fault == 0u;
    prepare(needed, local);

    if needed {
        let first = (slot % unroll.groups) * unroll.episodes;
        let total = unroll.groups * unroll.episodes;
        var state: array<f32, STATE>;
        var memory: array<f32, MEMORY>;
        var sum = 0.0;
        if time > 0u {
            for (var i = 0u; i < STATE; i++) {
                state[i] = saved[i * slots + slot];
            }
            memory = remembered(STATE * slots + slot, slots);
            sum = saved[(STATE + MEMORY) * slots + slot];
        }

        // The sum keeps drivers from building a kernel for each number of steps.
        let steps = unroll.steps + workgroup.z;
        for (var steps_done = 0u; steps_done < steps; steps_done++) {
            if episode >= unroll.episodes || fault != 0u {
                break;
            }
            let number = first + episode;
            // Over all generations; members apart where they start differently.
            let lane = select(member * total, 0u, unroll.common_random_numbers == 1u);
            let places = select(unroll.members * total, total, unroll.common_random_numbers == 1u);
            var random = Random(vec2<u32>(seed[0], unroll.stream + STEP), seed[1] * places + lane + number, 0u);
            if time == 0u {
                random.key.y = unroll.stream + RESET;
                state = environment_reset(&random);
                memory = array<f32, MEMORY>();
                sum = 0.0;
                random.key.y = unroll.stream + STEP;
            }
            random.drawn = time * 256u;

            let observation = environment_observe(state);
            let inputs = sense(observation, number, time, random, &memory);
            let action = policy_act(&memory, inputs);
            record_before(steps_done, slot, slots, state, observation, action);
            let outcome = environment_step(&state, action, &random);
            sum += outcome.reward;
            time += 1u;
            let end = end_of(outcome.done, time >= unroll.horizon);
            record_after(steps_done, slot, slots, outcome.reward, end);
            fault = fault_of(observation, action, state, sum);
            if fault == 0u && end != 0u {
                returns[member * total + number] = sum;
                lengths[member * total + number] = time;
                episode += 1u;
                time = 0u;
            }
        }

        for (var i = 0u; i < STATE; i++) {
            saved[i * slots + slot] = state[i];
        }
        save(memory, STATE * slots + slot, slots);
        saved[(STATE + MEMORY) * slots + slot] = sum;
        counters[EPISODE * slots + slot] = episode;
        counters[TIME * slots + slot] = time;
        counters[FAULT * slots + slot] = fault;
    }
}
