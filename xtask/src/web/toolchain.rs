//! A compiler for WebAssembly: the target of the toolchain that runs us, or Debian's compiler with the standard library's
//! source.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::apt::{self, Privilege, says};
use crate::driver::on_path;
use crate::{Failure, Result, root};

pub const TARGET: &str = "wasm32-unknown-unknown";

impl Toolchain {
    /// Returns its cargo at work in the workspace of the page.
    pub fn command(&self) -> Command {
        let mut cargo = Command::new(&self.cargo);
        cargo.current_dir(root().join("live"));
        // The cargo that runs us points it at the libraries of its own compiler.
        cargo.env_remove("LD_LIBRARY_PATH");
        cargo.envs(self.environment.iter().map(|(name, value)| (name, value)));
        cargo
    }

    /// True if the standard library is compiled with the page, for size; that of a toolchain is for speed, and larger.
    pub fn compiles_the_standard_library(&self) -> bool {
        !self.flags.is_empty()
    }
}

/// The packages of Debian 12 with a compiler for WebAssembly.
const PACKAGES: [&str; 3] = ["rustc-web", "cargo-web", "rust-web-src"];
const SOURCE: &str = "/usr/lib/rustlib/src/rust/library/std";

/// A cargo that compiles for a page, with what it has to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Toolchain {
    pub cargo: PathBuf,
    pub environment: Vec<(&'static str, OsString)>,
    pub flags: Vec<&'static str>,
}

/// Returns a compiler for WebAssembly, which is installed where apt has it and we may.
pub fn ensure() -> Result<Toolchain> {
    if let Some(toolchain) = present().or_else(debian) {
        return Ok(toolchain);
    }
    let privilege = apt::privilege();
    if on_path("apt-get") && privilege != Privilege::None {
        eprintln!("No compiler for {TARGET} here: installing Debian's ({})", PACKAGES.join(", "));
        apt::install(privilege == Privilege::Sudo, &PACKAGES)?;
        if let Some(toolchain) = debian() {
            return Ok(toolchain);
        }
    }
    Err(Failure::new(format!(
        "there is no compiler for {TARGET} on this machine: type `rustup target add {TARGET}`, or on Debian 12 `{}`",
        apt::typed(&PACKAGES)
    )))
}

/// The toolchain that runs us, if the target is installed.
fn present() -> Option<Toolchain> {
    let libraries = says("rustc", &["--print", "target-libdir", "--target", TARGET])?;
    let cargo = std::env::var_os("CARGO").map_or_else(|| "cargo".into(), PathBuf::from);
    Path::new(&libraries).is_dir().then(|| Toolchain { cargo, environment: Vec::new(), flags: Vec::new() })
}

/// Debian's compiler, which has the source of the standard library and no linker: ours links.
fn debian() -> Option<Toolchain> {
    let [cargo, rustc, rustdoc] = ["cargo", "rustc", "rustdoc"].map(|name| Path::new("/usr/bin").join(name));
    if !(cargo.is_file() && rustc.is_file() && Path::new(SOURCE).is_dir()) {
        return None;
    }
    let environment = vec![
        ("RUSTC", rustc.into()),
        ("RUSTDOC", rustdoc.into()),
        // The standard library may only be built by a compiler that allows what is unstable.
        ("RUSTC_BOOTSTRAP", "1".into()),
        ("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker()?.into()),
    ];
    // Of sorting, and of printing numbers, the short algorithms: 75 kB less.
    let flags = vec!["-Zbuild-std=std,panic_abort", "-Zbuild-std-features=optimize_for_size"];
    Some(Toolchain { cargo, environment, flags })
}

/// The target of this machine's own programs.
pub fn host() -> Option<String> {
    says("rustc", &["-vV"])?.lines().find_map(|line| line.strip_prefix("host: ").map(str::to_owned))
}

/// The linker for WebAssembly: that of the toolchain that runs us, or Debian's package lld.
fn linker() -> Option<PathBuf> {
    let root = says("rustc", &["--print", "sysroot"])?;
    let ours = Path::new(&root).join("lib/rustlib").join(host()?).join("bin/rust-lld");
    [ours, "/usr/bin/wasm-ld".into()].into_iter().find(|linker| linker.is_file())
}
