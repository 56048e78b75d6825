// The counter of a run goes up by one:  step = step + 1,  seed = (key, step).
//
// One invocation. It runs before everything else of a training step, so that optimisers see t = 1, 2, ... and every
// step draws new random numbers, with no word from the host.

@group(0) @binding(0) var<storage, read_write> step: array<u32>;  // (1)
@group(0) @binding(1) var<storage, read_write> seed: array<u32>;  // (2): key, step

struct Uniform {
    increment: u32,
}

@group(1) @binding(0) var<uniform> size: Uniform;

@compute @workgroup_size(1)
fn advance_step() {
    let next = step[0] + size.increment;
    step[0] = next;
    seed[1] = next;
}
