//! Compilers of others, each of which judges every variant where it is on the PATH. One that is not there is named, and
//! nothing passes for it.

use std::path::Path;
use std::process::Command;

use fourfold::shaders::Call;

use super::{hlsl, spirv, variants};

/// The language that a compiler reads.
#[derive(Debug, Clone, Copy)]
enum Language {
    SpirV,
    Hlsl,
}

/// A compiler and the arguments that stand before the file, for an entry point.
struct Compiler {
    program: &'static str,
    reads: Language,
    arguments: fn(&str) -> Vec<&str>,
}

/// A file for output that nobody reads.
const NOWHERE: &str = if cfg!(windows) { "NUL" } else { "/dev/null" };

const COMPILERS: [Compiler; 5] = [
    Compiler { program: "spirv-val", reads: Language::SpirV, arguments: |_| vec!["--target-env", "vulkan1.1"] },
    Compiler {
        program: "spirv-opt",
        reads: Language::SpirV,
        arguments: |_| vec!["-O", "--target-env=vulkan1.1", "-o", NOWHERE],
    },
    Compiler {
        program: "spirv-cross",
        reads: Language::SpirV,
        arguments: |_| vec!["--msl", "--msl-version", "20100", "--output", NOWHERE],
    },
    Compiler {
        program: "dxc",
        reads: Language::Hlsl,
        arguments: |entry| vec!["-T", "cs_6_0", "-HV", "2018", "-E", entry],
    },
    // With 16-bit types, as wgpu compiles for devices that have them.
    Compiler {
        program: "dxc",
        reads: Language::Hlsl,
        arguments: |entry| vec!["-T", "cs_6_2", "-HV", "2018", "-enable-16bit-types", "-E", entry],
    },
];

/// The rule that naga breaks and drivers ignore: docs/validator.md tells of it.
const KNOWN: &str = "VUID-StandaloneSpirv-None-10684";

#[test]
fn every_compiler_at_hand_accepts_every_variant() {
    let mut refused = Vec::new();
    for compiler in &COMPILERS {
        if !on_path(compiler.program) {
            println!("NOT CHECKED: `{}` is not on the PATH", compiler.program);
            continue;
        }
        let all = variants().iter().enumerate();
        refused.extend(all.filter_map(|(index, (name, call))| {
            let refusal = compiler.refusal(index, call)?;
            Some(format!("{} refuses {name}: {refusal}", compiler.program))
        }));
    }
    assert!(refused.is_empty(), "{} refusals:\n{}", refused.len(), refused.join("\n"));
}

impl Compiler {
    /// The words in which the compiler refuses a call.
    fn refusal(&self, index: usize, call: &Call) -> Option<String> {
        let (bytes, ending, entry) = match self.reads {
            Language::SpirV => {
                let words = spirv(call);
                let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
                (bytes, "spv", call.kernel.entry_point.to_owned())
            }
            Language::Hlsl => {
                let (text, entry) = hlsl(call);
                (text.into_bytes(), "hlsl", entry)
            }
        };
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("variant_{index}.{ending}"));
        std::fs::write(&file, bytes).expect("cargo's folder for test files is writable");
        let output = Command::new(self.program).args((self.arguments)(&entry)).arg(&file).output();
        std::fs::remove_file(&file).expect("the file was just written");
        let output = output.unwrap_or_else(|error| panic!("{}: {error}", self.program));
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text);
        (!output.status.success() && !text.contains(KNOWN)).then(|| text.lines().take(8).collect::<Vec<_>>().join("\n"))
    }
}

/// Returns true if a program of this name is on the PATH.
fn on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let name = format!("{program}{}", std::env::consts::EXE_SUFFIX);
    std::env::split_paths(&path).any(|folder| folder.join(&name).is_file())
}
