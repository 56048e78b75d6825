// The sizes of attention, the rows of a workgroup, and which keys a causal mask allows, for its kernels forward and
// backward. Takes no names from others.

struct Uniform {
    rows: u32,       // batch * heads * length_q
    heads: u32,
    length_q: u32,
    length_k: u32,
    vectors: u32,    // head size / 4
    factor: f32,
}

@group(1) @binding(0) var<uniform> params: Uniform;

override WORKGROUP: u32 = 64u;
override CAUSAL: bool = false;
// Neighbouring invocations that share a row: each takes every LANES-th vector of the head. A divisor of the head size / 4.
override LANES: u32 = 1u;
// The vectors of an invocation: the compiler unrolls the loops over them, and its part of the row stays in registers. With
// 0 it is all of the head (LANES is 1) and stays in storage: short code for software drivers, which turn a dynamic index
// into a private array into a ladder of branches.
override VECTORS: u32 = 0u;

var<workgroup> parts: array<vec4<f32>, WORKGROUP>;

fn vectors() -> u32 {
    return select(VECTORS, params.vectors, VECTORS == 0u);
}

// The sum over the lanes of a row, which all get it.
fn over_lanes(part: vec4<f32>, local: u32) -> vec4<f32> {
    if LANES == 1u {
        return part;
    }
    // The lanes have read the sum before.
    workgroupBarrier();
    parts[local] = part;
    workgroupBarrier();
    let first = local - local % LANES;
    var sum = parts[first];
    for (var lane = 1u; lane < LANES; lane++) {
        sum += parts[first + lane];
    }
    return sum;
}

// The number of keys that the causal mask allows for a row.
fn limit_of(row: u32) -> u32 {
    if CAUSAL {
        return max(row % params.length_q + 1u + params.length_k, params.length_q) - params.length_q;
    }
    return params.length_k;
}

// The largest of the limits of a workgroup's rows, the same in all invocations, which meet barriers together: they grow
// along a head.
fn limit_of_workgroup(first_row: u32) -> u32 {
    let last_row = min(first_row + WORKGROUP / LANES, params.rows) - 1u;
    return select(params.length_k, limit_of(last_row), first_row / params.length_q == last_row / params.length_q);
}
