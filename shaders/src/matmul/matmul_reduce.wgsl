// The second step of a product whose sum was split into slices:
//
//   out[i] = activation(sum_slice partials[slice, i] + bias[i % columns])
//
// One invocation adds the slices of one element, in order.
//
// Takes `activate` from library/activation.wgsl.

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
@group(1) @binding(0) var<uniform> params: Uniform;

@compute @workgroup_size(64)
fn matmul_reduce(
    @builtin(global_invocation_id) invocation: vec3<u32>,
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
) {
    let i = invocation.x + invocation.y * workgroups.x * 64u;
    if i >= params.elements {
        return;
    }
    // The grid is flat, so z is 0; without it the bound would be of the uniform block alone, and one software driver
    // compiles a kernel anew, at every dispatch, for the values that its branches and loops depend on.
    let slices = params.slices + workgroup.z;
    var y = 0.0;
    for (var slice = 0u; slice < slices; slice++) {
        y += partials[slice * params.elements + i];
    }
    let biased = params.bias != 0u;
    y += select(0.0, bias[select(0u, i % params.columns, biased)], biased);
    out[i] = activate(y);
}
