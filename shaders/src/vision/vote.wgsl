// The vote of the driving network: every row i of the message shares out one vote among all rows,
//
//     importance_j = sum over i of exp(a_i . k_j) / (sum over l of exp(a_i . k_l))
//
// and the places of the largest are chosen in descending order, the lowest place first among equals.
//
// A workgroup is a lane; each of its 64 invocations owns every 64th column j. For four rows at a time it computes its scores
// into registers, shares the largest and then the sum of their exponentials, and adds its shares: each exponential is computed
// once. What is shared is reduced by eight invocations, each of eight others' numbers, and then by all, in one order. Where
// rows are no multiple of four, the last one is asked again and does not count.
//
// Takes sizes and `params` from the composition.

@group(0) @binding(0) var<storage, read> listed: array<u32>;            // (lanes, LIST_ROW): its state first
@group(0) @binding(1) var<storage, read> votes: array<vec4<f32>>;       // (lanes, messages, 2): query and key
@group(0) @binding(2) var<storage, read_write> importance: array<f32>;  // (lanes, messages)
@group(0) @binding(3) var<storage, read_write> chosen: array<u32>;      // (lanes, TOP)

const OWNERS = 64u;
const GROUP = 8u;
const OWN = (MESSAGES + OWNERS - 1u) / OWNERS;

var<workgroup> state: u32;
var<workgroup> largest: array<vec4<f32>, OWNERS>;
var<workgroup> totals: array<vec4<f32>, OWNERS>;
var<workgroup> group_largest: array<vec4<f32>, GROUP>;
var<workgroup> group_totals: array<vec4<f32>, GROUP>;
var<workgroup> values: array<f32, OWNERS>;
var<workgroup> places: array<u32, OWNERS>;

@compute @workgroup_size(OWNERS)
fn vote(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let lane = workgroup.x + workgroup.y * workgroups.x;
    if local == 0u {
        var own = OVER;
        if lane < params.lanes {
            own = listed[lane * LIST_ROW];
        }
        state = own;
    }
    if workgroupUniformLoad(&state) != OVER {
        let first = lane * MESSAGES;
        var keys: array<vec4<f32>, OWN>;
        var sums: array<f32, OWN>;
        for (var c = 0u; c < OWN; c++) {
            keys[c] = votes[2u * (first + min(local + c * OWNERS, MESSAGES - 1u)) + 1u];
            sums[c] = 0.0;
        }
        for (var row = 0u; row < MESSAGES; row += 4u) {
            let rows = row + vec4<u32>(0u, 1u, 2u, 3u);
            let queries = 2u * (first + min(rows, vec4<u32>(MESSAGES - 1u)));
            let asked = mat4x4<f32>(votes[queries.x], votes[queries.y], votes[queries.z], votes[queries.w]);
            var scores: array<vec4<f32>, OWN>;
            var most = vec4<f32>(-3.0e38);
            for (var c = 0u; c < OWN; c++) {
                // The dot products of four queries with the key.
                scores[c] = keys[c] * asked;
                most = max(most, scores[c]);
            }
            largest[local] = most;
            workgroupBarrier();
            if local < GROUP {
                for (var i = 0u; i < GROUP; i++) {
                    most = max(most, largest[local * GROUP + i]);
                }
                group_largest[local] = most;
            }
            workgroupBarrier();
            for (var i = 0u; i < GROUP; i++) {
                most = max(most, group_largest[i]);
            }
            var part = vec4<f32>(0.0);
            for (var c = 0u; c < OWN; c++) {
                scores[c] = exp(scores[c] - most);
                if local + c * OWNERS < MESSAGES {
                    part += scores[c];
                }
            }
            totals[local] = part;
            workgroupBarrier();
            if local < GROUP {
                var sum = vec4<f32>(0.0);
                for (var i = 0u; i < GROUP; i++) {
                    sum += totals[local * GROUP + i];
                }
                group_totals[local] = sum;
            }
            workgroupBarrier();
            var total = vec4<f32>(0.0);
            for (var i = 0u; i < GROUP; i++) {
                total += group_totals[i];
            }
            let shares = select(vec4<f32>(0.0), 1.0 / total, rows < vec4<u32>(MESSAGES));
            for (var c = 0u; c < OWN; c++) {
                sums[c] += dot(scores[c], shares);
            }
        }
        for (var c = 0u; c < OWN; c++) {
            if local + c * OWNERS < MESSAGES {
                importance[first + local + c * OWNERS] = sums[c];
            }
        }
        // What was chosen counts as -1 from then on, less than any importance; columns that do not exist as -2.
        for (var pick = 0u; pick < TOP; pick++) {
            var value = -2.0;
            var place = 0u;
            for (var c = 0u; c < OWN; c++) {
                let column = local + c * OWNERS;
                if column < MESSAGES && sums[c] > value {
                    value = sums[c];
                    place = column;
                }
            }
            values[local] = value;
            places[local] = place;
            workgroupBarrier();
            value = values[0];
            place = places[0];
            for (var i = 1u; i < OWNERS; i++) {
                if values[i] > value || (values[i] == value && places[i] < place) {
                    value = values[i];
                    place = places[i];
                }
            }
            for (var c = 0u; c < OWN; c++) {
                if place == local + c * OWNERS {
                    sums[c] = -1.0;
                }
            }
            if local == 0u {
                chosen[lane * TOP + pick] = place;
            }
            workgroupBarrier();
        }
    }
}
