// The fitness of every member of a population, and one row that sums up a generation.
//
//   mean      fitness[m] = sum_e returns[m, e] / episodes
//   summary   over the members whose fitness is a number (an episode that went astray gives a NaN):
//             metrics = (mean, best and worst fitness, mean length of an episode,
//                        steps of all episodes / 2^24, steps mod 2^24, members whose fitness is a NaN)
//
// The steps are counted in 64 bits and split, so that f32 holds both parts exactly (up to 2^48 steps): a ring of f32
// rows records the progress of many generations before the host reads it.

struct Uniform {
    members: u32,
    episodes: u32,
}

struct Part {
    sum: f32,
    best: f32,
    worst: f32,
    numbers: u32,     // fitnesses that are no NaN; best and worst mean nothing where there are none
    steps_low: u32,
    steps_high: u32,
}

@group(0) @binding(0) var<storage, read> returns: array<f32>;             // (members, episodes)
@group(0) @binding(1) var<storage, read_write> fitness: array<f32>;       // (members)

@group(0) @binding(0) var<storage, read> member_fitness: array<f32>;      // (members)
@group(0) @binding(1) var<storage, read> lengths: array<u32>;             // (members, episodes): steps of each episode
@group(0) @binding(2) var<storage, read_write> metrics: array<f32>;       // (7)

@group(1) @binding(0) var<uniform> params: Uniform;

override WORKGROUP: u32 = 64u;

var<workgroup> parts: array<Part, WORKGROUP>;

// One invocation for each member.
@compute @workgroup_size(WORKGROUP)
fn mean(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let m = (workgroup.x + workgroup.y * workgroups.x) * WORKGROUP + local;
    if m < params.members {
        var sum = 0.0;
        for (var e = 0u; e < params.episodes; e++) {
            sum += returns[m * params.episodes + e];
        }
        fitness[m] = sum / f32(params.episodes);
    }
}

// By its bits, since compilers may take it that no number is a NaN.
fn is_nan(x: f32) -> bool {
    return (bitcast<u32>(x) & 0x7FFFFFFFu) > 0x7F800000u;
}

fn join(a: Part, b: Part) -> Part {
    let steps_low = a.steps_low + b.steps_low;
    let carry = select(0u, 1u, steps_low < a.steps_low);
    var both = Part(a.sum + b.sum, max(a.best, b.best), min(a.worst, b.worst), a.numbers + b.numbers, steps_low,
        a.steps_high + b.steps_high + carry);
    both.best = select(select(both.best, a.best, b.numbers == 0u), b.best, a.numbers == 0u);
    both.worst = select(select(both.worst, a.worst, b.numbers == 0u), b.worst, a.numbers == 0u);
    return both;
}

// One workgroup: each lane joins every WORKGROUP-th element, then the lanes join in a tree.
@compute @workgroup_size(WORKGROUP)
fn summary(@builtin(local_invocation_index) local: u32) {
    var part = Part(0.0, 0.0, 0.0, 0u, 0u, 0u);
    for (var m = local; m < params.members; m += WORKGROUP) {
        let x = member_fitness[m];
        if !is_nan(x) {
            part = join(part, Part(x, x, x, 1u, 0u, 0u));
        }
    }
    for (var e = local; e < params.members * params.episodes; e += WORKGROUP) {
        part = join(part, Part(0.0, 0.0, 0.0, 0u, lengths[e], 0u));
    }
    parts[local] = part;
    for (var stride = WORKGROUP / 2u; stride > 0u; stride /= 2u) {
        workgroupBarrier();
        if local < stride {
            parts[local] = join(parts[local], parts[local + stride]);
        }
    }
    if local == 0u {
        let whole = parts[0];
        metrics[0] = whole.sum / f32(max(whole.numbers, 1u));
        metrics[1] = whole.best;
        metrics[2] = whole.worst;
        metrics[3] = (f32(whole.steps_high) * 4294967296.0 + f32(whole.steps_low)) / f32(params.members * params.episodes);
        metrics[4] = f32((whole.steps_high << 8u) | (whole.steps_low >> 24u));
        metrics[5] = f32(whole.steps_low & 0xFFFFFFu);
        metrics[6] = f32(params.members - whole.numbers);
    }
}
