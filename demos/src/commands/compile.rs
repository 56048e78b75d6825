//! `fourfold compile`: every pipeline that GPUs get, through the compilers of GPUs that need not be there.

mod exceptions;
mod hot_loop;
mod null_device;
mod page;
mod row;
mod statistics;
mod variant;
mod worker;

use std::path::{Path, PathBuf};

use clap::Args;
use fourfold::data::file;
use fourfold::shaders::{KernelRef, kernels};
use serde_json::json;

use crate::commands::verify::choose;
use crate::entry::Plain;
use crate::failure::Failure;
use crate::guide::ending;
use crate::options::Common;
use crate::progress::Progress;
use crate::translation::Resolved;
use exceptions::Exceptions;
use variant::Variant;
use worker::Pipelines;

/// Compile every kernel for GPUs that need not be here
///
/// Mesa's driver for AMD compiles for every chip that it knows, on a machine without any GPU. The rules: no register is
/// spilled, no scratch memory, four waves a SIMD unit, workgroups that fill a wave. Exit codes: 0 all pipelines keep the
/// rules, or are known to break them; 1 one breaks a rule; 2 wrong input; 4 one that is known to break a rule keeps it.
#[derive(Debug, Clone, Args)]
pub struct Arguments {
    /// Kernels whose name is this or begins with it [default: all]
    #[arg(long, value_name = "NAME")]
    kernel: Option<String>,
    /// Chips by Mesa's names, e.g. navi31 and gfx1201 with Mesa 25
    #[arg(long, value_name = "NAMES", value_delimiter = ',', default_value = "vega10,navi10,navi21")]
    chip: Vec<String>,
    /// The manifest of Mesa's driver for AMD [default: the system's]
    #[arg(long, value_name = "FILE")]
    driver: Option<PathBuf>,
    /// Write the assembly of each pipeline into this folder
    #[arg(long, value_name = "FOLDER")]
    assembly: Option<PathBuf>,
    /// Write a page here, in Markdown
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Print JSON, a row for each pipeline and chip
    #[arg(long)]
    json: bool,
    /// Compile the pipelines in this folder
    #[arg(long, hide = true, value_name = "FOLDER", requires = "from")]
    worker: Option<PathBuf>,
    #[arg(long, hide = true, value_name = "NUMBER")]
    from: Option<usize>,
}

impl Plain for Arguments {
    const NAME: &'static str = "compile";
    const COMMON: &'static [&'static str] = &[];

    fn run(&self, common: &Common) -> Result<(), Failure> {
        match (&self.worker, self.from) {
            (Some(folder), Some(from)) => worker::run(folder, from, self.assembly.as_deref()),
            _ => run(common, self),
        }
    }
}

/// Compiles every pipeline for every chip and prints what breaks a rule.
///
/// # Errors
/// A pipeline breaks a rule, or there is no such driver.
pub fn run(common: &Common, arguments: &Arguments) -> Result<(), Failure> {
    let chosen = choose(kernels(), arguments.kernel.as_deref())?;
    let driver = driver(arguments.driver.as_deref())?;
    let exceptions = Exceptions::built_in()?;
    if let Some(folder) = &arguments.assembly {
        std::fs::create_dir_all(folder)
            .map_err(|error| Failure::Input(format!("--assembly: cannot make {}: {error}", folder.display())))?;
    }
    let pipelines = translate(common, &chosen)?;
    let assembly = arguments.assembly.as_deref();
    let (mut devices, mut rows) = (Vec::new(), Vec::new());
    for chip in &arguments.chip {
        devices.push(worker::compile_for(chip, &driver, &pipelines, assembly, common.quiet, &mut rows)?);
    }
    if let Some(path) = &arguments.report {
        file::write(path, page::markdown(&devices, pipelines.len(), &rows).as_bytes())?;
    }
    if arguments.json {
        crate::show!("{:#}", json!({ "devices": devices, "rows": rows }));
    } else {
        crate::show!("{}", page::summary(&rows, &exceptions));
        crate::show!("{}", ending(Arguments::NAME, None, None));
    }
    let unexpected = rows.iter().filter(|row| !exceptions.unexpected(row).is_empty()).count();
    let mended = exceptions.mended(&rows);
    match (unexpected, &mended[..]) {
        (0, []) => Ok(()),
        (0, mended) => Err(Failure::Coded(
            4,
            format!("known to break a rule, and keeps it: take {} out of exceptions.txt", mended.join(", ")),
        )),
        _ => Err(Failure::run(format!("{unexpected} of {} compilations break a rule", rows.len()))),
    }
}

/// Returns the manifest that was asked for, or the system's.
fn driver(asked: Option<&Path>) -> Result<PathBuf, Failure> {
    if let Some(path) = asked {
        let found = path.is_file().then(|| path.to_owned());
        let expected = "--driver: expected a manifest of Vulkan, a file";
        return found.ok_or_else(|| Failure::Input(format!("{expected}, got {}", path.display())));
    }
    let folders = ["/usr/share/vulkan/icd.d", "/usr/local/share/vulkan/icd.d", "/etc/vulkan/icd.d"];
    let names = ["radeon_icd.x86_64.json", "radeon_icd.json", "radeon_icd.aarch64.json"];
    let mut paths = folders.iter().flat_map(|folder| names.iter().map(move |name| Path::new(folder).join(name)));
    paths.find(|path| path.is_file()).ok_or_else(|| {
        Failure::input(
            "found no Vulkan driver for AMD, which compiles without a GPU; install Mesa's (Debian and Ubuntu: apt-get \
             install mesa-vulkan-drivers), or name its manifest with --driver",
        )
    })
}

/// Translates every variant to SPIR-V.
fn translate(common: &Common, chosen: &[KernelRef]) -> Result<Pipelines, Failure> {
    let mut pipelines = Pipelines::create()?;
    let mut progress = Progress::new("translate", chosen.len() as u64, common.quiet);
    for kernel in chosen {
        progress.say(&*kernel.name);
        let mut variants = Vec::new();
        variant::each(kernel, |call, constants| {
            variants.push(Resolved::of(call).and_then(|resolved| {
                let variant = Variant {
                    kernel: kernel.name.to_string(),
                    constants,
                    entry_point: call.kernel.entry_point.to_owned(),
                    workgroup: resolved.workgroup(),
                };
                Ok((variant, resolved.spirv()?))
            }));
        });
        for translated in variants {
            let (variant, spirv) =
                translated.map_err(|message| Failure::run(format!("naga refuses {}: {message}", kernel.name)))?;
            pipelines.add(variant, &spirv)?;
        }
        progress.advance(1);
    }
    progress.finish();
    pipelines.close()?;
    Ok(pipelines)
}
