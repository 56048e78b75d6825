//! Orders of the inputs.

use fourfold_shaders::random::threefry::Random;
use fourfold_shaders::{Data, MAX_ELEMENTS};

/// Random wirings for `episodes` episodes of `phases` phases each: `(episodes, phases, inputs)`, every row a permutation
/// of its own. Where `first_plain`, the first phase of each episode keeps the plain order.
///
/// # Panics
/// If they are more numbers than a buffer holds: 2^31 or more.
pub fn shuffled(seed: u32, episodes: usize, phases: usize, inputs: usize, first_plain: bool) -> Data {
    let length = [phases, inputs].iter().fold(episodes, |product, size| product.saturating_mul(*size));
    assert!(length <= MAX_ELEMENTS, "{episodes} episodes of {phases} phases of {inputs} inputs are too many wirings");
    const STREAM: u32 = 0x5117_FF1E;
    let mut random = Random::new(seed, STREAM);
    let mut wiring = Vec::with_capacity(length);
    for row in 0..episodes * phases {
        let mut order: Vec<u32> = (0..inputs as u32).collect();
        if !(first_plain && row.is_multiple_of(phases)) {
            random.shuffle(&mut order);
        }
        wiring.extend(order);
    }
    Data::U32(wiring)
}
