// Returns-to-go of episodes that lie one after the other:  returns[t] = rewards[t] + rewards[t + 1] + .. to the episode's
// end, undiscounted.
//
// suffix_sums  One invocation goes backwards through an episode. A dispatch leaves the last `skip` steps of each episode
//              as an earlier one has computed them, and takes up to `most` steps before these: a software driver leaves
//              all loops of an invocation after 65,535 passes.
// spread       Every step of an episode gets the return of its first: the whole return, as where rewards are paid at the
//              end alone (delayed). It goes forwards, in parts of `most` steps after the first `skip`.
//
// Takes `Place` and `index_of` from library/place.wgsl.

struct Uniform {
    episodes: u32,
    skip: u32,
    most: u32,
    steps: u32,
}

@group(0) @binding(0) var<storage, read> firsts: array<u32>;             // (episodes + 1): first steps, then `steps`
@group(0) @binding(1) var<storage, read> rewards: array<f32>;            // (steps)
@group(0) @binding(2) var<storage, read_write> returns: array<f32>;      // (steps)
@group(0) @binding(1) var<storage, read_write> whole: array<f32>;        // (steps): the returns of `spread`
@group(1) @binding(0) var<uniform> params: Uniform;

override WORKGROUP: u32 = 64u;

// The first step of an episode: within the steps, whatever the table says.
fn first_of(episode: u32) -> u32 {
    return min(firsts[episode], params.steps);
}

@compute @workgroup_size(WORKGROUP)
fn suffix_sums(at: Place) {
    let episode = index_of(at);
    if episode < params.episodes {
        let first = first_of(episode);
        let length = max(first_of(episode + 1u), first) - first;
        if length > params.skip {
            let behind = first + length - params.skip;
            var total = 0.0;
            if params.skip > 0u {
                total = returns[behind];
            }
            let count = min(length - params.skip, params.most);
            for (var i = 1u; i <= count; i++) {
                total += rewards[behind - i];
                returns[behind - i] = total;
            }
        }
    }
}

@compute @workgroup_size(WORKGROUP)
fn spread(at: Place) {
    let episode = index_of(at);
    if episode < params.episodes {
        let first = first_of(episode);
        let length = max(first_of(episode + 1u), first) - first;
        if length > params.skip {
            let total = whole[first];
            let count = min(length - params.skip, params.most);
            for (var i = 0u; i < count; i++) {
                whole[first + params.skip + i] = total;
            }
        }
    }
}
