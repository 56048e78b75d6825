//! The description of a kernel: bindings, calls, cases, tolerance.

// First, since the macro is for all that follows.
#[macro_use]
pub(crate) mod wgsl;

mod call;
mod case;
mod choice;
pub(crate) mod elementwise_layout;
mod generator;
pub(crate) mod joined;
pub(crate) mod judge;
mod kernel;
mod listed;
mod module;
mod operand;
pub(crate) mod row_layout;
mod runtime_checks;
mod sizes;
mod target;
mod tolerance;

pub use call::{Call, CallParts, MAX_WORKGROUPS, Scratch, Sequence, Slot, Step, grid, packed};
pub use case::Case;
pub use choice::{Choice, Choices, Family};
pub use generator::{Generator, Shapes};
pub use kernel::{Access, Binding, Cases, Element, Kernel, KernelRef};
pub use listed::Listed;
pub use module::Module;
pub use operand::{Data, Operand};
pub use runtime_checks::RuntimeChecks;
pub(crate) use runtime_checks::{own_problem, own_wgsl};
pub use sizes::{Error, MAX_ELEMENTS};
pub(crate) use sizes::{Sizes, product, sum};
pub use target::Target;
pub use tolerance::{Comparison, Tolerance};
