// Gradients of multi-head scaled dot-product attention, in three dispatches without atomics. With score, lse and the
// allowed pairs (i, j) as in attention.wgsl, for each batch and head:
//     p[i, j]  = exp(score[i, j] - lse[i]) where allowed, else 0
//     delta[i] = sum_d dout[i, d] * out[i, d]                                             attention_terms
//     ds[i, j] = p[i, j] * (sum_d dout[i, d] * v[j, d] - delta[i])
//     dq[i]    = factor * sum_j ds[i, j] * k[j]                                           attention_dq
//     dk[j]    = factor * sum_i ds[i, j] * q[i],     dv[j] = sum_i p[i, j] * dout[i]      attention_dkv
//
// The probabilities are computed anew from the saved log-sum-exp. attention_terms stores lse and delta beside each
// other, which keeps attention_dkv_keys within eight bindings. In attention_dq an invocation owns a query and takes
// four keys at a time; in attention_dkv it owns a key and takes four queries at a time.

struct Uniform {
    rows: u32,       // batch * heads * length_q
    heads: u32,
    length_q: u32,
    length_k: u32,
    vectors: u32,    // head size / 4
    factor: f32,
}

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
@group(1) @binding(0) var<uniform> size: Uniform;

override WORKGROUP: u32 = 64u;
override CAUSAL: bool = false;
// The head size / 4 where the compiler shall unroll the loops over it; 0 where short code matters more.
override VECTORS: u32 = 0u;

// Room for a head of 128, and a little more: Mesa unrolls a loop of unknown length over an array of up to 32.
const ROOM: u32 = 36u;

// The owned query and its row of dout, or the owned key and value; and their gradients.
var<private> own: array<vec4<f32>, ROOM>;      // query or key, times the factor
var<private> other: array<vec4<f32>, ROOM>;    // dout or value
var<private> own_gradient: array<vec4<f32>, ROOM>;
var<private> other_gradient: array<vec4<f32>, ROOM>;

fn vectors() -> u32 {
    return select(VECTORS, size.vectors, VECTORS == 0u);
}

@compute @workgroup_size(WORKGROUP)
fn attention_terms(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let row = (workgroup.x + workgroup.y * workgroups.x) * WORKGROUP + local;
    if row >= size.rows {
        return;
    }
    var delta = 0.0;
    for (var d = row * size.vectors; d < (row + 1u) * size.vectors; d++) {
        delta += dot(out[d], out_gradient[d]);
    }
    written[row] = vec2(lse[row], delta);
}

// The number of keys that the causal mask allows for a row.
fn limit_of(row: u32) -> u32 {
    if CAUSAL {
        return max(row % size.length_q + 1u + size.length_k, size.length_q) - size.length_q;
    }
    return size.length_k;
}

fn begin_dq(row: u32) {
    for (var d = 0u; d < vectors(); d++) {
        own[d] = size.factor * q[row * vectors() + d];
        other[d] = dout[row * vectors() + d];
        own_gradient[d] = vec4(0.0);
    }
}

// Adds the share of the keys first .. first + 3 of a head.
fn add_keys(head: u32, first: u32, allowed: vec4<bool>, term: vec2<f32>) {
    // Keys past the last repeat it; they are not allowed.
    let at = (vec4(head * size.length_k) + min(vec4(first) + vec4(0u, 1u, 2u, 3u), vec4(size.length_k - 1u))) * vectors();
    var scores = vec4(0.0);
    var products = vec4(0.0);
    for (var d = 0u; d < vectors(); d++) {
        let a = own[d];
        let b = other[d];
        scores += vec4(dot(a, k[at.x + d]), dot(a, k[at.y + d]), dot(a, k[at.z + d]), dot(a, k[at.w + d]));
        products += vec4(dot(b, v[at.x + d]), dot(b, v[at.y + d]), dot(b, v[at.z + d]), dot(b, v[at.w + d]));
    }
    // A score never exceeds the log-sum-exp but by rounding, which for huge scores may be large.
    let p = select(vec4(0.0), exp(min(scores - term.x, vec4(0.0))), allowed);
    let ds = p * (products - term.y);
    for (var d = 0u; d < vectors(); d++) {
        own_gradient[d] += ds.x * k[at.x + d] + ds.y * k[at.y + d] + ds.z * k[at.z + d] + ds.w * k[at.w + d];
    }
}

fn end_dq(row: u32) {
    for (var d = 0u; d < vectors(); d++) {
        dq[row * vectors() + d] = size.factor * own_gradient[d];
    }
}

@compute @workgroup_size(WORKGROUP)
fn attention_dq(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let row = (workgroup.x + workgroup.y * workgroups.x) * WORKGROUP + local;
    if row >= size.rows {
        return;
    }
    let limit = limit_of(row);
    begin_dq(row);
    for (var first = 0u; first < limit; first += 4u) {
        add_keys(row / size.length_q, first, vec4(first) + vec4(0u, 1u, 2u, 3u) < vec4(limit), terms[row]);
    }
    end_dq(row);
}

@compute @workgroup_size(WORKGROUP)
fn attention_dq_keys(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let row = (workgroup.x + workgroup.y * workgroups.x) * WORKGROUP + local;
    if row >= size.rows {
        return;
    }
    let limit = limit_of(row);
    let head = row / size.length_q;
    let mask = head / size.heads * size.length_k;
    begin_dq(row);
    for (var first = 0u; first < limit; first += 4u) {
        let each = vec4(first) + vec4(0u, 1u, 2u, 3u);
        let at = vec4(mask) + min(each, vec4(size.length_k - 1u));
        let kept = vec4(keys_of_dq[at.x], keys_of_dq[at.y], keys_of_dq[at.z], keys_of_dq[at.w]) != vec4(0.0);
        add_keys(head, first, (each < vec4(limit)) & kept, terms[row]);
    }
    end_dq(row);
}

// Sums the share of all queries from `begin` on.
fn add_queries(row: u32, begin: u32) {
    for (var d = 0u; d < vectors(); d++) {
        own[d] = size.factor * k[row * vectors() + d];
        other[d] = v[row * vectors() + d];
        own_gradient[d] = vec4(0.0);
        other_gradient[d] = vec4(0.0);
    }
    let head = row / size.length_k;
    for (var first = begin; first < size.length_q; first += 4u) {
        // Queries past the last repeat it; they do not count.
        let each = vec4(first) + vec4(0u, 1u, 2u, 3u);
        let rows = vec4(head * size.length_q) + min(each, vec4(size.length_q - 1u));
        let at = rows * vectors();
        var scores = vec4(0.0);
        var products = vec4(0.0);
        for (var d = 0u; d < vectors(); d++) {
            let a = own[d];
            let b = other[d];
            scores += vec4(dot(a, q[at.x + d]), dot(a, q[at.y + d]), dot(a, q[at.z + d]), dot(a, q[at.w + d]));
            products += vec4(dot(b, dout[at.x + d]), dot(b, dout[at.y + d]), dot(b, dout[at.z + d]), dot(b, dout[at.w + d]));
        }
        let x = terms[rows.x];
        let y = terms[rows.y];
        let z = terms[rows.z];
        let w = terms[rows.w];
        let excess = min(scores - vec4(x.x, y.x, z.x, w.x), vec4(0.0));
        let p = select(vec4(0.0), exp(excess), each < vec4(size.length_q));
        let ds = p * (products - vec4(x.y, y.y, z.y, w.y));
        for (var d = 0u; d < vectors(); d++) {
            own_gradient[d] += ds.x * q[at.x + d] + ds.y * q[at.y + d] + ds.z * q[at.z + d] + ds.w * q[at.w + d];
            other_gradient[d] += p.x * dout[at.x + d] + p.y * dout[at.y + d] + p.z * dout[at.z + d] + p.w * dout[at.w + d];
        }
    }
    for (var d = 0u; d < vectors(); d++) {
        dk[row * vectors() + d] = size.factor * own_gradient[d];
        dv[row * vectors() + d] = other_gradient[d];
    }
}

// The first query for which the causal mask allows the key of a row.
fn first_query(row: u32) -> u32 {
    if CAUSAL {
        return max(row % size.length_k + size.length_q, size.length_k) - size.length_k;
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
    if row < size.rows / size.length_q * size.length_k {
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
    if row < size.rows / size.length_q * size.length_k {
        let mask = row / size.length_k / size.heads * size.length_k + row % size.length_k;
        // A key that is masked has no query.
        add_queries(row, select(size.length_q, first_query(row), keys_of_dkv[mask] != 0.0));
    }
}
