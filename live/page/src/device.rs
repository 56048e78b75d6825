//! The device on which scenes play.

use fourfold::Gpu;
use wasm_bindgen::prelude::*;

/// An opened device.
#[wasm_bindgen]
#[derive(Debug)]
pub struct Device {
    pub(crate) gpu: Gpu,
}

#[wasm_bindgen]
impl Device {
    /// Opens WebGPU.
    ///
    /// # Errors
    /// The browser offers no adapter, or refuses a device.
    pub async fn open() -> Result<Device, JsError> {
        Ok(Device { gpu: crate::open().await? })
    }

    /// The sentence that says why the device is lost; nothing while it is there.
    pub fn lost(&self) -> Option<String> {
        crate::lost(&self.gpu)
    }

    /// Loses the device, as a driver does that is reset: for tests.
    pub fn lose(&self) {
        self.gpu.device().destroy();
    }
}
