// A team of LANES invocations acts in each lane, for policies of more numbers than one invocation has registers.

@compute @workgroup_size(WORKGROUP)
fn act(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let team = local / LANES;
    let lane = slot_of(workgroup.x + workgroup.y * workgroups.x, team);
    let in_range = lane < unroll.groups;
    prepare(in_range, local);
    let busy = select(IDLE, local % LANES, in_range);
    let begin = begins[min(lane, unroll.groups - 1u)] != 0u;
    for (var i = busy; i < MEMORY; i += LANES) {
        team_memory[team * MEMORY + i] = select(memory[lane * MEMORY + i], 0.0, begin);
    }
    for (var i = busy; i < INPUTS; i += LANES) {
        team_inputs[team * INPUTS + i] = observations[lane * INPUTS + i];
    }
    workgroupBarrier();
    policy_act(team, busy);
    workgroupBarrier();
    for (var i = busy; i < ACTIONS; i += LANES) {
        actions[lane * ACTIONS + i] = team_actions[team * ACTIONS + i];
    }
    for (var i = busy; i < MEMORY; i += LANES) {
        memory[lane * MEMORY + i] = team_memory[team * MEMORY + i];
    }
}
