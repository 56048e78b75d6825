// NaN and infinities by their bits: compilers may take it that no number is either, and fold a comparison that says so.
// Minima, maxima, clamps and most built-in functions may lose a NaN; sums, products and quotients keep it. Takes no names
// from others.

// True where x is NaN.
fn are_nan(x: vec4<f32>) -> vec4<bool> {
    return (bitcast<vec4<u32>>(x) & vec4(0x7FFFFFFFu)) > vec4(0x7F800000u);
}

// True if x is NaN.
fn is_nan(x: f32) -> bool {
    return (bitcast<u32>(x) & 0x7FFFFFFFu) > 0x7F800000u;
}

// True where x is an infinity or no number.
fn are_not_finite(x: vec4<f32>) -> vec4<bool> {
    return (bitcast<vec4<u32>>(x) & vec4(0x7F800000u)) == vec4(0x7F800000u);
}

// True where x is plus infinity or no number: its exponential is x, and no row with it has a softmax.
fn are_above_all(x: vec4<f32>) -> vec4<bool> {
    return are_nan(x) | (bitcast<vec4<u32>>(x) == vec4(0x7F800000u));
}

// True if x is plus infinity or no number.
fn is_above_all(x: f32) -> bool {
    return is_nan(x) || bitcast<u32>(x) == 0x7F800000u;
}

// Integers in the order of the numbers: those of both zeros are equal, that of a NaN is above all.
fn order_of(x: f32) -> u32 {
    let bits = bitcast<u32>(x);
    let magnitude = bits & 0x7FFFFFFFu;
    let number = select(0x80000000u + magnitude, 0x80000000u - magnitude, bits >= 0x80000000u);
    return select(number, 0xFFFFFFFFu, magnitude > 0x7F800000u);
}

// NaN, whatever x is: WGSL has no literal for it.
fn nan_of(x: vec4<f32>) -> vec4<f32> {
    return bitcast<vec4<f32>>(bitcast<vec4<u32>>(x) | vec4(0x7FC00000u));
}

// NaN, whatever x is.
fn nan_from(x: f32) -> f32 {
    return bitcast<f32>(bitcast<u32>(x) | 0x7FC00000u);
}

// y, and x where x is NaN.
fn or_nan(x: vec4<f32>, y: vec4<f32>) -> vec4<f32> {
    return select(y, x, are_nan(x));
}

// The larger of both; NaN where either is.
fn larger(a: vec4<f32>, b: vec4<f32>) -> vec4<f32> {
    return select(select(max(a, b), b, are_nan(b)), a, are_nan(a));
}

// The smaller of both; NaN where either is.
fn smaller(a: vec4<f32>, b: vec4<f32>) -> vec4<f32> {
    return select(select(min(a, b), b, are_nan(b)), a, are_nan(a));
}
