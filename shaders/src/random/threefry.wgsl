// Random numbers of one place, drawn with the functions of random.wgsl.
//
// Element e of a tensor is word e % 2 of  threefry(key = (seed[0], stream), counter = (e / 2, seed[1])):
// seed[0] is the run's key and seed[1] its step, both on the GPU; `stream` numbers the place that draws. The value
// depends on nothing else, so any kernel can make it again.
//
//   bits              the word itself
//   uniform_deviates  the uniform deviate of the word
//   normal            Box-Muller on the two words of a pair of elements
//
// Takes `Place` and `index_of` from library/place.wgsl.

struct Uniform {
    count: u32,
    stream: u32,
}

@group(0) @binding(0) var<storage, read> seed: array<u32>;            // (2): key, step
@group(0) @binding(1) var<storage, read_write> words: array<u32>;     // (count), of `bits`
@group(0) @binding(1) var<storage, read_write> deviates: array<f32>;  // (count), of `uniform_deviates` and `normal`
@group(1) @binding(0) var<uniform> params: Uniform;

override WORKGROUP: u32 = 256u;

// Two neighbouring elements to one invocation.

@compute @workgroup_size(WORKGROUP)
fn bits(at: Place) {
    let pair = index_of(at);
    let word = threefry(vec2<u32>(seed[0], params.stream), vec2<u32>(pair, seed[1]));
    if 2u * pair < params.count {
        words[2u * pair] = word.x;
    }
    if 2u * pair + 1u < params.count {
        words[2u * pair + 1u] = word.y;
    }
}

@compute @workgroup_size(WORKGROUP)
fn uniform_deviates(at: Place) {
    let pair = index_of(at);
    let word = threefry(vec2<u32>(seed[0], params.stream), vec2<u32>(pair, seed[1]));
    let deviate = vec2<f32>(uniform_deviate(word.x), uniform_deviate(word.y));
    if 2u * pair < params.count {
        deviates[2u * pair] = deviate.x;
    }
    if 2u * pair + 1u < params.count {
        deviates[2u * pair + 1u] = deviate.y;
    }
}

@compute @workgroup_size(WORKGROUP)
fn normal(at: Place) {
    let pair = index_of(at);
    let deviate = box_muller(threefry(vec2<u32>(seed[0], params.stream), vec2<u32>(pair, seed[1])));
    if 2u * pair < params.count {
        deviates[2u * pair] = deviate.x;
    }
    if 2u * pair + 1u < params.count {
        deviates[2u * pair + 1u] = deviate.y;
    }
}
