//! One reader of files, by its name in `FOURFOLD_FUZZ_READER`:
//!
//! ```text
//! FOURFOLD_FUZZ_READER=npz cargo +nightly fuzz run reader
//! ```
//!
//! Its readers and bounds are those of the tests (`tests/fuzz/`).

#![no_main]
#![allow(dead_code, reason = "the tests use more of these modules")]

#[path = "../../tests/fuzz/allocator.rs"]
mod allocator;
#[path = "../../tests/fuzz/bounds.rs"]
mod bounds;
#[path = "../../tests/fuzz/reader.rs"]
mod reader;
#[path = "../../tests/fuzz/readers.rs"]
mod readers;

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use reader::Reader;
use readers::readers;

static READER: LazyLock<Reader> = LazyLock::new(|| {
    let name = std::env::var("FOURFOLD_FUZZ_READER").unwrap_or_else(|_| "npz".to_owned());
    let names: Vec<&str> = readers().iter().map(|reader| reader.name).collect();
    let found = readers().into_iter().find(|reader| reader.name == name);
    found.unwrap_or_else(|| panic!("FOURFOLD_FUZZ_READER: expected one of {}, got `{name}`", names.join(", ")))
});

fuzz_target!(|bytes: &[u8]| {
    let parts = readers::split(bytes, READER.seeds[0].len());
    if let Err(fault) = bounds::judge(&READER, &(READER.pack)(parts)) {
        panic!("{}: {fault}", READER.name);
    }
});
