//! A Vulkan device that compiles and runs nothing. Mesa's driver for AMD opens one for every chip that it knows, on a
//! machine without any GPU; wgpu cannot use it, since its first submission is refused.

use std::ffi::CStr;
use std::time::Instant;

use ash::khr::pipeline_executable_properties;
use ash::vk;

use super::statistics::Statistics;

/// Storage buffers in group 0; more than any kernel has.
const STORAGE_BUFFERS: u32 = 16;

/// A device that compiles pipelines and tells of them.
pub struct NullDevice {
    name: String,
    // The functions are loaded from this library, which must outlive them.
    _entry: ash::Entry,
    instance: ash::Instance,
    device: ash::Device,
    executables: pipeline_executable_properties::Device,
    operands: vk::DescriptorSetLayout,
    uniform: vk::DescriptorSetLayout,
    layout: vk::PipelineLayout,
}

/// A compiled pipeline.
#[derive(Debug, Clone, PartialEq)]
pub struct Compiled {
    pub seconds: f64,
    pub statistics: Statistics,
    /// The instructions as text; empty where the driver does not tell.
    pub assembly: String,
}

#[expect(unsafe_code, reason = "Vulkan's functions are unsafe; their arguments are valid as the specification asks")]
impl NullDevice {
    /// Opens the first device of the driver that the environment names.
    ///
    /// # Errors
    /// There is no loader, no device, or it does not tell of its pipelines.
    pub fn open() -> Result<Self, String> {
        // SAFETY: the loader's own initialisation is sound on every system that wgpu supports.
        let entry = unsafe { ash::Entry::load() }.map_err(|error| format!("no Vulkan loader: {error}"))?;
        let application = vk::ApplicationInfo::default().api_version(vk::API_VERSION_1_2);
        let info = vk::InstanceCreateInfo::default().application_info(&application);
        // SAFETY: the structures live until the call returns.
        let instance =
            unsafe { entry.create_instance(&info, None) }.map_err(|error| format!("no Vulkan instance: {error}"))?;
        // SAFETY: the instance is alive.
        let devices = unsafe { instance.enumerate_physical_devices() };
        let physical = devices.ok().and_then(|devices| devices.first().copied());
        let physical = physical.ok_or("the driver has no such device")?;
        // SAFETY: the device is one of the instance's.
        let properties = unsafe { instance.get_physical_device_properties(physical) };
        let name =
            properties.device_name_as_c_str().map_or_else(|_| String::new(), |name| name.to_string_lossy().into());

        let mut executables = vk::PhysicalDevicePipelineExecutablePropertiesFeaturesKHR::default();
        let mut twelve = vk::PhysicalDeviceVulkan12Features::default();
        let mut features = vk::PhysicalDeviceFeatures2::default().push_next(&mut executables).push_next(&mut twelve);
        // SAFETY: as above. The structures come back with what the device offers, which is then asked for.
        unsafe { instance.get_physical_device_features2(physical, &mut features) };
        if executables.pipeline_executable_info == 0 {
            return Err(format!("{name} does not tell of its pipelines (VK_KHR_pipeline_executable_properties)"));
        }
        let queues = [vk::DeviceQueueCreateInfo::default().queue_priorities(&[1.0])];
        let extensions = [pipeline_executable_properties::NAME.as_ptr()];
        let mut executables =
            vk::PhysicalDevicePipelineExecutablePropertiesFeaturesKHR::default().pipeline_executable_info(true);
        let mut twelve = vk::PhysicalDeviceVulkan12Features::default()
            .vulkan_memory_model(twelve.vulkan_memory_model != 0)
            .vulkan_memory_model_device_scope(twelve.vulkan_memory_model_device_scope != 0)
            .shader_float16(twelve.shader_float16 != 0);
        let info = vk::DeviceCreateInfo::default()
            .queue_create_infos(&queues)
            .enabled_extension_names(&extensions)
            .push_next(&mut executables)
            .push_next(&mut twelve);
        // SAFETY: the structures live until the call returns, and ask for what the device offers.
        let device = unsafe { instance.create_device(physical, &info, None) }
            .map_err(|error| format!("{name} does not open: {error}"))?;
        let executables = pipeline_executable_properties::Device::new(&instance, &device);

        // As the library binds: storage buffers in group 0, a uniform block with a dynamic offset in group 1.
        let binding = |index, ty| {
            vk::DescriptorSetLayoutBinding::default()
                .binding(index)
                .descriptor_type(ty)
                .descriptor_count(1)
                .stage_flags(vk::ShaderStageFlags::COMPUTE)
        };
        let storage: Vec<_> =
            (0..STORAGE_BUFFERS).map(|index| binding(index, vk::DescriptorType::STORAGE_BUFFER)).collect();
        let group = |bindings: &[vk::DescriptorSetLayoutBinding<'_>]| {
            let info = vk::DescriptorSetLayoutCreateInfo::default().bindings(bindings);
            // SAFETY: the device is alive, the structures as well.
            unsafe { device.create_descriptor_set_layout(&info, None) }.map_err(|error| format!("{name}: {error}"))
        };
        let operands = group(&storage)?;
        let uniform = group(&[binding(0, vk::DescriptorType::UNIFORM_BUFFER_DYNAMIC)])?;
        let groups = [operands, uniform];
        let info = vk::PipelineLayoutCreateInfo::default().set_layouts(&groups);
        // SAFETY: as above.
        let layout =
            unsafe { device.create_pipeline_layout(&info, None) }.map_err(|error| format!("{name}: {error}"))?;
        Ok(Self { name, _entry: entry, instance, device, executables, operands, uniform, layout })
    }

    /// Returns the driver's name of the device.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Compiles the only entry point of a module.
    ///
    /// # Errors
    /// The driver refuses it.
    pub fn compile(&self, spirv: &[u32], entry_point: &CStr) -> Result<Compiled, String> {
        let refused = |error: vk::Result| format!("the driver refuses it: {error}");
        let info = vk::ShaderModuleCreateInfo::default().code(spirv);
        // SAFETY: naga wrote the module, of which its validator approves; the structures live until the call returns.
        let module = unsafe { self.device.create_shader_module(&info, None) }.map_err(refused)?;
        let stage = vk::PipelineShaderStageCreateInfo::default()
            .stage(vk::ShaderStageFlags::COMPUTE)
            .module(module)
            .name(entry_point);
        let flags = vk::PipelineCreateFlags::CAPTURE_STATISTICS_KHR
            | vk::PipelineCreateFlags::CAPTURE_INTERNAL_REPRESENTATIONS_KHR;
        let info = vk::ComputePipelineCreateInfo::default().stage(stage).layout(self.layout).flags(flags);
        let start = Instant::now();
        // SAFETY: module and layout are alive.
        let pipelines = unsafe { self.device.create_compute_pipelines(vk::PipelineCache::null(), &[info], None) };
        let seconds = start.elapsed().as_secs_f64();
        let compiled = pipelines.map_err(|(_, error)| refused(error)).and_then(|pipelines| {
            let pipeline = pipelines.first().copied().ok_or("the driver made no pipeline")?;
            let told = self.told(pipeline);
            // SAFETY: nothing else uses the pipeline.
            unsafe { self.device.destroy_pipeline(pipeline, None) };
            let (statistics, assembly) = told.map_err(refused)?;
            Ok(Compiled { seconds, statistics, assembly })
        });
        // SAFETY: no pipeline is being made of it.
        unsafe { self.device.destroy_shader_module(module, None) };
        compiled
    }

    /// The driver's numbers on a pipeline, and its assembly.
    fn told(&self, pipeline: vk::Pipeline) -> Result<(Statistics, String), vk::Result> {
        let info = vk::PipelineExecutableInfoKHR::default().pipeline(pipeline);
        // SAFETY: the pipeline is alive and was made to be asked; a compute pipeline has one executable.
        let statistics = unsafe { self.executables.get_pipeline_executable_statistics(&info) }?;
        let mut values = Statistics::default();
        for statistic in &statistics {
            let name = statistic.name_as_c_str().map_or_else(|_| String::new(), |name| name.to_string_lossy().into());
            // SAFETY: the format says which member is meant.
            let value = unsafe {
                match statistic.format {
                    vk::PipelineExecutableStatisticFormatKHR::BOOL32 => f64::from(statistic.value.b32),
                    vk::PipelineExecutableStatisticFormatKHR::INT64 => statistic.value.i64 as f64,
                    vk::PipelineExecutableStatisticFormatKHR::UINT64 => statistic.value.u64 as f64,
                    _ => statistic.value.f64,
                }
            };
            values.take(&name, value);
        }
        Ok((values, self.assembly(&info)?))
    }

    /// The driver's assembly of a pipeline; empty where it gives none.
    fn assembly(&self, info: &vk::PipelineExecutableInfoKHR<'_>) -> Result<String, vk::Result> {
        let function = self.executables.fp().get_pipeline_executable_internal_representations_khr;
        let device = self.executables.device();
        let mut count = 0;
        // SAFETY: as Vulkan asks: first how many there are, then how long each is, then the texts.
        unsafe { function(device, info, &mut count, std::ptr::null_mut()) }.result()?;
        let mut representations = vec![vk::PipelineExecutableInternalRepresentationKHR::default(); count as usize];
        // SAFETY: as above, there is room for so many.
        unsafe { function(device, info, &mut count, representations.as_mut_ptr()) }.result()?;
        let mut texts: Vec<Vec<u8>> = representations.iter().map(|each| vec![0; each.data_size]).collect();
        for (representation, text) in representations.iter_mut().zip(&mut texts) {
            representation.p_data = text.as_mut_ptr().cast();
        }
        // SAFETY: as above, and each has room for its text.
        unsafe { function(device, info, &mut count, representations.as_mut_ptr()) }.result()?;
        let is_assembly = |each: &vk::PipelineExecutableInternalRepresentationKHR<'_>| {
            each.name_as_c_str().is_ok_and(|name| name == c"Assembly")
        };
        let text = representations.iter().position(is_assembly).map(|at| std::mem::take(&mut texts[at]));
        let text = text.unwrap_or_default();
        Ok(String::from_utf8_lossy(&text).trim_end_matches('\0').to_owned())
    }
}

#[expect(unsafe_code, reason = "Vulkan's functions are unsafe")]
impl Drop for NullDevice {
    fn drop(&mut self) {
        // SAFETY: all were made by this device and instance, and nothing uses them any more.
        unsafe {
            self.device.destroy_pipeline_layout(self.layout, None);
            self.device.destroy_descriptor_set_layout(self.operands, None);
            self.device.destroy_descriptor_set_layout(self.uniform, None);
            self.device.destroy_device(None);
            self.instance.destroy_instance(None);
        }
    }
}
