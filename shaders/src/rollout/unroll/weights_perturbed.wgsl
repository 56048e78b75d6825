// Mirrored perturbations of a centre, drawn here and again by evolution_gradient.wgsl, never stored: members 2d and
// 2d + 1 have weights  center + deviation * e  and  center - deviation * e, where e is row d of the normal deviates
// (members / 2, padded) of the place `stream`, padded = WEIGHTS rounded up to even.

// Weights 2 pair and 2 pair + 1 of this invocation's member; the second is meaningless past the last.
fn source_pair(pair: u32) -> vec2<f32> {
    let key = vec2<u32>(seed[0], unroll.stream + PERTURBATION);
    let block = (member / 2u) * ((WEIGHTS + 1u) / 2u) + pair;
    let e = box_muller(threefry(key, vec2<u32>(block, seed[1])));
    let sign = select(1.0, -1.0, (member & 1u) == 1u);
    let next = min(2u * pair + 1u, WEIGHTS - 1u);
    let center_pair = vec2<f32>(center[2u * pair], center[next]);
    return center_pair + sign * vec2<f32>(deviation[2u * pair], deviation[next]) * e;
}
