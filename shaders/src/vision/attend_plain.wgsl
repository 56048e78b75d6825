// The message as it is.

@group(0) @binding(4) var<storage, read_write> messages: array<vec4<f32>>;   // (lanes, messages, VALUES)

fn finish(lane: u32, row: u32, state: u32, message: array<vec4<f32>, VALUES>) {
    for (var k = 0u; k < VALUES; k++) {
        messages[(lane * MESSAGES + row) * VALUES + k] = message[k];
    }
}
