// The gradient of the expected utility for the centre of a mirrored population with one deviation sigma (OpenAI-ES):
//
//   gradient[p] = scale * sum_d (utilities[2 d] - utilities[2 d + 1]) / 2 * normal(d, p)
//
// Members 2 d and 2 d + 1 stand at centre +- sigma * normal(d, .), and scale is 1 / (directions * sigma), or its
// negative for an optimiser that descends. No perturbation is stored: normal(d, p) is element  d * 2 pairs + p  of the
// place `stream` (see random.wgsl), two parameters to a pair, whose two words are drawn together.
//
// `partial_sums` cuts the directions into slices, one invocation for a pair in a slice, so that few parameters with
// many directions fill a device as well as many with few. Where that is more work than one dispatch should be, several
// dispatches take a part of every slice each, in order. `gradient_sum` adds the slices, in order.
//
// Takes `Uniform`, `params` and WORKGROUP from directions.wgsl, and random numbers from library/random.wgsl.

@group(0) @binding(0) var<storage, read> utilities2: array<vec2<f32>>;      // (members), two at a time: (directions, 2)
@group(0) @binding(1) var<storage, read> seed: array<u32>;                  // (2): key, generation
@group(0) @binding(2) var<storage, read_write> sums2: array<vec2<f32>>;     // (slices, pairs, 2), two at a time

@group(0) @binding(0) var<storage, read> slice_sums2: array<vec2<f32>>;     // (slices, pairs, 2), two at a time
@group(0) @binding(1) var<storage, read_write> gradient: array<f32>;        // (parameters)

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
        var sum = vec2<f32>(0.0);
        if params.first > 0u {
            sum = sums2[slice * params.pairs + pair];
        }
        for (var d = start + params.first; d < end; d++) {
            let utility = utilities2[d];
            let weight = 0.5 * (utility.x - utility.y);
            sum += weight * box_muller(threefry(key, vec2<u32>(d * params.pairs + pair, generation)));
        }
        sums2[slice * params.pairs + pair] = sum;
    }
}

@compute @workgroup_size(WORKGROUP)
fn gradient_sum(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let pair = (workgroup.x + workgroup.y * workgroups.x) * WORKGROUP + local;
    if pair < params.pairs {
        // z is 0; without it the bound would be of the uniform block alone, and one software driver compiles a kernel
        // anew for the values that its loops depend on.
        let slices = params.slices + workgroup.z;
        var sum = vec2<f32>(0.0);
        for (var slice = 0u; slice < slices; slice++) {
            sum += slice_sums2[slice * params.pairs + pair];
        }
        sum *= params.scale;
        gradient[2u * pair] = sum.x;
        if 2u * pair + 1u < params.parameters {
            gradient[2u * pair + 1u] = sum.y;
        }
    }
}
