//! Buffers between worker processes and a policy on the device.

use fourfold::gpu::BufferView;
use fourfold::shaders::Element;
use fourfold::{Gpu, wgpu};

use crate::failure::Failure;

/// Observations that come from the workers, and actions that go to them.
pub struct Exchange {
    gpu: Gpu,
    observations: wgpu::Buffer,
    actions: BufferView,
}

impl Exchange {
    /// Creates buffers of so many numbers.
    pub fn new(gpu: &Gpu, observations: usize, actions: usize) -> Self {
        let observations = buffer(gpu, "observations", observations);
        let actions = BufferView::from(&buffer(gpu, "actions", actions));
        Self { gpu: gpu.clone(), observations, actions }
    }

    /// Read by the policy.
    pub fn observations(&self) -> &wgpu::Buffer {
        &self.observations
    }

    /// Written by the policy.
    pub fn actions(&self) -> &BufferView {
        &self.actions
    }

    /// Shows observations to the policy that `record` records, and waits for its actions.
    ///
    /// # Errors
    /// The device was lost.
    pub fn act(
        &self,
        observations: &[f32],
        record: impl FnOnce(&mut wgpu::ComputePass<'_>),
    ) -> Result<Vec<f32>, Failure> {
        let queue = self.gpu.queue();
        queue.write_buffer(&self.observations, 0, bytemuck::cast_slice(observations));
        let mut encoder = self.gpu.device().create_command_encoder(&Default::default());
        record(&mut encoder.begin_compute_pass(&Default::default()));
        let ticket = self.gpu.encode_readback(&mut encoder, &[(self.actions.clone(), Element::F32)])?;
        queue.submit([encoder.finish()]);
        Ok(ticket.wait()?.swap_remove(0).f32().to_vec())
    }
}

/// Creates a buffer of so many numbers, which kernels take and the host writes.
pub fn buffer(gpu: &Gpu, label: &str, numbers: usize) -> wgpu::Buffer {
    let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::COPY_SRC;
    let size = (numbers * Element::BYTES) as u64;
    gpu.device().create_buffer(&wgpu::BufferDescriptor { label: Some(label), size, usage, mapped_at_creation: false })
}
