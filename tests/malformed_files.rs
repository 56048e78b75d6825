//! Files with wrong sizes in them: each is read, or refused in one sentence that names it, and neither asks for much more
//! memory than the file could hold.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::fs;
use std::io::Write;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use fourfold::data::cifar::Cifar;
use fourfold::data::{Checkpoint, Error, Regression, Trajectories, cifar, flat_vector, idx, svhn};
use fourfold_shaders::Data;

thread_local! {
    /// Bytes that this thread holds, and the most that it held.
    static HELD: Cell<(isize, isize)> = const { Cell::new((0, 0)) };
}

/// The system's allocator, which counts.
struct Counting;

fn count(bytes: isize) {
    // While a thread ends nothing is counted.
    let _ = HELD.try_with(|held| {
        let (now, most) = held.get();
        held.set((now + bytes, most.max(now + bytes)));
    });
}

// SAFETY: every call goes to the system's allocator as it is.
#[expect(unsafe_code, reason = "counts the bytes of the allocator")]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller's promise.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size as isize - layout.size() as isize);
        // SAFETY: the caller's promise.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The most bytes that were held at once while it ran, beyond those before.
fn requested<T>(run: impl FnOnce() -> T) -> (T, usize) {
    let before = HELD.get().0;
    HELD.set((before, before));
    let result = run();
    (result, (HELD.get().1 - before) as usize)
}

/// A reader and a file that it reads.
struct Case {
    name: &'static str,
    bytes: Vec<u8>,
    read: fn(&str, &[u8]) -> Result<(), Error>,
}

fn fixture(path: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(path)).unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn cases() -> Vec<Case> {
    let labels = idx::parse("labels", &fixture("fashion-mnist/t10k-labels-idx1-ubyte.gz")).unwrap().values;
    let plain = [&[0, 0, 8, 2, 0, 0, 0, 10, 0, 0, 0, 10][..], &labels].concat();
    let table = b"a,b,target\n1,2.5,3\n-4,5e-1,6\n".to_vec();
    let mut checkpoint = Checkpoint::new();
    checkpoint.set("format", "test");
    checkpoint.insert("weights", &[2, 3], Data::F32(vec![0.5; 6]));
    checkpoint.insert_f64("state", &[2], vec![0.25; 2]);
    let stored = Trajectories::from_bytes("set", fixture("trajectories/imitation.npz"), None).unwrap().0;

    let read_idx = |name: &str, bytes: &[u8]| idx::parse(name, bytes).map(drop);
    let read_table = |name: &str, bytes: &[u8]| Regression::parse(name, bytes).map(drop);
    let read_vector = |name: &str, bytes: &[u8]| flat_vector(name, bytes, Some("params"), 3).map(drop);
    let read_checkpoint = |name: &str, bytes: &[u8]| Checkpoint::from_bytes(name, bytes).map(drop);
    let read_trajectories = |name: &str, bytes: &[u8]| Trajectories::from_bytes(name, bytes.to_vec(), None).map(drop);
    let read_cifar = |name: &str, bytes: &[u8]| cifar::parse(name, bytes, Cifar::Hundred).map(drop);
    let read_svhn = |name: &str, bytes: &[u8]| svhn::parse(name, bytes).map(drop);
    let mut cases = vec![
        Case { name: "plain IDX", bytes: plain.clone(), read: read_idx },
        Case { name: "compressed IDX", bytes: gzip(&plain), read: read_idx },
        Case { name: "table", bytes: table.clone(), read: read_table },
        Case { name: "compressed table", bytes: gzip(&table), read: read_table },
        Case { name: "stored npz", bytes: fixture("numpy/stored.npz"), read: read_vector },
        Case { name: "compressed npz", bytes: fixture("numpy/compressed.npz"), read: read_vector },
        Case { name: "npy", bytes: fixture("numpy/bare.npy"), read: read_vector },
        Case { name: "checkpoint", bytes: checkpoint.to_bytes(), read: read_checkpoint },
        Case { name: "stored trajectories", bytes: stored.checkpoint().to_bytes(), read: read_trajectories },
        Case { name: "CIFAR-100", bytes: vec![7; 2 * 3074], read: read_cifar },
        Case { name: "SVHN", bytes: fixture("svhn/train_32x32.mat"), read: read_svhn },
        Case { name: "imitation", bytes: fixture("trajectories/imitation.npz"), read: read_trajectories },
    ];
    if cfg!(feature = "hdf5") {
        cases.extend([
            Case { name: "D4RL", bytes: fixture("trajectories/d4rl.hdf5"), read: read_trajectories },
            Case {
                name: "D4RL in the latest format",
                bytes: fixture("trajectories/bad/nan.hdf5"),
                read: read_trajectories,
            },
            Case { name: "Minari", bytes: fixture("trajectories/minari/data/main_data.hdf5"), read: read_trajectories },
            Case { name: "Minari's tuple", bytes: fixture("trajectories/minari-tuple.hdf5"), read: read_trajectories },
        ]);
    }
    cases
}

/// Reads a spoilt file and checks the sentence, if it is refused, and the memory.
fn check(case: &Case, bytes: &[u8], how: &str) -> usize {
    let (result, requested) = requested(|| (case.read)(case.name, bytes));
    if let Err(error) = result {
        let sentence = error.to_string();
        let whole = sentence.starts_with(&format!("{}: ", case.name))
            && sentence.contains("expected ")
            && sentence.contains(", got ")
            && !sentence.contains(char::is_control);
        assert!(whole, "{}, {how}: {sentence}", case.name);
    }
    // Deflate packs 1,032 bytes into one; rows and text are held in two forms at once.
    let most = (1 << 20) + 4 * 1032 * bytes.len();
    assert!(requested <= most, "{}, {how}: {requested} bytes were requested for a file of {}", case.name, bytes.len());
    requested
}

#[test]
fn sizes_that_are_inflated_are_refused_before_memory_is_requested() {
    for case in cases() {
        let places = (0..case.bytes.len()).step_by(1 + case.bytes.len() / 1500);
        let mut most = 0;
        for place in places {
            let low_first = (1_u64 << 33).to_le_bytes();
            let (short, high_first) = (0x7fff_ff00_u32.to_le_bytes(), 0x7fff_ff00_u32.to_be_bytes());
            for size in [&low_first[..], &short, &high_first, b"99999999"] {
                let mut spoilt = case.bytes.clone();
                let length = size.len().min(spoilt.len() - place);
                spoilt[place..place + length].copy_from_slice(&size[..length]);
                most = most.max(check(&case, &spoilt, &format!("{size:?} at byte {place}")));
            }
        }
        println!("{}: at most {most} bytes for a file of {}", case.name, case.bytes.len());
    }
}

#[test]
fn files_that_are_cut_anywhere_request_no_more_than_whole_ones_may() {
    for case in cases() {
        for length in (0..case.bytes.len()).step_by(1 + case.bytes.len() / 1500) {
            check(&case, &case.bytes[..length], &format!("the first {length} bytes"));
        }
    }
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
    let bytes = fixture("trajectories/bad/sparse.hdf5");
    let (result, requested) = requested(|| Trajectories::from_bytes("sparse", bytes, None).map(drop));
    let error = result.unwrap_err().to_string();
    assert!(error.starts_with("sparse: tensor `rewards`: expected at most "), "{error}");
    assert!(requested < 1 << 20, "{requested} bytes");
}
