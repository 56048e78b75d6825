//! Reading tensors back: a copy in the caller's encoder, mapped when the caller's own submission is done.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

use fourfold_shaders::{Data, Element};

use super::{BufferView, Error, Gpu};

/// Tensors on their way back to the CPU.
///
/// The copies stand in the encoder that [`Gpu::encode_readback`] was given, and the mapping starts by itself when that
/// encoder is submitted. A host that polls its device anyway asks [`Ticket::try_take`] once a frame, or awaits the ticket;
/// natively [`Ticket::wait`] blocks.
///
/// A ticket that is awaited is woken when the values have come. A browser brings them by itself; natively somebody must
/// poll the device meanwhile: the host's own loop, or [`Gpu::block_on`].
#[derive(Debug)]
#[must_use = "the values come out of the ticket"]
pub struct Ticket {
    staging: wgpu::Buffer,
    parts: Vec<Part>,
    mapping: Arc<Mutex<Mapping>>,
    gpu: Gpu,
}

/// The state of the staging buffer's mapping.
#[derive(Debug, Default)]
struct Mapping {
    answer: Option<Result<(), wgpu::BufferAsyncError>>,
    waker: Option<Waker>,
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
    /// staging buffer; the device was lost.
    pub fn encode_readback(
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
        let staging = self.staging(total.max(bytes))?;
        for ((view, _), part) in views.iter().zip(&parts).filter(|(_, part)| part.size > 0) {
            encoder.copy_buffer_to_buffer(&view.buffer, view.offset, &staging, part.offset, part.size);
        }
        let mapping = Arc::<Mutex<Mapping>>::default();
        let answered = mapping.clone();
        encoder.map_buffer_on_submit(&staging, wgpu::MapMode::Read, .., move |answer| {
            let waker = {
                let mut mapping = lock(&answered);
                mapping.answer = Some(answer);
                mapping.waker.take()
            };
            if let Some(waker) = waker {
                waker.wake();
            }
        });
        Ok(Ticket { staging, parts, mapping, gpu: self.clone() })
    }

    /// Returns a staging buffer of at least `size` bytes: one that a ticket has done with, or a new one.
    fn staging(&self, size: u64) -> Result<wgpu::Buffer, Error> {
        self.alive()?;
        let mut spare = lock(&self.inner.staging);
        if let Some(index) = spare.iter().position(|buffer| (size..=2 * size.max(4096)).contains(&buffer.size())) {
            return Ok(spare.swap_remove(index));
        }
        drop(spare);
        let usage = wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::MAP_READ;
        self.allocate("fourfold readback", size, usage, false)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Values are stored whole, so a panic elsewhere leaves none half-made.
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

impl Ticket {
    /// The values in the order of the views, once the submission is done and the device has been polled since; `None`
    /// before.
    pub fn try_take(&self) -> Option<Result<Vec<Data>, Error>> {
        let answer = lock(&self.mapping).answer.clone();
        let Some(answer) = answer else { return self.gpu.lost().map(Err) };
        Some(match answer {
            Ok(()) => self.read(),
            Err(error) => Err(self.gpu.or_lost(Error::DeviceLost {
                reason: "a readback could not be mapped".into(),
                message: error.to_string(),
            })),
        })
    }

    fn read(&self) -> Result<Vec<Data>, Error> {
        self.gpu.alive()?;
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

    /// Returns true if the encoder has been submitted.
    ///
    /// A submission begins to map the staging buffer, and a second mapping is refused at once from then on. Before it,
    /// the second mapping is the first, and taken back.
    fn is_submitted(&self) -> bool {
        let refused = Arc::new(AtomicBool::new(false));
        let refuse = refused.clone();
        self.staging.map_async(wgpu::MapMode::Read, .., move |_| refuse.store(true, Ordering::SeqCst));
        let submitted = refused.load(Ordering::SeqCst);
        if !submitted {
            self.staging.unmap();
        }
        submitted
    }

    /// Blocks until the values are there.
    ///
    /// # Errors
    /// [`Error::NotSubmitted`] if the encoder was not submitted before; the device was lost.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn wait(self) -> Result<Vec<Data>, Error> {
        let gpu = self.gpu.clone();
        gpu.block_on(self.into_future())
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        /// Staging buffers that are kept for the next readbacks, and the bytes of the largest.
        const SPARE: usize = 4;
        const LARGEST: u64 = 16 << 20;
        // An unanswered mapping may still come: its buffer goes with the ticket.
        if self.staging.size() > LARGEST || !matches!(lock(&self.mapping).answer, Some(Ok(()))) {
            return;
        }
        let unmapped = self.gpu.alive().and_then(|()| self.gpu.attempt("a readback's end", || self.staging.unmap()));
        let mut spare = lock(&self.gpu.inner.staging);
        if unmapped.is_ok() && spare.len() < SPARE {
            spare.push(self.staging.clone());
        }
    }
}

/// A [`Ticket`] that is awaited.
#[derive(Debug)]
pub struct TicketFuture(Ticket);

impl Future for TicketFuture {
    type Output = Result<Vec<Data>, Error>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let ticket = &self.0;
        let settled = ticket.gpu.poll_scopes(context);
        if let Poll::Ready(Err(error)) = settled {
            return Poll::Ready(Err(error));
        }
        // The waker goes first: an answer that comes after the look at it then wakes.
        lock(&ticket.mapping).waker = Some(context.waker().clone());
        match ticket.try_take() {
            Some(values) if settled.is_ready() || values.is_err() => Poll::Ready(values),
            None if !ticket.is_submitted() => Poll::Ready(Err(Error::NotSubmitted)),
            _ => Poll::Pending,
        }
    }
}

impl IntoFuture for Ticket {
    type Output = Result<Vec<Data>, Error>;
    type IntoFuture = TicketFuture;

    fn into_future(self) -> TicketFuture {
        TicketFuture(self)
    }
}

#[cfg(not(target_arch = "wasm32"))]
impl Gpu {
    /// Blocks until everything submitted so far is done.
    ///
    /// # Errors
    /// The device was lost, or was not done in the time that [`limit_waits`](Self::limit_waits) allows.
    pub fn wait(&self) -> Result<(), Error> {
        self.alive()?;
        let longest = self.inner.longest_wait.load(Ordering::Relaxed);
        let timeout = (longest > 0).then(|| std::time::Duration::from_millis(longest));
        let poll = wgpu::PollType::Wait { submission_index: None, timeout };
        // wgpu 30 panics when the device turns out to be lost while it waits: a value is wanted.
        let poll = std::panic::AssertUnwindSafe(|| self.device().poll(poll));
        let lost = |message: String| {
            let error = || Error::DeviceLost { reason: "waiting for the GPU failed".into(), message };
            let error = self.inner.loss.lock().get_or_insert_with(error).clone();
            self.after_last_submission(error)
        };
        match std::panic::catch_unwind(poll) {
            Ok(Ok(_)) => self.alive(),
            Ok(Err(wgpu::PollError::Timeout)) => Err(lost(format!("it was not done after {longest} ms"))),
            Ok(Err(error)) => Err(lost(error.to_string())),
            Err(panic) => {
                let text = panic.downcast_ref::<String>().cloned();
                Err(lost(text.unwrap_or_else(|| "the driver gave no reason".into())))
            }
        }
    }

    /// Lets [`wait`](Self::wait), and what waits by it, give up after this time, rounded up to milliseconds: the device counts as
    /// lost then, since what it does cannot be ended. Without a call the wait has no end.
    pub fn limit_waits(&self, longest: std::time::Duration) {
        let milliseconds = u64::try_from(longest.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX);
        self.inner.longest_wait.store(milliseconds.max(1), Ordering::Relaxed);
    }

    /// Blocks until a future of this crate is done, and polls the device for it.
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        block_on(future, || self.wait().is_ok(), std::thread::yield_now)
    }
}

/// Polls a future until it is done, and waits between the polls; `wait` returns false where the device was lost, which the future
/// finds by itself. It yields only after a wait that did not wake the future: another thread's poll may have found the submission
/// done, and be about to answer. A yield costs a turn of every busy process of the machine.
#[cfg(not(target_arch = "wasm32"))]
fn block_on<F: Future>(future: F, mut wait: impl FnMut() -> bool, mut yield_now: impl FnMut()) -> F::Output {
    let mut future = std::pin::pin!(future);
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(woken.clone());
    let mut context = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
        if wait() && !woken.0.swap(false, Ordering::SeqCst) {
            yield_now();
        }
    }
}

/// True once the future was woken.
#[cfg(not(target_arch = "wasm32"))]
#[derive(Debug, Default)]
struct Woken(AtomicBool);

#[cfg(not(target_arch = "wasm32"))]
impl std::task::Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[cfg(all(test, not(target_arch = "wasm32")))]
mod tests {
    use super::*;

    #[test]
    fn a_readback_that_the_wait_has_brought_yields_never() {
        let gpu = Gpu::open().expect("an adapter");
        let view = gpu.upload("numbers", &Data::U32(vec![1, 2, 3, 4])).unwrap();
        let (mut waits, mut yields) = (0, 0);
        for _ in 0..50 {
            let ticket = gpu.submit_readback(&[(view.clone(), Element::U32)]).unwrap();
            let wait = || {
                waits += 1;
                gpu.wait().is_ok()
            };
            let values = block_on(ticket.into_future(), wait, || yields += 1).unwrap();
            assert_eq!(values, [Data::U32(vec![1, 2, 3, 4])]);
        }
        assert!(waits <= 50, "{waits} waits for 50 readbacks");
        assert_eq!(yields, 0);
    }

    #[test]
    fn a_wait_that_brings_nothing_yields_to_the_thread_that_answers() {
        let (mut polls, mut yields) = (0, 0);
        let future = std::future::poll_fn(|_| {
            polls += 1;
            if polls == 4 { Poll::Ready(7) } else { Poll::Pending }
        });
        assert_eq!(block_on(future, || true, || yields += 1), 7);
        assert_eq!(yields, 3);
    }

    #[test]
    fn a_lost_device_yields_never() {
        let (mut polls, mut yields) = (0, 0);
        let future = std::future::poll_fn(|_| {
            polls += 1;
            if polls == 2 { Poll::Ready(()) } else { Poll::Pending }
        });
        block_on(future, || false, || yields += 1);
        assert_eq!(yields, 0);
    }
}
