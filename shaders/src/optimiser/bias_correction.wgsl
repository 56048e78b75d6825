// The bias correction of Adam's moments. Takes no names from others.

// 1 - beta^t of x = t ln(beta) <= 0. Near 0 the difference would cancel; the series of -expm1 there leaves out terms
// below 2^-24 of the sum.
fn one_minus_exp(x: f32) -> f32 {
    if x < -0.5 {
        return 1.0 - exp(max(x, -80.0));
    }
    var sum = 1.0 + x * 0.125;
    sum = 1.0 + x * 0.14285715 * sum;
    sum = 1.0 + x * 0.16666667 * sum;
    sum = 1.0 + x * 0.2 * sum;
    sum = 1.0 + x * 0.25 * sum;
    sum = 1.0 + x * 0.33333334 * sum;
    sum = 1.0 + x * 0.5 * sum;
    return -x * sum;
}
