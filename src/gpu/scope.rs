//! Error scopes around calls that wgpu reports on later.

use super::{Error, Gpu};

/// The reason why a call was refused.
#[derive(Debug)]
pub(super) enum Refusal {
    OutOfMemory,
    Other(String),
}

impl Gpu {
    /// Runs `call`, which creates objects, and returns what it was refused with, if it was.
    ///
    /// In a browser a scope only answers after control has gone back to the event loop, so there the browser's own
    /// console and the host's uncaptured-error handler report instead.
    pub(super) fn scoped<T>(&self, call: impl FnOnce() -> T) -> Result<T, Refusal> {
        #[cfg(target_arch = "wasm32")]
        return Ok(call());
        #[cfg(not(target_arch = "wasm32"))]
        {
            use wgpu::ErrorFilter::{Internal, OutOfMemory, Validation};
            let scopes = [Internal, Validation, OutOfMemory].map(|filter| self.device().push_error_scope(filter));
            let value = call();
            let mut refusal = None;
            // Scopes are popped in the reverse order; natively the answer is ready at once.
            for scope in scopes.into_iter().rev() {
                if let Some(error) = pollster::block_on(scope.pop()) {
                    refusal.get_or_insert(match error {
                        wgpu::Error::OutOfMemory { .. } => Refusal::OutOfMemory,
                        other => Refusal::Other(other.to_string()),
                    });
                }
            }
            refusal.map_or(Ok(value), Err)
        }
    }

    /// Runs `call` and names the operation in its refusal, which is the loss of the device where that explains it.
    pub(super) fn attempt<T>(&self, operation: &str, call: impl FnOnce() -> T) -> Result<T, Error> {
        self.scoped(call).map_err(|refusal| match refusal {
            Refusal::OutOfMemory => self.or_lost(Error::OutOfMemory { label: operation.into(), bytes: 0 }),
            Refusal::Other(message) => self.or_lost(Error::Validation { operation: operation.into(), message }),
        })
    }

    /// Returns the error, or the loss of the device where that explains it.
    pub(super) fn or_lost(&self, error: Error) -> Error {
        self.lost().unwrap_or(error)
    }
}
