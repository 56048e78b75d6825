//! Passes through loops, as one vector of invocations makes them.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// Mixes two numbers into one.
pub(super) fn mix(a: u64, b: u64) -> u64 {
    let mut mixed = (a ^ b.wrapping_mul(0x9E37_79B9_7F4A_7C15)).wrapping_add(0x9E37_79B9_7F4A_7C15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

/// The keys are mixed already.
#[derive(Debug, Default)]
struct Mixed(u64);

impl Hasher for Mixed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.0 = mix(self.0, byte.into()));
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = value;
    }
}

/// The passes of each loop that a workgroup entered, by the invocation that made the most. A loop within a loop counts
/// anew in each pass of the outer one.
#[derive(Debug, Default)]
pub(super) struct Passes(HashMap<u64, u64, BuildHasherDefault<Mixed>>);

impl Passes {
    pub fn add(&mut self, entered: u64, passes: u64) {
        let most = self.0.entry(entered).or_insert(0);
        *most = passes.max(*most);
    }

    /// Returns the sum over all loops, and forgets them.
    pub fn take(&mut self) -> u64 {
        self.0.drain().map(|(_, passes)| passes).sum()
    }
}
