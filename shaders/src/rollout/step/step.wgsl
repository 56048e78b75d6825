// Advances every lane of an environment by one step, with actions that are given. A lane is one episode.
//
// The order of things is Gymnasium's: a fresh dispatch resets every lane and gives its first observation; each later one
// takes the actions that answer the last observations, and gives the next ones, rewards and ends. A lane whose episode is
// over stays as it is, its reward 0, or begins its next episode in the same step: reward and end are then of the old episode,
// state and observation of the new one. Numbers are drawn as unroll.wgsl draws them: lane e of a member plays in generation g
// the episode that a slot there plays as episode e of g, step by step, and then episode e of g + 1.

struct Uniform {
    // 1 where every lane starts anew: no other operand but the seed is read.
    fresh: u32,
    lanes: u32,
    // Steps after which an episode is cut off.
    horizon: u32,
    // The place that draws, see random.wgsl: resets at the next, steps at the one after it.
    stream: u32,
    // 1 where a lane whose episode is over begins the next one at once.
    automatic: u32,
    // Lanes of a member, one after the other: all members meet the same episodes.
    episodes: u32,
}

@group(1) @binding(0) var<uniform> world: Uniform;

override WORKGROUP: u32 = 64u;

// Rows of `counters`; the last is the number of the lane's episode since all lanes began.
const TIME = 0u;
const FAULT = 1u;
const EPISODE = 2u;

// Ends beside those of `end_of`: a lane that began anew since it was asked to, and one that is asked to.
const BEGAN = 3u;
const ASKED = 4u;

// The number, among all of the seed, of a lane's episode.
fn place(lane: u32, episode: u32) -> u32 {
    return (seed[1] + episode) * world.episodes + lane % world.episodes;
}

fn observe(lane: u32, state: array<f32, STATE>) {
    let observation = environment_observe(state);
    for (var i = 0u; i < OBSERVATIONS; i++) {
        observations[lane * OBSERVATIONS + i] = observation[i];
    }
}

fn save(lane: u32, state: array<f32, STATE>, sum: f32, time: u32, fault: u32, episode: u32) {
    for (var i = 0u; i < STATE; i++) {
        saved[i * world.lanes + lane] = state[i];
    }
    saved[STATE * world.lanes + lane] = sum;
    counters[TIME * world.lanes + lane] = time;
    counters[FAULT * world.lanes + lane] = fault;
    counters[EPISODE * world.lanes + lane] = episode;
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
    rewards[lane] = 0.0;
    var state: array<f32, STATE>;
    var sum = 0.0;
    var time = 0u;
    var fault = 0u;
    var episode = 0u;
    var end = 0u;
    var begins = true;
    if world.fresh == 0u {
        episode = counters[EPISODE * lanes + lane];
        let before = ends[lane];
        if before == ASKED {
            end = BEGAN;
        } else {
            let over = world.automatic == 0u && (before == 1u || before == 2u);
            if over || counters[FAULT * lanes + lane] != 0u {
                return;
            }
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
            time = counters[TIME * lanes + lane];
            record_before(time, lane, lanes, state, observation, action);
            var random = Random(vec2<u32>(seed[0], world.stream + STEP), place(lane, episode), time * 256u);
            let outcome = environment_step(&state, action, &random);
            sum = saved[STATE * lanes + lane] + outcome.reward;
            end = end_of(outcome.done, time + 1u >= world.horizon);
            record_after(time, lane, lanes, outcome.reward, end);
            rewards[lane] = outcome.reward;
            time += 1u;
            fault = fault_of(observation, action, state, sum);
            begins = world.automatic == 1u && end != 0u && fault == 0u;
        }
        episode += u32(begins);
    }
    if begins {
        var random = Random(vec2<u32>(seed[0], world.stream + RESET), place(lane, episode), 0u);
        state = environment_reset(&random);
        sum = 0.0;
        time = 0u;
    }
    observe(lane, state);
    save(lane, state, sum, time, fault, episode);
    ends[lane] = end;
}
