// The types of environments: the outcome of a step, and random numbers that belong to a step of an episode.

// The result of a step of an environment.
struct Outcome {
    reward: f32,
    // True if the episode ended of itself; time limits are the kernel's.
    done: bool,
}

// Deviates of one step of one episode, drawn in order.
struct Random {
    key: vec2<u32>,
    episode: u32,
    // Step * 256 + numbers drawn.
    drawn: u32,
}

fn random_uniform(random: ptr<function, Random>) -> f32 {
    let word = threefry((*random).key, vec2<u32>((*random).drawn, (*random).episode)).x;
    (*random).drawn += 1u;
    return uniform_deviate(word);
}

fn random_normal(random: ptr<function, Random>) -> f32 {
    let words = threefry((*random).key, vec2<u32>((*random).drawn, (*random).episode));
    (*random).drawn += 1u;
    return box_muller(words).x;
}
