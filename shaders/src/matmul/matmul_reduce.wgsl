// The second step of a product whose sum was split into slices:
//
//   out[i] = activation(sum_slice partials[slice, i] + bias[i % columns])
//
// One invocation adds the slices of one element, in order.

struct Uniform {
    slices: u32,
    elements: u32,
    columns: u32,
    bias: u32,        // 0: none, 1: an element for each column
    activation: u32,  // 0: none, 1: relu, 2: gelu (tanh form), 3: gelu (erf form), 4: tanh
}

@group(0) @binding(0) var<storage, read> partials: array<f32>;   // (slices, elements)
@group(0) @binding(1) var<storage, read> bias: array<f32>;       // (columns); not read where there is none
@group(0) @binding(2) var<storage, read_write> out: array<f32>;  // (elements)
@group(1) @binding(0) var<uniform> size: Uniform;

// gelu and tanh are compiled in; none and relu always are.
override SMOOTH: bool = true;

// Beyond 10 the functions are constant or the identity to f32 accuracy, and huge arguments would overflow inside.
fn activate(y: f32) -> f32 {
    if SMOOTH && size.activation >= 2u {
        let t = clamp(y, -10.0, 10.0);
        if size.activation == 4u {
            return tanh(t);
        }
        var mass: f32;
        if size.activation == 2u {
            mass = 0.5 + 0.5 * tanh(0.7978845608 * (t + 0.044715 * t * t * t));
        } else {
            // Abramowitz and Stegun 7.1.26 for erf(|t| / sqrt(2)), to 1.5e-7.
            let s = 1.0 / (1.0 + 0.3275911 * 0.7071067812 * abs(t));
            let series = s * (0.254829592 + s * (-0.284496736 + s * (1.421413741 + s * (-1.453152027 + s * 1.061405429))));
            let upper = 0.5 * series * exp(-0.5 * t * t);
            mass = select(upper, 1.0 - upper, t > 0.0);
        }
        return select(y * mass, select(0.0, y, y > 0.0), abs(y) > 10.0);
    }
    return select(y, 0.0, size.activation == 1u && y < 0.0);
}

@compute @workgroup_size(64)
fn matmul_reduce(
    @builtin(global_invocation_id) invocation: vec3<u32>,
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
) {
    let i = invocation.x + invocation.y * workgroups.x * 64u;
    if i >= size.elements {
        return;
    }
    // The grid is flat, so z is 0; without it the bound would be of the uniform block alone, and one software driver
    // compiles a kernel anew, at every dispatch, for the values that its branches and loops depend on.
    let slices = size.slices + workgroup.z;
    var y = 0.0;
    for (var slice = 0u; slice < slices; slice++) {
        y += partials[slice * size.elements + i];
    }
    let biased = size.bias != 0u;
    y += select(0.0, bias[select(0u, i % size.columns, biased)], biased);
    out[i] = activate(y);
}
