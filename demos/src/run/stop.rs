//! Ctrl-C and SIGTERM: the first asks the run to end at its next checkpoint, the second ends the program at once.

use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

use crate::failure::Failure;

/// The signal that has come; 0 before.
static ASKED: AtomicI32 = AtomicI32::new(0);

/// True for one of several ranks, where a signal comes to each of them.
static SILENT: AtomicBool = AtomicBool::new(false);

/// SIGINT, by its number on every system.
const INTERRUPT: i32 = 2;

const MESSAGE: &str =
    "\nStopping at the next checkpoint; press Ctrl-C again to stop at once and lose what came after the last one.\n";

/// Takes the signals from the system, which would end the program without a checkpoint.
///
/// # Errors
/// The system refuses.
#[cfg(unix)]
#[expect(unsafe_code, reason = "sets the action of signals")]
pub fn listen() -> Result<(), Failure> {
    /// Nothing here but what a handler of a signal may do: an atomic, a write, the end.
    extern "C" fn note(signal: libc::c_int) {
        if ASKED.swap(signal, Ordering::SeqCst) == 0 {
            if !SILENT.load(Ordering::SeqCst) {
                // SAFETY: the text lives as long as the program.
                unsafe { libc::write(libc::STDERR_FILENO, MESSAGE.as_ptr().cast(), MESSAGE.len()) };
            }
        } else {
            // SAFETY: ends the process, whose files are whole at every moment.
            unsafe { libc::_exit(128 + signal) };
        }
    }
    let handler: extern "C" fn(libc::c_int) = note;
    for signal in [libc::SIGINT, libc::SIGTERM] {
        // SAFETY: the handler calls only functions that are safe in handlers.
        if unsafe { libc::signal(signal, handler as libc::sighandler_t) } == libc::SIG_ERR {
            return Err(Failure::run(format!("cannot listen to Ctrl-C: {}", std::io::Error::last_os_error())));
        }
    }
    Ok(())
}

/// Takes Ctrl-C from the system, which would end the program without a checkpoint.
///
/// # Errors
/// The system refuses.
#[cfg(not(unix))]
pub fn listen() -> Result<(), Failure> {
    let taken = ctrlc::set_handler(|| {
        if ASKED.swap(INTERRUPT, Ordering::SeqCst) != 0 {
            std::process::exit(code().into());
        }
        if !SILENT.load(Ordering::SeqCst) {
            crate::output::write_error(format_args!("{}", MESSAGE.trim_end_matches('\n')));
        }
    });
    match taken {
        // A second run of this process.
        Ok(()) | Err(ctrlc::Error::MultipleHandlers) => Ok(()),
        Err(error) => Err(Failure::run(format!("cannot listen to Ctrl-C: {error}"))),
    }
}

/// Says nothing when a signal comes.
pub fn be_silent() {
    SILENT.store(true, Ordering::SeqCst);
}

/// Returns true after a signal.
pub fn asked() -> bool {
    ASKED.load(Ordering::SeqCst) != 0
}

/// Returns the exit code of a run that was stopped: 130 after Ctrl-C, 143 after SIGTERM, as shells count.
pub fn code() -> u8 {
    match ASKED.load(Ordering::SeqCst) {
        0 => 128 + INTERRUPT as u8,
        signal => 128 + signal as u8,
    }
}
