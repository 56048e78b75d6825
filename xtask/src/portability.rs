//! `cargo xtask portability`: every kernel on every driver at hand, and under Vulkan's validation layer.

mod driver;
mod fetch;

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Failure, Result, cargo, root, runtime_folder};
use driver::{Driver, Layer};
pub use fetch::write;

pub const USAGE: &str = "\
cargo xtask portability [FLAGS]

Runs `fourfold verify` on the driver of this system, on those in target/drivers, on those named and on OpenGL, then under Vulkan's
validation layer where there is one, measures builtins and runs litmus tests, and writes a page of it all. Then `fourfold compile`
has every compiler at hand judge every variant, and writes target/portability/compilers.md. Exit code 1 if something fails that is
not known to.

  --fetch                  first download SwiftShader, Mesa of Debian's backports, the validation layer and, where Python has pip,
                           DXC into target/drivers; nothing is installed (needs apt-get and dpkg-deb)
  --driver NAME=MANIFEST   a driver by its Vulkan manifest, e.g. swiftshader=/usr/lib/chromium/vk_swiftshader_icd.json
  --only NAME              leave out all other drivers; may be given several times
  --cases NUMBER           cases of each kernel [default: 100]
  --layer-cases NUMBER     cases of each kernel under the validation layer [default: 3; 0 leaves it out]
  --program FILE           a `fourfold` that is built already [default: a release build with OpenGL]
  --report FILE            the page [default: target/portability/report.md]";

/// The flags.
#[derive(Debug, Default, PartialEq, Eq)]
struct Settings {
    fetch: bool,
    drivers: Vec<(String, PathBuf)>,
    only: Vec<String>,
    cases: Option<u32>,
    layer_cases: Option<u32>,
    program: Option<PathBuf>,
    report: Option<PathBuf>,
}

impl Settings {
    fn parse(arguments: &[OsString]) -> Result<Self> {
        let mut settings = Self::default();
        let mut arguments = arguments.iter();
        while let Some(flag) = arguments.next() {
            let flag = flag.to_string_lossy();
            if flag == "--fetch" {
                settings.fetch = true;
                continue;
            }
            let known = ["--driver", "--only", "--cases", "--layer-cases", "--program", "--report"];
            if !known.contains(&&*flag) {
                return Err(Failure::usage(format!("portability: unknown flag `{flag}`\n\n{USAGE}")));
            }
            let expected = |what: &str, got: &str| Failure::usage(format!("{flag}: expected {what}, got {got}"));
            let value = arguments.next().ok_or_else(|| expected("a value", "none"))?;
            let text = value.to_string_lossy();
            let number = || text.parse().map_err(|_| expected("a number", &format!("`{text}`")));
            match &*flag {
                "--driver" => {
                    let parts = text.split_once('=').filter(|(name, _)| is_name(name));
                    let (name, path) = parts.ok_or_else(|| expected("NAME=MANIFEST", &format!("`{text}`")))?;
                    settings.drivers.push((name.to_owned(), path.into()));
                }
                "--only" => settings.only.push(text.into_owned()),
                "--cases" => settings.cases = Some(number()?),
                "--layer-cases" => settings.layer_cases = Some(number()?),
                "--program" => settings.program = Some(value.into()),
                _ => settings.report = Some(value.into()),
            }
        }
        Ok(settings)
    }
}

/// Returns true for a name that a folder can have.
fn is_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || ['-', '_', '.'].contains(&c))
}

/// Verifies all kernels on all drivers and writes the report.
///
/// # Errors
/// Wrong flags, a driver that cannot be fetched or is not there, or a kernel that fails unexpectedly.
pub fn run(arguments: &[OsString]) -> Result {
    let settings = Settings::parse(arguments)?;
    let folder = root().join("target/drivers");
    if settings.fetch {
        fetch::all(&folder)?;
    }
    let mut drivers = vec![Driver::system()];
    drivers.extend(driver::fetched(&folder));
    for (name, manifest) in &settings.drivers {
        drivers.push(Driver::named(name, manifest)?);
    }
    let program = program(settings.program.as_deref(), &["--features", "gles"])?;
    match Driver::opengl(&program) {
        Some(driver) => drivers.push(driver),
        None => eprintln!("NOT CHECKED: no OpenGL that {} can use", program.display()),
    }
    if !settings.only.is_empty() {
        let names: Vec<&str> = drivers.iter().map(|driver| &*driver.name).collect();
        if let Some(none) = settings.only.iter().find(|name| !names.contains(&&***name)) {
            let expected = names.join(", ");
            return Err(Failure::usage(format!("--only: expected one of {expected}, got `{none}`")));
        }
        drivers.retain(|driver| settings.only.contains(&driver.name));
    }
    let out = root().join("target/portability");
    let mut runs = Vec::new();
    let mut failed = Vec::new();
    let mut verify = |name: String, cases: u32, driver: &Driver, layer: Option<&Layer>| -> Result {
        eprintln!("{name}: {cases} cases of every kernel");
        let path = out.join(&name);
        if path.exists() {
            fs::remove_dir_all(&path).map_err(|error| Failure::new(format!("{}: {error}", path.display())))?;
        }
        let mut command = Command::new(&program);
        command.args(["verify", "--quiet", "--cases", &cases.to_string(), "--out"]).arg(&path);
        driver.apply(&mut command);
        if let Some(layer) = layer {
            layer.apply(&mut command);
        }
        let log = fs::File::create(out.join(format!("{name}.log"))).and_then(|log| Ok((log.try_clone()?, log)));
        let (output, errors) = log.map_err(|error| Failure::new(format!("{}: {error}", out.display())))?;
        let status = at_home(&mut command).stdout(output).stderr(errors).status();
        if !status.map_err(|error| cannot_run(&command, &error))?.success() {
            failed.push(name);
        }
        if path.join("cases.jsonl").is_file() {
            runs.push(path);
        }
        Ok(())
    };
    fs::create_dir_all(&out).map_err(|error| Failure::new(format!("{}: {error}", out.display())))?;
    for driver in &drivers {
        verify(driver.name.clone(), settings.cases.unwrap_or(100), driver, None)?;
    }
    let layer_cases = settings.layer_cases.unwrap_or(3);
    match (layer_cases, Layer::find(&folder)) {
        (0, _) => {}
        (_, None) => eprintln!("NOT CHECKED: no validation layer of Vulkan; --fetch brings one"),
        (cases, Some(layer)) => {
            verify(format!("{}-validation-layer", drivers[0].name), cases, &drivers[0], Some(&layer))?;
        }
    }
    let page = settings.report.unwrap_or_else(|| out.join("report.md"));
    let mut report = Command::new(&program);
    let mut text = said(report.args(["verify", "report"]).args(&runs), &mut failed)?;
    for driver in &drivers {
        for test in ["builtins", "litmus"] {
            let mut command = Command::new(&program);
            driver.apply(command.args(["verify", test, "--markdown"]));
            // One level below the title of the page.
            text += &said(&mut command, &mut failed)?.replace("\n## ", "\n### ").replacen("# ", "\n## ", 1);
        }
    }
    write(&page, text.as_bytes())?;
    let mut compilers = Command::new(&program);
    compilers.args(["compile", "--quiet", "--report"]).arg(out.join("compilers.md"));
    print!("{}", said(compilers.args(driver::compilers(&folder)), &mut failed)?);
    eprintln!("The page is {}; the logs and rows are in {}", page.display(), out.display());
    match failed[..] {
        [] => Ok(()),
        _ => Err(Failure::new(format!("`fourfold` failed: {}; see the logs", failed.join(", ")))),
    }
}

/// Returns the `fourfold` that was named, or builds one with these flags of cargo.
pub fn program(named: Option<&Path>, flags: &[&str]) -> Result<PathBuf> {
    if let Some(path) = named {
        return fs::canonicalize(path)
            .map_err(|error| Failure::usage(format!("--program: cannot find {}: {error}", path.display())));
    }
    let build = ["build", "--release", "--package", "fourfold-demos", "--bin", "fourfold"];
    cargo(&[&build[..], flags].concat(), &[])?;
    Ok(root().join("target/release").join(format!("fourfold{}", std::env::consts::EXE_SUFFIX)))
}

/// Has a command run in the root of the repository.
pub fn at_home(command: &mut Command) -> &mut Command {
    if let Some(folder) = runtime_folder() {
        command.env("XDG_RUNTIME_DIR", folder);
    }
    command.current_dir(root())
}

/// Returns the failure of a command that cannot be started.
pub fn cannot_run(command: &Command, error: &std::io::Error) -> Failure {
    Failure::new(format!("cannot run {}: {error}", Path::new(command.get_program()).display()))
}

/// Runs a command and returns its output; one that fails is added to `failed` with its message told.
fn said(command: &mut Command, failed: &mut Vec<String>) -> Result<String> {
    let output = at_home(command).output().map_err(|error| cannot_run(command, &error))?;
    if !output.status.success() {
        let line: Vec<_> = command.get_args().map(|argument| argument.to_string_lossy()).collect();
        eprintln!("{}", String::from_utf8_lossy(&output.stderr).trim());
        failed.push(line.join(" "));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Settings> {
        Settings::parse(&line.split_whitespace().map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn flags_are_read() {
        let settings = parse("--driver a=b.json --only a --cases 7 --fetch").unwrap();
        assert_eq!(settings.drivers, [("a".to_owned(), PathBuf::from("b.json"))]);
        assert_eq!((settings.cases, settings.fetch), (Some(7), true));
    }

    #[test]
    fn wrong_flags_are_refused_by_name() {
        for (line, expected) in [
            ("--cases x", "--cases: expected a number, got `x`"),
            ("--cases", "--cases: expected a value, got none"),
            ("--driver a", "--driver: expected NAME=MANIFEST, got `a`"),
            ("--driver ../a=b", "expected NAME=MANIFEST"),
            ("--odd", "unknown flag `--odd`"),
        ] {
            let failure = parse(line).unwrap_err();
            assert!(failure.code == 2 && failure.message.contains(expected), "{}", failure.message);
        }
    }
}
