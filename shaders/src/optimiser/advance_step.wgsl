// The counter of a run goes up:  counter[last] = counter[last] + increment;  or two of them together.
//
// With it, step numbers and the seeds (key, step) of random numbers change in every step of a submission
// without a word from the host.

struct Uniform {
    length: u32,
    increment: u32,
}

@group(0) @binding(0) var<storage, read_write> counter: array<u32>;  // (length)
@group(0) @binding(1) var<storage, read_write> other: array<u32>;    // (1)

@group(1) @binding(0) var<uniform> params: Uniform;

// Lanes come in groups; one of them works.
@compute @workgroup_size(32)
fn advance_step(@builtin(local_invocation_index) local: u32) {
    if local == 0u {
        counter[params.length - 1u] += params.increment;
    }
}

@compute @workgroup_size(32)
fn advance_both(@builtin(local_invocation_index) local: u32) {
    if local == 0u {
        counter[params.length - 1u] += params.increment;
        other[0] += params.increment;
    }
}
