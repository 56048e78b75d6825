//! The loss of a device: how it becomes known, and the error that every later call returns.

use std::sync::{Arc, Mutex, MutexGuard};

use super::{Error, Gpu};

/// The record of a device's loss, for the host's device-lost callback. It keeps no device alive.
#[derive(Debug, Clone, Default)]
pub struct Loss {
    error: Arc<Mutex<Option<Error>>>,
}

impl Loss {
    /// Marks the device as lost, for the reason that the callback was given.
    pub fn mark(&self, reason: wgpu::DeviceLostReason, message: impl Into<String>) {
        *self.lock() =
            Some(Error::DeviceLost { reason: format!("{reason:?}").to_lowercase(), message: message.into() });
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Option<Error>> {
        // A poisoned lock only means that another thread panicked while it stored the same kind of value.
        self.error.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Gpu {
    /// Returns the record of the device's loss, for the callback of a host that [adopted](Gpu::adopt) its device:
    ///
    /// ```no_run
    /// # fn wire(gpu: &fourfold::Gpu, device: &fourfold::wgpu::Device) {
    /// let loss = gpu.loss();
    /// device.set_device_lost_callback(move |reason, message| loss.mark(reason, message));
    /// # }
    /// ```
    ///
    /// With these two lines [`Error::DeviceLost`] has the driver's own words, and in a browser they are how a loss
    /// becomes known at all. Without them a native device is asked before each call whether it is still there.
    pub fn loss(&self) -> Loss {
        self.inner.loss.clone()
    }

    /// Marks the device as lost: every later call that needs it returns [`Error::DeviceLost`] with this reason.
    pub fn mark_lost(&self, reason: wgpu::DeviceLostReason, message: impl Into<String>) {
        self.inner.loss.mark(reason, message);
    }

    /// Returns the error that says how the device was lost, if it is lost.
    pub fn lost(&self) -> Option<Error> {
        let known = self.inner.loss.lock().clone();
        if known.is_some() || self.is_there() {
            return known.map(|error| self.after_last_submission(error));
        }
        let unknown = || Error::DeviceLost {
            reason: "unknown".into(),
            message: "it takes no more work (`Gpu::loss` shows how to learn the driver's reason)".into(),
        };
        let error = self.inner.loss.lock().get_or_insert_with(unknown).clone();
        Some(self.after_last_submission(error))
    }

    /// Keeps the name of a submission, by which a loss says what ran.
    pub(super) fn note_submission(&self, label: &str) {
        let mut last = self.inner.last_submission.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        label.clone_into(&mut last);
    }

    /// Adds to a loss what was submitted last.
    pub(super) fn after_last_submission(&self, error: Error) -> Error {
        let last = self.inner.last_submission.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        match error {
            Error::DeviceLost { reason, message } if !last.is_empty() => {
                Error::DeviceLost { reason, message: format!("{message} (last submitted: `{last}`)") }
            }
            other => other,
        }
    }

    /// Returns the error of a lost device.
    pub(super) fn alive(&self) -> Result<(), Error> {
        self.lost().map_or(Ok(()), Err)
    }

    /// Asks the device whether it is still there, without an allocation or a call of the driver's.
    ///
    /// wgpu tells nobody but the callback of a loss, and drops the errors of a lost device. A device that is there
    /// refuses a buffer without usages; one that is lost does not look at the usages.
    fn is_there(&self) -> bool {
        #[cfg(target_arch = "wasm32")]
        return true;
        #[cfg(not(target_arch = "wasm32"))]
        {
            let scope = self.device().push_error_scope(wgpu::ErrorFilter::Validation);
            let usage = wgpu::BufferUsages::empty();
            let label = Some("fourfold asks whether the device is there");
            let descriptor = wgpu::BufferDescriptor { label, size: 4, usage, mapped_at_creation: false };
            drop(self.device().create_buffer(&descriptor));
            pollster::block_on(scope.pop()).is_some()
        }
    }
}
