// Multi-head scaled dot-product attention, forward, without a matrix of scores in memory ("flash"):
//     score[i, j]  = factor * sum_d q[b, h, i, d] * k[b, h, j, d]
//     lse[b, h, i] = log sum_j exp(score[i, j])                       over the allowed keys j
//     out[b, h, i] = sum_j exp(score[i, j] - lse[b, h, i]) * v[b, h, j]
// A key j is allowed for a query i
//   - under CAUSAL, if j <= i + length_k - length_q (the last query sees all keys);
//   - in the entry point with a key-padding mask, if keys[b, j] is not 0.
// A query without any allowed key gets out = 0 and lse = 0; one of whose scores any is a NaN or infinity, or all minus
// infinity, gets NaN.
//
// LANES invocations own a query and fold four keys at a time into the running maximum, sum and output ("online softmax"):
// each has its part of the head, and the scores are summed through workgroup memory. All rows of a workgroup read the same
// keys at the same time, which a GPU's cache broadcasts. With LANES = 1 no barrier is met.
//
// Takes `params`, WORKGROUP, CAUSAL, LANES, VECTORS, `vectors`, `over_lanes`, `limit_of` and `limit_of_workgroup` from
// heads.wgsl, and what a NaN is from library/not_a_number.wgsl.

@group(0) @binding(0) var<storage, read> q: array<vec4<f32>>;           // (batch, heads, length_q, head size / 4)
@group(0) @binding(1) var<storage, read> k: array<vec4<f32>>;           // (batch, heads, length_k, head size / 4)
@group(0) @binding(2) var<storage, read> v: array<vec4<f32>>;           // (batch, heads, length_k, head size / 4)
@group(0) @binding(3) var<storage, read_write> out: array<vec4<f32>>;   // (batch, heads, length_q, head size / 4)
@group(0) @binding(4) var<storage, read_write> lse: array<f32>;         // (batch, heads, length_q)
@group(0) @binding(5) var<storage, read> keys: array<f32>;              // (batch, length_k)

// No score but minus infinity is below.
const LOWEST: f32 = -3.4028234e38;

var<private> query: array<vec4<f32>, 32>;    // times the factor
var<private> output: array<vec4<f32>, 32>;
var<private> lane: u32;                      // among those of the row
var<private> start: u32;                     // of the invocation's part of the row
var<private> largest: f32;
var<private> total: f32;
var<private> none: bool;                     // no key was allowed so far

fn get_query(d: u32) -> vec4<f32> {
    if VECTORS == 0u {
        return params.factor * q[start + d * LANES];
    }
    return query[d];
}

fn get_output(d: u32) -> vec4<f32> {
    if VECTORS == 0u {
        return out[start + d * LANES];
    }
    return output[d];
}

fn put_output(d: u32, value: vec4<f32>) {
    if VECTORS == 0u {
        out[start + d * LANES] = value;
    } else {
        output[d] = value;
    }
}

fn begin(row: u32, local: u32) {
    lane = local % LANES;
    start = row * params.vectors + lane;
    for (var d = 0u; d < vectors(); d++) {
        if VECTORS > 0u {
            query[d] = params.factor * q[start + d * LANES];
        }
        put_output(d, vec4(0.0));
    }
    largest = LOWEST;
    total = 0.0;
    none = true;
}

// Folds the keys first .. first + 3 of a head in, if one of them is within the limit of the row.
fn fold(head: u32, first: u32, allowed: vec4<bool>, within: bool, local: u32) {
    // Keys past the last repeat it; they are not allowed.
    let each = min(vec4(first) + vec4(0u, 1u, 2u, 3u), vec4(params.length_k - 1u));
    let at = (vec4(head * params.length_k) + each) * params.vectors + lane;
    var scores = vec4(0.0);
    if within {
        for (var d = 0u; d < vectors(); d++) {
            let part = get_query(d);
            let i = at + d * LANES;
            scores += vec4(dot(part, k[i.x]), dot(part, k[i.y]), dot(part, k[i.z]), dot(part, k[i.w]));
        }
    }
    scores = over_lanes(scores, local);
    if within {
        fold_scores(scores, at, allowed);
    }
}

fn fold_scores(sums: vec4<f32>, at: vec4<u32>, allowed: vec4<bool>) {
    let scores = select(vec4(LOWEST), sums, allowed);
    let peak = max(max(largest, max(scores.x, scores.y)), max(scores.z, scores.w));
    let weights = select(select(exp(scores - peak), nan_of(scores), are_above_all(scores)), vec4(0.0), !allowed);
    none = none && !any(allowed);
    // Exactly 1 where the maximum stays: some drivers' exp(0) is not.
    let ratio = select(exp(largest - peak), 1.0, largest == peak);
    largest = peak;
    total = total * ratio + dot(weights, vec4(1.0));
    for (var d = 0u; d < vectors(); d++) {
        let i = at + d * LANES;
        let added = weights.x * v[i.x] + weights.y * v[i.y] + weights.z * v[i.z] + weights.w * v[i.w];
        put_output(d, get_output(d) * ratio + added);
    }
}

fn end(row: u32) {
    // Exponentials of numbers never all vanish.
    let without = is_nan(total) || total == 0.0;
    let factor = select(1.0 / max(total, 1.0), nan_from(total), without);
    for (var d = 0u; d < vectors(); d++) {
        out[start + d * LANES] = select(get_output(d) * factor, vec4(0.0), none);
    }
    if lane == 0u {
        lse[row] = select(select(largest + log(max(total, 1.0)), nan_from(total), without), 0.0, none);
    }
}

@compute @workgroup_size(WORKGROUP)
fn attention(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    // Rows past the last repeat it, so that every invocation meets every barrier; they store nothing.
    let first_row = (workgroup.x + workgroup.y * workgroups.x) * (WORKGROUP / LANES);
    let asked = first_row + local / LANES;
    let row = min(asked, params.rows - 1u);
    let limit = select(0u, limit_of(row), asked < params.rows);
    let longest = limit_of_workgroup(first_row);
    if asked < params.rows {
        begin(row, local);
    }
    for (var first = 0u; first < longest; first += 4u) {
        let each = vec4(first) + vec4(0u, 1u, 2u, 3u);
        fold(row / params.length_q, first, each < vec4(limit), first < limit, local);
    }
    if asked < params.rows {
        end(row);
    }
}

@compute @workgroup_size(WORKGROUP)
fn attention_keys(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let first_row = (workgroup.x + workgroup.y * workgroups.x) * (WORKGROUP / LANES);
    let asked = first_row + local / LANES;
    let row = min(asked, params.rows - 1u);
    let limit = select(0u, limit_of(row), asked < params.rows);
    let longest = limit_of_workgroup(first_row);
    let head = row / params.length_q;
    let mask = head / params.heads * params.length_k;
    if asked < params.rows {
        begin(row, local);
    }
    for (var first = 0u; first < longest; first += 4u) {
        let each = vec4(first) + vec4(0u, 1u, 2u, 3u);
        let at = vec4(mask) + min(each, vec4(params.length_k - 1u));
        let kept = vec4(keys[at.x], keys[at.y], keys[at.z], keys[at.w]) != vec4(0.0);
        fold(head, first, (each < vec4(limit)) & kept, first < limit, local);
    }
    if asked < params.rows {
        end(row);
    }
}
