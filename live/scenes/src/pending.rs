//! Work of the library that is awaited, without waiting for it.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};

/// A future that is looked at once a frame.
pub(crate) struct Pending<T> {
    future: Option<Pin<Box<dyn Future<Output = T>>>>,
}

impl<T> Pending<T> {
    pub(crate) fn none() -> Self {
        Self { future: None }
    }

    /// Replaces what was awaited, which is dropped.
    pub(crate) fn expect(&mut self, future: impl Future<Output = T> + 'static) {
        self.future = Some(Box::pin(future));
    }

    pub(crate) fn is_waiting(&self) -> bool {
        self.future.is_some()
    }

    /// Takes the result if it has come. Submits what the future submits.
    pub(crate) fn take(&mut self) -> Option<T> {
        let future = self.future.as_mut()?;
        // Nobody is woken: the next frame looks again.
        match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(value) => {
                self.future = None;
                Some(value)
            }
            Poll::Pending => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_future_is_taken_once() {
        let mut pending = Pending::none();
        assert_eq!(pending.take(), None);
        let mut looks = 0;
        pending.expect(std::future::poll_fn(move |_| {
            looks += 1;
            if looks < 3 { Poll::Pending } else { Poll::Ready(looks) }
        }));
        assert_eq!([pending.take(), pending.take(), pending.take(), pending.take()], [None, None, Some(3), None]);
        assert!(!pending.is_waiting());
    }
}
