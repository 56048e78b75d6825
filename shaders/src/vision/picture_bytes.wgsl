// Pictures that lie in memory, four grey bytes to a word.

@group(0) @binding(0) var<storage, read> pictures: array<u32>;   // (lanes, words)

fn pixel_of(lane: u32, row: u32, column: u32) -> u32 {
    let at = row * COLUMNS + column;
    return (pictures[lane * (ROWS * COLUMNS / 4u) + at / 4u] >> (8u * (at % 4u))) & 255u;
}
