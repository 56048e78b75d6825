// The Euclidean norm of one or several tensors taken as one vector:  norm = sqrt(sum over tensors and i of x[i]^2).
//
// square_sums runs once for each tensor and writes its partial sums next to those of the other tensors; norm adds all
// partial sums. A partial sum covers neighbouring elements and is shared by LANES neighbouring invocations; with
// LANES = 1 no barrier is met. The order of the additions depends on the lengths alone, so that the same adapter gives
// the same bits.
//
// Squares leave the range of f32 long before a norm does. A sum s of squares is stored as it is where it lies within
// LEAST .. MOST, and as -sqrt(s) elsewhere. An invocation whose sum lies outside adds its squares once more, in another
// unit.
//
// Takes `Load` and `sum_of` from library/loads_of_one.wgsl or library/loads_of_four.wgsl, WORKGROUP, LANES and `row_of`
// from library/rows.wgsl, `join_lanes` from library/join_lanes.wgsl and `is_nan` from library/not_a_number.wgsl.

struct Uniform {
    length: u32,       // of x, in loads (of one or of four elements)
    first: u32,        // the tensor's first partial sum
    count: u32,        // of its partial sums; in norm, of all
    part: u32,         // loads of each partial sum but the last
}

@group(0) @binding(0) var<storage, read> x: array<Load>;               // (length)
@group(0) @binding(1) var<storage, read_write> sums: array<f32>;       // (sums of all tensors)
@group(0) @binding(0) var<storage, read> all_sums: array<f32>;         // (sums of all tensors)
@group(0) @binding(1) var<storage, read_write> result: array<f32>;     // (1)
@group(1) @binding(0) var<uniform> params: Uniform;

const LEAST: f32 = 8.2718061e-25;           // 2^-80
const MOST: f32 = 1.2676506e30;             // 2^100

// The units beside 1, with their reciprocals: 2^-64 and 2^96.
const SMALL: f32 = 5.4210109e-20;
const OF_SMALL: f32 = 1.8446744e19;
const LARGE: f32 = 7.9228163e28;
const OF_LARGE: f32 = 1.2621775e-29;

// (s, unit): the sum of squares is s in squares of the unit.
alias Part = vec2<f32>;

// One unit in another that is no smaller. The smallest in the largest is nothing.
fn ratio(unit: f32, larger: f32) -> f32 {
    let other = select(select(0.0, OF_LARGE, unit == 1.0), SMALL, larger == 1.0);
    return select(other, 1.0, unit == larger);
}

fn join(a: vec2<f32>, b: vec2<f32>) -> vec2<f32> {
    let unit = max(a.y, b.y);
    let left = ratio(a.y, unit);
    let right = ratio(b.y, unit);
    return vec2(a.x * left * left + b.x * right * right, unit);
}

// The unit in which to add the squares whose sum in units of 1 is s.
fn unit_for(s: f32) -> f32 {
    return select(select(1.0, SMALL, s < LEAST), LARGE, s > MOST);
}

fn reciprocal(unit: f32) -> f32 {
    return select(select(1.0, OF_SMALL, unit == SMALL), OF_LARGE, unit == LARGE);
}

// Stores the partial sum of the lanes' parts.
fn store(part: vec2<f32>, index: u32, local: u32) {
    let whole = join_lanes(part, local);
    if local % LANES == 0u && index < params.count {
        let s = whole.x * whole.y * whole.y;
        let outside = whole.y == LARGE || s < LEAST || s > MOST;
        sums[params.first + index] = select(s, -sqrt(whole.x) * whole.y, outside && whole.x > 0.0);
    }
}

@compute @workgroup_size(WORKGROUP)
fn square_sums(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let index = row_of(workgroup, workgroups, local);
    let end = min((index + 1u) * params.part, params.length);
    let begin = index * params.part + local % LANES;
    var part = Load();
    for (var i = begin; i < end; i += LANES) {
        part += x[i] * x[i];
    }
    let unit = unit_for(sum_of(part));
    if unit != 1.0 {
        let factor = reciprocal(unit);
        part = Load();
        for (var i = begin; i < end; i += LANES) {
            part += (x[i] * factor) * (x[i] * factor);
        }
    }
    store(vec2(sum_of(part), unit), index, local);
}

// The part of a partial sum as it is stored. Zero has the smallest unit, in which nothing is lost.
fn restored(stored: f32) -> vec2<f32> {
    let unit = select(select(SMALL, LARGE, stored < -1.0), 1.0, stored > 0.0 || is_nan(stored));
    let root = stored * reciprocal(unit);
    return vec2(select(root * root, stored, unit == 1.0), unit);
}

var<workgroup> shared_sums: array<vec2<f32>, WORKGROUP>;

// One workgroup: each lane adds every WORKGROUP-th partial sum, the first lane adds the lanes' in order.
@compute @workgroup_size(WORKGROUP)
fn norm(@builtin(local_invocation_index) local: u32) {
    var part = vec2(0.0, SMALL);
    for (var i = local; i < params.count; i += WORKGROUP) {
        part = join(part, restored(all_sums[i]));
    }
    shared_sums[local] = part;
    workgroupBarrier();
    if local == 0u {
        var total = vec2(0.0, SMALL);
        for (var lane = 0u; lane < WORKGROUP; lane++) {
            total = join(total, shared_sums[lane]);
        }
        result[0] = select(sqrt(total.x) * total.y, total.x, total.x == 0.0 || is_nan(total.x));
    }
}
