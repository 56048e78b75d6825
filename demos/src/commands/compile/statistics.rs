//! The numbers that a GPU's compiler tells of a pipeline.

use serde::{Deserialize, Serialize};

/// The numbers of one pipeline, by Mesa's names (VK_KHR_pipeline_executable_properties).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Statistics {
    /// Vector registers of a lane ("VGPRs").
    pub registers: u32,
    /// Vector registers that are kept in memory instead ("Spilled VGPRs").
    pub spilled: u32,
    /// Bytes of memory of a lane besides its registers ("Scratch size").
    pub scratch: u32,
    /// Bytes of workgroup memory ("LDS size").
    pub workgroup_memory: u32,
    /// Waves that a SIMD unit holds at a time ("Subgroups per SIMD").
    pub waves: u32,
    /// Instructions in all.
    pub instructions: u32,
    /// Cycles of one wave alone, by the compiler's model ("Latency").
    pub latency: u64,
    /// Cycles of a wave among many, by the compiler's model ("Inverse Throughput").
    pub inverse_throughput: u64,
}

impl Statistics {
    /// Takes one of the driver's numbers, if it is one of these.
    pub fn take(&mut self, name: &str, value: f64) {
        match name {
            "VGPRs" => self.registers = value as u32,
            "Spilled VGPRs" => self.spilled = value as u32,
            "Scratch size" => self.scratch = value as u32,
            "LDS size" => self.workgroup_memory = value as u32,
            "Subgroups per SIMD" => self.waves = value as u32,
            "Instructions" => self.instructions = value as u32,
            "Latency" => self.latency = value as u64,
            "Inverse Throughput" => self.inverse_throughput = value as u64,
            _ => {}
        }
    }
}
