// One step of a policy in every lane, with observations from outside: `policy_act` alone, in one dispatch.
//
// A lane is an episode, or a being of the host's world. All lanes have the same weights, so that what the unroll calls a
// member is one here, and its groups are the lanes.

struct Uniform {
    // 1: all lanes have the same weights.
    members: u32,
    // Lanes.
    groups: u32,
}

@group(1) @binding(0) var<uniform> unroll: Uniform;

override WORKGROUP: u32 = 64u;

// The member that this invocation plays.
var<private> member: u32;

@compute @workgroup_size(WORKGROUP)
fn act(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let lane = slot_of(workgroup.x + workgroup.y * workgroups.x, local);
    let in_range = lane < unroll.groups;
    prepare(in_range, local);
    if in_range {
        var remembered: array<f32, MEMORY>;
        if begins[lane] == 0u {
            for (var i = 0u; i < MEMORY; i++) {
                remembered[i] = memory[lane * MEMORY + i];
            }
        }
        var inputs: array<f32, INPUTS>;
        for (var i = 0u; i < INPUTS; i++) {
            inputs[i] = observations[lane * INPUTS + i];
        }
        let action = policy_act(&remembered, inputs);
        for (var i = 0u; i < ACTIONS; i++) {
            actions[lane * ACTIONS + i] = action[i];
        }
        for (var i = 0u; i < MEMORY; i++) {
            memory[lane * MEMORY + i] = remembered[i];
        }
    }
}
