//! Counts Vulkan devices by asking the system's loader, which is the one that `wgpu` will use: looking for
//! driver files instead would take a driver without its hardware for a device.

/// Devices that the Vulkan loader reports; none where there is no loader, or no driver that starts.
#[cfg(target_os = "linux")]
pub fn device_count() -> u32 {
    count().unwrap_or(0)
}

/// Elsewhere the system brings its own driver, and nobody asks.
#[cfg(not(target_os = "linux"))]
pub fn device_count() -> u32 {
    0
}

#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "calls the Vulkan loader")]
fn count() -> Option<u32> {
    use std::ffi::c_void;
    use std::ptr::{null, null_mut};

    type Handle = *mut c_void;
    type CreateInstance = unsafe extern "system" fn(*const InstanceCreateInfo, *const c_void, *mut Handle) -> i32;
    type EnumeratePhysicalDevices = unsafe extern "system" fn(Handle, *mut u32, *mut Handle) -> i32;
    type DestroyInstance = unsafe extern "system" fn(Handle, *const c_void);

    /// `VkInstanceCreateInfo` of the Vulkan 1.0 specification, section 4.2.
    #[repr(C)]
    struct InstanceCreateInfo {
        structure_type: i32,
        next: *const c_void,
        flags: u32,
        application_info: *const c_void,
        layer_count: u32,
        layer_names: *const *const i8,
        extension_count: u32,
        extension_names: *const *const i8,
    }
    const INSTANCE_CREATE_INFO: i32 = 1;
    const SUCCESS: i32 = 0;

    let info = InstanceCreateInfo {
        structure_type: INSTANCE_CREATE_INFO,
        next: null(),
        flags: 0,
        application_info: null(),
        layer_count: 0,
        layer_names: null(),
        extension_count: 0,
        extension_names: null(),
    };

    // SAFETY: the three functions have the signatures that the Vulkan specification gives them and are exported by
    // every loader; the pointers passed outlive the calls, and the instance is used only between its creation and
    // its destruction.
    unsafe {
        let loader = libloading::Library::new("libvulkan.so.1").ok()?;
        let create = loader.get::<CreateInstance>(b"vkCreateInstance\0").ok()?;
        let enumerate = loader.get::<EnumeratePhysicalDevices>(b"vkEnumeratePhysicalDevices\0").ok()?;
        let destroy = loader.get::<DestroyInstance>(b"vkDestroyInstance\0").ok()?;

        let mut instance = null_mut();
        if create(&info, null(), &mut instance) != SUCCESS {
            return None;
        }
        let mut devices = 0;
        let status = enumerate(instance, &mut devices, null_mut());
        destroy(instance, null());
        (status == SUCCESS).then_some(devices)
    }
}
