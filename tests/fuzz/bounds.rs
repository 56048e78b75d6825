//! The bounds of every reader: no panic, no second of time, no more memory than the file could hold, and a refusal that is
//! one line of at most 200 characters without control characters.

use std::cell::RefCell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;
use std::time::{Duration, Instant};

use super::allocator::requested;
use super::reader::{FILE, Memory, Reader};

/// A refusal is at most as long, besides the name of the file, which is as long as the user made it.
const LONGEST: usize = 200;

/// No file of a megabyte takes as long to be read or refused.
const SLOWEST: Duration = Duration::from_secs(1);

thread_local! {
    /// The message and the place of the last panic of this thread.
    static PANIC: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Reads files, and returns true if they were read and false if they were refused.
///
/// # Errors
/// The bound that was broken.
pub fn judge(reader: &Reader, files: &[Vec<u8>]) -> Result<bool, String> {
    catch_quietly();
    let begun = Instant::now();
    let read = || panic::catch_unwind(AssertUnwindSafe(|| (reader.read)(files)));
    let (outcome, bytes) = requested(read);
    let mut took = begun.elapsed();
    let outcome = outcome.map_err(|_| format!("panic: {}", PANIC.take()))?;
    // Another process may have held the processor: only what is slow three times is slow.
    for _ in 0..2 {
        if took > SLOWEST {
            let begun = Instant::now();
            let _ = read();
            took = took.min(begun.elapsed());
        }
    }
    if took > SLOWEST {
        return Err(format!("time: {:.1} s", took.as_secs_f64()));
    }
    let size = files.iter().map(Vec::len).sum();
    let most = reader.memory.most(size);
    if bytes > most {
        return Err(format!("memory: {bytes} bytes for a file of {size}, at most {most}"));
    }
    let Err(sentence) = outcome else { return Ok(true) };
    if let Some(fault) = fault(&sentence) {
        return Err(format!("message: {fault}: {}", sentence.escape_debug()));
    }
    Ok(false)
}

impl Memory {
    /// The most bytes that are held at once for a file of so many.
    pub fn most(self, size: usize) -> usize {
        (1 << 20)
            + match self {
                Memory::Plain => 16 * size,
                // Deflate packs 1,032 bytes into one; rows and text are held in two forms at once, and a vector that
                // grows in both its old and its new place.
                Memory::Deflated => 4 * 1032 * size,
            }
    }
}

/// The fault of a message, if it has one.
fn fault(sentence: &str) -> Option<String> {
    if sentence.is_empty() {
        return Some("empty".to_owned());
    }
    if let Some(control) = sentence.chars().find(|character| character.is_control()) {
        return Some(format!("control character {control:?}"));
    }
    let reorders = |c: &char| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}');
    if let Some(character) = sentence.chars().find(reorders) {
        return Some(format!("invisible character {character:?}"));
    }
    let length = sentence.strip_prefix(FILE).unwrap_or(sentence).chars().count();
    (length > LONGEST).then(|| format!("{length} characters"))
}

/// Keeps what a panic says, and leaves the terminal alone where a file is read.
fn catch_quietly() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let previous = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            // Tests that fail say so.
            let ours = info.location().is_some_and(|place| place.file().contains("fuzz"));
            if ours {
                previous(info);
            }
            PANIC.replace(info.to_string().replace('\n', " "));
        }));
    });
}
