//! Submissions and writes of our own, for programs whose host does not submit itself.

use bytemuck::NoUninit;
use fourfold_shaders::Element;

use super::{BufferView, Error, Gpu, Ticket};

impl Gpu {
    /// Submits what `encode` records into an encoder, called `label` in errors, and waits for nothing: for programs without an
    /// encoder of their own.
    ///
    /// # Errors
    /// The device was lost, the driver refused, or `encode` failed.
    pub fn submit<T>(
        &self,
        label: &str,
        encode: impl FnOnce(&mut wgpu::CommandEncoder) -> Result<T, Error>,
    ) -> Result<T, Error> {
        if self.inner.until_loss.strikes() {
            self.device().destroy();
        }
        self.alive()?;
        self.note_submission(label);
        self.attempt(&format!("the submission of `{label}`"), || {
            let descriptor = wgpu::CommandEncoderDescriptor { label: Some(label) };
            let mut encoder = self.device().create_command_encoder(&descriptor);
            let value = encode(&mut encoder)?;
            self.queue().submit([encoder.finish()]);
            Ok(value)
        })?
    }

    /// Submits one compute pass, and waits for nothing.
    ///
    /// # Errors
    /// As [`Gpu::submit`].
    pub(crate) fn submit_pass(
        &self,
        label: &str,
        record: impl FnOnce(&mut wgpu::ComputePass<'_>),
    ) -> Result<(), Error> {
        self.submit(label, |encoder| {
            record(&mut encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default()));
            Ok(())
        })
    }

    /// Submits copies of the views in a submission of their own, and waits for nothing: as [`Gpu::encode_readback`], for those
    /// who have no encoder at hand.
    ///
    /// # Errors
    /// As [`Gpu::encode_readback`] and [`Gpu::submit`].
    pub(crate) fn submit_readback(&self, views: &[(BufferView, Element)]) -> Result<Ticket, Error> {
        self.submit("fourfold readback", |encoder| self.encode_readback(encoder, views))
    }

    /// Writes the first elements of a view, called `name` in errors, before the next submission.
    ///
    /// # Errors
    /// The device was lost, the buffer has not the usage `COPY_DST`, or the values reach past its end.
    pub(crate) fn write<T: NoUninit>(&self, name: &str, view: &BufferView, values: &[T]) -> Result<(), Error> {
        self.alive()?;
        let operation = format!("writing `{name}`");
        let (got, bytes) = (view.buffer.usage(), bytemuck::cast_slice::<_, u8>(values));
        if !got.contains(wgpu::BufferUsages::COPY_DST) {
            return Err(Error::Usage { operation, expected: wgpu::BufferUsages::COPY_DST, got });
        }
        let (end, buffer) = (view.offset.saturating_add(bytes.len() as u64), view.buffer.size());
        if end > buffer {
            let message = format!("the values end at byte {end} but the buffer has {buffer}");
            return Err(Error::Validation { operation, message });
        }
        self.attempt(&operation, || self.queue().write_buffer(&view.buffer, view.offset, bytes))
    }
}
