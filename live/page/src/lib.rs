//! The page: the few functions that its script calls. `cargo xtask web --serve` builds and serves it.
//!
//! It is compiled three times, to modules with the scenes of the methods, with the car and with the verification of kernels, each
//! with a device of its own.
#![cfg(target_arch = "wasm32")]

#[cfg(feature = "scenes")]
mod device;
#[cfg(feature = "scenes")]
mod live;
#[cfg(feature = "scenes")]
mod painting;
#[cfg(feature = "verification")]
mod verification;

use std::sync::Arc;

use fourfold::Gpu;
use wasm_bindgen::prelude::*;

#[cfg(feature = "scenes")]
pub use device::Device;
#[cfg(feature = "scenes")]
pub use live::{Live, give_file, scenes, wanted_files};
#[cfg(feature = "scenes")]
pub use painting::Painting;
#[cfg(feature = "verification")]
pub use verification::Verifier;

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

/// Opens WebGPU; the console tells what it complains about.
async fn open() -> Result<Gpu, JsError> {
    let gpu = Gpu::open_async().await?;
    gpu.device().on_uncaptured_error(Arc::new(|error| complain(&error.to_string())));
    Ok(gpu)
}

/// The sentence that says why a device is lost; nothing while it is there.
fn lost(gpu: &Gpu) -> Option<String> {
    gpu.lost().map(|error| error.to_string())
}
