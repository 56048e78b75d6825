// The members of a mirrored population, for policies whose kernels read their weights:
//
//   theta[2 d, p]     = center[p] + deviation[p] * normal(d, p)
//   theta[2 d + 1, p] = center[p] - deviation[p] * normal(d, p)
//
// normal(d, p) is element  d * 2 parameter_pairs + p  of what the place `stream` drew in the seed's generation (see
// random.wgsl), as weights_perturbed.wgsl draws it for policies that fetch no weight.
//
// Takes `Place` and `index_of` from library/place.wgsl.

struct Uniform {
    parameters: u32,
    parameter_pairs: u32,  // (parameters + 1) / 2
    directions: u32,       // pairs of members
    stream: u32,
}

@group(0) @binding(0) var<storage, read> center: array<f32>;        // (parameters)
@group(0) @binding(1) var<storage, read> deviation: array<f32>;     // (parameters)
@group(0) @binding(2) var<storage, read> seed: array<u32>;          // (2): key, generation
@group(0) @binding(3) var<storage, read_write> theta: array<f32>;   // (2 directions, parameters)
@group(1) @binding(0) var<uniform> params: Uniform;

override WORKGROUP: u32 = 64u;

// One invocation for two parameters, whose words are drawn together, of two members.
@compute @workgroup_size(WORKGROUP)
fn mirror(at: Place) {
    let index = index_of(at);
    let direction = index / params.parameter_pairs;
    let pair = index % params.parameter_pairs;
    if direction >= params.directions {
        return;
    }
    let key = vec2<u32>(seed[0], params.stream);
    let normals = box_muller(threefry(key, vec2<u32>(index, seed[1])));
    for (var i = 0u; i < 2u; i++) {
        let p = 2u * pair + i;
        if p < params.parameters {
            let change = deviation[p] * normals[i];
            theta[2u * direction * params.parameters + p] = center[p] + change;
            theta[(2u * direction + 1u) * params.parameters + p] = center[p] - change;
        }
    }
}
