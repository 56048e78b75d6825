//! Ctrl-C and SIGTERM: the first asks the run to end at its next checkpoint, the second ends the program at once.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::failure::Failure;

/// A signal has come.
static ASKED: AtomicBool = AtomicBool::new(false);

/// Takes the signals from the system, which would end the program without a checkpoint.
///
/// # Errors
/// The system refuses.
pub fn listen() -> Result<(), Failure> {
    let taken = ctrlc::set_handler(|| {
        if ASKED.swap(true, Ordering::SeqCst) {
            std::process::exit(Failure::Stopped.code().into());
        }
        crate::tell!(
            "\nStopping at the next checkpoint; press Ctrl-C again to stop at once and lose what came after the last one."
        );
    });
    match taken {
        // A second run of this process.
        Err(ctrlc::Error::MultipleHandlers) => {}
        taken => taken.map_err(|error| Failure::run(format!("cannot listen to Ctrl-C: {error}")))?,
    }
    // The handler took this signal too.
    crate::output::outlive_the_terminal();
    Ok(())
}

/// Returns true after a signal.
pub fn asked() -> bool {
    ASKED.load(Ordering::SeqCst)
}
