//! Compiles pipelines in a process of their own: the chip is chosen by the environment, and a driver may crash.

use std::ffi::CString;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use fourfold::data::file;
use serde_json::{Value, json};

use super::hot_loop::HotLoop;
use super::null_device::NullDevice;
use super::row::{Outcome, Row};
use super::variant::Variant;
use crate::failure::Failure;
use crate::progress::Progress;

/// The list of pipelines in their folder.
const LIST: &str = "pipelines.json";

/// Pipelines on disk, for processes that compile them. The folder is removed with this.
pub struct Pipelines {
    folder: PathBuf,
    variants: Vec<Variant>,
}

impl Pipelines {
    /// Makes an empty folder among the system's temporary files.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn create() -> Result<Self, Failure> {
        let folder = std::env::temp_dir().join(format!("fourfold-compile-{}", std::process::id()));
        fs::create_dir_all(&folder)
            .map_err(|error| Failure::run(format!("cannot make the folder {}: {error}", folder.display())))?;
        Ok(Self { folder, variants: Vec::new() })
    }

    /// Adds a pipeline.
    ///
    /// # Errors
    /// Its file cannot be written.
    pub fn add(&mut self, variant: Variant, spirv: &[u32]) -> Result<(), Failure> {
        file::write(&shader(&self.folder, self.variants.len()), bytemuck::cast_slice(spirv))?;
        self.variants.push(variant);
        Ok(())
    }

    /// Writes the list.
    ///
    /// # Errors
    /// Its file cannot be written.
    pub fn close(&self) -> Result<(), Failure> {
        let list = serde_json::to_vec(&self.variants).map_err(Failure::run)?;
        Ok(file::write(&self.folder.join(LIST), &list)?)
    }

    /// Returns how many there are.
    pub fn len(&self) -> usize {
        self.variants.len()
    }
}

impl Drop for Pipelines {
    fn drop(&mut self) {
        // What stays among temporary files does no harm.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn shader(folder: &Path, number: usize) -> PathBuf {
    folder.join(format!("{number}.spv"))
}

/// Compiles the pipelines of a folder in this process, from one on, and prints a line of JSON for each.
///
/// # Errors
/// There is no such device, or the folder cannot be read.
pub fn run(folder: &Path, from: usize, assembly: Option<&Path>) -> Result<(), Failure> {
    let variants: Vec<Variant> = serde_json::from_slice(&file::read(&folder.join(LIST))?).map_err(Failure::input)?;
    let device = NullDevice::open().map_err(Failure::run)?;
    let mut output = std::io::stdout().lock();
    let mut print = |line: Value| writeln!(output, "{line}").and_then(|()| output.flush()).map_err(Failure::run);
    print(json!({ "device": device.name() }))?;
    for (number, variant) in variants.iter().enumerate().skip(from) {
        print(json!({ "begin": number }))?;
        print(json!({ "outcome": outcome(&device, folder, number, variant, assembly)? }))?;
    }
    Ok(())
}

fn outcome(
    device: &NullDevice,
    folder: &Path,
    number: usize,
    variant: &Variant,
    assembly: Option<&Path>,
) -> Result<Outcome, Failure> {
    let spirv: Vec<u32> = bytemuck::pod_collect_to_vec(&file::read(&shader(folder, number))?);
    let entry_point = CString::new(&*variant.entry_point).map_err(Failure::input)?;
    let compiled = match device.compile(&spirv, &entry_point) {
        Ok(compiled) => compiled,
        Err(message) => return Ok(Outcome::Refused(message)),
    };
    if let Some(folder) = assembly {
        let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
        let chip: String = device.name().chars().filter(char::is_ascii_alphanumeric).collect();
        let name: String = variant.kernel.chars().map(plain).collect();
        let text = format!("; {} {}\n{}", variant.kernel, variant.constants, compiled.assembly);
        file::write(&folder.join(format!("{chip}-{number:04}-{name}.s")), text.as_bytes())?;
    }
    let hot_loop = HotLoop::find(&compiled.assembly);
    Ok(Outcome::Compiled { seconds: compiled.seconds, statistics: compiled.statistics, hot_loop })
}

/// Returns the folder of the libraries of a driver that was unpacked beside the system's, whose manifest names only a file.
fn libraries(manifest: &Path) -> Option<PathBuf> {
    let text = fs::read_to_string(manifest).ok()?;
    let library = text.split('"').find(|word| word.contains(".so")).filter(|library| !library.contains('/'))?;
    // From usr/share/vulkan/icd.d/FILE to usr/lib, with or without the name of the architecture.
    let lib = manifest.ancestors().nth(4)?.join("lib");
    let below = fs::read_dir(&lib).into_iter().flatten().flatten().map(|entry| entry.path());
    below.chain([lib.clone()]).find(|folder| folder.join(library).is_file())
}

/// Has processes compile every pipeline for one chip, another one after each that the driver takes down; adds a row for
/// each pipeline and returns the driver's name of the chip.
///
/// # Errors
/// The driver knows no such chip, or a process cannot be started.
pub fn compile_for(
    chip: &str,
    driver: &Path,
    pipelines: &Pipelines,
    assembly: Option<&Path>,
    quiet: bool,
    rows: &mut Vec<Row>,
) -> Result<String, Failure> {
    let program = std::env::current_exe().map_err(Failure::run)?;
    let mut progress = Progress::new(chip, pipelines.len() as u64, quiet);
    let mut device = None;
    let begun = rows.len();
    while rows.len() - begun < pipelines.len() {
        let next = rows.len() - begun;
        let mut command = Command::new(&program);
        command.args(["compile", "--from", &next.to_string(), "--worker"]).arg(&pipelines.folder);
        if let Some(folder) = assembly {
            command.arg("--assembly").arg(folder);
        }
        if let Some(libraries) = libraries(driver) {
            command.env("LD_LIBRARY_PATH", libraries);
        }
        command.env("RADV_FORCE_FAMILY", chip).env("VK_DRIVER_FILES", driver).env("VK_ICD_FILENAMES", driver);
        let cannot = |error: std::io::Error| Failure::run(format!("cannot run a process: {error}"));
        let pipes = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = pipes.spawn().map_err(cannot)?;
        let output =
            process.stdout.take().map(BufReader::new).ok_or_else(|| Failure::run("a process has no output"))?;
        // Some drivers say a word for each pipeline: one that nobody reads would stop the process when the pipe is full.
        let errors = process.stderr.take().map(BufReader::new);
        let last_words = thread::spawn(move || errors.and_then(|errors| errors.lines().map_while(Result::ok).last()));
        let row = |outcome: Outcome, at: usize| Row {
            chip: chip.to_owned(),
            variant: pipelines.variants[at].clone(),
            outcome,
        };
        let mut compiling = false;
        for line in output.lines() {
            let line: Value = match serde_json::from_str(&line.map_err(cannot)?) {
                Ok(line) => line,
                // The driver's own words.
                Err(_) => continue,
            };
            let at = rows.len() - begun;
            if let Some(name) = line["device"].as_str() {
                device = Some(name.to_owned());
            } else if line["begin"].is_u64() && at < pipelines.len() {
                progress.say(&*pipelines.variants[at].kernel);
                compiling = true;
            } else if let (true, Ok(outcome)) = (compiling, serde_json::from_value(line["outcome"].clone())) {
                rows.push(row(outcome, at));
                progress.advance(1);
                compiling = false;
            }
        }
        let ended = process.wait().map_err(cannot)?;
        let last_words = last_words.join().ok().flatten();
        if compiling {
            let at = rows.len() - begun;
            rows.push(row(Outcome::Refused(format!("the driver ended its process with {ended}")), at));
        } else if rows.len() - begun < pipelines.len() {
            let line = last_words.unwrap_or_else(|| "its process ended without a word".to_owned());
            return Err(Failure::Input(format!("--chip {chip}: {}: {line}", driver.display())));
        }
    }
    progress.finish();
    Ok(device.unwrap_or_else(|| chip.to_owned()))
}
