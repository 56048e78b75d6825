//! The GPU floor: a device (opened here, or the host's), pipelines, buffers, recording, readback.
//!
//! Work goes in three moves, of which only the first allocates and only the host does the last:
//!
//! 1. [`Gpu::prepare`] checks a list of [`Launch`]es against the buffers given and builds pipelines, bind groups and
//!    the uniform blocks. It returns a [`Recording`].
//! 2. [`Recording::record`] replays it into a `wgpu::ComputePass` of the caller's, as often as wanted.
//! 3. The caller ends the pass and submits. Nothing in the first two moves submits, polls, blocks on the GPU, writes
//!    through the queue or starts a thread.
//!
//! # Names
//!
//! They say what happens, on every type that runs on the GPU:
//!
//! | name | |
//! |---|---|
//! | `record`, `record_*` | into a compute pass of the caller's |
//! | `encode_*` | into a command encoder of the caller's, outside passes |
//! | `write`, `set_*`, `restart*`, `restore` | through the queue, before the next submission |
//! | `submit`, `submit_*` | submits, and waits for nothing |
//! | `*_async` | submits what it needs, and waits without blocking: in a browser, too |
//! | `wait`, and names whose `*_async` twin stands beside them (`run`, `read`, `save`) | blocks, as that twin |

mod adapter;
mod buffer;
mod error;
mod fault;
#[cfg(feature = "wgsl-checks")]
mod inspect;
mod launch;
mod loss;
mod pipeline;
pub mod program;
mod readback;
mod recording;
mod scope;
mod submit;
mod timestamps;
mod tuning;
mod view;

use std::sync::{Arc, Mutex};

use fourfold_shaders::{Choices, Target};

#[cfg(not(target_arch = "wasm32"))]
pub use adapter::adapters;
pub use adapter::{AdapterReport, Options, Requirements};
pub use error::{AliasingProblem, BindingProblem, Error};
pub use fault::Fault;
#[cfg(feature = "wgsl-checks")]
pub use inspect::inspect;
pub use launch::{Launch, Work};
pub use loss::Loss;
pub use readback::{Ticket, TicketFuture};
pub use recording::Recording;
pub use timestamps::{TimestampTicket, Timestamps};
pub use tuning::Tuning;
pub use view::BufferView;

#[cfg(feature = "twins")]
pub(crate) use launch::Extent;
pub(crate) use launch::{check_loops, line_of};

/// A device with the pipelines built on it. Cloning it clones a handle; clones share the pipelines.
#[derive(Debug, Clone)]
pub struct Gpu {
    inner: Arc<Inner>,
    tuning: Option<Arc<Tuning>>,
}

#[derive(Debug)]
struct Inner {
    device: wgpu::Device,
    queue: wgpu::Queue,
    info: wgpu::AdapterInfo,
    features: wgpu::Features,
    limits: wgpu::Limits,
    checked: bool,
    pipelines: pipeline::Cache,
    loss: Loss,
    /// The submission that was made last, called as in errors.
    last_submission: Mutex<String>,
    /// Milliseconds that [`Gpu::wait`] waits at most; 0 without a limit.
    #[cfg(not(target_arch = "wasm32"))]
    longest_wait: std::sync::atomic::AtomicU64,
    until_loss: fault::Countdown,
    until_out_of_memory: fault::Countdown,
    /// Staging buffers that a readback has done with.
    staging: Mutex<Vec<wgpu::Buffer>>,
    #[cfg(target_arch = "wasm32")]
    scopes: scope::Scopes,
}

/// Leaves the check of a user's kernel to the driver.
#[cfg(not(feature = "wgsl-checks"))]
pub(crate) fn inspect(_: &fourfold_shaders::Kernel) -> Result<(), Error> {
    Ok(())
}

impl Gpu {
    /// Works on a device of the host's, of any features and limits: WebGPU's defaults do.
    ///
    /// Adopt a device once and clone the [`Gpu`]: clones share their pipelines. Buffers, encoders and passes must be of
    /// this device; wgpu panics where objects of two instances are mixed, and no check of ours can come before it.
    ///
    /// No callback of the host's is replaced, so [wire its own](Gpu::loss) to learn why a device was lost. Preparing and
    /// recording never touch the queue; only the helpers that say so submit.
    pub fn adopt(device: wgpu::Device, queue: wgpu::Queue) -> Self {
        Self::from_device(device, queue, false)
    }

    /// Works on a device of the host's like [`Gpu::adopt`], with every shader check on: see [`Options::checked`].
    pub fn adopt_checked(device: wgpu::Device, queue: wgpu::Queue) -> Self {
        Self::from_device(device, queue, true)
    }

    #[cfg_attr(target_arch = "wasm32", expect(clippy::arc_with_non_send_sync, reason = "a page has one thread"))]
    fn from_device(device: wgpu::Device, queue: wgpu::Queue, checked: bool) -> Self {
        let (info, features, limits) = (device.adapter_info(), device.features(), device.limits());
        let inner = Inner {
            device,
            queue,
            info,
            features,
            limits,
            checked,
            pipelines: pipeline::Cache::default(),
            loss: Loss::default(),
            last_submission: Mutex::default(),
            #[cfg(not(target_arch = "wasm32"))]
            longest_wait: Default::default(),
            until_loss: Default::default(),
            until_out_of_memory: Default::default(),
            staging: Mutex::default(),
            #[cfg(target_arch = "wasm32")]
            scopes: scope::Scopes::default(),
        };
        Self { inner: Arc::new(inner), tuning: None }
    }

    /// Returns the device, on which a caller may make buffers and pipelines of its own.
    pub fn device(&self) -> &wgpu::Device {
        &self.inner.device
    }

    /// Returns the queue, to which a caller may submit.
    pub fn queue(&self) -> &wgpu::Queue {
        &self.inner.queue
    }

    /// The adapter behind the device.
    pub fn info(&self) -> &wgpu::AdapterInfo {
        &self.inner.info
    }

    /// The features that the device was opened with.
    pub fn features(&self) -> wgpu::Features {
        self.inner.features
    }

    /// The limits that the device was opened with.
    pub fn limits(&self) -> &wgpu::Limits {
        &self.inner.limits
    }

    /// True if every shader runs with bounds checks, bounded loops and zeroed workgroup memory; a user's always do.
    pub fn checked(&self) -> bool {
        self.inner.checked
    }

    /// Returns a handle of the same device that chooses variants of kernels as they were measured on it.
    ///
    /// Sessions, rollouts and everything else that is made with it keep to these choices; what is made with another handle
    /// does not. The same seed, adapter and tuning give the same bits.
    ///
    /// # Errors
    /// [`Error::Tuning`] if it was measured on another adapter, driver or version of this crate.
    pub fn with_tuning(&self, tuning: Tuning) -> Result<Self, Error> {
        tuning.check(self.info())?;
        Ok(Self { tuning: Some(Arc::new(tuning)), ..self.clone() })
    }

    /// The measured choices that this handle keeps to, if there are any.
    pub fn tuning(&self) -> Option<&Tuning> {
        self.tuning.as_deref()
    }

    /// The facts about the device on which the choice of kernel variants depends.
    pub fn target(&self) -> Target {
        let subgroups = self.features().contains(wgpu::Features::SUBGROUP);
        Target {
            subgroups: subgroups.then_some((self.info().subgroup_min_size, self.info().subgroup_max_size)),
            software: self.info().device_type == wgpu::DeviceType::Cpu,
            workgroup_memory: self.limits().max_compute_workgroup_storage_size,
            workgroup_invocations: self.limits().max_compute_invocations_per_workgroup,
            choices: self.tuning().map_or(Choices::NONE, Tuning::choices),
        }
    }
}
