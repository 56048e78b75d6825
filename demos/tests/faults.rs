//! The faults that `cargo xtask mutants` plants: each still has its place in a kernel, and leaves it valid WGSL.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use fourfold::shaders::{Kernel, Target, kernels};
use fourfold::verify::numbered;
use fourfold_demos::commands::verify::faults::{FILE, Fault, parse};
use naga::valid::{Capabilities, ValidationFlags, Validator};

fn shaders() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../shaders/src")
}

/// The WGSL of the kernel's variant that has the text.
fn source_with(kernel: &Kernel, text: &str) -> String {
    if kernel.source.contains(text) {
        return kernel.source.to_string();
    }
    let variants = (2..100).map(|number| numbered(kernel, 0, number, 1, Target::default()));
    let source = variants.map(|case| case.call.kernel.source.to_string()).find(|source| source.contains(text));
    source.unwrap_or_else(|| panic!("{} has no `{text}`: adapt the fault to the kernel", kernel.name))
}

fn validate(kernel: &Kernel, source: &str) -> Result<(), String> {
    let module = naga::front::wgsl::parse_str(source).map_err(|error| error.emit_to_string(source))?;
    let mut capabilities = Capabilities::default();
    capabilities.set(Capabilities::SUBGROUP, kernel.subgroup_sizes.is_some());
    let mut validator = Validator::new(ValidationFlags::all(), capabilities);
    validator.validate(&module).map(|_| ()).map_err(|error| error.emit_to_string(source))
}

#[test]
fn every_fault_has_one_place_in_its_kernel_and_leaves_it_valid() {
    let kernels = kernels();
    let faults = Fault::load(&shaders()).unwrap();
    assert!(faults.len() >= 75, "{} faults", faults.len());
    let mut names = BTreeSet::new();
    for fault in &faults {
        let Fault { kernel, name, before, .. } = fault;
        assert!(names.insert((kernel, name)), "{kernel} has two faults named `{name}`");
        let found = kernels.iter().find(|listed| listed.name == *kernel);
        let listed = found.unwrap_or_else(|| panic!("`{name}` is a fault of `{kernel}`, which is no kernel"));
        let source = source_with(listed, before);
        let faulty = fault.planted_in(&source).unwrap_or_else(|| panic!("{kernel} has `{before}` more than once"));
        assert_ne!(faulty, source, "{kernel}: `{name}` changes nothing");
        validate(listed, &faulty).unwrap_or_else(|error| panic!("{kernel}: `{name}`: {error}"));
    }
}

#[test]
fn every_folder_of_kernels_has_faults() {
    for entry in fs::read_dir(shaders()).unwrap() {
        let folder = entry.unwrap().path();
        let has_wgsl = |folder: &Path| {
            fs::read_dir(folder).unwrap().any(|file| file.unwrap().path().extension() == Some("wgsl".as_ref()))
        };
        if folder.is_dir() && has_wgsl(&folder) {
            assert!(folder.join(FILE).exists(), "{} has no {FILE}", folder.display());
        }
    }
}

#[test]
fn blocks_are_read_with_their_line_breaks() {
    let text =
        "# comment\na.b | kind | name\n-     x;\n-     y;\n+     y;\nslips: because\n\n\nc | k | n\n- barrier();\n";
    let faults = parse(text).unwrap();
    assert_eq!((&*faults[0].before, &*faults[0].after), ("    x;\n    y;", "    y;"));
    assert_eq!((&*faults[0].kernel, faults[0].slips.as_deref()), ("a.b", Some("because")));
    assert_eq!((&*faults[1].before, &*faults[1].after), ("barrier();", ""));
}

#[test]
fn a_block_that_is_none_is_named() {
    for (text, got) in [("softmax\n- a\n", "`softmax`"), ("a | b | c\n", "no text"), ("a | b | c\n- a\nb\n", "`b`")] {
        let reason = parse(text).unwrap_err();
        assert!(reason.contains(&format!("got {got}")), "{reason}");
    }
}

#[test]
fn a_text_that_stands_twice_has_no_place() {
    let fault = &parse("k | kind | name\n- a\n+ b\n").unwrap()[0];
    assert_eq!(fault.planted_in("xay").as_deref(), Some("xby"));
    assert_eq!((fault.planted_in("aa"), fault.planted_in("x")), (None, None));
}
