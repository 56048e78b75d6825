// A tensor within a larger one of a constant value:
//     y[c] = x[c - before]  where 0 <= c_d - before_d < shape_d for every dimension d, else value.
//
// Elements are words, f32 or u32. Dimensions stand innermost first, those without padding merged into the next. In
// pad_vec4 all numbers count groups of four neighbours.

struct Uniform {
    count: u32,                       // of y
    value: u32,                       // the word
    unused: vec2<u32>,
    padded: array<vec4<u32>, 2>,      // (RANK), lengths of y, innermost first
    shape: array<vec4<u32>, 2>,       // (RANK), lengths of x
    before: array<vec4<u32>, 2>,      // (RANK)
}

@group(0) @binding(0) var<storage, read> x: array<u32>;                // (shape)
@group(0) @binding(1) var<storage, read_write> y: array<u32>;          // (padded)
@group(0) @binding(0) var<storage, read> x4: array<vec4<u32>>;         // (shape)
@group(0) @binding(1) var<storage, read_write> y4: array<vec4<u32>>;   // (padded)
@group(1) @binding(0) var<uniform> params: Uniform;

override RANK: u32 = 6u;

// The element of x for the element of y of this flat index, and whether there is one.
struct Origin {
    index: u32,
    inside: bool,
}

fn origin(flat: u32) -> Origin {
    var rest = flat;
    var stride = 1u;
    var found = Origin(0u, true);
    for (var d = 0u; d < RANK; d++) {
        let length = params.shape[d / 4u][d % 4u];
        let padded = params.padded[d / 4u][d % 4u];
        // The outermost dimension needs no division; the others one: a remainder of its own would cost a second.
        let quotient = select(rest / padded, 0u, d + 1u == RANK);
        // Before the tensor the difference wraps to a number past every length.
        let coordinate = rest - quotient * padded - params.before[d / 4u][d % 4u];
        found.inside = found.inside && coordinate < length;
        found.index += coordinate * stride;
        stride *= length;
        rest = quotient;
    }
    return found;
}

@compute @workgroup_size(256)
fn pad(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let flat = (workgroup.x + workgroup.y * workgroups.x) * 256u + local;
    if flat >= params.count {
        return;
    }
    let place = origin(flat);
    var word = params.value;
    if place.inside {
        word = x[place.index];
    }
    y[flat] = word;
}

@compute @workgroup_size(256)
fn pad_vec4(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let flat = (workgroup.x + workgroup.y * workgroups.x) * 256u + local;
    if flat >= params.count {
        return;
    }
    let place = origin(flat);
    var words = vec4(params.value);
    if place.inside {
        words = x4[place.index];
    }
    y4[flat] = words;
}
