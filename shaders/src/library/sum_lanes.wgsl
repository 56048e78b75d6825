// Takes WORKGROUP and LANES from rows.wgsl; from the kernel the type `Sum`, f32 or a vector.

var<workgroup> shared_sums: array<Sum, WORKGROUP>;

// The sum over the lanes of each row, in a fixed tree.
fn sum_lanes(value: Sum, local: u32) -> Sum {
    if LANES == 1u {
        return value;
    }
    let lane = local % LANES;
    shared_sums[local] = value;
    for (var stride = LANES / 2u; stride > 0u; stride /= 2u) {
        workgroupBarrier();
        if lane < stride {
            shared_sums[local] += shared_sums[local + stride];
        }
    }
    workgroupBarrier();
    return shared_sums[local - lane];
}
