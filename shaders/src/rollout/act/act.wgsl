// One invocation acts in each lane.

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
