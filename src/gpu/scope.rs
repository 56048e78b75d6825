//! Error scopes around calls that wgpu reports on later.

use std::task::{Context, Poll};

use super::{Error, Gpu};

/// The reason why a call was refused.
#[derive(Debug)]
pub(super) enum Refusal {
    OutOfMemory,
    Other(String),
}

impl From<wgpu::Error> for Refusal {
    fn from(error: wgpu::Error) -> Self {
        match error {
            wgpu::Error::OutOfMemory { .. } => Refusal::OutOfMemory,
            other => Refusal::Other(other.to_string()),
        }
    }
}

impl Refusal {
    fn of(self, operation: &str) -> Error {
        match self {
            Refusal::OutOfMemory => Error::OutOfMemory { label: operation.into(), bytes: 0 },
            Refusal::Other(message) => Error::Validation { operation: operation.into(), message },
        }
    }
}

/// Filters of the scopes, the outermost first.
const FILTERS: [wgpu::ErrorFilter; 3] =
    [wgpu::ErrorFilter::Internal, wgpu::ErrorFilter::Validation, wgpu::ErrorFilter::OutOfMemory];

/// Scopes that a browser has not answered yet: it does so after control has gone back to its event loop.
#[cfg(target_arch = "wasm32")]
#[derive(Default)]
pub(super) struct Scopes {
    open: std::sync::Mutex<Vec<OpenScope>>,
}

#[cfg(target_arch = "wasm32")]
struct OpenScope {
    operation: String,
    answer: std::pin::Pin<Box<dyn Future<Output = Option<wgpu::Error>>>>,
}

#[cfg(target_arch = "wasm32")]
impl std::fmt::Debug for Scopes {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Scopes")
    }
}

impl Gpu {
    /// Runs `call`, which is called `operation` in errors, and returns what it was refused with, if it was.
    ///
    /// A browser answers later: there the refusal comes out of [`Gpu::settled`] or the next ticket that is awaited.
    pub(super) fn scoped<T>(&self, operation: &str, call: impl FnOnce() -> T) -> Result<T, Refusal> {
        let scopes = FILTERS.map(|filter| self.device().push_error_scope(filter));
        let value = call();
        // Scopes are popped in the reverse order.
        let answers = scopes.into_iter().rev().map(|scope| scope.pop());
        #[cfg(target_arch = "wasm32")]
        {
            let open = answers.map(|answer| OpenScope { operation: operation.into(), answer: Box::pin(answer) });
            self.inner.scopes.open.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).extend(open);
            Ok(value)
        }
        #[cfg(not(target_arch = "wasm32"))]
        {
            let _ = operation;
            // Every scope is popped; natively the answer is ready at once.
            let errors: Vec<_> = answers.filter_map(pollster::block_on).collect();
            errors.into_iter().next().map_or(Ok(value), |error| Err(error.into()))
        }
    }

    /// Runs `call` and names the operation in its refusal, which is the loss of the device where that explains it.
    pub(super) fn attempt<T>(&self, operation: &str, call: impl FnOnce() -> T) -> Result<T, Error> {
        self.scoped(operation, call).map_err(|refusal| self.or_lost(refusal.of(operation)))
    }

    /// Returns the error, or the loss of the device where that explains it.
    pub(super) fn or_lost(&self, error: Error) -> Error {
        self.lost().unwrap_or(error)
    }

    /// Waits until a browser has answered for everything made and submitted so far. Natively every call has answered
    /// for itself.
    ///
    /// # Errors
    /// The first operation that was refused, or the device was lost.
    pub async fn settled(&self) -> Result<(), Error> {
        std::future::poll_fn(|context| self.poll_scopes(context)).await?;
        self.alive()
    }

    /// Polls the scopes that a browser has not answered yet.
    pub(super) fn poll_scopes(&self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        #[cfg(not(target_arch = "wasm32"))]
        let _ = context;
        #[cfg(target_arch = "wasm32")]
        {
            let mut open = self.inner.scopes.open.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            let mut refused = None;
            open.retain_mut(|scope| match scope.answer.as_mut().poll(context) {
                Poll::Pending => true,
                Poll::Ready(answer) => {
                    refused = refused.take().or(answer.map(|error| Refusal::from(error).of(&scope.operation)));
                    false
                }
            });
            let waits = !open.is_empty();
            drop(open);
            if let Some(error) = refused {
                return Poll::Ready(Err(self.or_lost(error)));
            }
            if waits {
                return Poll::Pending;
            }
        }
        Poll::Ready(Ok(()))
    }
}
