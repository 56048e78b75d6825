// One invocation plays each slot: its numbers are its own.

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

// The sources of a policy's inputs: the observation `COPIES` times over, then noise channels, drawn anew at each step.
fn sources(observation: array<f32, OBSERVATIONS>, time: u32, random: Random) -> array<f32, INPUTS> {
    var sources: array<f32, INPUTS>;
    for (var copy = 0u; copy < COPIES; copy++) {
        for (var i = 0u; i < OBSERVATIONS; i++) {
            sources[copy * OBSERVATIONS + i] = observation[i];
        }
    }
    for (var channel = 0u; channel < NOISE_CHANNELS; channel++) {
        sources[COPIES * OBSERVATIONS + channel] = noise(channel, time, random);
    }
    return sources;
}

fn sense(observation: array<f32, OBSERVATIONS>, number: u32, time: u32, random: Random) -> array<f32, INPUTS> {
    var plain = sources(observation, time, random);
    var inputs: array<f32, INPUTS>;
    for (var i = 0u; i < INPUTS; i++) {
        inputs[i] = plain[wired(i, number, time)];
    }
    return inputs;
}

// Clears the memory of the channels.
fn forget(memory: ptr<function, array<f32, MEMORY>>) {
    // A loop over whole arrays, to be unrolled.
    var blank: array<array<f32, MEMORY_ROW>, MEMORY_ROWS>;
    for (var row = 0u; row < MEMORY_ROWS; row++) {
        for (var k = 0u; k < MEMORY_ROW; k++) {
            if row * MEMORY_ROW + k < CHANNEL_MEMORY {
                (*memory)[row * MEMORY_ROW + k] = blank[row][k];
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
    let slots = unroll.present * unroll.groups;
    let slot = slot_of(workgroup.x + workgroup.y * workgroups.x, local);
    let in_range = slot < slots;
    member = unroll.first_member + slot / unroll.groups;

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
            var random = random_of(number);
            if time == 0u {
                random.key.y = unroll.stream + RESET;
                state = environment_reset(&random);
                memory = array<f32, MEMORY>();
                sum = 0.0;
                random.key.y = unroll.stream + STEP;
            }
            random.drawn = time * 256u;

            let observation = environment_observe(state);
            if forgets(time) {
                forget(&memory);
            }
            let inputs = sense(observation, number, time, random);
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
