// Loads of four neighbouring elements. Takes no names from others. loads_of_one.wgsl has the same names.

alias Load = vec4<f32>;

// The sum of the elements of a load.
fn sum_of(load: Load) -> f32 {
    return (load.x + load.y) + (load.z + load.w);
}
