// A weight that is kept nowhere: fetched, or drawn, where it is asked for.

fn weight(i: u32) -> f32 {
    let two = source_pair(i / 2u);
    return select(two.x, two.y, (i & 1u) == 1u);
}
