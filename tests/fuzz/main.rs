//! Spoilt files: each is read, or refused in one sentence that names it, and none takes longer or more memory than the file
//! is worth. `cargo xtask fuzz` runs the random ones for as long as one likes; `fuzz/` has the same as targets of `cargo fuzz`.

mod allocator;
mod bounds;
mod campaign;
mod mutation;
mod reader;
mod readers;

use std::fs;
use std::path::Path;

use allocator::requested;
use bounds::judge;
use fourfold::data::{Checkpoint, Error, flat_vector, idx};
use readers::readers;

/// Spoils each file of each reader in all places, and checks the bounds.
fn sweep(spoil: impl Fn(&[u8], usize) -> Vec<Vec<u8>>) {
    for reader in readers() {
        for seed in &reader.seeds {
            for part in 0..seed.len() {
                let length = seed[part].len();
                for place in (0..length).step_by(1 + length / 300) {
                    for spoilt in spoil(&seed[part], place) {
                        let mut parts = seed.clone();
                        parts[part] = spoilt;
                        let judged = judge(&reader, &(reader.pack)(parts));
                        assert!(judged.is_ok(), "{}, byte {place} of part {part}: {judged:?}", reader.name);
                    }
                }
            }
        }
    }
    reader::clean();
}

#[test]
fn sizes_that_are_inflated_are_refused_before_memory_is_requested() {
    sweep(|bytes, place| {
        let low_first = (1_u64 << 33).to_le_bytes();
        let (short, high_first) = (0x7fff_ff00_u32.to_le_bytes(), 0x7fff_ff00_u32.to_be_bytes());
        let spoil = |size: &[u8]| {
            let mut spoilt = bytes.to_vec();
            let length = size.len().min(bytes.len() - place);
            spoilt[place..place + length].copy_from_slice(&size[..length]);
            spoilt
        };
        [&low_first[..], &short, &high_first, b"99999999"].map(spoil).into()
    });
}

#[test]
fn files_that_are_cut_anywhere_request_no_more_than_whole_ones_may() {
    sweep(|bytes, length| vec![bytes[..length].to_vec()]);
}

#[test]
fn whole_files_are_read() {
    for reader in readers() {
        for seed in &reader.seeds {
            let judged = judge(&reader, &(reader.pack)(seed.clone()));
            // Some fixtures are of data that cannot be, in files that can.
            let valid = judged == Ok(true) || ["d4rl"].contains(&reader.name) && judged.is_ok();
            assert!(valid, "{}: {judged:?}, {:?}", reader.name, (reader.read)(&(reader.pack)(seed.clone())));
        }
    }
    reader::clean();
}

#[test]
fn no_mutated_file_breaks_a_bound_of_its_reader() {
    campaign::run(&readers());
    reader::clean();
}

#[test]
fn sizes_in_a_header_that_the_file_does_not_have_are_named() {
    let refused = |read: fn(&str, &[u8]) -> Result<(), Error>, bytes: &[u8]| {
        let (result, requested) = requested(|| read("file", bytes));
        assert!(requested < 1 << 20, "{requested} bytes");
        result.unwrap_err().to_string()
    };
    let images = [0, 0, 8, 3, 0x7f, 0, 0, 0, 0, 0, 0x10, 0, 0, 0, 0x10, 0, 1, 2, 3];
    assert_eq!(
        refused(|name, bytes| idx::parse(name, bytes).map(drop), &images),
        "file: expected 35747322042253312 values (2130706432 x 4096 x 4096), got 3 values"
    );
    let tensors = br#"{"w":{"dtype":"F32","shape":[1000000000],"data_offsets":[0,4000000000]}}"#;
    let checkpoint = [&(tensors.len() as u64).to_le_bytes()[..], tensors, &[0; 8]].concat();
    let error = refused(|name, bytes| Checkpoint::from_bytes(name, bytes).map(drop), &checkpoint);
    assert!(error.starts_with("file: expected a whole safetensors file, got 88 bytes that are none"), "{error}");
    let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000,), }\n";
    let array = [b"\x93NUMPY\x01\0", &(header.len() as u16).to_le_bytes()[..], header.as_bytes(), &[0; 8]].concat();
    assert_eq!(
        refused(|name, bytes| flat_vector(name, bytes, None, 1_000_000_000).map(drop), &array),
        "file: tensor `the array`: expected 4000000000 bytes of values, got 8"
    );
}

#[cfg(feature = "hdf5")]
#[test]
fn an_array_of_hdf5_that_was_never_written_requests_no_memory() {
    use fourfold::data::Trajectories;

    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/trajectories/bad/sparse.hdf5");
    let bytes = fs::read(path).unwrap();
    let (result, requested) = requested(|| Trajectories::from_bytes("sparse", bytes, None).map(drop));
    let error = result.unwrap_err().to_string();
    assert!(error.starts_with("sparse: tensor `rewards`: expected at most "), "{error}");
    assert!(requested < 1 << 20, "{requested} bytes");
}
