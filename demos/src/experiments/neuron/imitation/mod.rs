//! Imitation of a teacher who knows the world by a network that sees it (DAgger: Ross, Gordon & Bagnell 2011): the student
//! drives, the teacher says what it would have done, and the student learns from all that was ever said.

mod course;
mod drivers;
mod flags;
mod lesson;
mod play;
mod recordings;
mod report;
mod student;
mod subject;

pub use course::Imitated;
pub use flags::Flags;
pub use lesson::{Lesson, Recipe};
pub use play::play;
pub use report::{curve, table};
pub use student::Network;
pub use subject::{Game, Race, Subject};
