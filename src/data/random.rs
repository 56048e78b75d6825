//! Seeded randomness for splits, shuffles and label noise: the same on every platform and in every later version.

/// A stream of random numbers out of Threefry 2x32-20 (Salmon et al. 2011), the generator of the kernels: word `i` is
/// a function of the seed, the purpose and `i` alone.
#[derive(Debug, Clone)]
pub struct Random {
    key: [u32; 2],
    block: u64,
    spare: Option<u32>,
}

impl Random {
    /// The stream of a seed for one `purpose`: streams of different purposes are independent.
    pub fn new(seed: u64, purpose: u64) -> Self {
        let halves = |word: u64| [word as u32, (word >> 32) as u32];
        Self { key: threefry(halves(seed), halves(purpose)), block: 0, spare: None }
    }

    /// The next 32 random bits.
    pub fn next_u32(&mut self) -> u32 {
        if let Some(word) = self.spare.take() {
            return word;
        }
        let [first, second] = threefry(self.key, [self.block as u32, (self.block >> 32) as u32]);
        self.block += 1;
        self.spare = Some(second);
        first
    }

    /// A number below `bound`, each as likely as the others.
    ///
    /// # Panics
    /// If `bound` is 0.
    pub fn below(&mut self, bound: u32) -> u32 {
        assert!(bound > 0, "no number is below 0");
        // The lowest 2^32 mod bound words would make some remainders likelier.
        let surplus = bound.wrapping_neg() % bound;
        loop {
            let word = self.next_u32();
            if word >= surplus {
                return word % bound;
            }
        }
    }

    /// Puts the values into a random order, each order as likely as the others (Fisher and Yates).
    pub fn shuffle<T>(&mut self, values: &mut [T]) {
        for last in (1..values.len()).rev() {
            let other = self.below(u32::try_from(last + 1).expect("fewer than 2^32 rows"));
            values.swap(last, other as usize);
        }
    }
}

/// The numbers below `length` in the random order of one epoch: the order in which training visits the rows.
pub fn permutation(length: usize, seed: u64, epoch: u64) -> Vec<u32> {
    let mut rows: Vec<u32> = (0..u32::try_from(length).expect("fewer than 2^32 rows")).collect();
    Random::new(seed, EPOCH + epoch).shuffle(&mut rows);
    rows
}

/// What streams are for. Epochs are counted up from the last one.
pub(super) const SPLIT: u64 = 1;
pub(super) const LABEL_NOISE: u64 = 2;
const EPOCH: u64 = 1 << 32;

fn threefry(key: [u32; 2], counter: [u32; 2]) -> [u32; 2] {
    const ROTATIONS: [u32; 8] = [13, 15, 26, 6, 17, 29, 16, 24];
    let keys = [key[0], key[1], key[0] ^ key[1] ^ 0x1BD1_1BDA];
    let mut x = [counter[0].wrapping_add(keys[0]), counter[1].wrapping_add(keys[1])];
    for round in 0..20 {
        x[0] = x[0].wrapping_add(x[1]);
        x[1] = x[1].rotate_left(ROTATIONS[round % 8]) ^ x[0];
        if round % 4 == 3 {
            let injection = round / 4 + 1;
            x[0] = x[0].wrapping_add(keys[injection % 3]);
            x[1] = x[1].wrapping_add(keys[(injection + 1) % 3]).wrapping_add(injection as u32);
        }
    }
    x
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
    }

    #[test]
    fn the_order_of_an_epoch_is_the_same_on_every_platform() {
        assert_eq!(permutation(8, 0, 0), [7, 5, 6, 3, 4, 0, 1, 2]);
    }

    #[test]
    fn threefry_gives_the_published_test_vectors() {
        // The known answers of Random123, 20 rounds.
        assert_eq!(threefry([0, 0], [0, 0]), [0x6b20_0159, 0x99ba_4efe]);
        assert_eq!(threefry([u32::MAX; 2], [u32::MAX; 2]), [0x1cb9_96fc, 0xbb00_2be7]);
    }

    #[test]
    fn numbers_below_a_bound_are_equally_likely() {
        let mut random = Random::new(1, 0);
        let mut counts = [0u32; 6];
        for _ in 0..60_000 {
            counts[random.below(6) as usize] += 1;
        }
        // Six deviations of a binomial count: sqrt(60000 / 6 * 5 / 6) = 91.
        assert!(counts.iter().all(|&count| count.abs_diff(10_000) < 550), "{counts:?}");
    }

    #[test]
    fn every_order_of_three_comes_up_equally_often() {
        let mut random = Random::new(2, 0);
        let mut counts = std::collections::BTreeMap::new();
        for _ in 0..60_000 {
            let mut values = [0, 1, 2];
            random.shuffle(&mut values);
            *counts.entry(values).or_insert(0u32) += 1;
        }
        assert_eq!(counts.len(), 6);
        assert!(counts.values().all(|&count| count.abs_diff(10_000) < 550), "{counts:?}");
    }
}
