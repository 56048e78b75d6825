//! Drivers of Vulkan and its layers, chosen by their manifests without being installed, and the system's OpenGL.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Failure, Result};

/// A driver of Vulkan or OpenGL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Driver {
    pub name: String,
    /// Its manifest and the folder of its libraries; the system's choice without.
    manifest: Option<(PathBuf, PathBuf)>,
    /// The graphics API, as WGPU_BACKEND names it; the system's choice without.
    backend: Option<&'static str>,
}

impl Driver {
    /// The driver that the system's loader finds, or that VK_DRIVER_FILES or VK_ICD_FILENAMES names.
    pub fn system() -> Self {
        Self { name: "system".to_owned(), manifest: None, backend: None }
    }

    /// The system's driver of OpenGL, where this program is built with it and finds an adapter.
    pub fn opengl(program: &Path) -> Option<Self> {
        let driver = Self { name: "opengl".to_owned(), manifest: None, backend: Some("gl") };
        let mut adapters = Command::new(program);
        driver.apply(adapters.args(["adapters", "--json"]));
        let output = adapters.output().ok().filter(|output| output.status.success())?;
        String::from_utf8_lossy(&output.stdout).contains("\"gl\"").then_some(driver)
    }

    /// The driver of a manifest.
    ///
    /// # Errors
    /// There is no such file.
    pub fn named(name: &str, manifest: &Path) -> Result<Self> {
        let manifest = fs::canonicalize(manifest).map_err(|error| {
            Failure::usage(format!("--driver {name}: cannot find the manifest {}: {error}", manifest.display()))
        })?;
        let libraries = manifest.parent().unwrap_or(Path::new("/")).to_owned();
        Ok(Self { name: name.to_owned(), manifest: Some((manifest, libraries)), backend: Some("vulkan") })
    }

    /// Has a command use this driver.
    pub fn apply(&self, command: &mut Command) {
        if let Some(backend) = self.backend {
            command.env("WGPU_BACKEND", backend);
        }
        if let Some((manifest, libraries)) = &self.manifest {
            command.env("VK_DRIVER_FILES", manifest).env("VK_ICD_FILENAMES", manifest);
            command.env("LD_LIBRARY_PATH", libraries);
        }
    }
}

/// The drivers in a folder, each unpacked below a folder of its name, by name.
pub fn fetched(folder: &Path) -> Vec<Driver> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let driver = |entry: fs::DirEntry| {
        let files = files(&entry.path());
        let software = |path: &&PathBuf| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.ends_with(".json") && (name.contains("swiftshader") || name.starts_with("lvp_icd"))
        };
        let manifest = files.iter().find(software)?;
        // A manifest names its library by a relative path, or by a name that the linker looks up.
        let text = fs::read_to_string(manifest).ok()?;
        let library = text.split('"').find(|word| word.contains(".so"))?.rsplit('/').next()?;
        let library = files.iter().find(|path| path.file_name().is_some_and(|name| name == library))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let manifest = Some((manifest.clone(), library.parent()?.to_owned()));
        Some(Driver { name, manifest, backend: Some("vulkan") })
    };
    let mut drivers: Vec<Driver> = entries.filter_map(driver).collect();
    drivers.sort_by(|a, b| a.name.cmp(&b.name));
    drivers
}

/// The flags by which `fourfold compile` finds what is in a folder: newer drivers of AMD's beside the system's, and DXC.
pub fn compilers(folder: &Path) -> Vec<OsString> {
    let system = Path::new("/usr/share/vulkan/icd.d/radeon_icd.x86_64.json");
    let named = |path: &PathBuf, begins: &str, ends: &str| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with(begins) && name.ends_with(ends)
    };
    let files = files(folder);
    let newer = files.iter().filter(|path| named(path, "radeon_icd", ".json"));
    let mut drivers: Vec<PathBuf> = newer.cloned().collect();
    let chips = match (drivers.is_empty(), system.is_file()) {
        (true, false) => "none",
        (true, true) => "vega10,navi10,navi21",
        (false, _) => "vega10,navi10,navi21,navi31,gfx1201",
    };
    if system.is_file() {
        drivers.insert(0, system.to_owned());
    }
    let mut flags: Vec<OsString> = vec!["--chip".into(), chips.into()];
    flags.extend(drivers.into_iter().flat_map(|path| ["--driver".into(), path.into()]));
    let dxc = files.iter().find(|path| named(path, "libdxcompiler", ".so"));
    flags.extend(dxc.into_iter().flat_map(|path| ["--dxc".into(), path.into()]));
    flags
}

/// Every file below a folder.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.flat_map(|path| if path.is_dir() && !path.is_symlink() { files(&path) } else { vec![path] }).collect()
}

/// Vulkan's validation layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// The folder of its manifest, where the loader does not look by itself.
    folder: Option<PathBuf>,
}

impl Layer {
    /// The layer in this folder, or that of the system.
    pub fn find(folder: &Path) -> Option<Self> {
        let is_manifest = |path: &&PathBuf| path.file_name().is_some_and(|name| name == MANIFEST);
        if let Some(manifest) = files(folder).iter().find(is_manifest) {
            return Some(Self { folder: manifest.parent().map(Path::to_owned) });
        }
        let system = ["/usr/share", "/usr/local/share", "/etc"].map(Path::new);
        let system = system.iter().any(|folder| folder.join("vulkan/explicit_layer.d").join(MANIFEST).is_file());
        (system || std::env::var_os("VK_LAYER_PATH").is_some()).then_some(Self { folder: None })
    }

    /// Has a command run under the layer, whose messages go to the standard output: wgpu's own use of it, which keeps
    /// some to itself, is switched off.
    pub fn apply(&self, command: &mut Command) {
        command.env("VK_INSTANCE_LAYERS", "VK_LAYER_KHRONOS_validation");
        command.env("WGPU_VALIDATION", "0").env("WGPU_DEBUG", "0").env("VK_LAYER_ENABLE_MESSAGE_LIMIT", "false");
        if let Some(folder) = &self.folder {
            command.env("VK_LAYER_PATH", folder);
        }
    }
}

/// The name of the layer's manifest.
pub const MANIFEST: &str = "VkLayer_khronos_validation.json";

/// The manifest of a layer's library that comes without one.
pub fn layer_manifest(library: &Path) -> OsString {
    let text = format!(
        r#"{{
  "file_format_version": "1.2.0",
  "layer": {{
    "name": "VK_LAYER_KHRONOS_validation",
    "type": "GLOBAL",
    "library_path": "{}",
    "api_version": "1.3.0",
    "implementation_version": "1",
    "description": "Khronos validation layer"
  }}
}}
"#,
        library.display()
    );
    text.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_driver_is_found_by_its_manifest_wherever_it_was_unpacked() {
        let folder = std::env::temp_dir().join(format!("xtask-drivers-{}", std::process::id()));
        let (icds, libraries) = (folder.join("mesa/usr/share/vulkan/icd.d"), folder.join("mesa/usr/lib/x"));
        fs::create_dir_all(&icds).unwrap();
        fs::create_dir_all(&libraries).unwrap();
        fs::write(icds.join("lvp_icd.json"), r#"{"ICD": {"library_path": "libvulkan_lvp.so"}}"#).unwrap();
        fs::write(icds.join("radeon_icd.json"), r#"{"ICD": {"library_path": "libvulkan_radeon.so"}}"#).unwrap();
        fs::write(libraries.join("libvulkan_lvp.so"), "").unwrap();
        let found = fetched(&folder);
        let manifest = icds.join("lvp_icd.json");
        let layer = Layer::find(&folder.join("mesa"));
        fs::write(libraries.join(MANIFEST), "").unwrap();
        let brought = Layer::find(&folder);
        fs::remove_dir_all(&folder).unwrap();
        let manifest = Some((manifest, libraries.clone()));
        assert_eq!(found, [Driver { name: "mesa".into(), manifest, backend: Some("vulkan") }]);
        assert_eq!(brought, Some(Layer { folder: Some(libraries) }));
        assert!(layer.is_none_or(|layer| layer.folder.is_none()));
    }

    #[test]
    fn a_manifest_that_is_not_there_is_wrong_input() {
        let failure = Driver::named("odd", Path::new("/nowhere/icd.json")).unwrap_err();
        assert!(failure.code == 2 && failure.message.contains("/nowhere/icd.json"), "{}", failure.message);
    }
}
