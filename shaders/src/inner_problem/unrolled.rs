//! The parts that kernels that unroll an inner problem share: which losses count, and what an unroll adds to the estimate
//! of a gradient (`unrolled.wgsl`).

/// Rows of the shares of a pair: a, b, keep, add, and the losses of both particles.
pub const SHARES: usize = 6;

/// The value that stands in a kernel for a number of steps that never comes.
pub(super) const NEVER: u32 = u32::MAX;

/// The losses that count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Objective {
    /// The loss of every step.
    Sum,
    /// The loss of the last step of each unroll, and of each inner problem.
    Last,
    /// The final loss, telescoped: each unroll contributes (loss at its end - loss at its start), which sums to the
    /// final loss (Vicol et al. 2021, section on final losses).
    Final,
}

impl Objective {
    /// Its number in the uniform blocks.
    pub(crate) fn number(self) -> u32 {
        match self {
            Objective::Sum => 0,
            Objective::Last => 1,
            Objective::Final => 2,
        }
    }
}

/// The result of an unroll, for a pair or a direction.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Unrolled {
    /// The losses that count up to the end of an inner problem, the last step included; all of it where none ended.
    pub before: f64,
    /// The losses that count after it.
    pub after: f64,
    /// The loss of the last step of the unroll before, where losses are telescoped.
    pub previous: f64,
    /// True if the perturbation is new in this unroll.
    pub renewed: bool,
    /// True if an inner problem ended.
    pub ended: bool,
    /// True if the unroll stops within an inner problem.
    pub within: bool,
}

impl Unrolled {
    /// a, b, keep and add, where state goes on from the unroll before.
    pub fn accumulated(&self) -> [f64; 4] {
        let one = |yes: bool| if yes { 1.0 } else { 0.0 };
        let present = self.after + if self.renewed { self.before } else { 0.0 };
        // After an end, what is left is the present perturbation, if it has been used at all.
        let add = if self.ended { self.within } else { self.renewed };
        [self.before - self.previous, present, one(!self.ended), one(add)]
    }

    /// The same where state starts anew, or from an unperturbed one: the present perturbation alone counts.
    pub fn present(&self) -> [f64; 4] {
        [0.0, self.before + self.after, 0.0, 0.0]
    }
}
