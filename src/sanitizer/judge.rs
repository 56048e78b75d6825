//! Judges kernels at small shapes, one row each.

use fourfold_shaders::{Generator, Kernel, KernelRef};

use super::{Error, Finding, Options, Order, check};

/// One case of a judgement: the random seed, the size of its shapes, and the order of invocations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Draw {
    /// Random seed of the case and of the order.
    pub seed: u64,
    /// Size in percent of the largest shapes; [`Generator::FULL`] at most.
    pub size: u32,
    /// The order of invocations between barriers.
    pub order: Order,
}

const fn draw(seed: u64, size: u32, order: Order) -> Draw {
    Draw { seed, size, order }
}

/// The cases that every kernel of the list is judged on: all orders, small shapes first.
pub const DRAWS: [Draw; 12] = [
    draw(1, 8, Order::Forward),
    draw(2, 8, Order::Reverse),
    draw(3, 8, Order::Shuffled),
    draw(4, 8, Order::Interleaved),
    draw(5, 3, Order::Shuffled),
    draw(6, 15, Order::Shuffled),
    draw(7, 15, Order::Reverse),
    draw(8, 15, Order::Interleaved),
    draw(9, 25, Order::Shuffled),
    draw(10, 40, Order::Shuffled),
    draw(100, Generator::FULL, Order::Shuffled),
    draw(101, Generator::FULL, Order::Interleaved),
];

/// Passes through loops of one case, counted and as [`Kernel::passes`] states them.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct JudgedPasses {
    /// Passes of a workgroup in lockstep.
    pub counted: u64,
    /// Passes that the kernel states.
    pub stated: u64,
    /// The case in words.
    pub case: String,
}

/// The verdict on one kernel.
#[derive(Debug)]
#[non_exhaustive]
pub struct Judged {
    /// The kernel.
    pub kernel: KernelRef,
    /// Faults, each with its case in words.
    pub findings: Vec<(Finding, String)>,
    /// Cases that could not be interpreted.
    pub errors: Vec<Error>,
    /// The passes of each case.
    pub passes: Vec<JudgedPasses>,
    /// Instructions of all cases.
    pub instructions: u64,
}

impl Judged {
    /// Returns true if every case ran without a fault.
    pub fn passed(&self) -> bool {
        self.findings.is_empty() && self.errors.is_empty()
    }

    /// Cases in which the kernel makes more passes than it states.
    pub fn beyond(&self) -> impl Iterator<Item = &JudgedPasses> {
        self.passes.iter().filter(|passes| passes.counted > passes.stated)
    }
}

/// Interprets the cases `draws` of one kernel after the other, and yields a verdict on each.
pub fn judge(kernels: impl IntoIterator<Item = KernelRef>, draws: &[Draw]) -> impl Iterator<Item = Judged> {
    kernels.into_iter().map(move |kernel| {
        let mut judged =
            Judged { kernel, findings: Vec::new(), errors: Vec::new(), passes: Vec::new(), instructions: 0 };
        for draw in draws {
            judged.add(draw);
        }
        judged
    })
}

impl Judged {
    fn add(&mut self, &Draw { seed, size, order }: &Draw) {
        let kernel: &Kernel = &self.kernel;
        let case = kernel.case.draw(&mut Generator::new(seed, size));
        match check(&case, &Options { order, seed, ..Options::default() }) {
            Ok(report) => {
                self.instructions += report.instructions;
                let stated = (kernel.passes)(&case.call);
                self.passes.push(JudgedPasses { counted: report.lockstep_passes, stated, case: case.label.clone() });
                self.findings.extend(report.findings.into_iter().map(|finding| (finding, case.label.clone())));
            }
            Err(error) => self.errors.push(error),
        }
    }
}
