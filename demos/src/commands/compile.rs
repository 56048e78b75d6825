//! `fourfold compile`: every pipeline through the compilers of GPUs that need not be there, and of other systems.

mod exceptions;
mod hot_loop;
mod judges;
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
use crate::limits;
use crate::options::Common;
use crate::progress::Progress;
use crate::translation::Resolved;
use exceptions::Exceptions;
use judges::Judges;
use variant::Variant;
use worker::Pipelines;

/// Compile every kernel for GPUs that need not be here
///
/// Mesa's driver for AMD compiles for every chip that it knows, on a machine without any GPU. The rules: no register is
/// spilled, no scratch memory, four waves a SIMD unit, workgroups that fill a wave. Other compilers accept or refuse every
/// variant, those of software drivers too: spirv-val, spirv-opt, spirv-cross and tint on the PATH, DXC, and a C++ compiler for the
/// syntax of Metal's language. Exit codes: 0 all pipelines keep the
/// rules, or are known to break them; 1 one breaks a rule; 2 wrong input; 4 one that is known to break a rule keeps it.
#[derive(Debug, Clone, Args)]
pub struct Arguments {
    /// Kernels whose name is this or begins with it [default: all]
    #[arg(long, value_name = "NAME")]
    kernel: Option<String>,
    /// Chips by Mesa's names, e.g. navi31 and gfx1201 with Mesa 25; `none` leaves AMD's compiler out
    #[arg(long, value_name = "NAMES", value_delimiter = ',', default_value = "vega10,navi10,navi21")]
    chip: Vec<String>,
    /// The manifest of Mesa's driver for AMD; of several, the first that knows a chip compiles for it [default: the system's]
    #[arg(long, value_name = "FILE")]
    driver: Vec<PathBuf>,
    /// Microsoft's compiler of HLSL: its program, or its library libdxcompiler [default: `dxc` on the PATH]
    #[arg(long, value_name = "FILE")]
    dxc: Option<PathBuf>,
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
    arguments.report.as_deref().map_or(Ok(()), |report| limits::file("--report", report))?;
    let chips = if arguments.chip == ["none"] { &[][..] } else { &arguments.chip[..] };
    let drivers = if chips.is_empty() { Vec::new() } else { drivers(&arguments.driver)? };
    let mut judges = Judges::find(arguments.dxc.as_deref())?;
    let exceptions = Exceptions::built_in()?;
    if let Some(folder) = &arguments.assembly {
        std::fs::create_dir_all(folder)
            .map_err(|error| Failure::Input(format!("--assembly: cannot make {}: {error}", folder.display())))?;
    }
    let pipelines = translate(common, &chosen, &mut judges)?;
    let verdicts = judges.verdicts()?;
    let assembly = arguments.assembly.as_deref();
    let (mut devices, mut rows) = (Vec::new(), Vec::new());
    for chip in chips {
        let mut compiled = Err(Failure::input("--driver: none was named"));
        for driver in &drivers {
            let before = rows.len();
            compiled = worker::compile_for(chip, driver, &pipelines, assembly, common.quiet, &mut rows);
            match compiled {
                // This driver does not know the chip.
                Err(Failure::Input(_)) => rows.truncate(before),
                _ => break,
            }
        }
        devices.push(compiled?);
    }
    if let Some(path) = &arguments.report {
        file::write(path, page::markdown(&devices, pipelines.len(), &rows, &verdicts).as_bytes())?;
    }
    if arguments.json {
        crate::show!("{:#}", json!({ "devices": devices, "rows": rows, "judges": verdicts }));
    } else {
        crate::show!("{}", page::summary(&rows, &exceptions, &verdicts));
        crate::show!("{}", ending(Arguments::NAME, None, None));
    }
    let unexpected = rows.iter().filter(|row| !exceptions.unexpected(row).is_empty()).count();
    let mended = exceptions.mended(&rows);
    let refused: usize = verdicts.iter().map(|verdict| verdict.refused.len()).sum();
    if refused > 0 {
        return Err(Failure::run(format!("{refused} refusals by compilers other than AMD's")));
    }
    match (unexpected, &mended[..]) {
        (0, []) => Ok(()),
        (0, mended) => Err(Failure::Coded(
            4,
            format!("known to break a rule, and keeps it: take {} out of exceptions.txt", mended.join(", ")),
        )),
        _ => Err(Failure::run(format!("{unexpected} of {} compilations break a rule", rows.len()))),
    }
}

/// Returns the manifests that were asked for, or the system's.
fn drivers(asked: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    if let Some(path) = asked.iter().find(|path| !path.is_file()) {
        let expected = "--driver: expected a manifest of Vulkan, a file";
        return Err(Failure::Input(format!("{expected}, got {}", path.display())));
    }
    if !asked.is_empty() {
        return Ok(asked.to_owned());
    }
    let folders = ["/usr/share/vulkan/icd.d", "/usr/local/share/vulkan/icd.d", "/etc/vulkan/icd.d"];
    let names = ["radeon_icd.x86_64.json", "radeon_icd.json", "radeon_icd.aarch64.json"];
    let mut paths = folders.iter().flat_map(|folder| names.iter().map(move |name| Path::new(folder).join(name)));
    paths.find(|path| path.is_file()).map(|path| vec![path]).ok_or_else(|| {
        Failure::input(
            "found no Vulkan driver for AMD, which compiles without a GPU; install Mesa's (Debian and Ubuntu: apt-get \
             install mesa-vulkan-drivers), or name its manifest with --driver",
        )
    })
}

/// Translates every variant, has the judges read it, and collects the SPIR-V of those that GPUs get.
fn translate(common: &Common, chosen: &[KernelRef], judges: &mut Judges) -> Result<Pipelines, Failure> {
    let mut pipelines = Pipelines::create()?;
    let mut progress = Progress::new("translate", chosen.len() as u64, common.quiet);
    for kernel in chosen {
        progress.say(&*kernel.name);
        let mut variants = Vec::new();
        variant::each(kernel, |call, constants, for_gpus| variants.push((call.clone(), constants, for_gpus)));
        for (call, constants, for_gpus) in variants {
            let refused = |message| Failure::run(format!("naga refuses {}: {message}", kernel.name));
            let resolved = Resolved::of(&call).map_err(refused)?;
            let variant = Variant {
                kernel: kernel.name.to_string(),
                constants,
                entry_point: call.kernel.entry_point.to_owned(),
                workgroup: resolved.workgroup(),
            };
            judges.read(&variant.to_string(), &call, &resolved)?;
            if for_gpus {
                pipelines.add(variant, &resolved.spirv().map_err(refused)?)?;
            }
        }
        progress.advance(1);
    }
    progress.finish();
    pipelines.close()?;
    Ok(pipelines)
}
