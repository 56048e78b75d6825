//! Creation of storage buffers.

use fourfold_shaders::{Data, Element};

use super::scope::Refusal;
use super::{BufferView, Error, Gpu};

/// Sizes are rounded up to this many bytes, so that a kernel may read its last elements as a `vec4`.
const GRANULE: u64 = 16;

/// The usages of every buffer of ours.
const USAGE: wgpu::BufferUsages =
    wgpu::BufferUsages::STORAGE.union(wgpu::BufferUsages::COPY_SRC).union(wgpu::BufferUsages::COPY_DST);

/// A quiet NaN, little-endian: 0x7FC00000, also seen as a `u32` no kernel would write by chance.
const POISON: [u8; 4] = f32::NAN.to_le_bytes();

impl Gpu {
    /// A storage buffer with the given values, written without the queue: they arrive with the next submission.
    ///
    /// # Errors
    /// The device is lost, out of memory, or allows no buffer of that size.
    pub fn upload(&self, label: &str, data: &Data) -> Result<BufferView, Error> {
        self.filled(label, data.bytes().len() as u64, |mut bytes| {
            bytes.slice(..data.bytes().len()).copy_from_slice(data.bytes());
        })
    }

    /// A storage buffer of `length` elements, all zero.
    ///
    /// # Errors
    /// The device is lost, out of memory, or allows no buffer of that size.
    pub fn zeros(&self, label: &str, length: usize) -> Result<BufferView, Error> {
        // WebGPU promises zeros.
        self.create(label, bytes_of(length), false)
    }

    /// A storage buffer of `length` elements whose values do not matter: NaN in debug builds, so that an element that
    /// is read before it is written shows, and zero in release builds.
    ///
    /// # Errors
    /// The device is lost, out of memory, or allows no buffer of that size.
    pub fn uninitialised(&self, label: &str, length: usize) -> Result<BufferView, Error> {
        if cfg!(debug_assertions) { self.poisoned(label, length) } else { self.create(label, bytes_of(length), false) }
    }

    /// A storage buffer of `length` elements, all NaN.
    ///
    /// # Errors
    /// The device is lost, out of memory, or allows no buffer of that size.
    pub fn poisoned(&self, label: &str, length: usize) -> Result<BufferView, Error> {
        self.filled(label, bytes_of(length), |mut bytes| {
            let pattern = POISON.repeat(4096);
            for start in (0..bytes.len()).step_by(pattern.len()) {
                let count = pattern.len().min(bytes.len() - start);
                bytes.slice(start..start + count).copy_from_slice(&pattern[..count]);
            }
        })
    }

    fn filled(&self, label: &str, size: u64, fill: impl FnOnce(wgpu::BufferViewMut)) -> Result<BufferView, Error> {
        let view = self.create(label, size, true)?;
        self.fill(&format!("writing the new buffer `{label}`"), &view.buffer, fill)?;
        Ok(view)
    }

    fn create(&self, label: &str, size: u64, mapped_at_creation: bool) -> Result<BufferView, Error> {
        let buffer = self.allocate(label, size.max(1), USAGE, mapped_at_creation)?;
        Ok(BufferView { buffer, offset: 0, size })
    }

    /// Fills a buffer that was created mapped, and unmaps it.
    pub(super) fn fill(
        &self,
        operation: &str,
        buffer: &wgpu::Buffer,
        fill: impl FnOnce(wgpu::BufferViewMut),
    ) -> Result<(), Error> {
        let refused = |error: wgpu::MapRangeError| {
            self.or_lost(Error::Validation { operation: operation.into(), message: error.to_string() })
        };
        fill(buffer.get_mapped_range_mut(..).map_err(refused)?);
        self.attempt(operation, || buffer.unmap())
    }

    /// A buffer of at least `size` bytes.
    pub(super) fn allocate(
        &self,
        label: &str,
        size: u64,
        usage: wgpu::BufferUsages,
        mapped_at_creation: bool,
    ) -> Result<wgpu::Buffer, Error> {
        self.alive()?;
        if self.inner.until_out_of_memory.strikes() {
            return Err(Error::OutOfMemory { label: label.into(), bytes: size });
        }
        let size = size.checked_next_multiple_of(GRANULE).unwrap_or(u64::MAX);
        if size > self.limits().max_buffer_size {
            return Err(Error::BufferTooLarge {
                label: label.into(),
                bytes: size,
                limit: self.limits().max_buffer_size,
            });
        }
        let descriptor = wgpu::BufferDescriptor { label: Some(label), size, usage, mapped_at_creation };
        self.scoped(&format!("the buffer `{label}`"), || self.device().create_buffer(&descriptor)).map_err(|refusal| {
            match refusal {
                Refusal::OutOfMemory => self.or_lost(Error::OutOfMemory { label: label.into(), bytes: size }),
                Refusal::Other(message) => {
                    self.or_lost(Error::Validation { operation: format!("the buffer `{label}`"), message })
                }
            }
        })
    }
}

fn bytes_of(length: usize) -> u64 {
    (length as u64).saturating_mul(Element::BYTES as u64)
}
