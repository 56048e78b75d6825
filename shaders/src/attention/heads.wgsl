// The sizes of attention, and which keys a causal mask allows, for its kernels forward and backward. Takes no names from
// others.

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
// The head size / 4: the compiler unrolls the loops over it, and the rows that an invocation owns stay in registers. With
// 0 they stay in storage: short code for software drivers, which turn a dynamic index into a private array into a ladder
// of branches.
override VECTORS: u32 = 0u;

fn vectors() -> u32 {
    return select(VECTORS, params.vectors, VECTORS == 0u);
}

// The number of keys that the causal mask allows for a row.
fn limit_of(row: u32) -> u32 {
    if CAUSAL {
        return max(row % params.length_q + 1u + params.length_k, params.length_q) - params.length_q;
    }
    return params.length_k;
}
