// Functions for simulations and policies that are accurate everywhere: WGSL promises an absolute error of 2^-11 only for
// its own sin and cos, and its tanh is NaN for large arguments on several drivers.

// Cosine and sine of an angle in radians. The angle is reduced to within 45 degrees of the nearest axis with pi / 2 in
// three parts, of which the first two have so few bits that their products are exact up to 2,000 turns: it errs by 2 units
// of 2^-24. At 10,000 turns it errs by 16, and beyond more and more.
fn cosine_and_sine_of(angle: f32) -> vec2<f32> {
    let quarters = round(angle * 0.63661977);
    let x = ((angle - quarters * 1.5703125) - quarters * 4.837512969970703e-4) - quarters * 7.549789948768648e-8;
    let square = x * x;
    let sine = x + x * square * ((-1.9515295891e-4 * square + 8.3321608736e-3) * square - 1.6666654611e-1);
    let cosine = 1.0 - 0.5 * square
        + square * square * ((2.443315711809948e-5 * square - 1.388731625493765e-3) * square + 4.166664568298827e-2);
    let quadrant = bitcast<u32>(i32(quarters));
    let turned = select(vec2<f32>(cosine, sine), vec2<f32>(-sine, cosine), (quadrant & 1u) == 1u);
    return select(turned, -turned, (quadrant & 2u) == 2u);
}

// Hyperbolic tangent of four numbers: a ratio of polynomials in x^2 on |x| < 7.9, beyond which it is 1 in f32. It errs by
// 8 units of 2^-24 at most, and by 12 such parts of itself. What is not a number stays so: its bits say it, since a compiler
// may turn the choices below into minima and maxima, which lose it.
fn hyperbolic_tangents(numbers: vec4<f32>) -> vec4<f32> {
    let odd = (bitcast<vec4<u32>>(numbers) & vec4<u32>(0x7FFFFFFFu)) > vec4<u32>(0x7F800000u);
    let above = select(numbers, vec4<f32>(7.9), numbers > vec4<f32>(7.9));
    let x = select(above, vec4<f32>(-7.9), above < vec4<f32>(-7.9));
    let s = x * x;
    let p = (((46.453236 * s + 11999.278) * s + 525902.3) * s + 4069603.0) * x;
    let q = (((s + 970.17523) * s + 96870.9) * s + 1882428.8) * s + 4069605.2;
    return select(p / q, numbers, odd);
}

fn hyperbolic_tangent(number: f32) -> f32 {
    return hyperbolic_tangents(vec4<f32>(number)).x;
}

// The logistic function 1 / (1 + exp(-x)) of four numbers.
fn logistics(numbers: vec4<f32>) -> vec4<f32> {
    return 0.5 + 0.5 * hyperbolic_tangents(0.5 * numbers);
}
