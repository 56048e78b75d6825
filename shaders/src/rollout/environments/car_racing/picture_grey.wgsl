// A picture of greys.

// The grey of a colour: 0.299 of its red, 0.587 of its green and 0.114 of its blue as OpenCV rounds them, in 2^-14.
fn levels_of(colour: u32) -> vec3<f32> {
    let red = colour >> 16u;
    let green = (colour >> 8u) & 255u;
    let blue = colour & 255u;
    return vec3<f32>(f32((4899u * red + 9617u * green + 1868u * blue + 8192u) >> 14u));
}

fn environment_pixel(scene: array<f32, OBSERVATIONS>, row: u32, column: u32) -> f32 {
    return mean_levels(scene, row, column).x;
}
