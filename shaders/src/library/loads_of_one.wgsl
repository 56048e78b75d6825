// Loads of one element, for any length. Takes no names from others. loads_of_four.wgsl has the same names.

alias Load = f32;

// The sum of the elements of a load.
fn sum_of(load: Load) -> f32 {
    return load;
}
