// Shares as they are: nothing is known of the gradient.
fn subtract_known(share: vec4<f32>) -> vec4<f32> {
    return share;
}
