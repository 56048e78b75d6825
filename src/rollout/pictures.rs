//! Pictures of lanes, drawn where they are wanted.

use std::sync::Arc;

use fourfold_shaders::Data;
use fourfold_shaders::rollout::picture::{Composition, Problem};

use super::{Environment, Error, PictureSize, VectorEnvironment, check};
use crate::gpu::program::{Allocation, BufferId, Program, ProgramPlan, RecordingId};
use crate::gpu::{BufferView, Gpu};

/// Draws the pictures of lanes from what is observed of them: bytes, four to a word.
///
/// ```
/// use fourfold::rollout::environments::Pong;
/// use fourfold::rollout::{Pictures, VectorEnvironment, VectorSettings};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let gpu = fourfold::Gpu::open()?;
/// let mut lanes = VectorEnvironment::new(&gpu, Pong, &VectorSettings::new(2, 100, 7))?;
/// let pictures = Pictures::of(&lanes)?;
/// lanes.reset(0)?;
/// lanes.step(&[2.0, 3.0])?;
/// let greys = pictures.read()?;
/// assert_eq!(greys.len(), 2);
/// // The field between the walls.
/// assert_eq!(greys[0][84 * 20 + 40], 87);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Pictures {
    size: PictureSize,
    program: Program,
    pictures: BufferId,
    draw: RecordingId,
}

impl Pictures {
    /// The pictures of the lanes of an environment, as they were seen last.
    ///
    /// # Errors
    /// As [`on_buffer`](Self::on_buffer).
    pub fn of(environment: &VectorEnvironment) -> Result<Self, Error> {
        let observations = environment.observations().clone();
        Self::on_buffer(environment.gpu(), environment.shared(), observations)
    }

    /// The pictures of `observations` (lanes, observations), a buffer of somebody else's. Creates a buffer and a pipeline;
    /// neither submits nor polls.
    ///
    /// # Errors
    /// An environment without a picture, a WGSL file that lacks a function, a buffer of another length, out of memory, or a
    /// shader that the driver refuses.
    pub fn on_buffer(
        gpu: &Gpu,
        environment: Arc<dyn Environment>,
        observations: impl Into<BufferView>,
    ) -> Result<Self, Error> {
        check::check_environment(&*environment)?;
        let composition = Composition { environment }.without_needless_checks();
        let size = composition.size().map_err(crate::gpu::Error::from)?;
        let observations: BufferView = observations.into();
        let (width, got) = (composition.environment.observations(), observations.elements());
        if got == 0 || !got.is_multiple_of(width) {
            let message = format!("observations: expected {width} numbers for each of at least one lane, got {got}");
            return Err(Error::Settings { message });
        }
        let lanes = got / width;
        let mut plan = ProgramPlan::default();
        let scenes = plan.buffer(Allocation::f32("observations", got).given());
        // A size that no buffer has is refused by the sequence.
        let pictures = plan.buffer(Allocation::u32("pictures", lanes.saturating_mul(size.words())));
        let table = composition.environment.table();
        let table = table.map(|table| plan.buffer(Allocation::values("table", Data::F32(table.to_vec()))));
        let operands: Vec<_> = [scenes, pictures].into_iter().chain(table).collect();
        let draw = plan.recording();
        plan.sequence(draw, Problem { lanes }.sequence(&composition, &gpu.target()), &operands);
        let program = Program::new(gpu, "pictures", plan, &[(scenes, &observations)])?;
        Ok(Self { size, program, pictures, draw })
    }

    /// The size of a picture.
    pub fn size(&self) -> PictureSize {
        self.size
    }

    /// Records that all pictures are drawn.
    pub fn record(&self, pass: &mut wgpu::ComputePass<'_>) {
        self.program.record(self.draw, pass);
    }

    /// `u32` (lanes, [words](PictureSize::words)): the bytes of a picture row by row, the channels of a pixel side by side, the
    /// first in the lowest bits.
    pub fn pictures(&self) -> &BufferView {
        self.program.view(self.pictures)
    }

    /// Bytes of the buffers that it allocated.
    pub fn bytes(&self) -> u64 {
        self.program.bytes()
    }

    /// Draws, and waits for the bytes of each lane, row by row: a grey for each pixel, or red, green and blue.
    ///
    /// # Errors
    /// The device was lost.
    pub async fn read_async(&self) -> Result<Vec<Vec<u8>>, Error> {
        self.program.submit(self.draw)?;
        let [pictures] = self.program.read_async([self.pictures]).await?;
        let bytes = |words: &[u32]| words.iter().flat_map(|word| word.to_le_bytes()).take(self.size.bytes()).collect();
        Ok(pictures.u32().chunks_exact(self.size.words()).map(bytes).collect())
    }

    /// Blocks, as [`read_async`](Self::read_async).
    ///
    /// # Errors
    /// As [`read_async`](Self::read_async).
    #[cfg(not(target_arch = "wasm32"))]
    pub fn read(&self) -> Result<Vec<Vec<u8>>, Error> {
        self.program.gpu().block_on(self.read_async())
    }
}
