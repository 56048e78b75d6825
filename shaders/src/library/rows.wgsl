// Rows of which LANES neighbouring invocations share one, in workgroups of WORKGROUP. Takes no names from others.

override WORKGROUP: u32 = 64u;
override LANES: u32 = 1u;

// The row that an invocation works on.
fn row_of(workgroup: vec3<u32>, workgroups: vec3<u32>, local: u32) -> u32 {
    return (workgroup.x + workgroup.y * workgroups.x) * (WORKGROUP / LANES) + local / LANES;
}
