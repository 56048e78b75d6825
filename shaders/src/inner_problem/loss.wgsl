// What a step of an inner problem gives.
struct Loss {
    // The loss after the step, to be minimised.
    value: f32,
    // Whether the inner problem ended of itself; horizons are the kernel's.
    done: bool,
}
