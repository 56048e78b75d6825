// Elementwise functions that stay finite on the whole range of f32, four elements at a time.
//
// A library without entry point: generated kernels take from it the functions they call, with what those call. Each
// function names the formula it keeps to and why it is not the plain one.

const SMALLEST: f32 = 1.1754944e-38;  // the smallest normal number, 2^-126
const ZERO: vec4<f32> = vec4<f32>(0.0, 0.0, 0.0, 0.0);
const ONE: vec4<f32> = vec4<f32>(1.0, 1.0, 1.0, 1.0);

// 1 where x > 0, else 0.
fn heaviside(x: vec4<f32>) -> vec4<f32> {
    return select(ZERO, ONE, x > ZERO);
}

// exp(min(x, 88)). Below -110 the result is zero in any case.
fn bounded_exp(x: vec4<f32>) -> vec4<f32> {
    return exp(clamp(x, vec4(-110.0), vec4(88.0)));
}

// ln(max(x, 2^-126)).
fn bounded_log(x: vec4<f32>) -> vec4<f32> {
    return log(max(x, vec4(SMALLEST)));
}

// x - 2 pi round(x / 2 pi). The first part of 2 pi has 8 bits, so that its product is exact up to 65,536 turns.
fn within_one_turn(x: vec4<f32>) -> vec4<f32> {
    let turns = round(x * 0.15915494);
    return clamp((x - turns * 6.28125) - turns * 0.0019353072, vec4(-3.1415927), vec4(3.1415927));
}

// sin(x); WGSL bounds the error of sin between -pi and pi alone.
fn reduced_sin(x: vec4<f32>) -> vec4<f32> {
    return sin(within_one_turn(x));
}

// cos(x); WGSL bounds the error of cos between -pi and pi alone.
fn reduced_cos(x: vec4<f32>) -> vec4<f32> {
    return cos(within_one_turn(x));
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
    return select(t * p / q, x, abs(x) < vec4(0.0004));
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
    return select(clamp(t * p / q, -ONE, ONE), x * 1.1283792, abs(x) < vec4(0.0001));
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
    return max(x, ZERO) + select(log(e + 1.0), series, e < vec4(0.001));
}

// (1 + erf(x / sqrt(2))) / 2, the normal distribution function; zero below -6, where it is 1e-9.
fn normal_distribution(x: vec4<f32>) -> vec4<f32> {
    return select(rational_erf(x * 0.70710678) * 0.5 + 0.5, ZERO, x < vec4(-6.0));
}

// x P(x) with the normal distribution function P.
fn gelu_erf(x: vec4<f32>) -> vec4<f32> {
    return x * normal_distribution(x);
}

// P(x) + x exp(-x^2 / 2) / sqrt(2 pi); the second term vanishes past 14, where x^2 might go on to overflow.
fn gelu_erf_derivative(x: vec4<f32>) -> vec4<f32> {
    let t = clamp(x, vec4(-14.0), vec4(14.0));
    return normal_distribution(x) + t * 0.39894228 * exp(t * t * -0.5);
}

// x / 2 (1 + tanh(u)) = x sigmoid(2 u) with u = sqrt(2 / pi) (x + 0.044715 x^3): one exponential, and small results keep
// their digits. Past 12 the sigmoid is 0 or 1, so x is clamped where x^3 might overflow.
fn gelu_tanh(x: vec4<f32>) -> vec4<f32> {
    let t = clamp(x, vec4(-12.0), vec4(12.0));
    return max(x, vec4(-12.0)) * sigmoid(t * 1.5957691 * (t * t * 0.044715 + 1.0));
}

// s + x s (1 - s) 2 u' with s = sigmoid(2 u) and u' = sqrt(2 / pi) (1 + 0.134145 x^2).
fn gelu_tanh_derivative(x: vec4<f32>) -> vec4<f32> {
    let t = clamp(x, vec4(-12.0), vec4(12.0));
    let z = t * 1.5957691 * (t * t * 0.044715 + 1.0);
    let e = bounded_exp(-abs(z));
    let large = 1.0 / (e + 1.0);
    let small = e * large;
    let slope = t * 1.5957691 * (t * t * 0.134145 + 1.0);
    return select(small, large, z >= ZERO) + slope * large * small;
}

// a^b as exp(b ln |a|), with the sign of a where b is odd; 1 for b = 0, else 0 for a = 0.
fn power(a: vec4<f32>, b: vec4<f32>) -> vec4<f32> {
    let magnitude = bounded_exp(b * bounded_log(abs(a)));
    let odd = abs(b * 0.5 - trunc(b * 0.5)) == vec4(0.5);
    let signed_power = select(magnitude, -magnitude, (a < ZERO) & odd);
    return select(select(signed_power, ZERO, a == ZERO), ONE, b == ZERO);
}

// To u32: clamped to what u32 holds, the fraction cut off.
fn to_u32(x: vec4<f32>) -> vec4<u32> {
    return vec4<u32>(clamp(x, ZERO, vec4(4294967040.0)));
}

// a / b on whole numbers, a itself where b is zero.
fn whole_quotient(a: vec4<u32>, b: vec4<u32>) -> vec4<u32> {
    return a / max(b, vec4(1u));
}
