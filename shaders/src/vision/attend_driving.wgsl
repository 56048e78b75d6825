// The message's rolling average, and what each of its rows asks and offers in the vote. The bias of what it offers is the same
// for all rows and cannot matter to the vote's softmax.

@group(0) @binding(4) var<storage, read> memory: array<f32>;                 // (lanes, MEMORY)
@group(0) @binding(5) var<storage, read_write> smoothed: array<vec4<f32>>;   // (lanes, messages, VALUES)
@group(0) @binding(6) var<storage, read_write> votes: array<vec4<f32>>;      // (lanes, messages, 2): query and key

fn finish(lane: u32, row: u32, state: u32, message: array<vec4<f32>, VALUES>) {
    let own = lane * MESSAGES + row;
    let weight = lane / params.groups * PARAMETERS;
    var alpha = 0.0;
    if state != BEGINS {
        alpha = memory[lane * MEMORY + ALPHA];
    }
    var ask = vec4<f32>(0.0);
    for (var v = 0u; v < 4u; v++) {
        ask[v] = weights[weight + VOTE_QUERY + 4u * DIMENSION + v];
    }
    var offer = vec4<f32>(0.0);
    for (var k = 0u; k < VALUES; k++) {
        var x = message[k];
        if alpha != 0.0 {
            x = (1.0 - alpha) * x + alpha * smoothed[own * VALUES + k];
        }
        smoothed[own * VALUES + k] = x;
        for (var v = 0u; v < 4u; v++) {
            let query = weight + VOTE_QUERY + v * DIMENSION + 4u * k;
            ask[v] += dot(x, vec4<f32>(weights[query], weights[query + 1u], weights[query + 2u], weights[query + 3u]));
            let key = weight + VOTE_KEY + v * DIMENSION + 4u * k;
            offer[v] += dot(x, vec4<f32>(weights[key], weights[key + 1u], weights[key + 2u], weights[key + 3u]));
        }
    }
    votes[2u * own] = ask;
    votes[2u * own + 1u] = offer;
}
