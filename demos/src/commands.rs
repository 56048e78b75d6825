//! The commands other than experiments, one a file.

pub mod adapters;
pub mod bench;
pub mod compile;
pub mod demo;
pub mod inspect;
pub mod live;
pub mod play;
pub mod runs;
pub mod tune;
pub mod verify;

use crate::entry::Entry;

/// All commands other than experiments.
pub const ALL: &[Entry] = &[
    Entry::of::<adapters::Arguments>(),
    Entry::of::<bench::Arguments>(),
    Entry::of::<compile::Arguments>(),
    Entry::of::<demo::Arguments>(),
    Entry::of::<inspect::Arguments>(),
    Entry::of::<live::Arguments>(),
    Entry::of::<play::Arguments>(),
    Entry::of::<runs::Arguments>(),
    Entry::of::<tune::Arguments>(),
    Entry::of::<verify::Arguments>(),
    Entry::of::<verify::Difference>(),
    Entry::of::<verify::Report>(),
    Entry::of::<verify::Builtins>(),
    Entry::of::<verify::Litmus>(),
];
