// The gradients of the expected utility for the centre and the deviation of a mirrored population (PGPE with symmetric
// sampling: Sehnke et al., "Parameter-exploring policy gradients", 2010), with e(d, p) = deviation[p] * normal(d, p):
//
//   difference[d] = (utilities[2 d] - utilities[2 d + 1]) / 2
//   excess[d]     = (utilities[2 d] + utilities[2 d + 1]) / 2 - mean of all utilities
//
//   centre_gradient[p]    = scale * mean_d difference[d] * e(d, p)
//   deviation_gradient[p] = mean_d excess[d] * (e(d, p)^2 - deviation[p]^2) / deviation[p]
//                         = deviation[p] * mean_d excess[d] * (normal(d, p)^2 - 1)
//
// scale is 1, or -1 for an optimiser that descends. No perturbation is stored: normal(d, p) is element  d * 2 pairs + p
// of the place `stream` (see random.wgsl), two parameters to a pair, whose two words are drawn together.
//
// `direction_weights` prepares the directions. `partial_sums` cuts them into slices, one invocation for a pair in a
// slice; where that is more work than one dispatch should be, several dispatches take a part of every slice each, in
// order. `gradient_sums` adds the slices, in order.
//
// Takes `Uniform`, `params` and WORKGROUP from directions.wgsl, and random numbers from library/random.wgsl.

@group(0) @binding(0) var<storage, read> utilities2: array<vec2<f32>>;            // (members), two at a time
@group(0) @binding(1) var<storage, read_write> weights2: array<vec2<f32>>;        // (directions, 2): difference, excess

@group(0) @binding(0) var<storage, read> direction_weights2: array<vec2<f32>>;    // (directions, 2), two at a time
@group(0) @binding(1) var<storage, read> seed: array<u32>;                        // (2): key, generation
@group(0) @binding(2) var<storage, read_write> sums4: array<vec4<f32>>;           // (slices, pairs, 4), four at a time

@group(0) @binding(0) var<storage, read> slice_sums4: array<vec4<f32>>;           // (slices, pairs, 4), four at a time
@group(0) @binding(1) var<storage, read> deviation: array<f32>;                   // (parameters)
@group(0) @binding(2) var<storage, read_write> centre_gradient: array<f32>;       // (parameters)
@group(0) @binding(3) var<storage, read_write> deviation_gradient: array<f32>;    // (parameters)

var<workgroup> shared_sums: array<f32, WORKGROUP>;

// One workgroup: each lane adds every WORKGROUP-th direction, then the lanes in a tree.
@compute @workgroup_size(WORKGROUP)
fn direction_weights(@builtin(local_invocation_index) local: u32) {
    var sum = 0.0;
    for (var d = local; d < params.directions; d += WORKGROUP) {
        sum += 0.5 * utilities2[d].x + 0.5 * utilities2[d].y;
    }
    shared_sums[local] = sum;
    for (var stride = WORKGROUP / 2u; stride > 0u; stride /= 2u) {
        workgroupBarrier();
        if local < stride {
            shared_sums[local] += shared_sums[local + stride];
        }
    }
    workgroupBarrier();
    let baseline = shared_sums[0] / f32(params.directions);
    for (var d = local; d < params.directions; d += WORKGROUP) {
        let utility = 0.5 * utilities2[d];
        weights2[d] = vec2<f32>(utility.x - utility.y, utility.x + utility.y - baseline);
    }
}

@compute @workgroup_size(WORKGROUP)
fn partial_sums(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    // Neighbouring invocations take neighbouring pairs, workgroup after workgroup, then the next slice.
    let index = workgroup.x + workgroup.y * workgroups.x;
    let blocks = (params.pairs + WORKGROUP - 1u) / WORKGROUP;
    let slice = index / blocks;
    let pair = index % blocks * WORKGROUP + local;
    if slice < params.slices && pair < params.pairs {
        let start = slice * params.slice;
        let end = min(start + params.end, params.directions);
        let key = vec2<u32>(seed[0], params.stream);
        let generation = seed[1];
        var sum = vec4<f32>(0.0);
        if params.first > 0u {
            sum = sums4[slice * params.pairs + pair];
        }
        for (var d = start + params.first; d < end; d++) {
            let weight = direction_weights2[d];
            let z = box_muller(threefry(key, vec2<u32>(d * params.pairs + pair, generation)));
            sum += vec4<f32>(weight.x * z, weight.y * (z * z - 1.0));
        }
        sums4[slice * params.pairs + pair] = sum;
    }
}

@compute @workgroup_size(WORKGROUP)
fn gradient_sums(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let pair = (workgroup.x + workgroup.y * workgroups.x) * WORKGROUP + local;
    if pair < params.pairs {
        // z is 0; without it the bound would be of the uniform block alone, and one software driver compiles a kernel
        // anew for the values that its loops depend on.
        let slices = params.slices + workgroup.z;
        var sum = vec4<f32>(0.0);
        for (var slice = 0u; slice < slices; slice++) {
            sum += slice_sums4[slice * params.pairs + pair];
        }
        let mean = sum / f32(params.directions);
        let p = 2u * pair;
        centre_gradient[p] = params.scale * deviation[p] * mean.x;
        deviation_gradient[p] = deviation[p] * mean.z;
        if p + 1u < params.parameters {
            centre_gradient[p + 1u] = params.scale * deviation[p + 1u] * mean.y;
            deviation_gradient[p + 1u] = deviation[p + 1u] * mean.w;
        }
    }
}
