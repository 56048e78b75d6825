// Each invocation keeps its member's weights to itself: for few weights, and for software drivers. Slots lie in a row.

var<private> kept: array<f32, 2u * ((WEIGHTS + 1u) / 2u)>;
var<private> tables: array<vec4<f32>, TABLES>;

fn prepare(needed: bool, local: u32) {
    if needed {
        for (var pair = 0u; pair < (WEIGHTS + 1u) / 2u; pair++) {
            let two = source_pair(pair);
            kept[2u * pair] = two.x;
            kept[2u * pair + 1u] = two.y;
        }
        for (var i = 0u; i < TABLES; i++) {
            tables[i] = policy_table(i);
        }
    }
}

fn weight(i: u32) -> f32 {
    return kept[i];
}

fn table(i: u32) -> vec4<f32> {
    return tables[i];
}
