// Windows of trajectories drawn at random: for each of `batch` windows of `context` steps, which rows of the
// trajectories' tables they are.
//
//   choice = floor(word * count / 2^32),  start = starts[choice]
//   the window is the steps start .. min(start + context, end of the episode), and stands last: where it has fewer than
//   `context` steps, rows before it are padding
//
// The word of window b is word b % 2 of threefry(key = (seed[0], stream), counter = (b / 2, seed[1])), by random.wgsl; no
// choice is likelier than another by more than 2^-32. The row of padding is `steps`, past every table.
//
// Takes `Place` and `index_of` from library/place.wgsl.

struct Uniform {
    batch: u32,
    context: u32,
    count: u32,
    steps: u32,
    stream: u32,
    // 1 where times count from the window's first step, 0 where from the episode's.
    restart: u32,
    // Later times become this one.
    largest: u32,
}

@group(0) @binding(0) var<storage, read> seed: array<u32>;            // (2): key, step
@group(0) @binding(1) var<storage, read> starts: array<u32>;          // (count): steps at which windows may begin
@group(0) @binding(2) var<storage, read> episodes: array<u32>;        // (steps): the episode of each step
@group(0) @binding(3) var<storage, read> firsts: array<u32>;          // (episodes + 1): their first steps, then `steps`
@group(0) @binding(4) var<storage, read_write> rows: array<u32>;      // (batch, context)
@group(0) @binding(5) var<storage, read_write> times: array<u32>;     // (batch, context)
@group(0) @binding(6) var<storage, read_write> mask: array<f32>;   // (batch, context)
@group(1) @binding(0) var<uniform> params: Uniform;

override WORKGROUP: u32 = 64u;

// The upper word of the product, from halves: no partial sum leaves 32 bits.
fn multiply_high(a: u32, b: u32) -> u32 {
    let low = (a & 0xFFFFu) * (b & 0xFFFFu);
    let first = (a >> 16u) * (b & 0xFFFFu) + (low >> 16u);
    let second = (a & 0xFFFFu) * (b >> 16u) + (first & 0xFFFFu);
    return (a >> 16u) * (b >> 16u) + (first >> 16u) + (second >> 16u);
}

@compute @workgroup_size(WORKGROUP)
fn windows(at: Place) {
    let element = index_of(at);
    if element < params.batch * params.context {
        let window = element / params.context;
        let words = threefry(vec2<u32>(seed[0], params.stream), vec2<u32>(window / 2u, seed[1]));
        // Positions stay within the tables, whatever these say.
        let drawn = starts[multiply_high(select(words.x, words.y, window % 2u == 1u), params.count)];
        let start = min(drawn, params.steps - 1u);
        let episode = min(episodes[start], arrayLength(&firsts) - 2u);
        let length = min(params.context, max(firsts[episode + 1u], start) - start);
        // Wraps below zero in the padding, where it is not used.
        let place = element % params.context - (params.context - length);
        let there = place < length;
        let time = select(start - firsts[episode], 0u, params.restart == 1u) + place;
        rows[element] = select(params.steps, start + place, there);
        times[element] = select(0u, min(time, params.largest), there);
        mask[element] = select(0.0, 1.0, there);
    }
}
