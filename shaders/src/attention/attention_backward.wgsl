// Gradients of multi-head scaled dot-product attention, in three dispatches without atomics. With score, lse and the
// allowed pairs (i, j) as in attention.wgsl, for each batch and head:
//     p[i, j]  = exp(score[i, j] - lse[i]) where allowed, else 0
//     delta[i] = sum_d dout[i, d] * out[i, d]                                             attention_terms
//     ds[i, j] = p[i, j] * (sum_d dout[i, d] * v[j, d] - delta[i])
//     dq[i]    = factor * sum_j ds[i, j] * k[j]                                           attention_dq
//     dk[j]    = factor * sum_i ds[i, j] * q[i],     dv[j] = sum_i p[i, j] * dout[i]      attention_dkv
//
// Takes `params`, WORKGROUP, CAUSAL, LANES, VECTORS, `vectors`, `over_lanes`, `limit_of` and `limit_of_workgroup` from
// heads.wgsl, and what a NaN is from library/not_a_number.wgsl.
//
// The probabilities are computed anew from the saved log-sum-exp. attention_terms stores lse and delta beside each
// other, which keeps attention_dkv_keys within eight bindings. In attention_dq LANES invocations own a query and take four
// keys at a time; in attention_dkv they own a key and take four queries at a time. Each has its part of the head; rows past
// the last are met by invocations that only wait at barriers.

// attention_terms
@group(0) @binding(0) var<storage, read> out: array<vec4<f32>>;                // (batch, heads, length_q, head size / 4)
@group(0) @binding(1) var<storage, read> out_gradient: array<vec4<f32>>;       // (batch, heads, length_q, head size / 4)
@group(0) @binding(2) var<storage, read> lse: array<f32>;                      // (batch, heads, length_q)
@group(0) @binding(3) var<storage, read_write> written: array<vec2<f32>>;      // (batch, heads, length_q, 2)

// attention_dq and attention_dkv
@group(0) @binding(0) var<storage, read> q: array<vec4<f32>>;                  // (batch, heads, length_q, head size / 4)
@group(0) @binding(1) var<storage, read> k: array<vec4<f32>>;                  // (batch, heads, length_k, head size / 4)
@group(0) @binding(2) var<storage, read> v: array<vec4<f32>>;                  // (batch, heads, length_k, head size / 4)
@group(0) @binding(3) var<storage, read> dout: array<vec4<f32>>;               // (batch, heads, length_q, head size / 4)
@group(0) @binding(4) var<storage, read> terms: array<vec2<f32>>;              // (batch, heads, length_q, 2)
@group(0) @binding(5) var<storage, read_write> dq: array<vec4<f32>>;           // (batch, heads, length_q, head size / 4)
@group(0) @binding(6) var<storage, read> keys_of_dq: array<f32>;               // (batch, length_k)
@group(0) @binding(5) var<storage, read_write> dk: array<vec4<f32>>;           // (batch, heads, length_k, head size / 4)
@group(0) @binding(6) var<storage, read_write> dv: array<vec4<f32>>;           // (batch, heads, length_k, head size / 4)
@group(0) @binding(7) var<storage, read> keys_of_dkv: array<f32>;              // (batch, length_k)

// The parts of rows that an invocation owns: of q, dout and dq, or of k, v, dk and dv. Queries and keys are times the factor.
var<private> own: array<vec4<f32>, 32>;
var<private> other: array<vec4<f32>, 32>;
var<private> own_gradient: array<vec4<f32>, 32>;
var<private> other_gradient: array<vec4<f32>, 32>;
// Past every query: the beginning of a row that is not there.
const NOT_HERE: u32 = 0xFFFFFFFFu;

var<private> lane: u32;     // among those of the row
var<private> start: u32;    // of the part

@compute @workgroup_size(WORKGROUP)
fn attention_terms(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let row = (workgroup.x + workgroup.y * workgroups.x) * WORKGROUP + local;
    if row >= params.rows {
        return;
    }
    var delta = 0.0;
    for (var d = row * params.vectors; d < (row + 1u) * params.vectors; d++) {
        delta += dot(out[d], out_gradient[d]);
    }
    written[row] = vec2(lse[row], delta);
}

fn get_query(d: u32) -> vec4<f32> {
    if VECTORS == 0u {
        return params.factor * q[start + d * LANES];
    }
    return own[d];
}

fn get_dout(d: u32) -> vec4<f32> {
    if VECTORS == 0u {
        return dout[start + d * LANES];
    }
    return other[d];
}

fn get_dq(d: u32) -> vec4<f32> {
    if VECTORS == 0u {
        return dq[start + d * LANES];
    }
    return own_gradient[d];
}

fn put_dq(d: u32, value: vec4<f32>) {
    if VECTORS == 0u {
        dq[start + d * LANES] = value;
    } else {
        own_gradient[d] = value;
    }
}

fn place(row: u32, local: u32) {
    lane = local % LANES;
    start = row * params.vectors + lane;
}

fn begin_dq() {
    for (var d = 0u; d < vectors(); d++) {
        if VECTORS > 0u {
            own[d] = params.factor * q[start + d * LANES];
            other[d] = dout[start + d * LANES];
        }
        put_dq(d, vec4(0.0));
    }
}

// exp(excess) of the excess of scores over the log-sum-exp: above 0 by rounding alone, which for huge scores may be large.
fn probabilities(excess: vec4<f32>) -> vec4<f32> {
    return or_nan(excess, exp(min(excess, vec4(0.0))));
}

// Adds the share of the keys first .. first + 3 of a head, if one of them is within the limit of the row.
fn add_keys(head: u32, first: u32, allowed: vec4<bool>, within: bool, row: u32, local: u32) {
    // Keys past the last repeat it; they are not allowed.
    let each = min(vec4(first) + vec4(0u, 1u, 2u, 3u), vec4(params.length_k - 1u));
    let at = (vec4(head * params.length_k) + each) * params.vectors + lane;
    var scores = vec4(0.0);
    var products = vec4(0.0);
    if within {
        for (var d = 0u; d < vectors(); d++) {
            let a = get_query(d);
            let b = get_dout(d);
            let i = at + d * LANES;
            scores += vec4(dot(a, k[i.x]), dot(a, k[i.y]), dot(a, k[i.z]), dot(a, k[i.w]));
            products += vec4(dot(b, v[i.x]), dot(b, v[i.y]), dot(b, v[i.z]), dot(b, v[i.w]));
        }
    }
    scores = over_lanes(scores, local);
    products = over_lanes(products, local);
    if within {
        add_pairs(scores, products, at, allowed, terms[row]);
    }
}

fn add_pairs(scores: vec4<f32>, products: vec4<f32>, at: vec4<u32>, allowed: vec4<bool>, term: vec2<f32>) {
    let p = select(vec4(0.0), probabilities(scores - term.x), allowed);
    let ds = p * (products - term.y);
    for (var d = 0u; d < vectors(); d++) {
        let i = at + d * LANES;
        let added = ds.x * k[i.x] + ds.y * k[i.y] + ds.z * k[i.z] + ds.w * k[i.w];
        put_dq(d, get_dq(d) + added);
    }
}

fn end_dq() {
    for (var d = 0u; d < vectors(); d++) {
        dq[start + d * LANES] = params.factor * get_dq(d);
    }
}

@compute @workgroup_size(WORKGROUP)
fn attention_dq(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let first_row = (workgroup.x + workgroup.y * workgroups.x) * (WORKGROUP / LANES);
    let asked = first_row + local / LANES;
    let row = min(asked, params.rows - 1u);
    let limit = select(0u, limit_of(row), asked < params.rows);
    let longest = limit_of_workgroup(first_row);
    place(row, local);
    if asked < params.rows {
        begin_dq();
    }
    for (var first = 0u; first < longest; first += 4u) {
        let allowed = vec4(first) + vec4(0u, 1u, 2u, 3u) < vec4(limit);
        add_keys(row / params.length_q, first, allowed, first < limit, row, local);
    }
    if asked < params.rows {
        end_dq();
    }
}

@compute @workgroup_size(WORKGROUP)
fn attention_dq_keys(
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
    place(row, local);
    if asked < params.rows {
        begin_dq();
    }
    for (var first = 0u; first < longest; first += 4u) {
        let each = vec4(first) + vec4(0u, 1u, 2u, 3u);
        let at = vec4(mask) + min(each, vec4(params.length_k - 1u));
        let kept = vec4(keys_of_dq[at.x], keys_of_dq[at.y], keys_of_dq[at.z], keys_of_dq[at.w]) != vec4(0.0);
        add_keys(head, first, (each < vec4(limit)) & kept, first < limit, row, local);
    }
    if asked < params.rows {
        end_dq();
    }
}

fn get_key(d: u32) -> vec4<f32> {
    if VECTORS == 0u {
        return params.factor * k[start + d * LANES];
    }
    return own[d];
}

fn get_value(d: u32) -> vec4<f32> {
    if VECTORS == 0u {
        return v[start + d * LANES];
    }
    return other[d];
}

fn get_dk(d: u32) -> vec4<f32> {
    if VECTORS == 0u {
        return dk[start + d * LANES];
    }
    return own_gradient[d];
}

fn get_dv(d: u32) -> vec4<f32> {
    if VECTORS == 0u {
        return dv[start + d * LANES];
    }
    return other_gradient[d];
}

fn put_dkv(d: u32, key: vec4<f32>, value: vec4<f32>) {
    if VECTORS == 0u {
        dk[start + d * LANES] = key;
        dv[start + d * LANES] = value;
    } else {
        own_gradient[d] = key;
        other_gradient[d] = value;
    }
}

// Sums the share of all queries from `begin` on; the workgroup's loop begins at `earliest`.
fn add_queries(row: u32, begin: u32, earliest: u32, local: u32) {
    place(row, local);
    if begin <= params.length_q {
        for (var d = 0u; d < vectors(); d++) {
            if VECTORS > 0u {
                own[d] = params.factor * k[start + d * LANES];
                other[d] = v[start + d * LANES];
            }
            put_dkv(d, vec4(0.0), vec4(0.0));
        }
    }
    let head = row / params.length_k;
    for (var first = earliest; first < params.length_q; first += 4u) {
        // Queries past the last repeat it; they do not count.
        let each = vec4(first) + vec4(0u, 1u, 2u, 3u);
        let counts = (each >= vec4(begin)) & (each < vec4(params.length_q));
        let within = any(counts);
        let rows = vec4(head * params.length_q) + min(each, vec4(params.length_q - 1u));
        let at = rows * params.vectors + lane;
        var scores = vec4(0.0);
        var products = vec4(0.0);
        if within {
            for (var d = 0u; d < vectors(); d++) {
                let a = get_key(d);
                let b = get_value(d);
                let i = at + d * LANES;
                scores += vec4(dot(a, q[i.x]), dot(a, q[i.y]), dot(a, q[i.z]), dot(a, q[i.w]));
                products += vec4(dot(b, dout[i.x]), dot(b, dout[i.y]), dot(b, dout[i.z]), dot(b, dout[i.w]));
            }
        }
        scores = over_lanes(scores, local);
        products = over_lanes(products, local);
        if within {
            add_scores(scores, products, rows, counts);
        }
    }
    if begin <= params.length_q {
        for (var d = 0u; d < vectors(); d++) {
            dk[start + d * LANES] = params.factor * get_dk(d);
            dv[start + d * LANES] = get_dv(d);
        }
    }
}

// Adds the share of four queries.
fn add_scores(scores: vec4<f32>, products: vec4<f32>, rows: vec4<u32>, counts: vec4<bool>) {
    let x = terms[rows.x];
    let y = terms[rows.y];
    let z = terms[rows.z];
    let w = terms[rows.w];
    let p = select(vec4(0.0), probabilities(scores - vec4(x.x, y.x, z.x, w.x)), counts);
    let ds = p * (products - vec4(x.y, y.y, z.y, w.y));
    for (var d = 0u; d < vectors(); d++) {
        let i = rows * params.vectors + lane + d * LANES;
        let key = ds.x * q[i.x] + ds.y * q[i.y] + ds.z * q[i.z] + ds.w * q[i.w];
        let value = p.x * dout[i.x] + p.y * dout[i.y] + p.z * dout[i.z] + p.w * dout[i.w];
        put_dkv(d, get_dk(d) + key, get_dv(d) + value);
    }
}

// The first query for which the causal mask allows the key of a row.
fn first_query(row: u32) -> u32 {
    if CAUSAL {
        return max(row % params.length_k + params.length_q, params.length_k) - params.length_k;
    }
    return 0u;
}

// The first query of a workgroup's rows of keys, the same in all invocations, which meet barriers together: they grow along
// a head.
fn first_query_of_workgroup(first_row: u32, rows: u32) -> u32 {
    let last_row = min(first_row + WORKGROUP / LANES, rows) - 1u;
    let same_head = first_row / params.length_k == last_row / params.length_k;
    return first_query(select(0u, first_row, same_head));
}

@compute @workgroup_size(WORKGROUP)
fn attention_dkv(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let rows = params.rows / params.length_q * params.length_k;
    let first_row = (workgroup.x + workgroup.y * workgroups.x) * (WORKGROUP / LANES);
    let row = first_row + local / LANES;
    // A row past the last begins at no query.
    let begin = select(NOT_HERE, first_query(row), row < rows);
    add_queries(min(row, rows - 1u), begin, first_query_of_workgroup(first_row, rows), local);
}

@compute @workgroup_size(WORKGROUP)
fn attention_dkv_keys(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let rows = params.rows / params.length_q * params.length_k;
    let first_row = (workgroup.x + workgroup.y * workgroups.x) * (WORKGROUP / LANES);
    let asked = first_row + local / LANES;
    let row = min(asked, rows - 1u);
    let mask = row / params.length_k / params.heads * params.length_k + row % params.length_k;
    // A key that is masked has no query.
    let begin = select(params.length_q, first_query(row), keys_of_dkv[mask] != 0.0);
    add_queries(row, select(NOT_HERE, begin, asked < rows), first_query_of_workgroup(first_row, rows), local);
}
