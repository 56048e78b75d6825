// Weights that fit nowhere near the processor are fetched, or drawn, wherever they are used: a population of any size
// takes no memory, and each step costs as if it were the first. Slots lie in a row.

fn prepare(needed: bool, local: u32) {}

fn table(i: u32) -> vec4<f32> {
    return policy_table(i);
}
