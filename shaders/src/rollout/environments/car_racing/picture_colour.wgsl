// A picture of red, green and blue.

fn levels_of(colour: u32) -> vec3<f32> {
    return vec3<f32>((vec3<u32>(colour) >> vec3<u32>(16u, 8u, 0u)) & vec3<u32>(255u));
}

fn environment_pixel(scene: array<f32, OBSERVATIONS>, row: u32, column: u32) -> vec3<f32> {
    return mean_levels(scene, row, column);
}
