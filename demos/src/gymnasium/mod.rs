//! Environments of Python's Gymnasium, stepped by worker processes that each hold a batch of them.

mod environments;
mod exchange;
mod link;
mod play;
mod process;
mod program;

pub use environments::Environments;
pub use exchange::{Exchange, buffer};
pub use link::expect_greeting;
pub use play::{Played, play, play_with};
pub use process::Process;
pub use program::Program;
