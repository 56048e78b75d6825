//! Times of dispatches, by the GPU's own clock where it has one.

use std::time::{Duration, Instant};

use fourfold::Gpu;
use fourfold::gpu::Timestamps;
use fourfold::wgpu;

/// Seconds that one execution took, once for each round.
#[derive(Debug, Clone)]
pub struct Times {
    pub seconds: Vec<f64>,
}

impl Times {
    /// The shortest: the one that others disturbed least.
    pub fn shortest(&self) -> f64 {
        self.seconds.iter().copied().fold(f64::INFINITY, f64::min)
    }
}

/// A round lasts at least this long, by repetition: shorter ones would measure the clock.
const ROUND: Duration = Duration::from_millis(3);
const TRIALS: usize = 4;
const MOST_REPETITIONS: u32 = 512;
const LEAST_ROUNDS: usize = 5;
const MOST_ROUNDS: usize = 40;

/// Measures what `record` records into a compute pass, in rounds until `budget` is spent.
///
/// The work runs once beforehand, since drivers compile at the first dispatch. Repetitions within a round run one after
/// the other on the same buffers, which small problems find in the caches.
pub fn measure(
    gpu: &Gpu,
    budget: Duration,
    record: impl Fn(&mut wgpu::ComputePass<'_>),
) -> Result<Times, fourfold::Error> {
    let clock = Clock::new(gpu)?;
    let repetitions = clock.repetitions(&record)?;
    let begun = Instant::now();
    let mut seconds = Vec::new();
    while seconds.len() < LEAST_ROUNDS || (begun.elapsed() < budget && seconds.len() < MOST_ROUNDS) {
        seconds.push(clock.round(repetitions, &record)?);
    }
    Ok(Times { seconds })
}

/// The clock of an adapter: its own timestamps, or the CPU's time where it has none.
pub struct Clock<'a> {
    gpu: &'a Gpu,
    timestamps: Option<Timestamps>,
}

impl<'a> Clock<'a> {
    pub fn new(gpu: &'a Gpu) -> Result<Self, fourfold::Error> {
        Ok(Self { gpu, timestamps: Timestamps::new(gpu, 1)? })
    }

    /// Runs the work once, since drivers compile at the first dispatch, and returns how often a round repeats it.
    pub fn repetitions(&self, record: impl Fn(&mut wgpu::ComputePass<'_>)) -> Result<u32, fourfold::Error> {
        self.round(1, &record)?;
        // The shortest of several: one that another program interrupted would pass for a long one.
        let mut once = f64::INFINITY;
        for _ in 0..TRIALS {
            once = once.min(self.round(1, &record)?);
        }
        Ok(((ROUND.as_secs_f64() / once.max(1e-9)).ceil() as u32).clamp(1, MOST_REPETITIONS))
    }

    /// Returns the seconds of one execution, the mean over a round.
    pub fn round(&self, repetitions: u32, record: impl Fn(&mut wgpu::ComputePass<'_>)) -> Result<f64, fourfold::Error> {
        let Self { gpu, timestamps } = self;
        let mut encoder = gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some("bench") });
        {
            let timestamp_writes = timestamps.as_ref().and_then(|timestamps| timestamps.writes(0));
            let descriptor = wgpu::ComputePassDescriptor { label: Some("bench"), timestamp_writes };
            let mut pass = encoder.begin_compute_pass(&descriptor);
            for _ in 0..repetitions {
                record(&mut pass);
            }
        }
        let ticket =
            timestamps.as_ref().map(|timestamps| timestamps.encode_readback(gpu, &mut encoder, 1)).transpose()?;
        let commands = encoder.finish();
        let begun = Instant::now();
        gpu.queue().submit([commands]);
        gpu.wait()?;
        let elapsed = begun.elapsed();
        let measured = match ticket {
            Some(ticket) => ticket.wait()?.first().copied().unwrap_or(elapsed),
            None => elapsed,
        };
        Ok(measured.as_secs_f64() / f64::from(repetitions))
    }
}
