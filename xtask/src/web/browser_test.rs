//! `cargo xtask web-test`: the page in headless Chromium, held against native runs.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::server::Server;
use super::{BINARYEN, build, npm, succeed};
use crate::apt::{self, Privilege, says};
use crate::driver::{self, on_path};
use crate::{Failure, Result, cargo, root};

pub const USAGE: &str = "\
cargo xtask web-test [FLAGS]

Builds the page and opens it in headless Chromium: verifies every kernel there and here, plays the scenes, loses the device.
Installs Chromium with apt where it may, and fetches playwright-core with npm.

  --cases NUMBER        cases of each kernel: 20 or 100, or with --quick 2 or 5 too [default: 20, or 2 with --quick]
  --screenshots FOLDER  where screenshots go [default: target/web-test]
  --quick               run nothing natively: kernels must be right, as tests assert there, and no training is compared
  --if-possible         say in a sentence what is missing, and succeed";

const BROWSERS: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
const PLAYWRIGHT: &str = "playwright-core@1.65.1";

/// The exit code of the script where the browser does not start, or has no WebGPU.
const NO_BROWSER: i32 = 3;

/// Runs the test.
pub fn run(arguments: &[OsString]) -> Result {
    let folder = root().join("target/web-test");
    let (mut cases, mut screenshots, mut quick, mut if_possible) = (None, folder.clone(), false, false);
    let mut words = arguments.iter().map(|word| word.to_string_lossy().into_owned());
    while let Some(word) = words.next() {
        let mut value =
            || words.next().ok_or_else(|| Failure::usage(format!("{word}: expected a value, got none\n\n{USAGE}")));
        match word.as_str() {
            "--help" => {
                println!("{USAGE}");
                return Ok(());
            }
            "--cases" => cases = Some(value()?),
            "--screenshots" => screenshots = value()?.into(),
            "--quick" => quick = true,
            "--if-possible" => if_possible = true,
            _ => return Err(Failure::usage(format!("expected a flag, got `{word}`\n\n{USAGE}"))),
        }
    }
    // A native run begins with the two cases that take long, which the page leaves out below 100.
    let (offered, default) = if quick { (&["2", "5", "20", "100"][..], "2") } else { (&["20", "100"][..], "20") };
    let cases = cases.unwrap_or_else(|| default.to_owned());
    if !offered.contains(&cases.as_str()) {
        return Err(Failure::usage(format!("--cases: expected one of {}, got `{cases}`", offered.join(", "))));
    }
    // All that comes from elsewhere, so that what fails later is ours.
    let ready = browser().and_then(|browser| {
        let modules = modules()?;
        super::fetch(&super::toolchain::ensure()?)?;
        Ok((browser, modules))
    });
    let (browser, modules) = match ready {
        Ok(tools) => tools,
        Err(failure) if if_possible => {
            eprintln!("skipped: the page in a browser, since {}", failure.message);
            return Ok(());
        }
        Err(failure) => return Err(failure),
    };
    std::fs::create_dir_all(&folder).map_err(|error| Failure::new(format!("{}: {error}", folder.display())))?;
    let page = folder.join("page");
    // What the quick test holds against a change is what the page does; its size is for the whole test.
    build(&page, !quick)?;
    let mut order = vec![
        ("browser", browser.display().to_string()),
        ("cases", cases.clone()),
        ("profile", folder.join("profile").display().to_string()),
        ("screenshots", std::path::absolute(&screenshots).unwrap_or(screenshots).display().to_string()),
    ];
    if !quick {
        driver::ensure()?;
        let (native, training) = (folder.join("native.json"), folder.join("training.txt"));
        verify_here(&native, &cases)?;
        train_here(&training)?;
        order.extend([("native", native.display().to_string()), ("training", training.display().to_string())]);
    }

    let server = Server::open(&page, 0)?;
    order.push(("url", server.url()));
    std::thread::spawn(move || server.run());
    // Packages are looked for beside the script's folder and above it: it goes to where they are.
    let script = modules.with_file_name("browser_test.mjs");
    let source = root().join("live/page/browser_test.mjs");
    std::fs::copy(&source, &script).map_err(|error| Failure::new(format!("{}: {error}", source.display())))?;
    let mut node = Command::new("node");
    let status = node.arg(script).arg(object(&order)).status();
    match status.map_err(|error| Failure::new(format!("cannot run node: {error}")))? {
        status if status.success() => Ok(()),
        status if if_possible && status.code() == Some(NO_BROWSER) => {
            eprintln!("skipped: the page in a browser, since {} offers no WebGPU here", browser.display());
            Ok(())
        }
        status => Err(Failure::new(format!("the page failed its test ({status})"))),
    }
}

/// The browser, which is installed where we may.
fn browser() -> Result<PathBuf> {
    let found = || {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
        BROWSERS.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name))).find(|path| path.is_file())
    };
    if let Some(browser) = found() {
        return Ok(browser);
    }
    let privilege = apt::privilege();
    // Elsewhere the package is a wrapper of a snap, which runs in no container.
    let debian = says("grep", &["-E", "^ID=debian", "/etc/os-release"]).is_some();
    if debian && on_path("apt-get") && privilege != Privilege::None {
        eprintln!("No Chromium here: installing Debian's");
        apt::install(privilege == Privilege::Sudo, &["chromium"])?;
    }
    let typed = apt::typed(&["chromium"]);
    found().ok_or_else(|| {
        Failure::new(format!("there is no Chromium or Chrome on the PATH (on Debian, `{typed}` installs it)"))
    })
}

/// The folder `node_modules` with what drives the browser, and what the build takes from npm.
fn modules() -> Result<PathBuf> {
    npm(&[PLAYWRIGHT, BINARYEN])?
        .ok_or_else(|| Failure::new("node and npm, which drive the browser, are not on the PATH"))
}

/// Verifies the same cases natively, and writes the verdicts to a file.
fn verify_here(out: &Path, cases: &str) -> Result {
    // With the workspace, as the tests are built: a package alone has other features.
    cargo(&["build", "--quiet", "--workspace", "--bin", "fourfold"], &[])?;
    let runs = root().join("target/web-test/runs");
    // Only the verdicts are wanted: the folder of the last run makes room for this one's.
    drop(std::fs::remove_dir_all(&runs));
    let mut fourfold = Command::new(root().join("target/debug/fourfold"));
    fourfold.args(["verify", "--json", "--quiet", "--seed", "0", "--cases", cases, "--out"]).arg(&runs);
    into_file(out, &mut fourfold)
}

/// Trains natively what the page trains, and writes what is read after it to a file. Seed and steps are those of the script.
fn train_here(out: &Path) -> Result {
    let mut readings = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    readings.args(["run", "--quiet", "--locked", "--manifest-path"]).arg(root().join("live/Cargo.toml"));
    readings.args(["--package", "fourfold-scenes", "--example", "readings", "--", "sam", "1", "100"]);
    into_file(out, &mut readings)
}

/// Runs a program whose output goes to a file.
fn into_file(out: &Path, command: &mut Command) -> Result {
    let file = std::fs::File::create(out).map_err(|error| Failure::new(format!("{}: {error}", out.display())))?;
    if let Some(folder) = crate::runtime_folder() {
        command.env("XDG_RUNTIME_DIR", folder);
    }
    succeed(command.stdout(file))
}

/// A flat JSON object of texts.
fn object(entries: &[(&str, String)]) -> String {
    let quoted = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
    let entries: Vec<String> =
        entries.iter().map(|(name, value)| format!("{}: {}", quoted(name), quoted(value))).collect();
    format!("{{{}}}", entries.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_quoted_as_json_wants_them() {
        assert_eq!(object(&[("a", r#"C:\"x""#.into()), ("b", "1".into())]), r#"{"a": "C:\\\"x\"", "b": "1"}"#);
    }

    #[test]
    fn a_number_of_cases_that_the_page_does_not_offer_is_wrong_input() {
        let failure = run(&["--cases".into(), "5".into()]).expect_err("wrong input");
        assert_eq!((failure.code, failure.message.as_str()), (2, "--cases: expected one of 20, 100, got `5`"));
    }
}
