// Softmax of attention scores along the keys, of scaled scores and with masks:
//     y[b, h, i, j] = exp(factor * x[b, h, i, j] - m) / sum_j exp(factor * x[b, h, i, j] - m)   where (i, j) is allowed
//     y[b, h, i, j] = 0                                                                         where it is not
// with sum and maximum m over the allowed keys of the row. A key j is allowed for a query i
//   - under CAUSAL, if j < first + i * stride (stride is 1, and first leaves all keys to the last query, where there is
//     a query for each key; it is 3 for a query of every third token);
//   - in the entry points with a key-padding mask, if keys[b, j] is not 0.
// A row without any allowed key is 0 throughout. A score of minus infinity has probability 0; a row of which nothing else
// is allowed, or a NaN or infinity, is NaN where it is allowed.
//
// LANES neighbouring invocations share a row; with LANES = 1 no barrier is met. The entry points ending in vec4 take a
// length_k that is a multiple of four.
//
// Takes WORKGROUP, LANES and `row_of` from library/rows.wgsl, `join_lanes` from library/join_lanes.wgsl, and what a NaN
// is from library/not_a_number.wgsl.

struct Uniform {
    rows: u32,       // batch * heads * length_q
    heads: u32,
    length_q: u32,
    length_k: u32,
    factor: f32,
    first: i32,      // the keys that query 0 sees under CAUSAL
    stride: u32,     // how many more each next one sees
}

@group(0) @binding(0) var<storage, read> x: array<f32>;                // (batch, heads, length_q, length_k)
@group(0) @binding(1) var<storage, read_write> y: array<f32>;          // (batch, heads, length_q, length_k)
@group(0) @binding(0) var<storage, read> x4: array<vec4<f32>>;         // (batch, heads, length_q, length_k / 4)
@group(0) @binding(1) var<storage, read_write> y4: array<vec4<f32>>;   // (batch, heads, length_q, length_k / 4)

// with a key-padding mask
@group(0) @binding(1) var<storage, read> keys: array<f32>;                  // (batch, length_k)
@group(0) @binding(2) var<storage, read_write> masked: array<f32>;          // y
@group(0) @binding(1) var<storage, read> keys4: array<vec4<f32>>;           // (batch, length_k / 4)
@group(0) @binding(2) var<storage, read_write> masked4: array<vec4<f32>>;   // y
@group(1) @binding(0) var<uniform> params: Uniform;

override CAUSAL: bool = false;

alias Part = vec3<f32>;

// No score but minus infinity is below: the maximum of no keys.
const LOWEST: f32 = -3.4028234e38;

// A part of a row is (m, s, n): its largest scaled score m, no lower than LOWEST, the sum s of exp(score - m) over its
// allowed keys, NaN where there is none, and n = 1 where a key is allowed, else 0.
fn join(a: vec3<f32>, b: vec3<f32>) -> vec3<f32> {
    let ratio = exp(-abs(a.x - b.x));
    let n = max(a.z, b.z);
    return select(vec3(b.x, a.y * ratio + b.y, n), vec3(a.x, a.y + b.y * ratio, n), a.x >= b.x);
}

fn join_one(part: vec3<f32>, score: f32) -> vec3<f32> {
    return join(part, vec3(score, select(1.0, nan_from(score), is_above_all(score)), 1.0));
}

fn join_four(part: vec3<f32>, values: vec4<f32>, allowed: vec4<bool>) -> vec3<f32> {
    let scores = select(vec4(LOWEST), params.factor * values, allowed);
    let largest = max(max(max(scores.x, scores.y), max(scores.z, scores.w)), LOWEST);
    let masses = select(select(exp(scores - largest), nan_of(scores), are_above_all(scores)), vec4(0.0), !allowed);
    return join(part, vec3(largest, dot(masses, vec4(1.0)), select(0.0, 1.0, any(allowed))));
}

// The (m, 1 / s) of each row, or (m, 0) where no key is allowed.
fn normaliser(part: vec3<f32>, local: u32) -> vec2<f32> {
    let joined = join_lanes(part, local);
    // Exponentials of numbers never all vanish.
    let without = is_nan(joined.y) || joined.y == 0.0;
    let factor = select(1.0 / max(joined.y, 1.0), nan_from(joined.y), without);
    return vec2(joined.x, select(0.0, factor, joined.z > 0.0));
}

// The number of keys that the causal mask allows for a row.
fn limit_of(row: u32) -> u32 {
    if CAUSAL {
        let seen = params.first + i32((row % params.length_q) * params.stride);
        return u32(clamp(seen, 0, i32(params.length_k)));
    }
    return params.length_k;
}

@compute @workgroup_size(WORKGROUP)
fn masked_softmax(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let asked = row_of(workgroup, workgroups, local);
    // Rows past the last repeat it, so that every invocation meets every barrier; they store nothing.
    let row = min(asked, params.rows - 1u);
    let start = row * params.length_k;
    let limit = limit_of(row);
    var part = vec3(LOWEST, 0.0, 0.0);
    for (var c = local % LANES; c < limit; c += LANES) {
        part = join_one(part, params.factor * x[start + c]);
    }
    let whole = normaliser(part, local);
    if asked < params.rows {
        for (var c = local % LANES; c < params.length_k; c += LANES) {
            y[start + c] = select(0.0, exp(params.factor * x[start + c] - whole.x) * whole.y, c < limit);
        }
    }
}

@compute @workgroup_size(WORKGROUP)
fn masked_softmax_keys(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let asked = row_of(workgroup, workgroups, local);
    let row = min(asked, params.rows - 1u);
    let start = row * params.length_k;
    let limit = limit_of(row);
    let mask = row / (params.heads * params.length_q) * params.length_k;
    var part = vec3(LOWEST, 0.0, 0.0);
    for (var c = local % LANES; c < limit; c += LANES) {
        if keys[mask + c] != 0.0 {
            part = join_one(part, params.factor * x[start + c]);
        }
    }
    let whole = normaliser(part, local);
    if asked < params.rows {
        for (var c = local % LANES; c < params.length_k; c += LANES) {
            let allowed = c < limit && keys[mask + c] != 0.0;
            masked[start + c] = select(0.0, exp(params.factor * x[start + c] - whole.x) * whole.y, allowed);
        }
    }
}

@compute @workgroup_size(WORKGROUP)
fn masked_softmax_vec4(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let asked = row_of(workgroup, workgroups, local);
    let row = min(asked, params.rows - 1u);
    let columns = params.length_k / 4u;
    let start = row * columns;
    let limit = limit_of(row);
    var part = vec3(LOWEST, 0.0, 0.0);
    for (var c = local % LANES; 4u * c < limit; c += LANES) {
        part = join_four(part, x4[start + c], vec4(4u * c) + vec4(0u, 1u, 2u, 3u) < vec4(limit));
    }
    let whole = normaliser(part, local);
    if asked < params.rows {
        for (var c = local % LANES; c < columns; c += LANES) {
            let allowed = vec4(4u * c) + vec4(0u, 1u, 2u, 3u) < vec4(limit);
            y4[start + c] = select(vec4(0.0), exp(params.factor * x4[start + c] - whole.x) * whole.y, allowed);
        }
    }
}

@compute @workgroup_size(WORKGROUP)
fn masked_softmax_keys_vec4(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let asked = row_of(workgroup, workgroups, local);
    let row = min(asked, params.rows - 1u);
    let columns = params.length_k / 4u;
    let start = row * columns;
    let limit = limit_of(row);
    let mask = row / (params.heads * params.length_q) * columns;
    var part = vec3(LOWEST, 0.0, 0.0);
    for (var c = local % LANES; 4u * c < limit; c += LANES) {
        let causal = vec4(4u * c) + vec4(0u, 1u, 2u, 3u) < vec4(limit);
        part = join_four(part, x4[start + c], causal & (keys4[mask + c] != vec4(0.0)));
    }
    let whole = normaliser(part, local);
    if asked < params.rows {
        for (var c = local % LANES; c < columns; c += LANES) {
            let causal = vec4(4u * c) + vec4(0u, 1u, 2u, 3u) < vec4(limit);
            let allowed = causal & (keys4[mask + c] != vec4(0.0));
            masked4[start + c] = select(vec4(0.0), exp(params.factor * x4[start + c] - whole.x) * whole.y, allowed);
        }
    }
}
