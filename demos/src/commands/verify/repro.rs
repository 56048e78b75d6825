//! A bug report in one folder: the shaders as composed and as naga translates them, the operands, and what came out.

use std::path::{Path, PathBuf};

use fourfold::Gpu;
use fourfold::data::file;
use fourfold::shaders::{Call, Case, Data, Generator, kernels};
use fourfold::verify::{Outcome, numbered};

use super::row::Row;
use crate::failure::Failure;
use crate::translation::Resolved;

/// Writes the folder of a case that gave numbers or was refused, below `parent`.
///
/// # Errors
/// A file cannot be written.
pub fn write(parent: &Path, gpu: &Gpu, row: &Row, size: u32, case: &Case, outcome: &Outcome) -> Result<(), Failure> {
    let folder = parent.join(file_name(&row.kernel));
    if folder.exists() {
        // The first failure of a kernel is enough.
        return Ok(());
    }
    let call = &case.call;
    let mut files = operands(case, "input", &case.operands);
    if let Outcome::Judged(examination) = outcome {
        files.extend(operands(case, "expected", &examination.expected));
        files.extend(operands(case, "got", &examination.got));
        let bounds: Vec<(usize, Data)> =
            call.kernel.outputs().map(|index| (index, bounds(case, index, &examination.expected[index]))).collect();
        files.extend(
            bounds
                .iter()
                .map(|(index, bounds)| (format!("bound-{}.npy", call.kernel.bindings[*index].name), npy(bounds))),
        );
    }
    finish(&folder, gpu, row, size, case, files)
}

/// Writes the folder of a case that ended its process: without the numbers that the driver gave.
///
/// # Errors
/// A file cannot be written.
pub fn write_without_result(parent: &Path, gpu: &Gpu, seed: u64, row: &Row) -> Result<(), Failure> {
    let folder = parent.join(file_name(&row.kernel));
    let all = kernels();
    let Some(kernel) = all.iter().find(|kernel| kernel.name == row.kernel) else { return Ok(()) };
    let case = numbered(kernel, seed, row.case, Generator::FULL, gpu.target());
    let mut files = operands(&case, "input", &case.operands);
    files.extend(operands(&case, "expected", &case.expected()));
    finish(&folder, gpu, row, Generator::FULL, &case, files)
}

fn finish(
    folder: &Path,
    gpu: &Gpu,
    row: &Row,
    size: u32,
    case: &Case,
    mut files: Vec<(String, Vec<u8>)>,
) -> Result<(), Failure> {
    files.push(("kernel.wgsl".to_owned(), case.call.kernel.source.as_bytes().to_vec()));
    files.push(("uniform.bin".to_owned(), case.call.uniform.clone()));
    let mut notes = String::new();
    match translations(&case.call) {
        Ok(translated) => files.extend(translated),
        Err(message) => notes = format!("\nnaga does not translate it: {message}\n"),
    }
    files.push(("report.md".to_owned(), report(gpu, row, size, case, &notes).into_bytes()));
    files.push(("row.json".to_owned(), format!("{:#}\n", serde_json::json!(row)).into_bytes()));
    std::fs::create_dir_all(folder)
        .map_err(|error| Failure::input(format!("cannot make the folder {}: {error}", folder.display())))?;
    for (name, bytes) in files {
        file::write(&folder.join(name), &bytes)?;
    }
    Ok(())
}

/// A name that every file system takes.
fn file_name(kernel: &str) -> PathBuf {
    kernel
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || c == '_' || c == '.' { c } else { '-' })
        .collect::<String>()
        .into()
}

fn operands(case: &Case, kind: &str, operands: &[Data]) -> Vec<(String, Vec<u8>)> {
    let bindings = case.call.kernel.bindings.iter();
    bindings.zip(operands).map(|(binding, data)| (format!("{kind}-{}.npy", binding.name), npy(data))).collect()
}

/// The bounds on the elements of one output.
fn bounds(case: &Case, index: usize, expected: &Data) -> Data {
    let tolerance = (case.call.kernel.tolerance)(&case.call, &case.operands, index);
    let value = |element: usize| match expected {
        Data::F32(values) => f64::from(values[element]),
        Data::U32(values) => f64::from(values[element]),
    };
    Data::F32((0..expected.len()).map(|element| tolerance.bound(element, value(element)) as f32).collect())
}

/// A tensor of one axis in the format of numpy's files, version 1.0.
fn npy(data: &Data) -> Vec<u8> {
    let kind = match data {
        Data::F32(_) => "<f4",
        Data::U32(_) => "<u4",
    };
    let mut header = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': ({},), }}", data.len());
    // Magic, version and length are ten bytes; the header ends in a line break at a multiple of 64.
    let padded = (10 + header.len() + 1).next_multiple_of(64) - 10;
    header.extend(std::iter::repeat_n(' ', padded - header.len() - 1));
    header.push('\n');
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(data.bytes());
    bytes
}

/// The kernel with its constants resolved, as SPIR-V, MSL and HLSL.
fn translations(call: &Call) -> Result<Vec<(String, Vec<u8>)>, String> {
    let resolved = Resolved::of(call)?;
    let words = resolved.spirv()?;
    Ok(vec![
        ("kernel.spv".to_owned(), words.iter().flat_map(|word| word.to_le_bytes()).collect()),
        ("kernel.metal".to_owned(), resolved.msl()?.into_bytes()),
        ("kernel.hlsl".to_owned(), resolved.hlsl()?.0.into_bytes()),
    ])
}

fn report(gpu: &Gpu, row: &Row, size: u32, case: &Case, notes: &str) -> String {
    let info = gpu.info();
    let call = &case.call;
    let kernel = &*call.kernel;
    let bindings: String = kernel
        .bindings
        .iter()
        .zip(&call.lengths)
        .enumerate()
        .map(|(index, (binding, length))| {
            format!(
                "| {index} | `{}` | {:?} | {:?} | {} | {length} |\n",
                binding.name, binding.access, binding.element, binding.shape
            )
        })
        .collect();
    let checks = if gpu.checked() || call.has_runtime_checks() { "with" } else { "without" };
    format!(
        "# `{}` is {} on {}\n\n{}\n\nThe case is number {} of the run's seed, drawn at size {size} of {}.\n\n\
         * adapter: {} ({}, {:?}), vendor {:#06x}, device {:#06x} {}\n* driver: {} {}\n* entry point: `{}`, {checks} wgpu's runtime checks\n\
         * grid: {:?}; constants: {:?}\n* uniform block (group 1, binding 0): `uniform.bin`, {} bytes\n{notes}\n\
         | binding of group 0 | name | access | element | shape | elements |\n|---|---|---|---|---|---|\n{bindings}\n\
         `input-*.npy` are the operands before the dispatch (NaN in those that are only written), `expected-*.npy` those after \
         it by the CPU twin, `got-*.npy` by the driver, `bound-*.npy` the largest difference allowed.\n\
         `kernel.wgsl` is the source as composed; `kernel.spv`, `kernel.hlsl` and `kernel.metal` are naga's translations with \
         the constants resolved and all checks on.\n",
        row.kernel,
        row.outcome,
        info.name,
        row.describe("the command in the run's output"),
        row.case,
        Generator::FULL,
        info.name,
        info.backend,
        info.device_type,
        info.vendor,
        info.device,
        info.device_pci_bus_id,
        info.driver,
        info.driver_info,
        kernel.entry_point,
        call.grid,
        call.constants,
        call.uniform.len(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tensor_is_a_file_of_numpy() {
        let bytes = npy(&Data::F32(vec![1.0, 2.0]));
        assert_eq!(bytes.len() % 64, 8);
        let text = String::from_utf8_lossy(&bytes[10..74]);
        assert!(text.contains("'<f4'") && text.contains("(2,)"), "{text}");
        assert_eq!(bytes[bytes.len() - 4..], 2.0f32.to_le_bytes());
    }

    #[test]
    fn every_kernel_has_its_translations() {
        for kernel in kernels().iter().step_by(7) {
            let call = numbered(kernel, 0, 5, 10, fourfold::shaders::Target::default()).call;
            assert_eq!(translations(&call).unwrap_or_else(|error| panic!("{}: {error}", kernel.name)).len(), 3);
        }
    }

    #[test]
    fn names_of_kernels_become_names_of_folders() {
        assert_eq!(file_name("elementwise(mul,add)"), Path::new("elementwise-mul-add-"));
    }
}
