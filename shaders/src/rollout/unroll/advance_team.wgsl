// A team of LANES invocations plays each slot, for policies of more numbers than one invocation has registers. All of a
// team step the environment alike, so that each knows its state; the policy's inputs, memory and actions lie in workgroup
// memory, and its invocations share out the work on them. The teams of a workgroup play slots of one member.

var<workgroup> team_observations: array<f32, SLOTS * OBSERVATIONS>;
var<workgroup> playing: array<u32, SLOTS>;
var<workgroup> any_playing: u32;

// Steps between two tests whether any slot of the workgroup still plays.
const PATIENCE = 16u;

// Number i that input i of a team is wired to: the observation `COPIES` times over, then noise channels.
fn sensed(team: u32, i: u32, number: u32, time: u32, random: Random) -> f32 {
    let source = wired(i, number, time);
    if source < COPIES * OBSERVATIONS {
        return team_observations[team * OBSERVATIONS + source % OBSERVATIONS];
    }
    return noise(source - COPIES * OBSERVATIONS, time, random);
}

@compute @workgroup_size(WORKGROUP)
fn advance(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let team = local / LANES;
    let lane = local % LANES;
    let slots = unroll.present * unroll.groups;
    let slot = slot_of(workgroup.x + workgroup.y * workgroups.x, team);
    member = unroll.first_member + slot / unroll.groups;

    var episode = 0u;
    var time = 0u;
    var fault = 0u;
    if slot < slots && unroll.fresh == 0u {
        episode = counters[EPISODE * slots + slot];
        time = counters[TIME * slots + slot];
        fault = counters[FAULT * slots + slot];
    }
    let needed = slot < slots && episode < unroll.episodes && fault == 0u;
    prepare(needed, local);

    let first = (slot % unroll.groups) * unroll.episodes;
    let total = unroll.groups * unroll.episodes;
    var state: array<f32, STATE>;
    var sum = 0.0;
    if needed && time > 0u {
        for (var i = 0u; i < STATE; i++) {
            state[i] = saved[i * slots + slot];
        }
        for (var k = lane; k < MEMORY; k += LANES) {
            team_memory[team * MEMORY + k] = saved[(STATE + k) * slots + slot];
        }
        sum = saved[(STATE + MEMORY) * slots + slot];
    }
    // All of a team have read what the first of them writes.
    storageBarrier();

    // The sum keeps drivers from building a kernel for each number of steps. Slots that have finished go along, since
    // barriers stand in between.
    let steps = unroll.steps + workgroup.z;
    for (var steps_done = 0u; steps_done < steps; steps_done++) {
        let plays = needed && episode < unroll.episodes && fault == 0u;
        if steps_done % PATIENCE == 0u {
            if lane == 0u {
                playing[team] = select(0u, 1u, plays);
            }
            workgroupBarrier();
            if local == 0u {
                var any = 0u;
                for (var other = 0u; other < SLOTS; other++) {
                    any |= playing[other];
                }
                any_playing = any;
            }
            if workgroupUniformLoad(&any_playing) == 0u {
                break;
            }
        }
        let busy = select(IDLE, lane, plays);
        let number = first + episode;
        var random = random_of(number);
        var observation: array<f32, OBSERVATIONS>;
        if plays {
            var forgotten = select(0u, CHANNEL_MEMORY, forgets(time));
            if time == 0u {
                random.key.y = unroll.stream + RESET;
                state = environment_reset(&random);
                sum = 0.0;
                random.key.y = unroll.stream + STEP;
                forgotten = MEMORY;
            }
            random.drawn = time * 256u;
            for (var k = lane; k < forgotten; k += LANES) {
                team_memory[team * MEMORY + k] = 0.0;
            }
            observation = environment_observe(state);
            if lane == 0u {
                for (var i = 0u; i < OBSERVATIONS; i++) {
                    team_observations[team * OBSERVATIONS + i] = observation[i];
                }
            }
        }
        workgroupBarrier();
        for (var i = busy; i < INPUTS; i += LANES) {
            team_inputs[team * INPUTS + i] = sensed(team, i, number, time, random);
        }
        workgroupBarrier();
        policy_act(team, busy);
        workgroupBarrier();
        if plays {
            var action: array<f32, ACTIONS>;
            for (var a = 0u; a < ACTIONS; a++) {
                action[a] = team_actions[team * ACTIONS + a];
            }
            if lane == 0u {
                record_before(steps_done, slot, slots, state, observation, action);
            }
            let outcome = environment_step(&state, action, &random);
            sum += outcome.reward;
            time += 1u;
            let end = end_of(outcome.done, time >= unroll.horizon);
            fault = fault_of(observation, action, state, sum);
            let ends = fault == 0u && end != 0u;
            if lane == 0u {
                record_after(steps_done, slot, slots, outcome.reward, end);
                if ends {
                    returns[member * total + number] = sum;
                    lengths[member * total + number] = time;
                }
            }
            if ends {
                episode += 1u;
                time = 0u;
            }
        }
    }

    if needed {
        for (var k = lane; k < MEMORY; k += LANES) {
            saved[(STATE + k) * slots + slot] = team_memory[team * MEMORY + k];
        }
        if lane == 0u {
            for (var i = 0u; i < STATE; i++) {
                saved[i * slots + slot] = state[i];
            }
            saved[(STATE + MEMORY) * slots + slot] = sum;
            counters[EPISODE * slots + slot] = episode;
            counters[TIME * slots + slot] = time;
            counters[FAULT * slots + slot] = fault;
        }
    }
}
