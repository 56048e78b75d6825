//! An adapter as reports and terminals name it.

use fourfold::wgpu::{AdapterInfo, DeviceType};
use serde_json::{Value, json};

/// The facts that tell one adapter from another.
pub fn adapter_json(adapter: &AdapterInfo) -> Value {
    json!({
        "name": adapter.name,
        "backend": adapter.backend.to_str(),
        "type": format!("{:?}", adapter.device_type),
        "driver": adapter.driver,
        "driver_info": adapter.driver_info,
    })
}

/// Name, backend and driver on one line, which says where it is no GPU.
pub fn describe(adapter: &AdapterInfo) -> String {
    let software = if is_software(adapter) { "; a software driver on the CPU, no GPU" } else { "" };
    format!("{} ({}, {}{software})", adapter.name, adapter.backend, adapter.driver_info)
}

/// Returns true for a driver that computes on the CPU.
pub fn is_software(adapter: &AdapterInfo) -> bool {
    adapter.device_type == DeviceType::Cpu
}

/// The sentence that warns of a software driver, before a run begins.
pub fn software_warning(adapter: &AdapterInfo) -> Option<String> {
    is_software(adapter).then(|| {
        let driver = if adapter.driver.is_empty() { &adapter.name } else { &adapter.driver };
        format!("No GPU is used: this runs on the CPU through the software driver {driver}, some hundred times slower than on a GPU.")
    })
}

#[cfg(test)]
mod tests {
    use fourfold::wgpu::{Backend, DeviceType};

    use super::*;

    #[test]
    fn a_software_driver_is_named_as_such() {
        let mut adapter = AdapterInfo::new(DeviceType::Cpu, Backend::Vulkan);
        (adapter.name, adapter.driver, adapter.driver_info) =
            ("llvmpipe".into(), "llvmpipe".into(), "Mesa 22.3.6".into());
        assert_eq!(describe(&adapter), "llvmpipe (vulkan, Mesa 22.3.6; a software driver on the CPU, no GPU)");
        assert!(software_warning(&adapter).unwrap().contains("software driver llvmpipe"));
        adapter.device_type = DeviceType::DiscreteGpu;
        assert_eq!(software_warning(&adapter), None);
    }
}
