// Reduction along an axis:  y[o, s, i] = scale * sum_a x[o, a, i]  or  max_a x[o, a, i],  over the a of slab s. The maximum
// of a NaN and anything else is a NaN.
//
// The axis is cut into slabs of slab_length (the last may be shorter); one slab where there are outputs enough to fill
// the device, else a second call reduces the slabs. Two forms by the stride of the axis:
// * columns: an invocation owns an output, neighbours own neighbouring columns and load neighbouring words;
// * rows (inner = 1, the axis is contiguous): LANES neighbouring invocations share an output. With LANES = 1 no barrier
//   is met: the fastest form on software drivers and for short rows.
//
// Takes `larger` from library/not_a_number.wgsl.

struct Uniform {
    outputs: u32,      // outer * slabs * inner
    axis: u32,
    inner: u32,
    slabs: u32,
    slab_length: u32,
    scale: f32,        // 1 / axis for a mean
}

@group(0) @binding(0) var<storage, read> x: array<f32>;               // (outer, axis, inner)
@group(0) @binding(1) var<storage, read_write> y: array<f32>;         // (outer, slabs, inner)
@group(0) @binding(0) var<storage, read> x4: array<vec4<f32>>;        // the same, four elements at a time
@group(0) @binding(1) var<storage, read_write> y4: array<vec4<f32>>;
@group(1) @binding(0) var<uniform> params: Uniform;

override MAXIMUM: bool = false;  // else the sum
override WORKGROUP: u32 = 64u;
override LANES: u32 = 1u;

var<workgroup> shared_values: array<f32, WORKGROUP>;

fn combined(a: vec4<f32>, b: vec4<f32>) -> vec4<f32> {
    return select(a + b, larger(a, b), vec4(MAXIMUM));
}

// The start of a sum; a maximum starts with any element of its slab.
fn start(element: vec4<f32>) -> vec4<f32> {
    return select(vec4(0.0), element, vec4(MAXIMUM));
}

fn scaled(value: vec4<f32>) -> vec4<f32> {
    return select(value * params.scale, value, vec4(MAXIMUM));
}

@compute @workgroup_size(WORKGROUP)
fn columns(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let output = (workgroup.x + workgroup.y * workgroups.x) * WORKGROUP + local;
    if output >= params.outputs {
        return;
    }
    let slab = output / params.inner % params.slabs;
    let first = slab * params.slab_length;
    let last = min(first + params.slab_length, params.axis);
    let origin = output / (params.inner * params.slabs) * params.axis * params.inner + output % params.inner;
    var value = start(vec4(x[origin + first * params.inner]));
    for (var a = first; a < last; a++) {
        value = combined(value, vec4(x[origin + a * params.inner]));
    }
    y[output] = scaled(value).x;
}

// Four neighbouring columns to an invocation; inner is a multiple of 4.
@compute @workgroup_size(WORKGROUP)
fn columns_vec4(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let output = (workgroup.x + workgroup.y * workgroups.x) * WORKGROUP + local;
    if output * 4u >= params.outputs {
        return;
    }
    let inner = params.inner / 4u;
    let slab = output / inner % params.slabs;
    let first = slab * params.slab_length;
    let last = min(first + params.slab_length, params.axis);
    let origin = output / (inner * params.slabs) * params.axis * inner + output % inner;
    var value = start(x4[origin + first * inner]);
    for (var a = first; a < last; a++) {
        value = combined(value, x4[origin + a * inner]);
    }
    y4[output] = scaled(value);
}

// The value of each lane's part, combined over the lanes of an output, which all get it.
fn over_lanes(part: f32, local: u32) -> f32 {
    if LANES == 1u {
        return part;
    }
    shared_values[local] = part;
    for (var stride = LANES / 2u; stride > 0u; stride /= 2u) {
        workgroupBarrier();
        if local % LANES < stride {
            let both = combined(vec4(shared_values[local]), vec4(shared_values[local + stride]));
            shared_values[local] = both.x;
        }
    }
    workgroupBarrier();
    return shared_values[local - local % LANES];
}

@compute @workgroup_size(WORKGROUP)
fn rows(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    // Outputs past the last repeat it, so that every invocation meets every barrier; they store nothing.
    let asked = (workgroup.x + workgroup.y * workgroups.x) * (WORKGROUP / LANES) + local / LANES;
    let output = min(asked, params.outputs - 1u);
    let slab = output % params.slabs;
    let first = slab * params.slab_length;
    let last = min(first + params.slab_length, params.axis);
    let origin = output / params.slabs * params.axis;
    var value = start(vec4(x[origin + first]));
    for (var a = first + local % LANES; a < last; a += LANES) {
        value = combined(value, vec4(x[origin + a]));
    }
    let whole = over_lanes(value.x, local);
    if asked < params.outputs && local % LANES == 0u {
        y[output] = scaled(vec4(whole)).x;
    }
}

// Four elements of a row at a time; axis and slab_length are multiples of 4.
@compute @workgroup_size(WORKGROUP)
fn rows_vec4(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let asked = (workgroup.x + workgroup.y * workgroups.x) * (WORKGROUP / LANES) + local / LANES;
    let output = min(asked, params.outputs - 1u);
    let slab = output % params.slabs;
    let first = slab * params.slab_length / 4u;
    let last = min(first + params.slab_length / 4u, params.axis / 4u);
    let origin = output / params.slabs * (params.axis / 4u);
    var value = start(x4[origin + first]);
    for (var a = first + local % LANES; a < last; a += LANES) {
        value = combined(value, x4[origin + a]);
    }
    let pairs = combined(value, value.zwxy);
    let whole = over_lanes(combined(pairs, pairs.yxwz).x, local);
    if asked < params.outputs && local % LANES == 0u {
        y[output] = scaled(vec4(whole)).x;
    }
}
