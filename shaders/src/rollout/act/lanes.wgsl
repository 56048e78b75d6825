// One step of a policy in every lane, with observations from outside: `policy_act` alone, in one dispatch.
//
// A lane is an episode, or a being of the host's world. All lanes have the same weights, so that what the unroll calls a
// member is one here, and its groups are the lanes.

struct Uniform {
    // 1: all lanes have the same weights; and 1 of 1 is present.
    members: u32,
    present: u32,
    // Lanes.
    groups: u32,
}

@group(1) @binding(0) var<uniform> unroll: Uniform;

override WORKGROUP: u32 = 64u;

// The member that this invocation plays.
var<private> member: u32;
