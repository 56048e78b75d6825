// The result of a step of an inner problem.
struct Loss {
    // The loss after the step, to be minimised.
    value: f32,
    // True if the inner problem ended of itself; horizons are the kernel's.
    done: bool,
}
