//! Orders of the inputs.

use fourfold_shaders::Data;
use fourfold_shaders::random::threefry::Random;

/// Random wirings for `episodes` episodes of `phases` phases each: `(episodes, phases, inputs)`, every row a permutation
/// of its own. Where `first_plain`, the first phase of each episode keeps the plain order.
pub fn shuffled(seed: u32, episodes: usize, phases: usize, inputs: usize, first_plain: bool) -> Data {
    const STREAM: u32 = 0x5117_FF1E;
    let mut random = Random::new(seed, STREAM);
    let mut wiring = Vec::with_capacity(episodes * phases * inputs);
    for row in 0..episodes * phases {
        let mut order: Vec<u32> = (0..inputs as u32).collect();
        if !(first_plain && row.is_multiple_of(phases)) {
            random.shuffle(&mut order);
        }
        wiring.extend(order);
    }
    Data::U32(wiring)
}
