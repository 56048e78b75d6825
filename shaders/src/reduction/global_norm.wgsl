// The Euclidean norm of one or several tensors taken as one vector:  norm = sqrt(sum over tensors and i of x[i]^2).
//
// square_sums runs once for each tensor and writes its partial sums next to those of the other tensors; norm adds all
// partial sums. A partial sum covers neighbouring elements and is shared by LANES neighbouring invocations; with
// LANES = 1 no barrier is met. The order of the additions depends on the lengths alone, so that the same adapter gives
// the same bits.

struct Uniform {
    length: u32,       // of x, in loads (of one or of four elements)
    first: u32,        // the tensor's first partial sum
    count: u32,        // of its partial sums; in norm, of all
    part: u32,         // loads of each partial sum but the last
}

@group(0) @binding(0) var<storage, read> x: array<f32>;                // (length)
@group(0) @binding(0) var<storage, read> x4: array<vec4<f32>>;         // (length)
@group(0) @binding(1) var<storage, read_write> sums: array<f32>;       // (sums of all tensors)
@group(0) @binding(0) var<storage, read> all_sums: array<f32>;         // (sums of all tensors)
@group(0) @binding(1) var<storage, read_write> result: array<f32>;     // (1)
@group(1) @binding(0) var<uniform> size: Uniform;

override WORKGROUP: u32 = 64u;
override LANES: u32 = 1u;

var<workgroup> shared_sums: array<f32, WORKGROUP>;

// Stores the partial sum of the lanes' parts.
fn store(part: f32, index: u32, local: u32) {
    var whole = part;
    if LANES > 1u {
        shared_sums[local] = part;
        for (var stride = LANES / 2u; stride > 0u; stride /= 2u) {
            workgroupBarrier();
            if local % LANES < stride {
                shared_sums[local] += shared_sums[local + stride];
            }
        }
        whole = shared_sums[local];
    }
    if local % LANES == 0u && index < size.count {
        sums[size.first + index] = whole;
    }
}

@compute @workgroup_size(WORKGROUP)
fn square_sums(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    let index = workgroup.x * (WORKGROUP / LANES) + local / LANES;
    let end = min((index + 1u) * size.part, size.length);
    var part = 0.0;
    for (var i = index * size.part + local % LANES; i < end; i += LANES) {
        part += x[i] * x[i];
    }
    store(part, index, local);
}

@compute @workgroup_size(WORKGROUP)
fn square_sums_vec4(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    let index = workgroup.x * (WORKGROUP / LANES) + local / LANES;
    let end = min((index + 1u) * size.part, size.length);
    var part = vec4(0.0);
    for (var i = index * size.part + local % LANES; i < end; i += LANES) {
        part += x4[i] * x4[i];
    }
    store((part.x + part.y) + (part.z + part.w), index, local);
}

// One workgroup: each lane adds every WORKGROUP-th partial sum, the first lane adds the lanes' in order.
@compute @workgroup_size(WORKGROUP)
fn norm(@builtin(local_invocation_index) local: u32) {
    var part = 0.0;
    for (var i = local; i < size.count; i += WORKGROUP) {
        part += all_sums[i];
    }
    shared_sums[local] = part;
    workgroupBarrier();
    if local == 0u {
        var total = 0.0;
        for (var lane = 0u; lane < WORKGROUP; lane++) {
            total += shared_sums[lane];
        }
        result[0] = select(0.0, sqrt(total), total > 0.0);
    }
}
