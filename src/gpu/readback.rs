//! Reading tensors back: a copy in the caller's encoder, mapped when the caller's own submission is done.

use std::sync::{Arc, Condvar, Mutex, MutexGuard};
#[cfg(not(target_arch = "wasm32"))]
use std::time::Duration;

use fourfold_shaders::{Data, Element};

use super::{BufferView, Error, Gpu};

/// Tensors on their way back to the CPU.
///
/// The copies stand in the encoder that [`Gpu::readback`] was given, and the mapping starts by itself when that encoder
/// is submitted. A host that polls its device anyway asks [`Ticket::try_take`] once a frame; natively [`Ticket::wait`]
/// blocks.
#[derive(Debug)]
#[must_use = "the values come out of the ticket"]
pub struct Ticket {
    staging: wgpu::Buffer,
    parts: Vec<Part>,
    mapped: Arc<Mapped>,
    gpu: Gpu,
}

/// The state of the staging buffer's mapping.
#[derive(Debug, Default)]
struct Mapped {
    answer: Mutex<Option<Result<(), wgpu::BufferAsyncError>>>,
    answered: Condvar,
}

impl Mapped {
    fn lock(&self) -> MutexGuard<'_, Option<Result<(), wgpu::BufferAsyncError>>> {
        // The answer is stored whole, so a panic elsewhere leaves none half-made.
        self.answer.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

#[derive(Debug)]
struct Part {
    element: Element,
    offset: u64,
    size: u64,
}

impl Gpu {
    /// Records copies of the views into the encoder and returns the ticket for their values.
    ///
    /// # Errors
    /// A view outside its buffer, not of whole elements, or of a buffer without the usage `COPY_SRC`; no memory for the
    /// staging buffer.
    pub fn readback(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        views: &[(BufferView, Element)],
    ) -> Result<Ticket, Error> {
        let bytes = Element::BYTES as u64;
        let mut parts = Vec::with_capacity(views.len());
        let mut total = 0;
        for (index, (view, element)) in views.iter().enumerate() {
            let (expected, got) = (wgpu::BufferUsages::COPY_SRC, view.buffer.usage());
            if !got.contains(expected) {
                return Err(Error::Usage { operation: format!("the readback of view {index}"), expected, got });
            }
            let problem = if view.offset % bytes != 0 || view.size % bytes != 0 {
                format!("offset {} and size {} must be multiples of {bytes} bytes", view.offset, view.size)
            } else if view.end() > view.buffer.size() {
                format!("it ends at byte {} but its buffer has {}", view.end(), view.buffer.size())
            } else {
                parts.push(Part { element: *element, offset: total, size: view.size });
                total += view.size;
                continue;
            };
            return Err(Error::Readback { message: format!("view {index} cannot be read back: {problem}") });
        }
        let usage = wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::MAP_READ;
        let staging = self.allocate("fourfold readback", total.max(1), usage, false)?;
        for ((view, _), part) in views.iter().zip(&parts).filter(|(_, part)| part.size > 0) {
            encoder.copy_buffer_to_buffer(&view.buffer, view.offset, &staging, part.offset, part.size);
        }
        let mapped = Arc::<Mapped>::default();
        let answer = mapped.clone();
        encoder.map_buffer_on_submit(&staging, wgpu::MapMode::Read, .., move |result| {
            *answer.lock() = Some(result);
            answer.answered.notify_all();
        });
        Ok(Ticket { staging, parts, mapped, gpu: self.clone() })
    }
}

impl Ticket {
    /// The values in the order of the views, once the submission is done and the device has been polled since; `None`
    /// before.
    pub fn try_take(&self) -> Option<Result<Vec<Data>, Error>> {
        let mapped = self.mapped.lock().clone();
        let Some(mapped) = mapped else { return self.gpu.lost().map(Err) };
        Some(match mapped {
            Ok(()) => self.read(),
            Err(error) => Err(self.gpu.lost().unwrap_or_else(|| Error::DeviceLost {
                reason: "a readback could not be mapped".into(),
                message: error.to_string(),
            })),
        })
    }

    fn read(&self) -> Result<Vec<Data>, Error> {
        let view = self.staging.get_mapped_range(..).map_err(|error| {
            let operation = "reading the mapped staging buffer".into();
            self.gpu.or_lost(Error::Validation { operation, message: error.to_string() })
        })?;
        let part = |part: &Part| {
            let bytes = &view[part.offset as usize..(part.offset + part.size) as usize];
            Data::from_bytes(part.element, bytes)
        };
        Ok(self.parts.iter().map(part).collect())
    }

    /// Blocks until the values are there.
    ///
    /// # Errors
    /// [`Error::NotSubmitted`] if the encoder was not submitted before; the device was lost.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn wait(self) -> Result<Vec<Data>, Error> {
        self.block()?;
        self.try_take().unwrap_or(Err(Error::NotSubmitted))
    }

    #[cfg(not(target_arch = "wasm32"))]
    pub(super) fn block(&self) -> Result<(), Error> {
        self.gpu.wait()?;
        // Another thread's poll may have found the submission done and be about to answer. The closure that answers is
        // dropped with an encoder that nobody submits; while it is kept, patience alone tells one case from the other.
        const PATIENCE: Duration = Duration::from_secs(2);
        let awaited = |answer: &mut Option<_>| answer.is_none() && Arc::strong_count(&self.mapped) > 1;
        drop(self.mapped.answered.wait_timeout_while(self.mapped.lock(), PATIENCE, awaited));
        Ok(())
    }
}

#[cfg(not(target_arch = "wasm32"))]
impl Gpu {
    /// Blocks until everything submitted so far is done.
    ///
    /// # Errors
    /// The device was lost.
    pub fn wait(&self) -> Result<(), Error> {
        self.alive()?;
        // wgpu 30 panics when the device turns out to be lost while it waits: a value is wanted.
        let poll = std::panic::AssertUnwindSafe(|| self.device().poll(wgpu::PollType::wait_indefinitely()));
        let lost = |message: String| Error::DeviceLost { reason: "waiting for the GPU failed".into(), message };
        match std::panic::catch_unwind(poll) {
            Ok(Ok(_)) => self.alive(),
            Ok(Err(error)) => Err(self.lost().unwrap_or_else(|| lost(error.to_string()))),
            Err(panic) => {
                let text = panic.downcast_ref::<String>().cloned();
                Err(self.lost().unwrap_or_else(|| lost(text.unwrap_or_else(|| "the driver gave no reason".into()))))
            }
        }
    }
}
