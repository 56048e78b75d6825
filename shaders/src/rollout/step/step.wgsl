// Advances every lane of an environment by one step, with actions that are given. A lane is one episode.
//
// The order of things is Gymnasium's: a fresh dispatch resets every lane and gives its first observation; each later one
// takes the actions that answer the last observations, and gives the next ones, rewards and ends. A lane whose episode is
// over stays as it is, its reward 0. Numbers are drawn as unroll.wgsl draws them: lane e of generation g plays the episode
// that a slot there plays as episode e of g, step by step.

struct Uniform {
    // 1 where every lane starts anew: no other operand but the seed is read.
    fresh: u32,
    lanes: u32,
    // Steps after which an episode is cut off.
    horizon: u32,
    // The place that draws, see random.wgsl: resets at the next, steps at the one after it.
    stream: u32,
}

@group(1) @binding(0) var<uniform> world: Uniform;

override WORKGROUP: u32 = 64u;

// Rows of `counters`.
const TIME = 0u;
const FAULT = 1u;

fn observe(lane: u32, state: array<f32, STATE>) {
    let observation = environment_observe(state);
    for (var i = 0u; i < OBSERVATIONS; i++) {
        observations[lane * OBSERVATIONS + i] = observation[i];
    }
}

fn save(lane: u32, state: array<f32, STATE>, sum: f32, time: u32, fault: u32, end: u32) {
    for (var i = 0u; i < STATE; i++) {
        saved[i * world.lanes + lane] = state[i];
    }
    saved[STATE * world.lanes + lane] = sum;
    counters[TIME * world.lanes + lane] = time;
    counters[FAULT * world.lanes + lane] = fault;
    ends[lane] = end;
}

@compute @workgroup_size(WORKGROUP)
fn advance(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let lanes = world.lanes;
    let lane = slot_of(workgroup.x + workgroup.y * workgroups.x, local);
    if lane >= lanes {
        return;
    }
    var random = Random(vec2<u32>(seed[0], world.stream + RESET), seed[1] * lanes + lane, 0u);
    if world.fresh == 1u {
        let state = environment_reset(&random);
        observe(lane, state);
        rewards[lane] = 0.0;
        save(lane, state, 0.0, 0u, 0u, 0u);
        return;
    }
    rewards[lane] = 0.0;
    if ends[lane] != 0u || counters[FAULT * lanes + lane] != 0u {
        return;
    }

    var state: array<f32, STATE>;
    for (var i = 0u; i < STATE; i++) {
        state[i] = saved[i * lanes + lane];
    }
    // The observation that the action answers, to the bit.
    var observation: array<f32, OBSERVATIONS>;
    for (var i = 0u; i < OBSERVATIONS; i++) {
        observation[i] = observations[lane * OBSERVATIONS + i];
    }
    var action: array<f32, ACTIONS>;
    for (var i = 0u; i < ACTIONS; i++) {
        action[i] = actions[lane * ACTIONS + i];
    }
    let time = counters[TIME * lanes + lane];
    record_before(time, lane, lanes, state, observation, action);
    random.key.y = world.stream + STEP;
    random.drawn = time * 256u;
    let outcome = environment_step(&state, action, &random);
    let sum = saved[STATE * lanes + lane] + outcome.reward;
    let end = end_of(outcome.done, time + 1u >= world.horizon);
    record_after(time, lane, lanes, outcome.reward, end);
    observe(lane, state);
    rewards[lane] = outcome.reward;
    save(lane, state, sum, time + 1u, fault_of(observation, action, state, sum), end);
}
