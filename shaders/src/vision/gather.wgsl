// The patches that moved, listed in ascending order, and the sum of the values of those at rest: a patch at rest has a score of
// exactly 0, so that every row of the message takes the same sum of them.
//
// An invocation is four values of a lane and goes through all patches; the first of a lane writes the list. The sum lies in the
// row behind the last patch's.
//
// Takes sizes and `params` from the composition, and `Place` and `index_of` from library/place.wgsl.

@group(0) @binding(0) var<storage, read> times: array<u32>;                // (lanes)
@group(0) @binding(1) var<storage, read> ends: array<u32>;                 // (lanes)
@group(0) @binding(2) var<storage, read_write> sensed: array<vec4<f32>>;   // (lanes, patches + 1, SCORES + VALUES)
// Each lane: OVER, BEGINS or GOES_ON, how many patches moved, how many are at rest, and those that moved.
@group(0) @binding(3) var<storage, read_write> listed: array<u32>;         // (lanes, LIST + patches)

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
    let first = lane * (PATCHES + 1u) * (SCORES + VALUES);
    var sum = vec4<f32>(0.0);
    var moving = 0u;
    var resting = 0u;
    for (var source = 0u; source < PATCHES; source++) {
        let row = first + source * (SCORES + VALUES);
        let kind = sensed[row + (POSITIONS + 1u) / 4u][(POSITIONS + 1u) % 4u];
        if kind == 1.0 {
            sum += sensed[row + SCORES + k];
            resting += 1u;
        } else if kind == 2.0 {
            if k == 0u {
                listed[list + LIST + moving] = source;
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
