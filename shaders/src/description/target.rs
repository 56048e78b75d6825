//! The facts about a device that decide between variants of a kernel.

use crate::{Call, Choice, Choices, Family};

/// The properties of a device on which the choice of a kernel's variant may depend. The default is what WebGPU guarantees everywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Target {
    /// Subgroup operations may be used, with at least and at most this many lanes in a subgroup.
    pub subgroups: Option<(u32, u32)>,
    /// The adapter is a software driver: loads and barriers dominate, workgroup memory gains nothing.
    pub software: bool,
    /// Workgroup memory in bytes.
    pub workgroup_memory: u32,
    /// Invocations in one workgroup.
    pub workgroup_invocations: u32,
    /// Variants that were measured to be the fastest, which go before the rules of the kernels.
    pub choices: Choices,
}

impl Default for Target {
    fn default() -> Self {
        Self {
            subgroups: None,
            software: false,
            workgroup_memory: 16 << 10,
            workgroup_invocations: 256,
            choices: Choices::NONE,
        }
    }
}

impl Target {
    /// The passes through all loops in sum after which an invocation silently leaves every loop, if there is such a
    /// limit. Mesa's llvmpipe has it; all software drivers are held to it.
    pub fn loop_passes(&self) -> Option<u64> {
        self.software.then_some(65_535)
    }

    /// Returns the choice for shapes of this size, if there is one and the variant `suits` this shape and device.
    pub(crate) fn choice(&self, family: Family, size: usize, suits: impl FnOnce(usize) -> bool) -> Option<Choice> {
        self.choices.get(family, Family::class(size)).filter(|choice| suits(choice.variant))
    }

    /// Returns true if an invocation of the call leaves its loops by itself, and not by a driver's limit.
    pub(crate) fn finishes(&self, call: &Call) -> bool {
        self.loop_passes().is_none_or(|limit| (call.kernel.passes)(call) <= limit)
    }

    /// Returns the least number of parts, of a loop of `length` passes, such that `loops` loops over one part, and
    /// short loops besides, stay below [`loop_passes`](Self::loop_passes): 1 where there is no limit.
    pub(crate) fn parts_of_loop(&self, length: usize, loops: usize) -> usize {
        const BESIDES: usize = 512;
        let most = |limit: u64| (limit as usize - BESIDES) / loops;
        self.loop_passes().map_or(1, |limit| length.div_ceil(most(limit)).max(1))
    }
}
