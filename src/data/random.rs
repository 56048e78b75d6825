//! Seeded randomness for splits, shuffles and label noise: the same on every platform and in every later version.

use fourfold_shaders::random::threefry::{Random, threefry};

/// The numbers below `length` in the random order of one epoch: the order in which training visits the rows.
///
/// # Panics
/// If `length` is 2^32 or more.
pub fn permutation(length: usize, seed: u64, epoch: u64) -> Vec<u32> {
    let mut rows: Vec<u32> = (0..u32::try_from(length).expect("fewer than 2^32 rows")).collect();
    stream(seed, EPOCH.wrapping_add(epoch)).shuffle(&mut rows);
    rows
}

/// The purposes of streams. Epochs count up from the last one.
pub(super) const SPLIT: u64 = 1;
pub(super) const LABEL_NOISE: u64 = 2;
const EPOCH: u64 = 1 << 32;

/// The generator of a seed for one purpose: those of different purposes are independent.
pub(super) fn stream(seed: u64, purpose: u64) -> Random {
    let halves = |word: u64| [word as u32, (word >> 32) as u32];
    let [first, second] = threefry(halves(seed), halves(purpose));
    Random::new(first, second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_permutation_holds_every_row_once_and_differs_between_epochs_and_seeds() {
        let first = permutation(100, 7, 0);
        let mut sorted = first.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..100).collect::<Vec<_>>());
        assert_eq!(first, permutation(100, 7, 0));
        assert_ne!(first, permutation(100, 7, 1));
        assert_ne!(first, permutation(100, 8, 0));
        assert_ne!(first, permutation(100, 7 + (1 << 32), 0));
    }

    #[test]
    fn the_order_of_an_epoch_is_the_same_on_every_platform() {
        assert_eq!(permutation(8, 0, 0), [1, 3, 6, 5, 4, 2, 7, 0]);
    }
}
