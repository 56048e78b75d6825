//! Environments of Python's Gymnasium, stepped by worker processes that each hold a batch of them.

mod environments;
mod link;
mod play;
mod process;

pub use environments::Environments;
pub use link::End;
pub use link::expect_greeting;
pub use play::{Played, play};
pub use process::Process;
