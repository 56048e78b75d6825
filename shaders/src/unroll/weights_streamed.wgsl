// Weights that fit nowhere near the processor are fetched, or drawn, wherever they are used: a population of any size
// takes no memory, and each step costs as if it were the first. Slots lie in a row.

fn slot_of(workgroup: u32, local: u32) -> u32 {
    return workgroup * WORKGROUP + local;
}

fn prepare(needed: bool, local: u32) {}

fn weight(i: u32) -> f32 {
    let two = source_pair(i / 2u);
    return select(two.x, two.y, (i & 1u) == 1u);
}

fn table(i: u32) -> vec4<f32> {
    return policy_table(i);
}
