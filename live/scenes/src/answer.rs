//! Numbers on their way back from the device.

use fourfold::gpu::Ticket;
use fourfold::shaders::Data;

use crate::Error;

/// At most one readback, and what is to be known about it when it comes.
#[derive(Debug)]
pub(crate) struct Answer<T> {
    waiting: Option<(Ticket, T)>,
}

impl<T> Answer<T> {
    pub(crate) fn none() -> Self {
        Self { waiting: None }
    }

    /// Replaces what was on its way, which is dropped.
    pub(crate) fn expect(&mut self, ticket: Ticket, about: T) {
        self.waiting = Some((ticket, about));
    }

    pub(crate) fn is_waiting(&self) -> bool {
        self.waiting.is_some()
    }

    /// Forgets what is on its way.
    pub(crate) fn forget(&mut self) {
        self.waiting = None;
    }

    /// Takes the values if they have come.
    pub(crate) fn take(&mut self) -> Result<Option<(Vec<Data>, T)>, Error> {
        let Some(values) = self.waiting.as_ref().and_then(|(ticket, _)| ticket.try_take()) else { return Ok(None) };
        let about = self.waiting.take().map(|(_, about)| about);
        Ok(about.map(|about| values.map(|values| (values, about))).transpose()?)
    }
}
