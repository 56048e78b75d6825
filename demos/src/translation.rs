//! A call's shader with its constants set, in the languages of GPUs' compilers.

use fourfold::shaders::Call;
use naga::back::pipeline_constants::process_overrides;
use naga::back::{hlsl, msl, spv};
use naga::proc::{BoundsCheckPolicies, BoundsCheckPolicy};
use naga::valid::{Capabilities, ModuleInfo, ValidationFlags, Validator};
use naga::{Module, ShaderStage};

/// A shader whose constants are resolved as wgpu resolves them.
pub struct Resolved {
    module: Module,
    info: ModuleInfo,
    entry_point: String,
}

impl Resolved {
    /// Resolves the constants of a call's kernel.
    ///
    /// # Errors
    /// naga's message on WGSL that is not valid.
    pub fn of(call: &Call) -> Result<Self, String> {
        let kernel = &*call.kernel;
        let module =
            naga::front::wgsl::parse_str(&kernel.source).map_err(|error| error.emit_to_string(&kernel.source))?;
        let mut validator = Validator::new(ValidationFlags::all(), Capabilities::all());
        let info = validator.validate(&module).map_err(|error| error.emit_to_string(&kernel.source))?;
        let constants = call.constants.iter().map(|&(name, value)| (name.to_owned(), value)).collect();
        let entry = Some((ShaderStage::Compute, kernel.entry_point));
        let (module, info) = process_overrides(&module, &info, entry, &constants).map_err(|error| error.to_string())?;
        Ok(Self { module: module.into_owned(), info: info.into_owned(), entry_point: kernel.entry_point.to_owned() })
    }

    /// Returns the invocations of a workgroup.
    pub fn workgroup(&self) -> u32 {
        let entry = self.module.entry_points.iter().find(|entry| entry.name == self.entry_point);
        entry.map_or(0, |entry| entry.workgroup_size.iter().product())
    }

    /// Returns the SPIR-V 1.3 that wgpu gives to a Vulkan driver for a kernel that needs no runtime checks.
    ///
    /// # Errors
    /// naga's message.
    pub fn spirv(&self) -> Result<Vec<u32>, String> {
        let unchecked = BoundsCheckPolicy::Unchecked;
        let options = spv::Options {
            lang_version: (1, 3),
            bounds_check_policies: BoundsCheckPolicies {
                index: unchecked,
                buffer: unchecked,
                image_load: unchecked,
                binding_array: unchecked,
            },
            zero_initialize_workgroup_memory: spv::ZeroInitializeWorkgroupMemoryMode::None,
            force_loop_bounding: false,
            ..spv::Options::default()
        };
        let entry = spv::PipelineOptions { shader_stage: ShaderStage::Compute, entry_point: self.entry_point.clone() };
        spv::write_vec(&self.module, &self.info, &options, Some(&entry)).map_err(|error| error.to_string())
    }

    /// Returns the SPIR-V 1.3 of a kernel with runtime checks, as those of a user have them.
    ///
    /// # Errors
    /// naga's message.
    pub fn checked_spirv(&self) -> Result<Vec<u32>, String> {
        let options = spv::Options { lang_version: (1, 3), ..spv::Options::default() };
        spv::write_vec(&self.module, &self.info, &options, None).map_err(|error| error.to_string())
    }

    /// Returns the text in Metal's shading language, version 2.1.
    ///
    /// # Errors
    /// naga's message.
    pub fn msl(&self) -> Result<String, String> {
        let options = msl::Options { lang_version: (2, 1), ..msl::Options::default() };
        let pipeline = msl::PipelineOptions {
            entry_point: Some((ShaderStage::Compute, self.entry_point.clone())),
            ..msl::PipelineOptions::default()
        };
        let written = msl::write_string(&self.module, &self.info, &options, &pipeline);
        written.map(|(text, _)| text).map_err(|error| error.to_string())
    }

    /// Returns the text for DirectX with shader model 6.0, and the name of its entry point there.
    ///
    /// # Errors
    /// naga's message.
    pub fn hlsl(&self) -> Result<(String, String), String> {
        let options = hlsl::Options { shader_model: hlsl::ShaderModel::V6_0, ..hlsl::Options::default() };
        let pipeline = hlsl::PipelineOptions { entry_point: Some((ShaderStage::Compute, self.entry_point.clone())) };
        let mut text = String::new();
        let reflection = hlsl::Writer::new(&mut text, &options, &pipeline)
            .write(&self.module, &self.info, None)
            .map_err(|error| error.to_string())?;
        // naga adds an underscore to a name that means something in HLSL.
        let is_ours = |name: &String| name.trim_end_matches('_') == self.entry_point.trim_end_matches('_');
        let mut names = reflection.entry_point_names.into_iter().flatten();
        let entry = names.find(is_ours).ok_or("naga wrote no entry point")?;
        Ok((text, entry))
    }
}
