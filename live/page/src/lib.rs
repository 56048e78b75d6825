//! The page: the few functions that its script calls. `cargo xtask web --serve` builds and serves it.
#![cfg(target_arch = "wasm32")]

mod live;
mod painting;
mod verification;

use std::sync::Arc;

use fourfold::Gpu;
use fourfold::shaders::{KernelRef, kernels};
use wasm_bindgen::prelude::*;

pub use live::{Live, scenes};
pub use painting::Painting;

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = console, js_name = error)]
    fn complain(text: &str);
}

/// Lets the console tell what a panic said.
#[wasm_bindgen(start)]
pub fn start() {
    std::panic::set_hook(Box::new(|panic| complain(&panic.to_string())));
}

/// An opened device.
#[wasm_bindgen]
#[derive(Debug)]
pub struct Device {
    gpu: Gpu,
    kernels: Vec<KernelRef>,
}

#[wasm_bindgen]
impl Device {
    /// Opens WebGPU.
    ///
    /// # Errors
    /// The browser offers no adapter, or refuses a device.
    pub async fn open() -> Result<Device, JsError> {
        let gpu = Gpu::open_async().await?;
        gpu.device().on_uncaptured_error(Arc::new(|error| complain(&error.to_string())));
        Ok(Device { gpu, kernels: kernels() })
    }

    /// The sentence that says why the device is lost; nothing while it is there.
    pub fn lost(&self) -> Option<String> {
        self.gpu.lost().map(|error| error.to_string())
    }

    /// Loses the device, as a driver does that is reset: for tests.
    pub fn lose(&self) {
        self.gpu.device().destroy();
    }

    /// The names of all kernels.
    pub fn kernels(&self) -> Vec<String> {
        self.kernels.iter().map(|kernel| kernel.name.to_string()).collect()
    }

    /// Judges the cases `from` to `until` of the kernel of this number, and returns the outcome as JSON.
    ///
    /// # Errors
    /// There is no such kernel.
    pub async fn verify(&self, kernel: usize, seed: u32, from: u32, until: u32) -> Result<String, JsError> {
        let kernel = self.kernels.get(kernel).ok_or_else(|| {
            JsError::new(&format!("kernel: expected a number below {}, got {kernel}", self.kernels.len()))
        })?;
        Ok(verification::verify(&self.gpu, kernel, u64::from(seed), from..until).await.to_string())
    }
}
