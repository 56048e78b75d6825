// Random numbers by Threefry 2x32-20 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011): a keyed
// bijection of a 64-bit counter, made of additions, rotations and exclusive ors alone.
//
//   threefry         two words (a, b) of a key and a counter
//   uniform_deviate  (word >> 8) * 2^-24, in [0, 1)
//   box_muller       u = (2 (a >> 9) + 1) * 2^-24, in (0, 1),  phi = 2 pi (q / 4 + floor((b - q 2^30) / 32) * 2^-27),
//                    q the axis nearest to b / 2^32 of a turn: the 5 lowest bits of b are dropped;
//                    sqrt(-2 ln u) * (cos phi, sin phi); magnitudes stay below 5.77. Logarithm, cosine and sine are our
//                    own, since WGSL promises an absolute error of 2^-11 only for cos and sin.
//
// A library without bindings or entry points: the source of a kernel that draws is this file, then the kernel's own.
// Element e of what a place draws is word e % 2 of  threefry(key = (seed[0], stream), counter = (e / 2, seed[1])),
// where seed[0] is the run's key, seed[1] its step, both on the GPU, and `stream` numbers the place.

fn threefry_mix(x: vec2<u32>, distance: u32) -> vec2<u32> {
    let sum = x.x + x.y;
    return vec2<u32>(sum, ((x.y << distance) | (x.y >> (32u - distance))) ^ sum);
}

fn threefry_rounds(x: vec2<u32>, distance: vec4<u32>) -> vec2<u32> {
    return threefry_mix(threefry_mix(threefry_mix(threefry_mix(x, distance.x), distance.y), distance.z), distance.w);
}

fn threefry(key: vec2<u32>, counter: vec2<u32>) -> vec2<u32> {
    let parity = 0x1BD11BDAu ^ key.x ^ key.y;
    var x = counter + key;
    x = threefry_rounds(x, vec4<u32>(13u, 15u, 26u, 6u)) + vec2<u32>(key.y, parity + 1u);
    x = threefry_rounds(x, vec4<u32>(17u, 29u, 16u, 24u)) + vec2<u32>(parity, key.x + 2u);
    x = threefry_rounds(x, vec4<u32>(13u, 15u, 26u, 6u)) + vec2<u32>(key.x, key.y + 3u);
    x = threefry_rounds(x, vec4<u32>(17u, 29u, 16u, 24u)) + vec2<u32>(key.y, parity + 4u);
    x = threefry_rounds(x, vec4<u32>(13u, 15u, 26u, 6u)) + vec2<u32>(parity, key.x + 5u);
    return x;
}

// In [0, 1): 24 bits, exact.
fn uniform_deviate(word: u32) -> f32 {
    return f32(word >> 8u) * 5.9604644775390625e-8;
}

// Natural logarithm of 2^-24 * odd, odd an odd integer below 2^24: odd = 2^exponent (1 + f), 1 + f in [0.7, 1.42).
fn log_of_odd(odd: u32) -> f32 {
    let bits = bitcast<u32>(f32(odd)) + (0x3F800000u - 0x3F3504F3u);
    let exponent = f32(i32(bits >> 23u) - 151);
    let f = bitcast<f32>((bits & 0x007FFFFFu) + 0x3F3504F3u) - 1.0;
    var series = 7.0376836292e-2;
    series = series * f - 1.1514610310e-1;
    series = series * f + 1.1676998740e-1;
    series = series * f - 1.2420140846e-1;
    series = series * f + 1.4249322787e-1;
    series = series * f - 1.6668057665e-1;
    series = series * f + 2.0000714765e-1;
    series = series * f - 2.4999993993e-1;
    series = series * f + 3.3333331174e-1;
    // ln 2 in two parts, the first exact in few bits.
    let tail = f * f * f * series + exponent * -2.12194440e-4 - 0.5 * f * f;
    return f + tail + exponent * 0.693359375;
}

// Cosine and sine of 2 pi turn / 2^32 without its 5 lowest bits, by quadrants around the axes: the angle left over is
// within 45 degrees.
fn cosine_and_sine(turn: u32) -> vec2<f32> {
    let quadrant = (turn + 0x20000000u) >> 30u;
    // 25 bits with the sign, exact as f32; the unit is 2 pi / 2^27.
    let angle = f32(bitcast<i32>(turn - (quadrant << 30u)) >> 5u) * 4.681337853654911e-8;
    let square = angle * angle;
    let sine = angle + angle * square * ((-1.9515295891e-4 * square + 8.3321608736e-3) * square - 1.6666654611e-1);
    let cosine = 1.0 - 0.5 * square
        + square * square * ((2.443315711809948e-5 * square - 1.388731625493765e-3) * square + 4.166664568298827e-2);
    let turned = select(vec2<f32>(cosine, sine), vec2<f32>(-sine, cosine), (quadrant & 1u) == 1u);
    return select(turned, -turned, (quadrant & 2u) == 2u);
}

// Two independent deviates of the standard normal distribution.
fn box_muller(word: vec2<u32>) -> vec2<f32> {
    let radius = sqrt(-2.0 * log_of_odd(2u * (word.x >> 9u) + 1u));
    return radius * cosine_and_sine(word.y);
}
