// Cross-entropy of the softmax of logits with smoothed one-hot targets: loss and gradient in one kernel.
//     target[r, c]  = (1 - smoothing) * [c = label[r]] + smoothing / classes
//     loss[r]       = -sum_c target[r, c] * log_softmax(logits)[r, c]
//     dlogits[r, c] = softmax(logits)[r, c] - target[r, c]     (the gradient of the row's own loss)
// A row whose label is not below `classes` is left out: loss and gradient are 0.
//
// Since the targets of a row sum to 1, with m = max_c logits and s = sum_c exp(logits - m):
//     loss = log s - (1 - smoothing) * (logits[label] - m) - smoothing / classes * sum_c (logits - m).
// LANES neighbouring invocations share a row; with LANES = 1 no barrier is met.
//
// A class whose logit is minus infinity has probability 0, and an infinite loss if it is the label or smoothed; a row of
// nothing else, or with a NaN or infinity, is NaN.
//
// Takes WORKGROUP and LANES from library/rows.wgsl, `join_lanes` from library/join_lanes.wgsl, and what a NaN is from
// library/not_a_number.wgsl.

struct Uniform {
    rows: u32,
    classes: u32,
    smoothing: f32,
}

@group(0) @binding(0) var<storage, read> logits: array<f32>;          // (rows, classes)
@group(0) @binding(1) var<storage, read> labels: array<u32>;          // (rows)
@group(0) @binding(2) var<storage, read_write> losses: array<f32>;    // (rows)
@group(0) @binding(3) var<storage, read_write> dlogits: array<f32>;   // (rows, classes)
@group(1) @binding(0) var<uniform> params: Uniform;

const LOWEST: f32 = -3.4028234e38;

alias Part = vec3<f32>;

// A part of a row is (m, s, d): its largest logit m, no lower than LOWEST, the sum s of exp(logit - m), NaN where there is
// none, and, where the targets are smoothed, their share of the sum of the differences between its logits and the row's
// first, which stay small where the logits are large and close together.
fn join(a: vec3<f32>, b: vec3<f32>) -> vec3<f32> {
    let ratio = exp(-abs(a.x - b.x));
    let d = a.z + b.z;
    return select(vec3(b.x, a.y * ratio + b.y, d), vec3(a.x, a.y + b.y * ratio, d), a.x >= b.x);
}

// mass * (logit - origin), by quarters: the difference itself might overflow. A mass of 0 counts infinite logits out.
fn share(mass: f32, logit: f32, origin: f32) -> f32 {
    return select(0.0, (4.0 * mass) * (0.25 * logit - 0.25 * origin), mass > 0.0);
}

@compute @workgroup_size(WORKGROUP)
fn cross_entropy(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let lane = local % LANES;
    let asked = (workgroup.x + workgroup.y * workgroups.x) * (WORKGROUP / LANES) + local / LANES;
    // Rows past the last repeat it, so that every invocation meets every barrier; they store nothing.
    let row = min(asked, params.rows - 1u);
    let start = row * params.classes;
    let even = params.smoothing / f32(params.classes);
    let first = max(logits[start], LOWEST);
    var part = vec3(first, 0.0, 0.0);
    for (var c = lane; c < params.classes; c += LANES) {
        let logit = logits[start + c];
        let mass = select(1.0, nan_from(logit), is_above_all(logit));
        part = join(part, vec3(logit, mass, share(even, logit, first)));
    }
    part = join_lanes(part, local);
    if asked < params.rows {
        let label = labels[row];
        let counts = label < params.classes;
        // NaN where all exponentials vanish, which those of numbers never do.
        let total = select(part.y, nan_from(part.y), part.y == 0.0);
        if lane == 0u {
            let right = logits[start + min(label, params.classes - 1u)] - part.x;
            let missed = select(0.0, (1.0 - params.smoothing) * right, params.smoothing < 1.0);
            let spread = part.z + share(params.smoothing, first, part.x);
            let loss = select(log(total) - missed - spread, total, is_nan(total));
            losses[row] = select(0.0, loss, counts);
        }
        let factor = 1.0 / total;
        for (var c = lane; c < params.classes; c += LANES) {
            let probability = exp(logits[start + c] - part.x) * factor;
            let goal = even + select(0.0, 1.0 - params.smoothing, c == label);
            dlogits[start + c] = select(0.0, probability - goal, counts);
        }
    }
}
