//! The tuning of this user's adapters: a file for each adapter and driver in the cache folder.

use std::path::PathBuf;

use fourfold::Gpu;
use fourfold::data::file;
use fourfold::gpu::Tuning;
use fourfold::wgpu::AdapterInfo;

use crate::content_hash::hexadecimal;

/// Returns the file of an adapter with its driver; `None` on a system that tells of no cache folder.
pub fn path(adapter: &AdapterInfo) -> Option<PathBuf> {
    Some(caches()?.join("fourfold").join("tuning").join(file_name(adapter)))
}

/// Returns the device with the user's tuning, if there is one. One that cannot be used is ignored, and a sentence says why.
pub fn load(gpu: Gpu) -> Gpu {
    let Some(path) = path(gpu.info()).filter(|path| path.is_file()) else { return gpu };
    let bytes = file::read(&path).map_err(|error| error.to_string());
    let tuned = bytes.and_then(|bytes| {
        let tuning = Tuning::from_bytes(&bytes).map_err(|error| error.to_string())?;
        gpu.with_tuning(tuning).map_err(|error| error.to_string())
    });
    tuned.unwrap_or_else(|error| {
        crate::tell!("{} is ignored, `fourfold tune` measures anew: {error}", path.display());
        gpu
    })
}

/// Returns the SHA-256 of the tuning in use, if there is one.
pub fn hash(gpu: &Gpu) -> Option<String> {
    gpu.tuning().map(|tuning| hexadecimal(&tuning.to_bytes()))
}

/// Returns the user's folder for files that programs can make again.
fn caches() -> Option<PathBuf> {
    let named = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    if cfg!(windows) {
        return named("LOCALAPPDATA");
    }
    let below_home = if cfg!(target_os = "macos") { "Library/Caches" } else { ".cache" };
    named("XDG_CACHE_HOME").or_else(|| Some(named("HOME")?.join(below_home)))
}

/// Names the file so that a reader finds it, and so that no two adapters or drivers share one.
fn file_name(adapter: &AdapterInfo) -> String {
    let AdapterInfo { name, backend, driver, driver_info, .. } = adapter;
    let facts = format!("{name}\n{backend}\n{driver}\n{driver_info}");
    let words = format!("{name} {driver_info}").to_lowercase();
    let words = words.split(|character: char| !character.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let words: String = words.collect::<Vec<_>>().join("-").chars().take(80).collect();
    format!("{words}-{}.json", &hexadecimal(facts.as_bytes())[..8])
}

#[cfg(test)]
mod tests {
    use fourfold::wgpu::{Backend, DeviceType};

    use super::*;

    #[test]
    fn every_driver_version_has_a_file_of_its_own() {
        let name = |driver_info: &str| {
            let mut adapter = AdapterInfo::new(DeviceType::Cpu, Backend::Vulkan);
            (adapter.name, adapter.driver_info) = ("llvmpipe (LLVM 15.0.6, 256 bits)".into(), driver_info.into());
            file_name(&adapter)
        };
        assert!(
            name("Mesa 22.3.6").starts_with("llvmpipe-llvm-15-0-6-256-bits-mesa-22-3-6-"),
            "{}",
            name("Mesa 22.3.6")
        );
        assert_ne!(name("Mesa 22.3.6"), name("Mesa 22/3/6"));
        assert!(!name("../../etc").contains(['/', '.']) || name("../../etc").matches('.').count() == 1);
    }
}
