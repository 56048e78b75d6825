//! A range of a caller's buffer.

use fourfold_shaders::Element;

/// A range of a buffer that holds one tensor. `offset` and `size` are in bytes, as in [`wgpu::BufferBinding`].
///
/// A view owns nothing: cloning a [`wgpu::Buffer`] clones a handle.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct BufferView {
    /// The buffer, with the usage `STORAGE`.
    pub buffer: wgpu::Buffer,
    /// Bytes before the tensor: a multiple of the device's `min_storage_buffer_offset_alignment` (256 by default).
    pub offset: u64,
    /// Bytes that belong to the tensor, at least four for each element.
    pub size: u64,
}

impl BufferView {
    /// `size` bytes of a buffer from byte `offset` on.
    pub fn new(buffer: &wgpu::Buffer, offset: u64, size: u64) -> Self {
        Self { buffer: buffer.clone(), offset, size }
    }

    /// Whole elements that fit into the view.
    pub fn elements(&self) -> usize {
        (self.size / Element::BYTES as u64) as usize
    }

    /// The part of `count` elements from element `first` of this view on.
    pub fn part(&self, first: usize, count: usize) -> Self {
        let bytes = Element::BYTES as u64;
        let [first, size] = [first, count].map(|elements| (elements as u64).saturating_mul(bytes));
        Self { buffer: self.buffer.clone(), offset: self.offset.saturating_add(first), size }
    }

    /// The byte after the view's last.
    pub fn end(&self) -> u64 {
        self.offset.saturating_add(self.size)
    }
}

impl From<&wgpu::Buffer> for BufferView {
    /// The whole buffer.
    fn from(buffer: &wgpu::Buffer) -> Self {
        Self::new(buffer, 0, buffer.size())
    }
}
