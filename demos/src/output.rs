//! Text for the standard output and the standard error, whose reader may go away.
//!
//! A training must not end because its terminal closed, and `fourfold bench | head` is no error. So writing never
//! fails: [`failure`] says at the end of the program whether something was lost.

use std::fmt::Arguments;
use std::io::{self, ErrorKind, Write};
use std::sync::Mutex;

use crate::failure::Failure;

/// The first error of the standard output.
static LOST: Mutex<Option<ErrorKind>> = Mutex::new(None);

/// Writes text and a line break to the standard output, as `println!` does, unless its reader has gone away.
#[macro_export]
macro_rules! show {
    ($($text:tt)*) => { $crate::output::write(format_args!("{}\n", format_args!($($text)*))) };
}

/// Writes text and a line break to the standard error, as `eprintln!` does, unless its reader has gone away.
#[macro_export]
macro_rules! tell {
    ($($text:tt)*) => { $crate::output::write_error(format_args!($($text)*)) };
}

/// Writes text to the standard output. After the first error nothing more is written.
pub fn write(text: Arguments<'_>) {
    let mut lost = LOST.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    if lost.is_none() {
        // Not by `write_fmt`: some texts, those of JSON among them, panic where their writer fails.
        let text = text.to_string();
        let mut output = io::stdout().lock();
        let written = output.write_all(text.as_bytes()).and_then(|()| output.flush());
        *lost = written.err().map(|error| error.kind());
    }
}

/// Writes a line to the standard error. If that fails, nobody can be told.
pub fn write_error(line: Arguments<'_>) {
    let _ = io::stderr().lock().write_all(format!("{line}\n").as_bytes());
}

/// Returns the failure of the standard output, if any. A reader that has gone away has read what it wanted.
pub fn failure() -> Option<Failure> {
    let lost = LOST.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    lost.filter(|&kind| kind != ErrorKind::BrokenPipe)
        .map(|kind| Failure::run(format!("cannot write to the standard output: {kind}")))
}

/// Lets the program outlive its terminal: a closed window or connection ends no training. Ctrl-C still does.
#[cfg(unix)]
#[expect(unsafe_code, reason = "sets the action of a signal")]
pub fn outlive_the_terminal() {
    // SAFETY: ignoring a signal runs no handler; no other thread exists yet.
    unsafe { libc::signal(libc::SIGHUP, libc::SIG_IGN) };
}

/// Elsewhere the system ends the programs of a closed terminal.
#[cfg(not(unix))]
pub fn outlive_the_terminal() {}
