//! Parts of kernels by their names: environments, policies, inner problems.

use std::sync::Arc;

use crate::Generator;

/// An environment, policy or inner problem of this crate under its name. One list of each kind drives kernels and tests.
#[derive(Debug)]
#[non_exhaustive]
pub struct Listed<T: ?Sized> {
    /// The name, unique within its list.
    pub name: &'static str,
    /// Draws an instance.
    pub draw: fn(&mut Generator) -> Arc<T>,
}
