// Gradients of multi-head scaled dot-product attention, in three dispatches without atomics. With score, lse and the
// allowed pairs (i, j) as in attention.wgsl, for each batch and head:
//     p[i, j]  = exp(score[i, j] - lse[i]) where allowed, else 0
//     delta[i] = sum_d dout[i, d] * out[i, d]                                             attention_terms
//     ds[i, j] = p[i, j] * (sum_d dout[i, d] * v[j, d] - delta[i])
//     dq[i]    = factor * sum_j ds[i, j] * k[j]                                           attention_dq
//     dk[j]    = factor * sum_i ds[i, j] * q[i],     dv[j] = sum_i p[i, j] * dout[i]      attention_dkv
//
// Takes `params`, WORKGROUP, CAUSAL, VECTORS, `vectors` and `limit_of` from heads.wgsl, and what a NaN is from
// library/not_a_number.wgsl.
//
// The probabilities are computed anew from the saved log-sum-exp. attention_terms stores lse and delta beside each
// other, which keeps attention_dkv_keys within eight bindings. In attention_dq an invocation owns a query and takes
// four keys at a time; in attention_dkv it owns a key and takes four queries at a time.

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

// The rows that an invocation owns: of q, dout and dq, or of k, v, dk and dv. Queries and keys are times the factor.
var<private> own: array<vec4<f32>, 32>;
var<private> other: array<vec4<f32>, 32>;
var<private> own_gradient: array<vec4<f32>, 32>;
var<private> other_gradient: array<vec4<f32>, 32>;
var<private> start: u32;

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
        return params.factor * q[start + d];
    }
    return own[d];
}

fn get_dout(d: u32) -> vec4<f32> {
    if VECTORS == 0u {
        return dout[start + d];
    }
    return other[d];
}

fn get_dq(d: u32) -> vec4<f32> {
    if VECTORS == 0u {
        return dq[start + d];
    }
    return own_gradient[d];
}

fn put_dq(d: u32, value: vec4<f32>) {
    if VECTORS == 0u {
        dq[start + d] = value;
    } else {
        own_gradient[d] = value;
    }
}

fn begin_dq(row: u32) {
    start = row * vectors();
    for (var d = 0u; d < vectors(); d++) {
        if VECTORS > 0u {
            own[d] = params.factor * q[start + d];
            other[d] = dout[start + d];
        }
        put_dq(d, vec4(0.0));
    }
}

// exp(excess) of the excess of scores over the log-sum-exp: above 0 by rounding alone, which for huge scores may be large.
fn probabilities(excess: vec4<f32>) -> vec4<f32> {
    return or_nan(excess, exp(min(excess, vec4(0.0))));
}

// Adds the share of the keys first .. first + 3 of a head.
fn add_keys(head: u32, first: u32, allowed: vec4<bool>, term: vec2<f32>) {
    // Keys past the last repeat it; they are not allowed.
    let at = (vec4(head * params.length_k) + min(vec4(first) + vec4(0u, 1u, 2u, 3u), vec4(params.length_k - 1u))) * vectors();
    var scores = vec4(0.0);
    var products = vec4(0.0);
    for (var d = 0u; d < vectors(); d++) {
        let a = get_query(d);
        let b = get_dout(d);
        scores += vec4(dot(a, k[at.x + d]), dot(a, k[at.y + d]), dot(a, k[at.z + d]), dot(a, k[at.w + d]));
        products += vec4(dot(b, v[at.x + d]), dot(b, v[at.y + d]), dot(b, v[at.z + d]), dot(b, v[at.w + d]));
    }
    let p = select(vec4(0.0), probabilities(scores - term.x), allowed);
    let ds = p * (products - term.y);
    for (var d = 0u; d < vectors(); d++) {
        let added = ds.x * k[at.x + d] + ds.y * k[at.y + d] + ds.z * k[at.z + d] + ds.w * k[at.w + d];
        put_dq(d, get_dq(d) + added);
    }
}

fn end_dq() {
    for (var d = 0u; d < vectors(); d++) {
        dq[start + d] = params.factor * get_dq(d);
    }
}

@compute @workgroup_size(WORKGROUP)
fn attention_dq(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let row = (workgroup.x + workgroup.y * workgroups.x) * WORKGROUP + local;
    if row >= params.rows {
        return;
    }
    let limit = limit_of(row);
    begin_dq(row);
    for (var first = 0u; first < limit; first += 4u) {
        add_keys(row / params.length_q, first, vec4(first) + vec4(0u, 1u, 2u, 3u) < vec4(limit), terms[row]);
    }
    end_dq();
}

@compute @workgroup_size(WORKGROUP)
fn attention_dq_keys(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let row = (workgroup.x + workgroup.y * workgroups.x) * WORKGROUP + local;
    if row >= params.rows {
        return;
    }
    let limit = limit_of(row);
    let head = row / params.length_q;
    let mask = head / params.heads * params.length_k;
    begin_dq(row);
    for (var first = 0u; first < limit; first += 4u) {
        let each = vec4(first) + vec4(0u, 1u, 2u, 3u);
        let at = vec4(mask) + min(each, vec4(params.length_k - 1u));
        let kept = vec4(keys_of_dq[at.x], keys_of_dq[at.y], keys_of_dq[at.z], keys_of_dq[at.w]) != vec4(0.0);
        add_keys(head, first, (each < vec4(limit)) & kept, terms[row]);
    }
    end_dq();
}

fn get_key(d: u32) -> vec4<f32> {
    if VECTORS == 0u {
        return params.factor * k[start + d];
    }
    return own[d];
}

fn get_value(d: u32) -> vec4<f32> {
    if VECTORS == 0u {
        return v[start + d];
    }
    return other[d];
}

fn get_dk(d: u32) -> vec4<f32> {
    if VECTORS == 0u {
        return dk[start + d];
    }
    return own_gradient[d];
}

fn get_dv(d: u32) -> vec4<f32> {
    if VECTORS == 0u {
        return dv[start + d];
    }
    return other_gradient[d];
}

fn put_dkv(d: u32, key: vec4<f32>, value: vec4<f32>) {
    if VECTORS == 0u {
        dk[start + d] = key;
        dv[start + d] = value;
    } else {
        own_gradient[d] = key;
        other_gradient[d] = value;
    }
}

// Sums the share of all queries from `begin` on.
fn add_queries(row: u32, begin: u32) {
    start = row * vectors();
    for (var d = 0u; d < vectors(); d++) {
        if VECTORS > 0u {
            own[d] = params.factor * k[start + d];
            other[d] = v[start + d];
        }
        put_dkv(d, vec4(0.0), vec4(0.0));
    }
    let head = row / params.length_k;
    for (var first = begin; first < params.length_q; first += 4u) {
        // Queries past the last repeat it; they do not count.
        let each = vec4(first) + vec4(0u, 1u, 2u, 3u);
        let rows = vec4(head * params.length_q) + min(each, vec4(params.length_q - 1u));
        let at = rows * vectors();
        var scores = vec4(0.0);
        var products = vec4(0.0);
        for (var d = 0u; d < vectors(); d++) {
            let a = get_key(d);
            let b = get_value(d);
            scores += vec4(dot(a, q[at.x + d]), dot(a, q[at.y + d]), dot(a, q[at.z + d]), dot(a, q[at.w + d]));
            products += vec4(dot(b, dout[at.x + d]), dot(b, dout[at.y + d]), dot(b, dout[at.z + d]), dot(b, dout[at.w + d]));
        }
        let x = terms[rows.x];
        let y = terms[rows.y];
        let z = terms[rows.z];
        let w = terms[rows.w];
        let p = select(vec4(0.0), probabilities(scores - vec4(x.x, y.x, z.x, w.x)), each < vec4(params.length_q));
        let ds = p * (products - vec4(x.y, y.y, z.y, w.y));
        for (var d = 0u; d < vectors(); d++) {
            let key = ds.x * q[at.x + d] + ds.y * q[at.y + d] + ds.z * q[at.z + d] + ds.w * q[at.w + d];
            let value = p.x * dout[at.x + d] + p.y * dout[at.y + d] + p.z * dout[at.z + d] + p.w * dout[at.w + d];
            put_dkv(d, get_dk(d) + key, get_dv(d) + value);
        }
    }
    for (var d = 0u; d < vectors(); d++) {
        dk[start + d] = params.factor * get_dk(d);
        dv[start + d] = get_dv(d);
    }
}

// The first query for which the causal mask allows the key of a row.
fn first_query(row: u32) -> u32 {
    if CAUSAL {
        return max(row % params.length_k + params.length_q, params.length_k) - params.length_k;
    }
    return 0u;
}

@compute @workgroup_size(WORKGROUP)
fn attention_dkv(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let row = (workgroup.x + workgroup.y * workgroups.x) * WORKGROUP + local;
    if row < params.rows / params.length_q * params.length_k {
        add_queries(row, first_query(row));
    }
}

@compute @workgroup_size(WORKGROUP)
fn attention_dkv_keys(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let row = (workgroup.x + workgroup.y * workgroups.x) * WORKGROUP + local;
    if row < params.rows / params.length_q * params.length_k {
        let mask = row / params.length_k / params.heads * params.length_k + row % params.length_k;
        // A key that is masked has no query.
        add_queries(row, select(params.length_q, first_query(row), keys_of_dkv[mask] != 0.0));
    }
}
