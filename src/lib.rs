//! Fourfold: GPU compute kernels with CPU twins, and a differentiable tensor graph, on wgpu.
//!
//! Hand-written WGSL kernels are described in [`shaders`], without any GPU API; [`gpu`] records them into compute
//! passes, [`graph`] differentiates, plans and runs whole computations of them, [`verify`] judges each against its CPU
//! twin, and [`sanitizer`] finds races and accesses out of bounds without a GPU. A `wgpu` application keeps its own device, encoder, pass and buffers, and its own submission:
//!
//! ```
//! use fourfold::shaders::{Element, normalisation::softmax};
//! use fourfold::{BufferView, Gpu, Launch, wgpu};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // The application's own device, here with WebGPU's default limits and no features.
//! let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle_from_env());
//! let adapter = pollster::block_on(instance.request_adapter(&wgpu::RequestAdapterOptions::default()))?;
//! let (device, queue) = pollster::block_on(adapter.request_device(&wgpu::DeviceDescriptor::default()))?;
//! let buffer = || {
//!     device.create_buffer(&wgpu::BufferDescriptor {
//!         label: None,
//!         size: 4 * 100 * 10,
//!         usage: wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC,
//!         mapped_at_creation: false,
//!     })
//! };
//! let (logits, shares) = (buffer(), buffer());
//!
//! // Once: adopt the device, choose the kernel for the shape, check the buffers.
//! let gpu = Gpu::adopt(device.clone(), queue.clone());
//! let rows = softmax::Problem { rows: 100, columns: 10, log: false }.sequence(&gpu.target())?;
//! let views = [BufferView::from(&logits), BufferView::from(&shares)];
//! let softmax = gpu.prepare(&[Launch::new(&rows, &views)])?;
//!
//! // Every frame: record between whatever else the pass holds. Nothing here submits, polls or blocks.
//! let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
//! {
//!     let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
//!     softmax.record(&mut pass);
//! }
//! let ticket = gpu.encode_readback(&mut encoder, &[(BufferView::from(&shares), Element::F32)])?;
//! queue.submit([encoder.finish()]);
//!
//! // Whenever the application's own polling has brought the values.
//! device.poll(wgpu::PollType::wait_indefinitely())?;
//! let values = ticket.try_take().expect("the submission is done")?;
//! assert!(values[0].f32().iter().all(|share| (share - 0.1).abs() < 1e-6));
//! # Ok(())
//! # }
//! ```
//!
//! Programs without a device of their own call [`Gpu::open`].

#![warn(missing_docs)]

pub mod data;
pub mod evolution;
pub mod gpu;
pub mod graph;
pub mod models;
pub mod nn;
pub mod optim;
pub mod rollout;
#[cfg(all(not(target_arch = "wasm32"), feature = "wgsl-checks"))]
pub mod sanitizer;
#[cfg(feature = "twins")]
pub mod verify;

pub use fourfold_shaders as shaders;
pub use wgpu;

pub use gpu::{BufferView, Error, Gpu, Launch, Recording};

/// The programs of the README and the guides compile.
#[cfg(doctest)]
mod guides {
    #[doc = include_str!("../README.md")]
    struct Readme;
    #[doc = include_str!("../docs/host.md")]
    struct Host;
    #[doc = include_str!("../docs/validator.md")]
    struct Validator;
    #[doc = include_str!("../docs/methods.md")]
    struct Methods;
}
