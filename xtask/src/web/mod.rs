//! `cargo xtask web`: builds the page into a folder of static files, and serves it.

pub mod browser_test;
mod server;
mod toolchain;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::driver::on_path;
use crate::{Failure, Result, root};
use server::Server;
use toolchain::Toolchain;

pub const USAGE: &str = "\
cargo xtask web [FLAGS]

Builds the page into a folder of static files that any server can host. Installs the compiler with apt where it may, and
fetches wasm-opt with npm where npm is.

  --out FOLDER   where the page goes [default: target/page]
  --serve        serve it on the loopback address until Ctrl-C
  --port NUMBER  the port for that [default: 8080]";

/// The files of the page that are not built.
const STATIC: [&str; 6] = ["index.html", "style.css", "page.js", "scene.js", "drawing.js", "verify.js"];

/// The tool that makes modules smaller.
const BINARYEN: &str = "binaryen@132.0.0";

/// The modules of the page by the feature that makes them, each with the bytes before compression that it stays below. The
/// page loads that of the methods, and the others when a visitor asks for them: the car, and every kernel with its twin.
const MODULES: [(&str, u64); 3] = [("methods", 1_500_000), ("car", 1_500_000), ("verification", 2_400_000)];

/// Builds the page, and serves it if that is asked for.
pub fn run(arguments: &[OsString]) -> Result {
    let (mut out, mut serve, mut port) = (root().join("target/page"), false, 8080);
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        let mut value = || {
            let name = argument.display();
            arguments.next().ok_or_else(|| Failure::usage(format!("{name}: expected a value, got none\n\n{USAGE}")))
        };
        match argument.to_str() {
            Some("--help") => {
                println!("{USAGE}");
                return Ok(());
            }
            Some("--out") => out = value()?.into(),
            Some("--serve") => serve = true,
            Some("--port") => {
                let text = value()?.to_string_lossy();
                port = text
                    .parse()
                    .map_err(|_| Failure::usage(format!("--port: expected a number up to 65535, got `{text}`")))?;
            }
            _ => return Err(Failure::usage(format!("expected a flag, got `{}`\n\n{USAGE}", argument.display()))),
        }
    }
    build(&out, true)?;
    if serve {
        let server = Server::open(&out, port)?;
        println!("The page is at {} (Ctrl-C ends it)", server.url());
        server.run();
    }
    Ok(())
}

/// Builds the page into `out`. A module that has grown too large is an error, or a warning where the size does not count: in
/// a quick test, and with the standard library of a toolchain, which is larger.
fn build(out: &Path, size_counts: bool) -> Result {
    let toolchain = toolchain::ensure()?;
    let live = root().join("live");
    std::fs::create_dir_all(out).map_err(|error| Failure::new(format!("{}: {error}", out.display())))?;
    let mut sizes = Vec::new();
    for (feature, largest) in MODULES {
        eprintln!("Compiling the page's module `{feature}`; the first time takes some minutes");
        let built = compile(&toolchain, &live, feature)?;
        let mut bindgen = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        bindgen.current_dir(&live);
        bindgen.args(["run", "--quiet", "--locked", "--profile", "tool", "--package", "fourfold-bindgen", "--"]);
        succeed(bindgen.arg(&built).arg(absolute(out)?))?;
        let module = out.join(format!("fourfold_{feature}_bg.wasm"));
        let is_optimised = optimise(&module)?;
        let size = std::fs::metadata(&module).map_or(0, |metadata| metadata.len());
        if is_optimised && size >= largest {
            let sentence = format!("{}: expected less than {largest} bytes, got {size}", module.display());
            if size_counts && toolchain.compiles_the_standard_library() {
                return Err(Failure::new(sentence));
            }
            eprintln!("warning: {sentence}");
        }
        sizes.push(format!("{feature} {:.2} MB", size as f64 / 1e6));
    }
    for name in STATIC {
        copy(&live.join("page/www").join(name), &out.join(name))?;
    }
    copy_weights(&root().join("demos/weights"), &out.join("weights"))?;
    println!("{}: static files that any server can host; modules: {}", out.display(), sizes.join(", "));
    Ok(())
}

/// Copies all trained files: the page fetches those that its scenes begin with, which `live/scenes/src/weights.rs` lists.
fn copy_weights(from: &Path, to: &Path) -> Result {
    let failed = |folder: &Path, error: std::io::Error| Failure::new(format!("{}: {error}", folder.display()));
    std::fs::create_dir_all(to).map_err(|error| failed(to, error))?;
    for entry in std::fs::read_dir(from).map_err(|error| failed(from, error))? {
        let file = entry.map_err(|error| failed(from, error))?.path();
        if let (Some(name), true) = (file.file_name(), file.extension().is_some_and(|kind| kind == "safetensors")) {
            copy(&file, &to.join(name))?;
        }
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result {
    std::fs::copy(from, to).map(drop).map_err(|error| Failure::new(format!("{}: {error}", from.display())))
}

/// Fetches the crates of the page, of the standard library where it is built, and of the page's tool.
fn fetch(toolchain: &Toolchain) -> Result {
    let mut cargo = toolchain.command();
    cargo.args(["fetch", "--quiet", "--locked", "--target", toolchain::TARGET]).args(&toolchain.flags);
    if let Some(host) = toolchain::host() {
        cargo.args(["--target", &host]);
    }
    succeed(&mut cargo)
}

/// Compiles one module of the page, and returns it under the name of its feature.
fn compile(toolchain: &Toolchain, live: &Path, feature: &str) -> Result<PathBuf> {
    // A folder of its own: another compiler's products would be thrown out of the window's.
    let target = live.join("target/web");
    let mut cargo = toolchain.command();
    cargo.args(["build", "--quiet", "--locked", "--package", "fourfold-page", "--profile", "page"]);
    cargo.args(["--no-default-features", "--features", feature]);
    cargo.args(["--target", toolchain::TARGET, "--target-dir"]).arg(&target).args(&toolchain.flags);
    succeed(&mut cargo)?;
    let folder = target.join(toolchain::TARGET).join("page");
    let (built, named) = (folder.join("fourfold_page.wasm"), folder.join(format!("fourfold_{feature}.wasm")));
    std::fs::copy(&built, &named).map_err(|error| Failure::new(format!("{}: {error}", built.display())))?;
    Ok(named)
}

/// Makes the module smaller by wasm-opt, which npm fetches; returns false without npm.
fn optimise(module: &Path) -> Result<bool> {
    let Some(tools) = npm(&[BINARYEN])? else {
        eprintln!("skipped: the module is left as it is, since npm, which fetches wasm-opt, is not on the PATH");
        return Ok(false);
    };
    // What every browser with WebGPU has, by name: wasm-opt also knows what none has yet.
    const FEATURES: [&str; 6] = [
        "--enable-bulk-memory",
        "--enable-multivalue",
        "--enable-mutable-globals",
        "--enable-nontrapping-float-to-int",
        "--enable-reference-types",
        "--enable-sign-ext",
    ];
    let smaller = module.with_extension("smaller");
    let mut optimiser = Command::new("node");
    optimiser.arg(tools.join("binaryen/bin/wasm-opt")).args(FEATURES).args(["-Oz", "--strip-debug"]);
    succeed(optimiser.arg(module).arg("-o").arg(&smaller))?;
    std::fs::rename(&smaller, module).map_err(|error| Failure::new(format!("{}: {error}", smaller.display())))?;
    Ok(true)
}

/// Fetches packages with npm, unless they are there, and returns the folder `node_modules` with them; nothing without npm.
fn npm(packages: &[&str]) -> Result<Option<PathBuf>> {
    if !(on_path("npm") && on_path("node")) {
        return Ok(None);
    }
    let folder = root().join("live/target/npm");
    let there = |package: &&str| {
        let (name, version) = package.split_once('@').unwrap_or((package, ""));
        let described = std::fs::read_to_string(folder.join("node_modules").join(name).join("package.json"));
        described.is_ok_and(|text| text.contains(&format!("\"version\": \"{version}\"")))
    };
    if !packages.iter().all(there) {
        std::fs::create_dir_all(&folder).map_err(|error| Failure::new(format!("{}: {error}", folder.display())))?;
        let mut npm = Command::new("npm");
        npm.args(["install", "--no-save", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"]);
        succeed(npm.arg("--prefix").arg(&folder).args(packages).stdout(Stdio::null()))?;
    }
    Ok(Some(folder.join("node_modules")))
}

/// Runs a program to its end. It has said itself why it failed.
fn succeed(command: &mut Command) -> Result {
    let name = command.get_program().display().to_string();
    let status = command.status().map_err(|error| Failure::new(format!("cannot run {name}: {error}")))?;
    if status.success() { Ok(()) } else { Err(Failure::new(format!("`{name}` failed ({status})"))) }
}

fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).map_err(|error| Failure::new(format!("{}: {error}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_static_file_of_the_page_is_there() {
        for name in STATIC {
            assert!(root().join("live/page/www").join(name).is_file(), "{name}");
        }
    }

    #[test]
    fn a_wrong_flag_is_named() {
        for (arguments, expected) in
            [(&["--prot"][..], "`--prot`"), (&["--port", "x"], "`x`"), (&["--out"], "got none")]
        {
            let arguments: Vec<OsString> = arguments.iter().map(OsString::from).collect();
            let failure = run(&arguments).expect_err("wrong input");
            assert!(failure.code == 2 && failure.message.contains(expected), "{}", failure.message);
        }
    }
}
