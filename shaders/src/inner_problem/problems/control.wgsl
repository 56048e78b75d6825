// A policy that acts in an environment, as an inner problem: the outer parameters are the policy's weights, the loss of a
// step is what it fails to reward.
//
//   action = act(memory, observe(state)),  loss = -reward(state, action)
//
// The state is that of the environment, then the policy's memory, then, where episodes wait, whether it has ended: with
// WAITS, an episode that ends of itself stays as it is without a loss until the horizon, instead of starting anew.

fn weight(i: u32) -> f32 {
    return parameter(i);
}

// The weights differ from particle to particle, so that tables are computed where they are used.
fn table(i: u32) -> vec4<f32> {
    return policy_table(i);
}

fn problem_reset(random: ptr<function, Random>) -> array<f32, STATE> {
    let start = environment_reset(random);
    var state: array<f32, STATE>;
    for (var i = 0u; i < ENVIRONMENT_STATE; i++) {
        state[i] = start[i];
    }
    return state;
}

fn problem_step(state: ptr<function, array<f32, STATE>>, time: u32, random: ptr<function, Random>) -> Loss {
    if WAITS == 1u && (*state)[STATE - 1u] == 1.0 {
        return Loss(0.0, false);
    }
    var world: array<f32, ENVIRONMENT_STATE>;
    for (var i = 0u; i < ENVIRONMENT_STATE; i++) {
        world[i] = (*state)[i];
    }
    // Arrays of WGSL are not empty, memories may be.
    var memory: array<f32, MEMORY>;
    for (var i = 0u; i < REMEMBERED; i++) {
        memory[i] = (*state)[ENVIRONMENT_STATE + i];
    }
    let action = policy_act(&memory, environment_observe(world));
    let outcome = environment_step(&world, action, random);
    for (var i = 0u; i < ENVIRONMENT_STATE; i++) {
        (*state)[i] = world[i];
    }
    for (var i = 0u; i < REMEMBERED; i++) {
        (*state)[ENVIRONMENT_STATE + i] = memory[i];
    }
    if WAITS == 1u {
        (*state)[STATE - 1u] = select(0.0, 1.0, outcome.done);
        return Loss(-outcome.reward, false);
    }
    return Loss(-outcome.reward, outcome.done);
}
