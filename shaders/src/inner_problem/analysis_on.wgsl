// The gradient of this unroll's losses without perturbation is known and added elsewhere: what the present perturbation
// n is expected to change, L+ - L- = 2 sigma <n, gradient>, is taken off, and counts for earlier perturbations alone.
fn subtract_known(share: vec4<f32>) -> vec4<f32> {
    var product = 0.0;
    for (var i = 0u; i < PARAMETERS; i++) {
        product += normal(i) * analytic[i];
    }
    return vec4<f32>(share.x - 2.0 * unroll.sigma * product, 0.0, share.zw);
}
