//! Metal's language, by a C++ compiler with a header in the place of Metal's library: syntax and types, no semantics.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Refusal, on_path};
use crate::failure::Failure;

/// As much of Metal's library as naga's output takes.
const LIBRARY: &str = include_str!("metal.hpp");

/// Variants that one process reads: a compiler takes longer to read the header than to read a kernel.
const BATCH: usize = 40;

/// A C++ compiler, and the variants that it has yet to read.
pub struct Metal {
    compiler: PathBuf,
    folder: PathBuf,
    names: Vec<String>,
    text: String,
}

impl Metal {
    /// Finds a C++ compiler on the PATH.
    ///
    /// # Errors
    /// The header cannot be written into the folder.
    pub fn find(folder: &Path) -> Result<Option<Self>, Failure> {
        let Some(compiler) = ["c++", "g++", "clang++"].iter().find_map(|program| on_path(program)) else {
            return Ok(None);
        };
        write(&folder.join("metal.hpp"), LIBRARY)?;
        Ok(Some(Self { compiler, folder: folder.to_owned(), names: Vec::new(), text: String::new() }))
    }

    /// Adds a variant, and returns the refusals of a batch that is full.
    ///
    /// # Errors
    /// The compiler cannot be started.
    pub fn add(&mut self, variant: &str, msl: &str) -> Result<Vec<Refusal>, Failure> {
        let number = self.names.len();
        // Each in a namespace of its own, and with a file name of its own for the compiler's messages.
        let lines = msl.lines().map(|line| if line.starts_with("#include") { String::new() } else { unswizzled(line) });
        let body = lines.collect::<Vec<_>>().join("\n");
        self.text += &format!("namespace variant_{number} {{\n#line 1 \"variant_{number}\"\n{body}\n}}\n");
        self.names.push(variant.to_owned());
        if self.names.len() < BATCH { Ok(Vec::new()) } else { self.finish() }
    }

    /// Returns the refusals of the variants that were not read yet.
    ///
    /// # Errors
    /// The compiler cannot be started.
    pub fn finish(&mut self) -> Result<Vec<Refusal>, Failure> {
        let (names, text) = (std::mem::take(&mut self.names), std::mem::take(&mut self.text));
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let file = self.folder.join("variants.metal");
        write(&file, &text)?;
        let mut command = Command::new(&self.compiler);
        command.args([
            "-std=gnu++20",
            "-fpermissive",
            "-fsingle-precision-constant",
            "-w",
            "-fsyntax-only",
            "-include",
        ]);
        let output = command.arg(self.folder.join("metal.hpp")).args(["-x", "c++"]).arg(&file).output();
        let output =
            output.map_err(|error| Failure::run(format!("cannot run {}: {error}", self.compiler.display())))?;
        let said = String::from_utf8_lossy(&output.stderr);
        let mut refused = Vec::new();
        for (number, variant) in names.iter().enumerate() {
            let place = format!("variant_{number}:");
            if let Some(message) = said.lines().find(|line| line.starts_with(&place) && line.contains(" error: ")) {
                refused.push(Refusal { variant: variant.clone(), message: message.to_owned() });
            }
        }
        if !output.status.success() && refused.is_empty() {
            let message = super::first_lines(&said);
            refused.push(Refusal { variant: format!("one of {}", names.join("; ")), message });
        }
        Ok(refused)
    }
}

/// Writes each swizzle of a line, `v.zw`, as a call that C++ knows.
fn unswizzled(line: &str) -> String {
    let mut parts = line.split('.');
    let mut written = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(|character: char| !character.is_ascii_alphanumeric() && character != '_');
        let (member, rest) = part.split_at(end.unwrap_or(part.len()));
        let is_swizzle = (2..=4).contains(&member.len()) && member.chars().all(|character| "xyzw".contains(character));
        if is_swizzle {
            let names: Vec<String> = member.chars().map(|character| format!("'{character}'")).collect();
            written += &format!(".template swizzle<{}>(){rest}", names.join(", "));
        } else {
            written += &format!(".{part}");
        }
    }
    written
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    std::fs::write(path, text).map_err(|error| Failure::run(format!("cannot write {}: {error}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn swizzles_become_calls_and_members_stay() {
        assert_eq!(unswizzled("a.xy + b.x * 1.5 + c.xyzw_"), "a.template swizzle<'x', 'y'>() + b.x * 1.5 + c.xyzw_");
    }

    #[test]
    fn a_wrong_text_is_refused_by_its_name_and_a_right_one_is_not() {
        let folder = std::env::temp_dir().join(format!("fourfold-metal-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let Some(mut metal) = Metal::find(&folder).unwrap() else {
            crate::tell!("NOT CHECKED: no C++ compiler is on the PATH");
            return;
        };
        let right = "#include <metal_stdlib>\nusing metal::uint;\nkernel void f(device float* x [[buffer(0)]]) { x[0] = metal::exp(1.0); }";
        assert_eq!(metal.add("right", right), Ok(Vec::new()));
        assert_eq!(metal.add("wrong", &right.replace("exp(1.0)", "frob(1.0)")), Ok(Vec::new()));
        let refused = metal.finish().unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
        assert_eq!(refused.iter().map(|refusal| &*refusal.variant).collect::<Vec<_>>(), ["wrong"], "{refused:?}");
        assert!(refused[0].message.contains("frob"), "{refused:?}");
    }
}
