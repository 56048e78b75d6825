// What the invocations of a team share while a policy acts: its inputs, memory and actions. The teams of a workgroup lie one
// after another.

var<workgroup> team_inputs: array<f32, SLOTS * INPUTS>;
var<workgroup> team_memory: array<f32, SLOTS * MEMORY>;
var<workgroup> team_actions: array<f32, SLOTS * ACTIONS>;
// The part that each invocation has in a sum for each action.
var<workgroup> team_parts: array<f32, WORKGROUP * ACTIONS>;

// The place of an invocation in a team that does nothing: past all items that it could have a share in.
const IDLE = 0x40000000u;

// Hands in what this invocation has of the sum for each action.
fn hand_in(team: u32, lane: u32, sums: array<f32, ACTIONS>) {
    if lane < LANES {
        for (var a = 0u; a < ACTIONS; a++) {
            team_parts[(team * LANES + lane) * ACTIONS + a] = sums[a];
        }
    }
}

// The sum for an action of what all invocations of a team have handed in.
fn sum_of_parts(team: u32, a: u32) -> f32 {
    var sum = 0.0;
    for (var lane = 0u; lane < LANES; lane++) {
        sum += team_parts[(team * LANES + lane) * ACTIONS + a];
    }
    return sum;
}
