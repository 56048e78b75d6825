// The weights of each member as they lie in a buffer.

// Weights 2 pair and 2 pair + 1 of this invocation's member; zero past the last.
fn source_pair(pair: u32) -> vec2<f32> {
    let i = member * WEIGHTS + 2u * pair;
    return vec2<f32>(weights[i], select(0.0, weights[min(i + 1u, unroll.members * WEIGHTS - 1u)], 2u * pair + 1u < WEIGHTS));
}
