//! Faults to plant in kernels: `verify` must catch them.
//!
//! A folder of kernels keeps them in a file `faults.txt`, in blocks between empty lines:
//!
//! ```text
//! KERNEL | KIND | NAME
//! - text that stands exactly once in the WGSL of the kernel, over as many such lines as it takes
//! + text with the fault in its place
//! slips: the reason for which no case can show it, where there is one
//! ```
//!
//! A line that begins with `#` is a comment.

use std::path::Path;
use std::sync::Arc;

use fourfold::data::file;
use fourfold::shaders::{Case, Kernel};
use serde::{Deserialize, Serialize};

use crate::failure::Failure;

/// One fault of one kernel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// The kernel whose cases must show it.
    pub kernel: String,
    /// The kind of mistake.
    pub kind: String,
    /// The fault in a few words, unique within its kernel.
    pub name: String,
    /// The text of the WGSL.
    pub before: String,
    /// The text in its place.
    pub after: String,
    /// The reason for which no case can show it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slips: Option<String>,
}

/// The name of the files.
pub const FILE: &str = "faults.txt";

impl Fault {
    /// Loads the faults of a folder and of all folders in it.
    ///
    /// # Errors
    /// A file cannot be read, a block is none, or there are no faults.
    pub fn load(folder: &Path) -> Result<Vec<Self>, Failure> {
        let mut faults = Vec::new();
        load_into(&mut faults, folder)?;
        if faults.is_empty() {
            return Err(Failure::input(format!("{}: expected files named {FILE}, got none", folder.display())));
        }
        Ok(faults)
    }

    fn of_block(block: &[&str]) -> Result<Self, String> {
        let wanted = "expected `KERNEL | KIND | NAME`, then lines that begin with `- `, then with `+ `";
        let header: Vec<&str> = block[0].split(" | ").map(str::trim).collect();
        let [kernel, kind, name] = header[..] else { return Err(format!("{wanted}, got `{}`", block[0])) };
        let (mut before, mut after, mut slips) = (Vec::new(), Vec::new(), None);
        for line in &block[1..] {
            let text = |sign: char| line.strip_prefix(sign).map(|text| text.strip_prefix(' ').unwrap_or(text));
            if let Some(text) = text('-') {
                before.push(text);
            } else if let Some(text) = text('+') {
                after.push(text);
            } else if let Some(reason) = line.strip_prefix("slips:") {
                slips = Some(reason.trim().to_owned());
            } else {
                return Err(format!("{wanted}, got `{line}`"));
            }
        }
        if before.is_empty() {
            return Err(format!("{wanted}, got no text to replace"));
        }
        let (before, after) = (before.join("\n"), after.join("\n"));
        Ok(Self { kernel: kernel.into(), kind: kind.into(), name: name.into(), before, after, slips })
    }

    /// Returns the WGSL with the fault, or `None` if its text does not stand there exactly once.
    pub fn planted_in(&self, source: &str) -> Option<String> {
        (source.matches(&self.before).count() == 1).then(|| source.replacen(&self.before, &self.after, 1))
    }

    /// Returns the case on the kernel with the fault, or `None` if the kernel's variant has no place for it.
    #[expect(unsafe_code, reason = "runs faulty kernels as the right ones run, without runtime checks")]
    pub fn plant(&self, case: Case) -> Option<Case> {
        let kernel: &Kernel = &case.call.kernel;
        let source = self.planted_in(&kernel.source)?.into();
        let faulty = Arc::new(Kernel { source, ..kernel.clone() });
        let checked = case.call.has_runtime_checks();
        let call = case.call.changed(|call| call.kernel = faulty.into());
        // SAFETY: a faulty kernel may access any memory of its process: the worker of this fault, which nobody trusts.
        let call = if checked { call } else { unsafe { call.without_runtime_checks() } };
        Some(Case { call, ..case })
    }
}

fn load_into(faults: &mut Vec<Fault>, folder: &Path) -> Result<(), Failure> {
    let unreadable = |error| Failure::input(format!("{}: {error}", folder.display()));
    let entries = std::fs::read_dir(folder).and_then(Iterator::collect::<Result<Vec<_>, _>>).map_err(unreadable)?;
    let mut paths: Vec<_> = entries.iter().map(std::fs::DirEntry::path).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            load_into(faults, &path)?;
        } else if path.file_name().is_some_and(|name| name == FILE) {
            let text = String::from_utf8_lossy(&file::read(&path)?).into_owned();
            let wrong = |reason| Failure::input(format!("{}: {reason}", path.display()));
            faults.extend(parse(&text).map_err(wrong)?);
        }
    }
    Ok(())
}

/// Parses the blocks of one file.
///
/// # Errors
/// A block is none: the sentence says what was expected.
pub fn parse(text: &str) -> Result<Vec<Fault>, String> {
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    let blocks = lines.split(|line| line.is_empty()).filter(|block| !block.is_empty());
    blocks.map(Fault::of_block).collect()
}
