// The counter of a run goes up:  counter[last] = counter[last] + increment.
//
// One invocation. With it, step numbers and the seeds (key, step) of random numbers change in every step of a submission
// without a word from the host.

struct Uniform {
    length: u32,
    increment: u32,
}

@group(0) @binding(0) var<storage, read_write> counter: array<u32>;  // (length)
@group(1) @binding(0) var<uniform> size: Uniform;

@compute @workgroup_size(1)
fn advance_step() {
    counter[size.length - 1u] += size.increment;
}
