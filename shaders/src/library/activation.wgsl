// The activation of an output; that of a NaN is a NaN. Takes from the kernel: `params`, its uniform block, for
// `params.activation`, and what a NaN is from not_a_number.wgsl.

// gelu and tanh are compiled in; none and relu always are.
override SMOOTH: bool = true;

// Beyond 10 the functions are constant or the identity to f32 accuracy, and huge arguments would overflow inside. Gelu of
// minus infinity is a NaN, as its formula says.
fn activate(y: f32) -> f32 {
    if SMOOTH && params.activation >= 2u {
        let t = clamp(y, -10.0, 10.0);
        if params.activation == 4u {
            return select(tanh(t), y, is_nan(y));
        }
        var mass: f32;
        if params.activation == 2u {
            mass = 0.5 + 0.5 * tanh(0.7978845608 * (t + 0.044715 * t * t * t));
        } else {
            // Abramowitz and Stegun 7.1.26 for erf(|t| / sqrt(2)), to 1.5e-7.
            let s = 1.0 / (1.0 + 0.3275911 * 0.7071067812 * abs(t));
            let series = s * (0.254829592 + s * (-0.284496736 + s * (1.421413741 + s * (-1.453152027 + s * 1.061405429))));
            let upper = 0.5 * series * exp(-0.5 * t * t);
            mass = select(upper, 1.0 - upper, t > 0.0);
        }
        let far = select(0.0, y, y > 0.0);
        let without = is_nan(y) || bitcast<u32>(y) == 0xFF800000u;
        return select(select(y * mass, far, abs(y) > 10.0), nan_from(y), without);
    }
    // By the bits from -0 to minus infinity: a comparison might lose a NaN.
    return select(y, 0.0, params.activation == 1u && bitcast<u32>(y) - 0x80000000u <= 0x7F800000u);
}
