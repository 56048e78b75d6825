// Centred ranks of the fitness of a population, ties sharing their average rank:
//
//   rank[m]      = |{k : fitness[k] < fitness[m]}| + (|{k : fitness[k] = fitness[m]}| - 1) / 2
//   utilities[m] = rank[m] / (members - 1) - 0.5
//
// A NaN ranks below every number and ties with every other NaN. Fitnesses are compared by integers in their order, so
// that the ranks are the same on every device. Each member is held against all: members^2 comparisons, in registers.
//
// `centred_ranks` takes four members at a time, `centred_ranks_ragged` one.

struct Uniform {
    members: u32,
    scale: f32,    // 1 / (2 (members - 1)); 0 where there is one member
}

@group(0) @binding(0) var<storage, read> fitness4: array<vec4<u32>>;          // (members), four at a time: bits of f32
@group(0) @binding(0) var<storage, read> fitness: array<u32>;                 // (members): bits of f32
@group(0) @binding(1) var<storage, read_write> utilities4: array<vec4<f32>>;  // (members), four at a time
@group(0) @binding(1) var<storage, read_write> utilities: array<f32>;         // (members)
@group(1) @binding(0) var<uniform> params: Uniform;

override WORKGROUP: u32 = 64u;

// Integers in the order of the numbers: both zeros at 2^31, a NaN at 0.
fn order(bits: vec4<u32>) -> vec4<u32> {
    let magnitude = bits & vec4<u32>(0x7FFFFFFFu);
    let half = vec4<u32>(0x80000000u);
    let number = select(half + magnitude, half - magnitude, bits >= half);
    return select(number, vec4<u32>(0u), magnitude > vec4<u32>(0x7F800000u));
}

// 1 for an equal, 2 for a lower one: summed over all members, twice the rank and 1.
fn points(own: vec4<u32>, other: vec4<u32>) -> vec4<u32> {
    let none = vec4<u32>(0u);
    return select(none, vec4<u32>(1u), other <= own) + select(none, vec4<u32>(1u), other < own);
}

fn utility(points: vec4<u32>) -> vec4<f32> {
    return vec4<f32>(vec4<i32>(points) - vec4<i32>(i32(params.members))) * params.scale;
}

@compute @workgroup_size(WORKGROUP)
fn centred_ranks(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    let i = workgroup.x * WORKGROUP + local;
    // z is 0; without it the bound would be of the uniform block alone, and one software driver compiles a kernel anew
    // for the values that its loops depend on.
    let quarters = params.members / 4u + workgroup.z;
    if i < quarters {
        let own = order(fitness4[i]);
        var sum = vec4<u32>(0u);
        for (var k = 0u; k < quarters; k++) {
            let other = order(fitness4[k]);
            sum += points(own, other.xxxx) + points(own, other.yyyy);
            sum += points(own, other.zzzz) + points(own, other.wwww);
        }
        utilities4[i] = utility(sum);
    }
}

@compute @workgroup_size(WORKGROUP)
fn centred_ranks_ragged(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    let i = workgroup.x * WORKGROUP + local;
    let members = params.members + workgroup.z;
    if i < members {
        let own = order(vec4<u32>(fitness[i]));
        var sum = vec4<u32>(0u);
        for (var k = 0u; k < members; k++) {
            sum += points(own, order(vec4<u32>(fitness[k])));
        }
        utilities[i] = utility(sum).x;
    }
}
