// The gradient that the antithetic pairs of a truncated unroll estimate (persistent evolution strategies and their kin),
// and the accumulators of their perturbations, in one pass:
//
//   gradient[p] = scale * sum_d (a[d] xi[d, p] + b[d] normal(d, p)),   xi[d, p] = keep[d] xi[d, p] + add[d] normal(d, p)
//
// normal(d, p) is element  d * 2 parameter_pairs + p  of what the place `stream` drew in unroll drawn[d] (see
// random.wgsl), two parameters to a pair, whose two words are drawn together. Perturbations are not stored.
//
// The pairs d are cut into slices, one invocation for two parameters in a slice; evolution_gradient.wgsl adds the slices.
// Where that is more work than one dispatch should be, or more accumulators than one binding holds, several dispatches
// take parts, in order.

struct Uniform {
    parameters: u32,
    parameter_pairs: u32,  // (parameters + 1) / 2
    pairs: u32,            // of the population
    offset: u32,           // the first pair of these accumulators
    present: u32,          // pairs of these accumulators
    slices: u32,
    slice: u32,            // pairs of each slice but the last
    first: u32,            // the first pair, within its slice, of this dispatch
    end: u32,              // the end of its pairs, within their slice
    resumed: u32,          // 1 where the sums go on from what they are
    stream: u32,
}

@group(0) @binding(0) var<storage, read> shares: array<f32>;                   // (6, pairs): a, b, keep, add, and two others
@group(0) @binding(1) var<storage, read> drawn: array<u32>;                    // (pairs)
@group(0) @binding(2) var<storage, read> seed: array<u32>;                     // (2): key, unroll
@group(0) @binding(3) var<storage, read_write> accumulators2: array<vec2<f32>>; // (present, parameter_pairs), or (1)
@group(0) @binding(4) var<storage, read_write> sums2: array<vec2<f32>>;        // (slices, parameter_pairs)

@group(1) @binding(0) var<uniform> params: Uniform;

override WORKGROUP: u32 = 64u;
// 0 where nothing is accumulated: a, keep and add are 0 throughout.
override ACCUMULATED: u32 = 1u;

@compute @workgroup_size(WORKGROUP)
fn partial_sums(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    // Neighbouring invocations take neighbouring parameters, workgroup after workgroup, then the next slice.
    let index = workgroup.x + workgroup.y * workgroups.x;
    let blocks = (params.parameter_pairs + WORKGROUP - 1u) / WORKGROUP;
    let slice = index / blocks;
    let pair = index % blocks * WORKGROUP + local;
    if slice < params.slices && pair < params.parameter_pairs {
        let start = slice * params.slice;
        let end = min(start + params.end, params.present);
        let key = vec2<u32>(seed[0], params.stream);
        var sum = vec2<f32>(0.0);
        if params.resumed == 1u {
            sum = sums2[slice * params.parameter_pairs + pair];
        }
        for (var present = start + params.first; present < end; present++) {
            let d = params.offset + present;
            let b = shares[params.pairs + d];
            let add = shares[3u * params.pairs + d];
            var normal = vec2<f32>(0.0);
            if b != 0.0 || add != 0.0 {
                normal = box_muller(threefry(key, vec2<u32>(d * params.parameter_pairs + pair, drawn[d])));
            }
            sum += b * normal;
            if ACCUMULATED == 1u {
                let xi = accumulators2[present * params.parameter_pairs + pair];
                sum += shares[d] * xi;
                // Nothing is kept of what may not be a number.
                let keep = shares[2u * params.pairs + d];
                accumulators2[present * params.parameter_pairs + pair] = select(vec2<f32>(0.0), xi, keep != 0.0) + add * normal;
            }
        }
        sums2[slice * params.parameter_pairs + pair] = sum;
    }
}
