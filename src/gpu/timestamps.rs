//! Times measured by the GPU itself, where it can.

use std::time::Duration;

use fourfold_shaders::{Data, Element};

use super::{BufferView, Error, Gpu, Ticket};

/// Timestamps at the beginning and end of compute passes.
#[derive(Debug)]
pub struct Timestamps {
    queries: wgpu::QuerySet,
    resolved: wgpu::Buffer,
    passes: u32,
}

/// Durations on their way back to the CPU.
#[derive(Debug)]
#[must_use = "the durations come out of the ticket"]
pub struct TimestampTicket {
    ticket: Ticket,
    /// Nanoseconds of one tick.
    period: f32,
}

/// Bytes of one timestamp.
const TICKS: u64 = 8;

impl Timestamps {
    /// Room for `passes` passes; `None` where the device was opened without `TIMESTAMP_QUERY`.
    ///
    /// # Errors
    /// No memory for the results.
    pub fn new(gpu: &Gpu, passes: u32) -> Result<Option<Self>, Error> {
        if !gpu.features().contains(wgpu::Features::TIMESTAMP_QUERY) {
            return Ok(None);
        }
        let passes = passes.clamp(1, wgpu::QUERY_SET_MAX_QUERIES / 2);
        let usage = wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC;
        let resolved = gpu.allocate("fourfold timestamps", u64::from(passes) * 2 * TICKS, usage, false)?;
        let descriptor = wgpu::QuerySetDescriptor {
            label: Some("fourfold timestamps"),
            ty: wgpu::QueryType::Timestamp,
            count: passes * 2,
        };
        let queries = gpu.attempt("the queries of timestamps", || gpu.device().create_query_set(&descriptor))?;
        Ok(Some(Self { queries, resolved, passes }))
    }

    /// Passes that there is room for.
    pub fn passes(&self) -> u32 {
        self.passes
    }

    /// The timestamp writes for the descriptor of pass number `pass`; `None` past the last one.
    pub fn writes(&self, pass: u32) -> Option<wgpu::ComputePassTimestampWrites<'_>> {
        (pass < self.passes).then(|| wgpu::ComputePassTimestampWrites {
            query_set: &self.queries,
            beginning_of_pass_write_index: Some(pass * 2),
            end_of_pass_write_index: Some(pass * 2 + 1),
        })
    }

    /// Records the readback of the durations of the first `passes` passes into the encoder, after those passes.
    ///
    /// # Errors
    /// No memory for the staging buffer.
    pub fn encode_readback(
        &self,
        gpu: &Gpu,
        encoder: &mut wgpu::CommandEncoder,
        passes: u32,
    ) -> Result<TimestampTicket, Error> {
        let passes = passes.min(self.passes);
        encoder.resolve_query_set(&self.queries, 0..passes * 2, &self.resolved, 0);
        let view = BufferView::new(&self.resolved, 0, u64::from(passes) * 2 * TICKS);
        let ticket = gpu.encode_readback(encoder, &[(view, Element::U32)])?;
        Ok(TimestampTicket { ticket, period: gpu.queue().get_timestamp_period() })
    }
}

impl TimestampTicket {
    /// The durations in the order of the passes, once the device has been polled after the submission.
    pub fn try_take(&self) -> Option<Result<Vec<Duration>, Error>> {
        self.ticket.try_take().map(|values| values.map(|values| durations(&values, self.period)))
    }

    /// Blocks until the durations are there.
    ///
    /// # Errors
    /// As [`Ticket::wait`].
    #[cfg(not(target_arch = "wasm32"))]
    pub fn wait(self) -> Result<Vec<Duration>, Error> {
        let Self { ticket, period } = self;
        Ok(durations(&ticket.wait()?, period))
    }
}

/// The times between the two timestamps of each pass; `period` is the nanoseconds of a tick.
fn durations(values: &[Data], period: f32) -> Vec<Duration> {
    let ticks = |words: &[u32]| u64::from(words[0]) | u64::from(words[1]) << 32;
    let words = values.iter().flat_map(|values| values.u32().chunks_exact(4));
    words
        .map(|pass| {
            let elapsed = ticks(&pass[2..]).saturating_sub(ticks(&pass[..2]));
            Duration::from_nanos((elapsed as f64 * f64::from(period)) as u64)
        })
        .collect()
}
