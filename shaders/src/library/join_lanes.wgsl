// Takes WORKGROUP and LANES from rows.wgsl; from the kernel the type `Part` and
// `fn join(a: Part, b: Part) -> Part`, the part of a row that two parts make.

var<workgroup> shared_parts: array<Part, WORKGROUP>;

// Joins the parts of the lanes of each row, in a fixed tree.
fn join_lanes(part: Part, local: u32) -> Part {
    if LANES == 1u {
        return part;
    }
    let lane = local % LANES;
    shared_parts[local] = part;
    for (var stride = LANES / 2u; stride > 0u; stride /= 2u) {
        workgroupBarrier();
        if lane < stride {
            shared_parts[local] = join(shared_parts[local], shared_parts[local + stride]);
        }
    }
    workgroupBarrier();
    return shared_parts[local - lane];
}
