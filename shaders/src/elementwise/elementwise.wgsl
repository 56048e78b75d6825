// Elementwise functions that stay finite on the whole range of f32, four elements at a time. A NaN gives a NaN.
//
// A library without entry point: generated kernels take from it and from library/not_a_number.wgsl the functions they
// call, with what those call. Each function names the formula it keeps to and why it is not the plain one.

const SMALLEST: f32 = 1.1754944e-38;  // the smallest normal number, 2^-126
const ZERO: vec4<f32> = vec4<f32>(0.0, 0.0, 0.0, 0.0);
const ONE: vec4<f32> = vec4<f32>(1.0, 1.0, 1.0, 1.0);

// 1 where x > 0, else 0.
fn heaviside(x: vec4<f32>) -> vec4<f32> {
    return or_nan(x, select(ZERO, ONE, x > ZERO));
}

// -1, 0 or 1.
fn sign_of(x: vec4<f32>) -> vec4<f32> {
    return or_nan(x, sign(x));
}

// x, and 0 for the bits from -0 to minus infinity: a maximum would lose a NaN.
fn rectified(x: vec4<f32>) -> vec4<f32> {
    return select(x, ZERO, bitcast<vec4<u32>>(x) - vec4(0x80000000u) <= vec4(0x7F800000u));
}

// The largest whole number that is at most x; x itself from 2^23 on, where all are whole.
fn whole_below(x: vec4<f32>) -> vec4<f32> {
    return select(floor(x), x, (bitcast<vec4<u32>>(x) & vec4(0x7FFFFFFFu)) >= vec4(0x4B000000u));
}

// sqrt(max(x, 0)).
fn root(x: vec4<f32>) -> vec4<f32> {
    return or_nan(x, sqrt(max(x, ZERO)));
}

// 1 / sqrt(max(x, 2^-126)).
fn reciprocal_root(x: vec4<f32>) -> vec4<f32> {
    return or_nan(x, inverseSqrt(max(x, vec4(SMALLEST))));
}

// exp(min(x, 88)), and infinity for infinity. Below -110 the result is zero in any case.
fn bounded_exp(x: vec4<f32>) -> vec4<f32> {
    return select(exp(clamp(x, vec4(-110.0), vec4(88.0))), x, are_above_all(x));
}

// ln(max(x, 2^-126)).
fn bounded_log(x: vec4<f32>) -> vec4<f32> {
    return or_nan(x, log(max(x, vec4(SMALLEST))));
}

// x - 2 pi round(x / 2 pi). The first part of 2 pi has 8 bits, so that its product is exact up to 65,536 turns.
fn within_one_turn(x: vec4<f32>) -> vec4<f32> {
    let turns = round(x * 0.15915494);
    return clamp((x - turns * 6.28125) - turns * 0.0019353072, vec4(-3.1415927), vec4(3.1415927));
}

// sin(x); WGSL bounds the error of sin between -pi and pi alone.
fn reduced_sin(x: vec4<f32>) -> vec4<f32> {
    return select(sin(within_one_turn(x)), nan_of(x), are_not_finite(x));
}

// cos(x); WGSL bounds the error of cos between -pi and pi alone.
fn reduced_cos(x: vec4<f32>) -> vec4<f32> {
    return select(cos(within_one_turn(x)), nan_of(x), are_not_finite(x));
}

// tanh(x) as x P(x^2) / Q(x^2), degrees 6 and 3, the minimax fit of Eigen and XLA: exp-free, and free of the NaN that
// several drivers' tanh gives for large |x|. It is 1 in f32 from 7.9 on. Near zero, where P and Q are tiny, it is x.
fn rational_tanh(x: vec4<f32>) -> vec4<f32> {
    let t = clamp(x, vec4(-7.90531110763549805), vec4(7.90531110763549805));
    let s = t * t;
    var p = s * -2.76076847742355e-16 + 2.00018790482477e-13;
    p = p * s + -8.60467152213735e-11;
    p = p * s + 5.12229709037114e-08;
    p = p * s + 1.48572235717979e-05;
    p = p * s + 6.37261928875436e-04;
    p = p * s + 4.89352455891786e-03;
    var q = s * 1.19825839466702e-06 + 1.18534705686654e-04;
    q = q * s + 2.26843463243900e-03;
    q = q * s + 4.89352518554385e-03;
    return or_nan(x, select(t * p / q, x, abs(x) < vec4(0.0004)));
}

// erf(x) as x P(x^2) / Q(x^2), degrees 6 and 4, the minimax fit of Eigen and XLA. It is 1 in f32 from 4 on. Near zero
// it is 2 x / sqrt(pi).
fn rational_erf(x: vec4<f32>) -> vec4<f32> {
    let t = clamp(x, vec4(-4.0), vec4(4.0));
    let s = t * t;
    var p = s * -2.72614225801306e-10 + 2.77068142495902e-08;
    p = p * s + -2.10102402082508e-06;
    p = p * s + -5.69250639462346e-05;
    p = p * s + -7.34990630326855e-04;
    p = p * s + -2.95459980854025e-03;
    p = p * s + -1.60960333262415e-02;
    var q = s * -1.45660718464996e-05 + -2.13374055278905e-04;
    q = q * s + -1.68282697438203e-03;
    q = q * s + -7.37332916720468e-03;
    q = q * s + -1.42647390514189e-02;
    return or_nan(x, select(clamp(t * p / q, -ONE, ONE), x * 1.1283792, abs(x) < vec4(0.0001)));
}

// 1 / (1 + exp(-x)), as exp(x) / (exp(x) + 1) for negative x: the exponential never overflows and small results keep
// their digits.
fn sigmoid(x: vec4<f32>) -> vec4<f32> {
    let e = bounded_exp(-abs(x));
    return select(e, ONE, x >= ZERO) / (e + 1.0);
}

// ln(1 + exp(x)) = max(x, 0) + ln(1 + e) with e = exp(-|x|); three terms of the series where 1 + e would lose e.
fn softplus(x: vec4<f32>) -> vec4<f32> {
    let e = bounded_exp(-abs(x));
    let series = e - e * e * (0.5 - e * 0.33333333);
    return or_nan(x, max(x, ZERO) + select(log(e + 1.0), series, e < vec4(0.001)));
}

// (1 + erf(x / sqrt(2))) / 2, the normal distribution function; zero below -6, where it is 1e-9.
fn normal_distribution(x: vec4<f32>) -> vec4<f32> {
    return select(rational_erf(x * 0.70710678) * 0.5 + 0.5, ZERO, x < vec4(-6.0));
}

// x P(x) with the normal distribution function P; NaN for minus infinity, as the formula says.
fn gelu_erf(x: vec4<f32>) -> vec4<f32> {
    return x * normal_distribution(x);
}

// P(x) + x exp(-x^2 / 2) / sqrt(2 pi); the second term vanishes past 14, where x^2 might go on to overflow. NaN for
// infinities, as the formula says.
fn gelu_erf_derivative(x: vec4<f32>) -> vec4<f32> {
    let t = clamp(x, vec4(-14.0), vec4(14.0));
    let slope = normal_distribution(x) + t * 0.39894228 * exp(t * t * -0.5);
    return select(slope, nan_of(x), are_not_finite(x));
}

// x / 2 (1 + tanh(u)) = x sigmoid(2 u) with u = sqrt(2 / pi) (x + 0.044715 x^3): one exponential, and small results keep
// their digits. Past 12 the sigmoid is 0 or 1, so x is clamped where x^3 might overflow. NaN for minus infinity, as the
// formula says.
fn gelu_tanh(x: vec4<f32>) -> vec4<f32> {
    let t = clamp(x, vec4(-12.0), vec4(12.0));
    let y = max(x, vec4(-12.0)) * sigmoid(t * 1.5957691 * (t * t * 0.044715 + 1.0));
    return select(y, nan_of(x), are_nan(x) | (bitcast<vec4<u32>>(x) == vec4(0xFF800000u)));
}

// s + x s (1 - s) 2 u' with s = sigmoid(2 u) and u' = sqrt(2 / pi) (1 + 0.134145 x^2). NaN for infinities, as the formula
// says.
fn gelu_tanh_derivative(x: vec4<f32>) -> vec4<f32> {
    let t = clamp(x, vec4(-12.0), vec4(12.0));
    let z = t * 1.5957691 * (t * t * 0.044715 + 1.0);
    let e = bounded_exp(-abs(z));
    let large = 1.0 / (e + 1.0);
    let small = e * large;
    let slope = t * 1.5957691 * (t * t * 0.134145 + 1.0);
    return select(select(small, large, z >= ZERO) + slope * large * small, nan_of(x), are_not_finite(x));
}

// a^b as exp(b ln |a|), with the sign of a where b is odd; 1 for b = 0 or a = 1, even where the other is a NaN, else 0 for
// a = 0.
fn power(a: vec4<f32>, b: vec4<f32>) -> vec4<f32> {
    let no_exponent = are_nan(b);
    let unit = (abs(a) == ONE) & !no_exponent;
    let magnitude = select(bounded_exp(b * bounded_log(abs(a))), ONE, unit);
    let odd = abs(b * 0.5 - trunc(b * 0.5)) == vec4(0.5);
    let signed_power = select(magnitude, -magnitude, (a < ZERO) & odd);
    return select(select(signed_power, ZERO, (a == ZERO) & !no_exponent), ONE, (b == ZERO) | (a == ONE));
}

// Conversion to u32: clamped to its range, the fraction cut off; 0 for NaN.
fn to_u32(x: vec4<f32>) -> vec4<u32> {
    return select(vec4<u32>(clamp(x, ZERO, vec4(4294967040.0))), vec4(0u), are_nan(x));
}

// a / b on whole numbers, a itself where b is zero.
fn whole_quotient(a: vec4<u32>, b: vec4<u32>) -> vec4<u32> {
    return a / max(b, vec4(1u));
}
