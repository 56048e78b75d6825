// The outer parameters of a population of antithetic pairs around a centre, whose members an own kernel or graph trains:
//
//   theta[2 r, p]     = center[p] + sigma * normal(first + r, p)
//   theta[2 r + 1, p] = center[p] - sigma * normal(first + r, p)
//
// for r below `present`, the pairs of this population; members after them stand at the centre. No perturbation is
// stored: normal(d, p) is element  d * 2 parameter_pairs + p  of what the place `stream` drew in unroll drawn[d] (see
// random.wgsl). Pairs that are renewed draw anew, in the unroll of the seed, and say so in `drawn`.
//
// Takes `Place` and `index_of` from library/place.wgsl.

struct Uniform {
    parameters: u32,
    parameter_pairs: u32,  // (parameters + 1) / 2
    first: u32,            // of the pairs of this population among all
    present: u32,          // pairs of this population
    members: u32,          // rows of theta, at least 2 present
    renewed: u32,          // 1 where the pairs draw anew
    stream: u32,
    sigma: f32,
}

@group(0) @binding(0) var<storage, read> center: array<f32>;        // (parameters)
@group(0) @binding(1) var<storage, read> seed: array<u32>;          // (2): key, unroll
@group(0) @binding(2) var<storage, read_write> drawn: array<u32>;   // (pairs of all populations)
@group(0) @binding(3) var<storage, read_write> theta: array<f32>;   // (members, parameters)
@group(1) @binding(0) var<uniform> params: Uniform;

override WORKGROUP: u32 = 64u;

fn write(member: u32, parameter: u32, value: f32) {
    if member < params.members && parameter < params.parameters {
        theta[member * params.parameters + parameter] = value;
    }
}

// One invocation for two parameters, whose words are drawn together, of two members.
@compute @workgroup_size(WORKGROUP)
fn perturb(at: Place) {
    let index = index_of(at);
    let row = index / params.parameter_pairs;
    let pair = index % params.parameter_pairs;
    if 2u * row < params.members {
        var change = vec2<f32>(0.0);
        if row < params.present {
            let d = params.first + row;
            var unroll = seed[1];
            if params.renewed == 0u {
                unroll = drawn[d];
            } else if pair == 0u {
                // No other invocation reads it: those of a renewed pair take the seed's.
                drawn[d] = unroll;
            }
            let key = vec2<u32>(seed[0], params.stream);
            change = params.sigma * box_muller(threefry(key, vec2<u32>(d * params.parameter_pairs + pair, unroll)));
        }
        let second = min(2u * pair + 1u, params.parameters - 1u);
        let middle = vec2<f32>(center[2u * pair], center[second]);
        for (var i = 0u; i < 2u; i++) {
            write(2u * row, 2u * pair + i, middle[i] + change[i]);
            write(2u * row + 1u, 2u * pair + i, middle[i] - change[i]);
        }
    }
}
