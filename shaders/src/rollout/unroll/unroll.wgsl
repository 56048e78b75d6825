// Advances a population up to `steps` steps, policy and environment in one dispatch.
//
// One invocation (advance.wgsl) or a team of them (advance_team.wgsl) owns one slot: (present member, group). A member's episodes
// are shared out to its groups, and a slot plays its own one after the other, so that an episode that ends early frees its
// lanes at once. All state lies in buffers between dispatches, and how many dispatches an episode is cut into changes no
// bit of it.
//
// Per step:  inputs = sense(observe(state)),  action = act(weights, memory, inputs),  reward = step(state, action).

struct Uniform {
    // Steps of one slot in this dispatch.
    steps: u32,
    // 1 where the slots start anew: counters count as zero, whatever their buffer holds.
    fresh: u32,
    // Members of the population.
    members: u32,
    groups: u32,
    // Episodes of one slot.
    episodes: u32,
    // Steps after which an episode is cut off.
    horizon: u32,
    // 1 where all members start their episodes alike.
    common_random_numbers: u32,
    // The place that draws, see random.wgsl; the three after it are taken too.
    stream: u32,
    // Steps between two wirings of the inputs, where they are wired.
    interval: u32,
    phases: u32,
    // Standard deviation of noise channels.
    noise: f32,
    // Members that this dispatch plays, from `first_member` on; the others are played elsewhere.
    first_member: u32,
    present: u32,
}

@group(1) @binding(0) var<uniform> unroll: Uniform;

override WORKGROUP: u32 = 64u;

// Places of random numbers, counted from `stream`; those of environments are in stepping.wgsl.
const PERTURBATION = 0u;
const NOISE = 3u;

// The member that this invocation plays.
var<private> member: u32;

// Rows of `counters`.
const EPISODE = 0u;
const TIME = 1u;
const FAULT = 2u;

// The random numbers of a step of episode `number` of the present member: apart for each generation, and for each member
// where they start differently.
fn random_of(number: u32) -> Random {
    let total = unroll.groups * unroll.episodes;
    let lane = select(member * total, 0u, unroll.common_random_numbers == 1u);
    let places = select(unroll.members * total, total, unroll.common_random_numbers == 1u);
    return Random(vec2<u32>(seed[0], unroll.stream + STEP), seed[1] * places + lane + number, 0u);
}
