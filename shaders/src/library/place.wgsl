// The place of an invocation in a grid whose workgroups fold into y. Takes WORKGROUP from the kernel, the invocations of a
// workgroup. Not for kernels with barriers: all of the place counts as different for each invocation.

struct Place {
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
}

// The invocations before it.
fn index_of(at: Place) -> u32 {
    return (at.workgroup.x + at.workgroup.y * at.workgroups.x) * WORKGROUP + at.local;
}
