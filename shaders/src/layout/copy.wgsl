// Copy of a strided view into a strided view:
//     destination[destination_offset + sum_d c_d destination_strides[d]] = source[source_offset + sum_d c_d strides[d]]
// for all coordinates c of shape: permute, slice, broadcast, and a slice of the destination as a region.
//
// Elements are words, f32 or u32: nothing is rounded or flushed. Dimensions stand innermost first, neighbours that lie
// contiguous in both views merged. In copy_vec4 all numbers count groups of four neighbours. In transpose_vec4
// dimension 0 is contiguous in the destination and dimension 1 in the source: an invocation copies a block of 4 by 4,
// and all numbers count blocks, or groups of four neighbours in the buffers.

struct Uniform {
    count: u32,
    source_offset: u32,
    destination_offset: u32,
    unused: u32,
    shape: array<vec4<u32>, 2>,                // (RANK), innermost first
    source_strides: array<vec4<u32>, 2>,
    destination_strides: array<vec4<u32>, 2>,
}

@group(0) @binding(0) var<storage, read> source: array<u32>;
@group(0) @binding(1) var<storage, read_write> destination: array<u32>;
@group(0) @binding(0) var<storage, read> source4: array<vec4<u32>>;
@group(0) @binding(1) var<storage, read_write> destination4: array<vec4<u32>>;
@group(1) @binding(0) var<uniform> params: Uniform;

override RANK: u32 = 6u;

// The positions in source and destination of the element of this flat index.
fn positions(flat: u32) -> vec2<u32> {
    var rest = flat;
    var position = vec2(params.source_offset, params.destination_offset);
    for (var d = 0u; d < RANK; d++) {
        let length = params.shape[d / 4u][d % 4u];
        // The outermost dimension needs no division; the others one: a remainder of its own would cost a second.
        let quotient = select(rest / length, 0u, d + 1u == RANK);
        let coordinate = rest - quotient * length;
        let strides = vec2(params.source_strides[d / 4u][d % 4u], params.destination_strides[d / 4u][d % 4u]);
        position += coordinate * strides;
        rest = quotient;
    }
    return position;
}

@compute @workgroup_size(256)
fn copy(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let flat = (workgroup.x + workgroup.y * workgroups.x) * 256u + local;
    if flat < params.count {
        let position = positions(flat);
        destination[position.y] = source[position.x];
    }
}

@compute @workgroup_size(256)
fn copy_vec4(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let flat = (workgroup.x + workgroup.y * workgroups.x) * 256u + local;
    if flat < params.count {
        let position = positions(flat);
        destination4[position.y] = source4[position.x];
    }
}

@compute @workgroup_size(64)
fn transpose_vec4(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let flat = (workgroup.x + workgroup.y * workgroups.x) * 64u + local;
    if flat >= params.count {
        return;
    }
    let position = positions(flat);
    // A step of one element along dimension 0 in the source, and along dimension 1 in the destination.
    let step = vec2(params.source_strides[0].x, params.destination_strides[0].y) / 4u;
    let a = source4[position.x];
    let b = source4[position.x + step.x];
    let c = source4[position.x + 2u * step.x];
    let d = source4[position.x + 3u * step.x];
    destination4[position.y] = vec4(a.x, b.x, c.x, d.x);
    destination4[position.y + step.y] = vec4(a.y, b.y, c.y, d.y);
    destination4[position.y + 2u * step.y] = vec4(a.z, b.z, c.z, d.z);
    destination4[position.y + 3u * step.y] = vec4(a.w, b.w, c.w, d.w);
}
