//! The facts about a device that decide between variants of a kernel.

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
}

impl Default for Target {
    fn default() -> Self {
        Self { subgroups: None, software: false, workgroup_memory: 16 << 10, workgroup_invocations: 256 }
    }
}
