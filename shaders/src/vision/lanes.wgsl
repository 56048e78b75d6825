// What the kernels of the vision neuron share: the lanes, each an episode, and its list of patches.

struct Uniform {
    lanes: u32,
    // Lanes of a member, one after the other.
    groups: u32,
    // Wirings of a lane, each of which holds for `interval` steps; the last goes on.
    phases: u32,
    interval: u32,
    // 1 where all numbers of an action but the first go from 0 to 1.
    pedals: u32,
}

@group(1) @binding(0) var<uniform> params: Uniform;

override WORKGROUP: u32 = 64u;

// The head of a lane's list: its state, how many patches moved, how many are at rest.
const LIST = 3u;
const OVER = 0u;
const BEGINS = 1u;
const GOES_ON = 2u;

// True if a lane's episode is over and no other has begun.
fn is_over(end: u32, time: u32) -> bool {
    return (end == 1u || end == 2u) && time != 0u;
}
