//! Compilers of others, each of which accepts or refuses every variant: those at hand, and what is missing is named.

mod dxc;
mod metal;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use fourfold::shaders::Call;
use serde::Serialize;

use crate::failure::Failure;
use crate::translation::Resolved;
use dxc::Dxc;
use metal::Metal;

/// The verdict of a compiler on all variants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// The compiler with what it was asked.
    pub judge: &'static str,
    /// True if it is there.
    pub at_hand: bool,
    /// Variants that it has read; for browsers' rules, which know no constants, sources.
    pub variants: usize,
    pub refused: Vec<Refusal>,
}

/// A variant that a compiler refuses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Refusal {
    pub variant: String,
    /// Its first words.
    pub message: String,
}

/// The language and the form in which a compiler reads a variant.
#[derive(Debug, Clone, Copy)]
enum Language {
    SpirV,
    Wgsl,
    /// Of this shader model.
    Hlsl(&'static str),
    Metal,
}

/// A compiler, found or not.
enum Compiler {
    /// A program with the arguments that stand before the file.
    Program {
        path: PathBuf,
        arguments: &'static [&'static str],
    },
    Dxc(Dxc),
    Metal(Metal),
    Missing,
}

struct Judge {
    reads: Language,
    compiler: Compiler,
    verdict: Verdict,
}

/// A file for output that nobody reads.
const NOWHERE: &str = if cfg!(windows) { "NUL" } else { "/dev/null" };

/// Programs that are asked where they are on the PATH, with their arguments.
const PROGRAMS: [(&str, Language, &str, &[&str]); 4] = [
    ("spirv-val", Language::SpirV, "spirv-val", &["--target-env", "vulkan1.1"]),
    ("spirv-opt -O", Language::SpirV, "spirv-opt", &["-O", "--target-env=vulkan1.1", "-o", NOWHERE]),
    ("spirv-cross --msl", Language::SpirV, "spirv-cross", &["--msl", "--msl-version", "20100", "--output", NOWHERE]),
    ("tint, the browsers' rules", Language::Wgsl, "tint", &["--format", "wgsl"]),
];

/// DXC for two shader models: the second with 16-bit types, as wgpu compiles for devices that have them.
const MODELS: [(&str, &str); 2] = [("DXC, shader model 6.0", "cs_6_0"), ("DXC, shader model 6.2", "cs_6_2")];

/// The rule that naga breaks and drivers ignore: docs/validator.md tells of it.
const KNOWN: &str = "VUID-StandaloneSpirv-None-10684";

/// The compilers, and a folder for what they read. It is removed with this.
pub struct Judges {
    folder: PathBuf,
    judges: Vec<Judge>,
    sources: HashSet<String>,
}

impl Judges {
    /// Finds the compilers; DXC by its library or its program, where one is named.
    ///
    /// # Errors
    /// The program or library that is named as DXC is none.
    pub fn find(named: Option<&Path>) -> Result<Self, Failure> {
        let folder = std::env::temp_dir().join(format!("fourfold-judges-{}", std::process::id()));
        std::fs::create_dir_all(&folder)
            .map_err(|error| Failure::run(format!("cannot make the folder {}: {error}", folder.display())))?;
        let judge = |name, reads, compiler: Compiler| {
            let at_hand = !matches!(compiler, Compiler::Missing);
            Judge { reads, compiler, verdict: Verdict { judge: name, at_hand, variants: 0, refused: Vec::new() } }
        };
        let mut judges = Vec::new();
        for (name, reads, program, arguments) in PROGRAMS {
            let found = on_path(program).map(|path| Compiler::Program { path, arguments });
            judges.push(judge(name, reads, found.unwrap_or(Compiler::Missing)));
        }
        for (name, model) in MODELS {
            let dxc = Dxc::find(named)?.map(Compiler::Dxc);
            judges.push(judge(name, Language::Hlsl(model), dxc.unwrap_or(Compiler::Missing)));
        }
        let metal = Metal::find(&folder)?.map(Compiler::Metal);
        judges.push(judge(
            "Metal's syntax and types, by a C++ compiler",
            Language::Metal,
            metal.unwrap_or(Compiler::Missing),
        ));
        Ok(Self { folder, judges, sources: HashSet::new() })
    }

    /// Has every compiler read a variant.
    ///
    /// # Errors
    /// naga's message, or a compiler that does not start.
    pub fn read(&mut self, variant: &str, call: &Call, resolved: &Resolved) -> Result<(), Failure> {
        let Self { folder, judges, sources } = self;
        let file = folder.join("variant");
        let untranslated = |message| Failure::run(format!("naga refuses {variant}: {message}"));
        for Judge { reads, compiler, verdict } in judges.iter_mut().filter(|judge| judge.verdict.at_hand) {
            let refusal = match (*reads, compiler) {
                (Language::Metal, Compiler::Metal(metal)) => {
                    verdict.refused.extend(metal.add(variant, &resolved.msl().map_err(untranslated)?)?);
                    None
                }
                (Language::Hlsl(model), Compiler::Dxc(dxc)) => {
                    let (text, entry) = resolved.hlsl().map_err(untranslated)?;
                    dxc.compile(&file.with_extension("hlsl"), &text, &entry, model)?
                }
                (Language::SpirV, Compiler::Program { path, arguments }) => {
                    let words = resolved.checked_spirv().map_err(untranslated)?;
                    refusal(path, arguments, &file.with_extension("spv"), bytemuck::cast_slice(&words))?
                }
                (Language::Wgsl, Compiler::Program { path, arguments }) => {
                    let directive = if call.kernel.subgroup_sizes.is_some() { "enable subgroups;\n" } else { "" };
                    let source = format!("{directive}{}", call.kernel.source);
                    if !sources.insert(source.clone()) {
                        continue;
                    }
                    refusal(path, arguments, &file.with_extension("wgsl"), source.as_bytes())?
                }
                _ => None,
            };
            verdict.variants += 1;
            let refusal = refusal.filter(|message| !message.contains(KNOWN));
            verdict.refused.extend(refusal.map(|message| Refusal { variant: variant.to_owned(), message }));
        }
        Ok(())
    }

    /// Returns the verdicts, after the last variant.
    ///
    /// # Errors
    /// A compiler that does not start.
    pub fn verdicts(mut self) -> Result<Vec<Verdict>, Failure> {
        for Judge { compiler, verdict, .. } in &mut self.judges {
            if let Compiler::Metal(metal) = compiler {
                verdict.refused.extend(metal.finish()?);
            }
        }
        Ok(self.judges.iter().map(|judge| judge.verdict.clone()).collect())
    }
}

impl Drop for Judges {
    fn drop(&mut self) {
        // What stays among temporary files does no harm.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Has a program read a file, and returns the words in which it refuses it.
fn refusal(program: &Path, arguments: &[&str], file: &Path, content: &[u8]) -> Result<Option<String>, Failure> {
    std::fs::write(file, content).map_err(|error| Failure::run(format!("cannot write {}: {error}", file.display())))?;
    let output = Command::new(program).args(arguments).arg(file).output();
    let output = output.map_err(|error| Failure::run(format!("cannot run {}: {error}", program.display())))?;
    if output.status.success() {
        return Ok(None);
    }
    let said = [output.stderr, output.stdout].concat();
    Ok(Some(first_lines(&String::from_utf8_lossy(&said))))
}

/// The first lines of a message, which name the mistake.
fn first_lines(message: &str) -> String {
    message.lines().take(8).collect::<Vec<_>>().join("\n")
}

/// Finds a program on the PATH.
fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let name = format!("{program}{}", std::env::consts::EXE_SUFFIX);
    std::env::split_paths(&path).map(|folder| folder.join(&name)).find(|file| file.is_file())
}
