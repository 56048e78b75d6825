//! Pipelines and bind-group layouts, built once for each kernel variant.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use fourfold_shaders::{Call, Kernel};

use super::scope::Refusal;
use super::{Error, Gpu, inspect};

/// True for each binding of a kernel that is writable: all that a bind-group layout depends on.
type Signature = Vec<bool>;

/// A WGSL text and whether it is compiled with runtime checks.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Text {
    source: Cow<'static, str>,
    checked: bool,
}

/// One kernel with the values of its constants (as bits, sorted by name).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Variant {
    text: Text,
    entry_point: &'static str,
    constants: Vec<(&'static str, u64)>,
}

/// The layouts that all kernels of one signature share, so that their bind groups are interchangeable.
#[derive(Debug)]
pub(super) struct Layouts {
    pub operands: wgpu::BindGroupLayout,
    pub uniform: wgpu::BindGroupLayout,
    pipeline: wgpu::PipelineLayout,
}

/// A pipeline with its layouts.
#[derive(Debug, Clone)]
pub(super) struct Prepared {
    pub pipeline: wgpu::ComputePipeline,
    pub layouts: Arc<Layouts>,
}

#[derive(Debug, Default)]
pub(super) struct Cache {
    entries: Mutex<Entries>,
}

#[derive(Debug, Default)]
struct Entries {
    uniform: Option<wgpu::BindGroupLayout>,
    layouts: HashMap<Signature, Arc<Layouts>>,
    modules: HashMap<Text, wgpu::ShaderModule>,
    pipelines: HashMap<Variant, Prepared>,
    /// The host's own, if it gave one.
    host: Option<wgpu::PipelineCache>,
}

impl Cache {
    fn lock(&self) -> MutexGuard<'_, Entries> {
        // Entries are inserted whole, so a panic elsewhere leaves none half-made.
        self.entries.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Gpu {
    /// Pipelines built so far.
    pub fn pipelines(&self) -> usize {
        self.inner.pipelines.lock().pipelines.len()
    }

    /// Builds the pipelines from now on with a cache of the host's, which stores what the driver compiled for later runs of
    /// the application.
    pub fn use_pipeline_cache(&self, cache: wgpu::PipelineCache) {
        self.inner.pipelines.lock().host = Some(cache);
    }

    /// The pipeline of a call, which any thread may build while others record.
    pub(super) fn pipeline(&self, call: &Call) -> Result<Prepared, Error> {
        let kernel = &*call.kernel;
        let mut constants: Vec<_> = call.constants.iter().map(|&(name, value)| (name, value.to_bits())).collect();
        constants.sort_unstable();
        let text = Text { source: kernel.source.clone(), checked: self.checked() || call.has_runtime_checks() };
        let variant = Variant { text: text.clone(), entry_point: kernel.entry_point, constants };
        if let Some(prepared) = self.inner.pipelines.lock().pipelines.get(&variant) {
            return Ok(prepared.clone());
        }
        self.supports(kernel)?;
        if call.has_runtime_checks() {
            inspect(kernel)?;
        }
        let refused = |refusal| {
            self.or_lost(match refusal {
                Refusal::OutOfMemory => Error::OutOfMemory { label: format!("pipeline of {}", kernel.name), bytes: 0 },
                Refusal::Other(message) => Error::Pipeline { kernel: kernel.name.to_string(), message },
            })
        };
        let operation = format!("the pipeline of kernel `{}`", kernel.name);
        let layouts =
            self.scoped(&operation, || self.layouts(&mut self.inner.pipelines.lock(), kernel)).map_err(refused)?;
        let (module, cache) = {
            let entries = self.inner.pipelines.lock();
            (entries.modules.get(&text).cloned(), entries.host.clone())
        };
        // The driver compiles without the lock: other threads find the pipelines that are there.
        let module = match module {
            Some(module) => module,
            None => self.scoped(&operation, || self.module(kernel, text.checked)).map_err(refused)?,
        };
        let descriptor = wgpu::ComputePipelineDescriptor {
            label: Some(&kernel.name),
            layout: Some(&layouts.pipeline),
            module: &module,
            entry_point: Some(kernel.entry_point),
            compilation_options: wgpu::PipelineCompilationOptions {
                constants: &call.constants,
                // Our own kernels write workgroup memory before they read it.
                zero_initialize_workgroup_memory: text.checked,
            },
            cache: cache.as_ref(),
        };
        let pipeline =
            self.scoped(&operation, || self.device().create_compute_pipeline(&descriptor)).map_err(refused)?;
        // wgpu drops the errors of a lost device: nothing that it made is kept.
        self.alive()?;
        let mut entries = self.inner.pipelines.lock();
        entries.modules.insert(text, module);
        Ok(entries.pipelines.entry(variant).or_insert(Prepared { pipeline, layouts }).clone())
    }

    fn supports(&self, kernel: &Kernel) -> Result<(), Error> {
        if let Some(reason) = kernel.lacks_subgroups(self.target().subgroups) {
            return Err(Error::MissingSubgroups { kernel: kernel.name.to_string(), reason });
        }
        let allowed = u64::from(self.limits().max_storage_buffers_per_shader_stage);
        let needed = kernel.bindings.len() as u64;
        if needed > allowed {
            let limit = "max_storage_buffers_per_shader_stage";
            return Err(Error::LimitExceeded { kernel: kernel.name.to_string(), limit, needed, allowed });
        }
        Ok(())
    }

    #[expect(unsafe_code, reason = "compiles kernels without runtime checks")]
    fn module(&self, kernel: &Kernel, checked: bool) -> wgpu::ShaderModule {
        // Browsers demand the directive that naga does not know.
        let directive = kernel.subgroup_sizes.is_some() && self.info().backend == wgpu::Backend::BrowserWebGpu;
        let source =
            if directive { format!("enable subgroups;\n{}", kernel.source).into() } else { kernel.source.clone() };
        let descriptor =
            wgpu::ShaderModuleDescriptor { label: Some(&kernel.name), source: wgpu::ShaderSource::Wgsl(source) };
        if checked {
            return self.device().create_shader_module(descriptor);
        }
        // SAFETY: a call without runtime checks is of a kernel of `fourfold-shaders`, made from parts of that crate alone,
        // which index within the lengths that `prepare` has checked and whose loops end (the tests run every one of them
        // both checked and between guard regions); or its author promised the same through an `unsafe fn`; or what is not of
        // that crate is an environment's straight-line code, which `straight_line.rs` there tells apart, and says why it may.
        unsafe { self.device().create_shader_module_trusted(descriptor, wgpu::ShaderRuntimeChecks::unchecked()) }
    }

    fn layouts(&self, entries: &mut Entries, kernel: &Kernel) -> Arc<Layouts> {
        let signature: Signature = kernel.bindings.iter().map(|binding| binding.access.writes()).collect();
        if let Some(layouts) = entries.layouts.get(&signature) {
            return layouts.clone();
        }
        let entry = |binding, ty, has_dynamic_offset| wgpu::BindGroupLayoutEntry {
            binding,
            visibility: wgpu::ShaderStages::COMPUTE,
            ty: wgpu::BindingType::Buffer { ty, has_dynamic_offset, min_binding_size: None },
            count: None,
        };
        let device = self.device();
        let storage: Vec<_> = (0..)
            .zip(&signature)
            .map(|(index, writes)| entry(index, wgpu::BufferBindingType::Storage { read_only: !writes }, false))
            .collect();
        let operands = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
            label: Some("fourfold operands"),
            entries: &storage,
        });
        let uniform = entries.uniform.get_or_insert_with(|| {
            device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
                label: Some("fourfold uniform block"),
                entries: &[entry(0, wgpu::BufferBindingType::Uniform, true)],
            })
        });
        let pipeline = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: Some("fourfold kernel"),
            bind_group_layouts: &[Some(&operands), Some(uniform)],
            immediate_size: 0,
        });
        let layouts = Arc::new(Layouts { operands, uniform: uniform.clone(), pipeline });
        entries.layouts.insert(signature, layouts.clone());
        layouts
    }
}
