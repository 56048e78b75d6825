// The slots of the patches that moved, listed in the order of the picture, and the sum of the values of those at rest: a patch at
// rest has a score of exactly 0, so that every row of the message takes the same sum of them.
//
// An invocation is four values of a lane and goes through all patches in the order in which they lie in the picture, so that
// sums over them have one order, however they are wired. The first of a lane writes the list. The sum lies in the row behind
// the last slot's.
//
// Takes sizes and `params` from the composition, and `Place` and `index_of` from library/place.wgsl.

@group(0) @binding(0) var<storage, read> times: array<u32>;                // (lanes)
@group(0) @binding(1) var<storage, read> ends: array<u32>;                 // (lanes)
@group(0) @binding(2) var<storage, read_write> sensed: array<vec4<f32>>;   // (lanes, patches + 1, SCORES + VALUES)
// Each lane: OVER, BEGINS or GOES_ON, how many patches moved, how many are at rest, and those that moved.
@group(0) @binding(3) var<storage, read_write> listed: array<u32>;         // (lanes, LIST + patches)
@group(0) @binding(4) var<storage, read> order: array<u32>;                // (lanes, phases, patches): the slot of each

@compute @workgroup_size(WORKGROUP)
fn gather(at: Place) {
    let own = index_of(at);
    let lane = own / VALUES;
    let k = own % VALUES;
    if lane >= params.lanes {
        return;
    }
    let list = lane * (LIST + PATCHES);
    let time = times[lane];
    if is_over(ends[lane], time) {
        if k == 0u {
            listed[list] = OVER;
        }
        return;
    }
    let phase = min(time / params.interval, params.phases - 1u);
    let slots = (lane * params.phases + phase) * PATCHES;
    let first = lane * (PATCHES + 1u) * (SCORES + VALUES);
    var sum = vec4<f32>(0.0);
    var moving = 0u;
    var resting = 0u;
    for (var source = 0u; source < PATCHES; source++) {
        let slot = min(order[slots + source], PATCHES - 1u);
        let row = first + slot * (SCORES + VALUES);
        let kind = sensed[row + (POSITIONS + 1u) / 4u][(POSITIONS + 1u) % 4u];
        if kind == 1.0 {
            sum += sensed[row + SCORES + k];
            resting += 1u;
        } else if kind == 2.0 {
            if k == 0u {
                listed[list + LIST + moving] = slot;
            }
            moving += 1u;
        }
    }
    sensed[first + PATCHES * (SCORES + VALUES) + SCORES + k] = sum;
    if k == 0u {
        listed[list] = select(GOES_ON, BEGINS, time == 0u);
        listed[list + 1u] = moving;
        listed[list + 2u] = resting;
    }
}
