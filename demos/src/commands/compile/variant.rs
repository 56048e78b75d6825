//! The pipelines of every kernel with the constants that a plan may choose.

use std::collections::BTreeSet;
use std::fmt;

use fourfold::shaders::{Call, Generator, KernelRef, Target};
use serde::{Deserialize, Serialize};

/// One pipeline of a kernel, by the kernel's name and its constants, as in `LANES=4 WORKGROUP=64`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Variant {
    pub kernel: String,
    pub constants: String,
    pub entry_point: String,
    /// Invocations of a workgroup.
    pub workgroup: u32,
}

impl fmt::Display for Variant {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.kernel)?;
        if self.constants.is_empty() { Ok(()) } else { write!(formatter, " with {}", self.constants) }
    }
}

/// Kinds of GPUs between which plans choose, and the cases that are drawn for each: without subgroups, with fixed ones
/// of 32 and 64 lanes, with either.
const GPUS: [(Option<(u32, u32)>, u64); 4] =
    [(None, 24), (Some((32, 32)), 6), (Some((64, 64)), 6), (Some((32, 64)), 6)];

/// Kernels that a plan chooses for software drivers alone.
const FOR_SOFTWARE: [&str; 7] = [
    "matmul_direct",
    "matmul_subgroup",
    "scatter_order.order_alone",
    "convolution_row",
    "convolution_gather",
    "weight_gradient_sliding",
    "weight_gradient_gather",
];

/// Cases of any target, software drivers among them.
const OF_ANY: u64 = 60;

/// Hands over a call of each variant of a kernel, each once, with its constants and whether GPUs get it.
pub fn each(kernel: &KernelRef, mut take: impl FnMut(&Call, String, bool)) {
    let mut seen = BTreeSet::new();
    let mut once = |call: &Call, for_gpus: bool| {
        let constants: BTreeSet<String> =
            call.constants.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let constants = constants.into_iter().collect::<Vec<_>>().join(" ");
        if seen.insert((call.kernel.source.to_string(), constants.clone())) {
            take(call, constants, for_gpus);
        }
    };
    // Small shapes and large ones choose different variants; the values do not matter.
    let generator = |seed: u64| Generator::new(seed, if seed.is_multiple_of(6) { Generator::FULL } else { 20 });
    let for_gpus = !FOR_SOFTWARE.contains(&&*kernel.name);
    for (subgroups, seed) in GPUS.iter().flat_map(|&(gpu, cases)| (0..cases).map(move |seed| (gpu, seed))) {
        let target =
            Target { subgroups, workgroup_memory: 32 << 10, workgroup_invocations: 1_024, ..Target::default() };
        once(&kernel.case.draw(&mut generator(seed).only_for_device(target)).call, for_gpus);
    }
    for seed in 0..OF_ANY {
        once(&kernel.case.draw(&mut generator(seed)).call, false);
    }
}
