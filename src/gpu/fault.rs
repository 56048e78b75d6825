//! Faults of a device that are injected, for tests of what comes after them.

use std::sync::atomic::{AtomicU64, Ordering};

use super::Gpu;

/// A fault at a moment in the life of a device, which [`Gpu::inject`] brings about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The device is destroyed when so many submissions of our own were made, so that the next one finds it lost.
    Loss {
        /// Submissions before.
        submissions: u64,
    },
    /// An allocation of a buffer is refused when so many were made.
    OutOfMemory {
        /// Allocations before.
        allocations: u64,
    },
}

impl Fault {
    /// The device is lost when so many submissions of our own were made.
    pub fn loss(submissions: u64) -> Self {
        Fault::Loss { submissions }
    }

    /// An allocation is refused when so many were made.
    pub fn out_of_memory(allocations: u64) -> Self {
        Fault::OutOfMemory { allocations }
    }
}

/// Calls that are left until a fault; [`NEVER`] without one.
#[derive(Debug)]
pub(super) struct Countdown(AtomicU64);

const NEVER: u64 = u64::MAX;

impl Default for Countdown {
    fn default() -> Self {
        Self(AtomicU64::new(NEVER))
    }
}

impl Countdown {
    /// Counts a call; returns true for the one at which the fault is.
    pub fn strikes(&self) -> bool {
        let next = |left: u64| (left != NEVER).then(|| left.checked_sub(1).unwrap_or(NEVER));
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next) == Ok(0)
    }
}

impl Gpu {
    /// Brings about a fault later, on this device and all clones of the handle: a test of what a program does then.
    pub fn inject(&self, fault: Fault) {
        let (countdown, calls) = match fault {
            Fault::Loss { submissions } => (&self.inner.until_loss, submissions),
            Fault::OutOfMemory { allocations } => (&self.inner.until_out_of_memory, allocations),
        };
        countdown.0.store(calls, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_countdown_strikes_once() {
        let countdown = Countdown::default();
        assert!((0..3).all(|_| !countdown.strikes()));
        countdown.0.store(2, Ordering::Relaxed);
        let struck: Vec<bool> = (0..5).map(|_| countdown.strikes()).collect();
        assert_eq!(struck, [false, false, true, false, false]);
    }
}
