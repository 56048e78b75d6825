// Index of the largest element along an axis:  index[o, i] = the first a with x[o, a, i] = max_a x[o, a, i]. A NaN is the
// largest of all.
//
// The axis is cut into slabs of slab_length (the last may be shorter): argmax finds the index within the axis for each
// slab, merge chooses among the slabs of an output. An invocation owns an output: neighbours own neighbouring columns.
// Elements are compared by integers in their order, the same on every device.
//
// Takes `order_of` from library/not_a_number.wgsl.

struct Uniform {
    outputs: u32,      // outer * slabs * inner in argmax, outer * inner in merge
    axis: u32,
    inner: u32,
    slabs: u32,
    slab_length: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;             // (outer, axis, inner)
@group(0) @binding(1) var<storage, read_write> index: array<u32>;   // (outer, slabs, inner)
@group(0) @binding(1) var<storage, read> of_slab: array<u32>;       // (outer, slabs, inner)
@group(0) @binding(2) var<storage, read_write> merged: array<u32>;  // (outer, inner)
@group(1) @binding(0) var<uniform> params: Uniform;

override WORKGROUP: u32 = 64u;

@compute @workgroup_size(WORKGROUP)
fn argmax(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let output = (workgroup.x + workgroup.y * workgroups.x) * WORKGROUP + local;
    if output >= params.outputs {
        return;
    }
    let first = output / params.inner % params.slabs * params.slab_length;
    let last = min(first + params.slab_length, params.axis);
    let origin = output / (params.inner * params.slabs) * params.axis * params.inner + output % params.inner;
    var largest = order_of(x[origin + first * params.inner]);
    var best = first;
    for (var a = first + 1u; a < last; a++) {
        let value = order_of(x[origin + a * params.inner]);
        best = select(best, a, value > largest);
        largest = max(largest, value);
    }
    index[output] = best;
}

@compute @workgroup_size(WORKGROUP)
fn merge(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let output = (workgroup.x + workgroup.y * workgroups.x) * WORKGROUP + local;
    if output >= params.outputs {
        return;
    }
    let outer = output / params.inner;
    let column = output % params.inner;
    let origin = outer * params.axis * params.inner + column;
    var best = min(of_slab[outer * params.slabs * params.inner + column], params.axis - 1u);
    var largest = order_of(x[origin + best * params.inner]);
    for (var slab = 1u; slab < params.slabs; slab++) {
        let candidate = min(of_slab[(outer * params.slabs + slab) * params.inner + column], params.axis - 1u);
        let value = order_of(x[origin + candidate * params.inner]);
        best = select(best, candidate, value > largest);
        largest = max(largest, value);
    }
    merged[output] = best;
}
