//! Every kernel on every target: translated for Vulkan, Metal and DirectX, and within WebGPU's default limits. Compilers of
//! others judge the translations in `demos/tests/compile.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use fourfold::shaders::{Access, Call, Generator, Kernel, kernels};
use naga::back::{hlsl, msl, pipeline_constants::process_overrides, spv};
use naga::valid::{Capabilities, ModuleInfo, ValidationFlags, Validator};
use naga::{AddressSpace, Module, ShaderStage, StorageAccess, TypeInner};

/// Cases from which the variants of a kernel are gathered.
const CASES: u64 = 60;

/// One call for each variant that the case generators draw, by kernel, source and constants.
fn variants() -> &'static BTreeMap<String, Call> {
    static VARIANTS: OnceLock<BTreeMap<String, Call>> = OnceLock::new();
    VARIANTS.get_or_init(draw_variants)
}

fn draw_variants() -> BTreeMap<String, Call> {
    let mut variants = BTreeMap::new();
    for kernel in kernels() {
        for seed in 0..CASES {
            // Small shapes and large ones choose different variants; the values do not matter.
            let size = if seed % 6 == 0 { Generator::FULL } else { 20 };
            let call = kernel.case.draw(&mut Generator::new(seed, size)).call;
            let mut source = DefaultHasher::new();
            call.kernel.source.hash(&mut source);
            variants.entry(format!("{} {:x} {:?}", kernel.name, source.finish(), call.constants)).or_insert(call);
        }
    }
    variants
}

fn parse(kernel: &Kernel) -> (Module, ModuleInfo) {
    let module = naga::front::wgsl::parse_str(&kernel.source)
        .unwrap_or_else(|error| panic!("{}: {}", kernel.name, error.emit_to_string(&kernel.source)));
    let mut capabilities = Capabilities::default();
    capabilities.set(Capabilities::SUBGROUP, kernel.subgroup_sizes.is_some());
    let info = Validator::new(ValidationFlags::all(), capabilities)
        .validate(&module)
        .unwrap_or_else(|error| panic!("{}: {}", kernel.name, error.emit_to_string(&kernel.source)));
    (module, info)
}

/// The module of one variant, its constants resolved as wgpu resolves them.
fn resolved(call: &Call) -> (Module, ModuleInfo) {
    let (module, info) = parse(&call.kernel);
    let constants = call.constants.iter().map(|&(name, value)| (name.to_string(), value)).collect();
    let entry_point = Some((ShaderStage::Compute, call.kernel.entry_point));
    let (module, info) = process_overrides(&module, &info, entry_point, &constants)
        .unwrap_or_else(|error| panic!("{} {:?}: {error}", call.kernel.name, call.constants));
    (module.into_owned(), info.into_owned())
}

/// Every WGSL file below a folder.
fn wgsl_files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a readable folder of the shader crate");
    let paths = entries.map(|entry| entry.expect("a readable folder").path());
    paths
        .flat_map(|path| match path.extension() {
            _ if path.is_dir() => wgsl_files(&path),
            Some(extension) if extension == "wgsl" => vec![path],
            _ => Vec::new(),
        })
        .collect()
}

#[test]
fn every_wgsl_file_belongs_to_a_kernel_of_the_list() {
    let drawn: BTreeSet<_> = variants().values().map(|call| call.kernel.source.to_string()).collect();
    let files = wgsl_files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("shaders/src"));
    assert!(files.len() > 90, "the shader crate lies in the workspace");
    let forgotten = files.iter().filter(|path| {
        let source = std::fs::read_to_string(path).expect("a readable file");
        // Generated kernels draw single functions from this library.
        let library = path.file_name().is_some_and(|name| name == "elementwise.wgsl");
        !library && !drawn.iter().any(|drawn| drawn.contains(source.trim()))
    });
    let forgotten: Vec<_> = forgotten.map(|path| path.display().to_string()).collect();
    assert!(forgotten.is_empty(), "no case of a kernel of `kernels()` contains {}", forgotten.join(", "));
}

/// The SPIR-V of a variant.
fn spirv(call: &Call) -> Vec<u32> {
    let (module, info) = resolved(call);
    let options = spv::Options { lang_version: (1, 3), ..spv::Options::default() };
    spv::write_vec(&module, &info, &options, None)
        .unwrap_or_else(|error| panic!("{} {:?}: SPIR-V: {error}", call.kernel.name, call.constants))
}

/// The HLSL of a variant, and the name of its entry point there.
fn hlsl(call: &Call) -> (String, String) {
    let (module, info) = resolved(call);
    let shader_model = match call.kernel.subgroup_sizes {
        Some(_) => hlsl::ShaderModel::V6_0,
        None => hlsl::ShaderModel::V5_1,
    };
    let options = hlsl::Options { shader_model, ..hlsl::Options::default() };
    let pipeline =
        hlsl::PipelineOptions { entry_point: Some((ShaderStage::Compute, call.kernel.entry_point.to_string())) };
    let mut text = String::new();
    let written = hlsl::Writer::new(&mut text, &options, &pipeline).write(&module, &info, None);
    let refused =
        |error: &dyn std::fmt::Display| -> ! { panic!("{} {:?}: HLSL: {error}", call.kernel.name, call.constants) };
    let reflection = written.unwrap_or_else(|error| refused(&error));
    // naga adds an underscore to a name that means something in HLSL.
    let is_ours = |name: &&String| name.trim_end_matches('_') == call.kernel.entry_point.trim_end_matches('_');
    let entry = reflection.entry_point_names.iter().flatten().find(is_ours).cloned();
    (text, entry.unwrap_or_else(|| refused(&"no entry point")))
}

#[test]
fn naga_translates_every_variant_to_spirv_msl_and_hlsl() {
    for (name, call) in variants() {
        spirv(call);
        hlsl(call);
        let (module, info) = resolved(call);
        let options = msl::Options { lang_version: (2, 1), ..msl::Options::default() };
        let pipeline = msl::PipelineOptions {
            entry_point: Some((ShaderStage::Compute, call.kernel.entry_point.to_string())),
            ..msl::PipelineOptions::default()
        };
        msl::write_string(&module, &info, &options, &pipeline).unwrap_or_else(|error| panic!("{name}: MSL: {error}"));
    }
}

#[test]
fn every_variant_stays_within_the_default_limits_of_webgpu() {
    let limits = fourfold::wgpu::Limits::defaults();
    for (name, call) in variants() {
        let (module, info) = resolved(call);
        let entry = module.entry_points.iter().position(|entry| entry.name == call.kernel.entry_point);
        let index = entry.unwrap_or_else(|| panic!("{name}: no entry point {}", call.kernel.entry_point));
        let [x, y, z] = module.entry_points[index].workgroup_size;
        assert!(x * y * z <= limits.max_compute_invocations_per_workgroup, "{name}: workgroup of {x} x {y} x {z}");
        assert!(z <= limits.max_compute_workgroup_size_z, "{name}: workgroup of depth {z}");
        let serial = x * y * z == 1;
        assert!(serial || x % 8 == 0, "{name}: lanes run along x, and no processor fills its vectors with {x}");

        let used = |handle: naga::Handle<naga::GlobalVariable>| !info.get_entry_point(index)[handle].is_empty();
        let workgroup = |variable: &naga::GlobalVariable| variable.space == AddressSpace::WorkGroup;
        let memory = module.global_variables.iter().filter(|(handle, variable)| workgroup(variable) && used(*handle));
        let memory: u32 = memory.map(|(_, variable)| module.types[variable.ty].inner.size(module.to_ctx())).sum();
        assert!(memory <= limits.max_compute_workgroup_storage_size, "{name}: {memory} bytes of workgroup memory");
        let bindings = call.kernel.bindings.len() as u32;
        assert!(bindings <= limits.max_storage_buffers_per_shader_stage, "{name}: {bindings} bindings");
        let widest = call.grid.into_iter().max().unwrap_or(0);
        assert!(widest <= limits.max_compute_workgroups_per_dimension, "{name}: {widest} workgroups in a row");
    }
}

#[test]
fn the_description_of_every_kernel_agrees_with_its_wgsl() {
    for call in variants().values() {
        let kernel = &*call.kernel;
        let name = &kernel.name;
        let (module, info) = parse(kernel);
        let entry = module.entry_points.iter().position(|entry| entry.name == kernel.entry_point);
        let index = entry.unwrap_or_else(|| panic!("{name}: no entry point {}", kernel.entry_point));
        let mut seen = vec![false; kernel.bindings.len()];
        for (handle, variable) in module.global_variables.iter() {
            let Some(binding) = variable.binding else { continue };
            if info.get_entry_point(index)[handle].is_empty() {
                continue;
            }
            let wgsl = variable.name.as_deref().unwrap_or("");
            match variable.space {
                AddressSpace::Uniform => {
                    assert_eq!((binding.group, binding.binding), (1, 0), "{name}: place of the uniform block");
                    let size = module.types[variable.ty].inner.size(module.to_ctx());
                    let described = kernel.uniform_bytes as u32;
                    let padded = described.next_multiple_of(16);
                    assert!((described..=padded).contains(&size), "{name}: uniform block of {size} bytes");
                }
                AddressSpace::Storage { access } => {
                    assert_eq!(binding.group, 0, "{name}: group of `{wgsl}`");
                    let position = binding.binding as usize;
                    let described = kernel.bindings.get(position);
                    let described = described.unwrap_or_else(|| panic!("{name}: `{wgsl}` is not described"));
                    // `x4` is `x` seen as vectors of four, `x2` as vectors of two.
                    let plain = wgsl.strip_suffix(['2', '4']).unwrap_or(wgsl);
                    assert!([wgsl, plain].contains(&described.name), "{name}: `{wgsl}` is described otherwise");
                    let writes = access.contains(StorageAccess::STORE);
                    assert_eq!(described.access != Access::Read, writes, "{name}: access of `{wgsl}`");
                    // Copies move numbers as words, whatever they mean.
                    let (described, wgsl_type) = (described.element_name(), scalar(&module, variable.ty));
                    assert!([described, "u32"].contains(&wgsl_type), "{name}: `{wgsl}` holds {wgsl_type}");
                    seen[position] = true;
                }
                _ => panic!("{name}: `{wgsl}` is bound in an address space that no kernel uses"),
            }
        }
        // Unrolls of an inner problem bind `data` whether that problem reads numbers of its own or not.
        let unused = kernel.bindings.iter().zip(&seen).find(|(binding, seen)| !**seen && binding.name != "data");
        assert!(unused.is_none(), "{name}: `{}` is described but not used", unused.map_or("", |(b, _)| b.name));
    }
}

/// The WGSL name of a binding's elements.
trait ElementName {
    fn element_name(&self) -> &'static str;
}

impl ElementName for fourfold::shaders::Binding {
    fn element_name(&self) -> &'static str {
        match self.element {
            fourfold::shaders::Element::F32 => "f32",
            fourfold::shaders::Element::U32 => "u32",
        }
    }
}

/// The scalar that an array of scalars or vectors is made of.
fn scalar(module: &Module, ty: naga::Handle<naga::Type>) -> &'static str {
    match module.types[ty].inner {
        TypeInner::Array { base, .. } => scalar(module, base),
        TypeInner::Scalar(scalar) | TypeInner::Vector { scalar, .. } => match scalar.kind {
            naga::ScalarKind::Float => "f32",
            naga::ScalarKind::Uint => "u32",
            _ => "another scalar",
        },
        _ => "no array of scalars",
    }
}

/// Operations and numbers of SPIR-V, by the specification's section 3.
mod spirv {
    pub const TYPE_POINTER: u32 = 32;
    pub const VARIABLE: u32 = 59;
    pub const DECORATE: u32 = 71;
    pub const ARRAY_STRIDE: u32 = 6;
    pub const WORKGROUP: u32 = 4;
}

#[test]
fn naga_still_gives_workgroup_arrays_a_stride() {
    // Vulkan's validation layer calls it VUID-StandaloneSpirv-None-10684; docs/validator.md tells of it.
    let source = "var<workgroup> sums: array<f32, 4>;
        @compute @workgroup_size(4) fn main(@builtin(local_invocation_index) lane: u32) { sums[lane] = 1.0; }";
    let module = naga::front::wgsl::parse_str(source).expect("valid WGSL");
    let info = Validator::new(ValidationFlags::all(), Capabilities::empty()).validate(&module).expect("a valid module");
    let words = spv::write_vec(&module, &info, &spv::Options::default(), None).expect("SPIR-V");
    let mut instructions = Vec::new();
    let mut rest = &words[5..];
    while let [first, ..] = rest {
        let (instruction, after) = rest.split_at((first >> 16) as usize);
        instructions.push(instruction);
        rest = after;
    }
    let of = |operation: u32| instructions.iter().filter(move |words| words[0] & 0xFFFF == operation);
    let pointers: Vec<u32> =
        of(spirv::VARIABLE).filter(|words| words[3] == spirv::WORKGROUP).map(|words| words[1]).collect();
    let arrays: Vec<u32> =
        of(spirv::TYPE_POINTER).filter(|words| pointers.contains(&words[1])).map(|words| words[3]).collect();
    let strides = of(spirv::DECORATE).filter(|words| words[2] == spirv::ARRAY_STRIDE && arrays.contains(&words[1]));
    assert!(!arrays.is_empty(), "a workgroup variable");
    assert!(
        strides.count() > 0,
        "naga is mended: take VUID-StandaloneSpirv-None-10684 out of docs/validator.md, and this test"
    );
}
