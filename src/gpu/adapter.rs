//! Adapters: what there is, which one to take, and what to ask of it.

use super::{Error, Gpu};

/// Options for opening a device.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Part of the adapter's name, in any case, or its number in the list of [`adapters`]; the environment variable
    /// `WGPU_ADAPTER_NAME` where `None`, and the best adapter without either.
    pub adapter: Option<String>,
    /// Run every shader with bounds checks, bounded loops and zeroed workgroup memory: slower, and made for tests. Shaders
    /// of a user's always run so, see [`Call`](fourfold_shaders::Call).
    pub checked: bool,
}

/// Features and limits that help a device to run the kernels well. None is demanded.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Requirements {
    /// Features that the adapter has and the kernels can use: subgroup variants, and timestamps for profiling.
    pub features: wgpu::Features,
    /// WebGPU's default limits, raised to the adapter's where a kernel can use more.
    pub limits: wgpu::Limits,
}

/// An adapter and what it offers.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct AdapterReport {
    /// Its number for [`Options::adapter`].
    pub index: usize,
    /// Name, vendor, driver and backend.
    pub info: wgpu::AdapterInfo,
    /// Features that it can be opened with.
    pub features: wgpu::Features,
    /// The largest limits that it can be opened with.
    pub limits: wgpu::Limits,
}

/// The features that a kernel or the profiler can make use of.
const HELPFUL: wgpu::Features = wgpu::Features::SUBGROUP
    .union(wgpu::Features::TIMESTAMP_QUERY)
    .union(wgpu::Features::TIMESTAMP_QUERY_INSIDE_ENCODERS)
    .union(wgpu::Features::TIMESTAMP_QUERY_INSIDE_PASSES);

impl Gpu {
    /// Returns the features and limits that a host may ask of the adapter when it opens the device that it shares.
    pub fn requirements(adapter: &wgpu::Adapter) -> Requirements {
        let offered = adapter.limits();
        // An adapter may be below the defaults in things that compute never touches.
        let mut limits = wgpu::Limits::defaults().or_worse_values_from(&offered);
        limits.max_storage_buffers_per_shader_stage = offered.max_storage_buffers_per_shader_stage;
        limits.max_storage_buffer_binding_size = offered.max_storage_buffer_binding_size;
        limits.max_buffer_size = offered.max_buffer_size;
        limits.max_compute_workgroup_storage_size = offered.max_compute_workgroup_storage_size;
        limits.max_compute_invocations_per_workgroup = offered.max_compute_invocations_per_workgroup;
        limits.max_compute_workgroup_size_x = offered.max_compute_workgroup_size_x;
        limits.max_compute_workgroup_size_y = offered.max_compute_workgroup_size_y;
        limits.min_storage_buffer_offset_alignment = offered.min_storage_buffer_offset_alignment;
        limits.min_uniform_buffer_offset_alignment = offered.min_uniform_buffer_offset_alignment;
        Requirements { features: adapter.features() & HELPFUL, limits }
    }
}

/// Every adapter, the best first: discrete GPUs, then integrated ones, then virtual ones, then software drivers.
///
/// `WGPU_BACKEND` narrows the search (`vulkan`, `metal`, `dx12`, `gl` with the feature `gles`); there are none if it names a backend that is not built in.
#[cfg(not(target_arch = "wasm32"))]
pub fn adapters() -> Vec<AdapterReport> {
    let report = |(index, adapter): (usize, wgpu::Adapter)| AdapterReport {
        index,
        info: adapter.get_info(),
        features: adapter.features(),
        limits: adapter.limits(),
    };
    // Opening one says what is wrong with the backends that were asked for.
    pollster::block_on(enumerate()).unwrap_or_default().into_iter().enumerate().map(report).collect()
}

fn instance() -> wgpu::Instance {
    wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle_from_env())
}

/// The backends that `WGPU_BACKEND` names, or `WGPU_BACKENDS`, as some programs call it; all that are built in without
/// either.
fn backends() -> Result<wgpu::Backends, Error> {
    let built_in = wgpu::Instance::enabled_backend_features() - wgpu::Backends::NOOP;
    let asked = ["WGPU_BACKEND", "WGPU_BACKENDS"].into_iter().find_map(|name| {
        let value = std::env::var(name).ok().filter(|value| !value.trim().is_empty())?;
        Some((name, value))
    });
    match asked {
        None => Ok(built_in),
        Some((name, value)) => named_backends(name, &value, built_in),
    }
}

/// Reads a list of backends with commas between them; refuses one that is unknown or not built in.
fn named_backends(name: &str, value: &str, built_in: wgpu::Backends) -> Result<wgpu::Backends, Error> {
    const NAMES: [&str; 5] = ["vulkan", "metal", "dx12", "gl", "webgpu"];
    let usable: Vec<&str> =
        NAMES.into_iter().filter(|name| built_in.contains(wgpu::Backends::from_comma_list(name))).collect();
    let refuse = |message: String| Err(Error::NoAdapter { message });
    let mut backends = wgpu::Backends::empty();
    for part in value.split(',').map(str::trim) {
        let backend = wgpu::Backends::from_comma_list(part);
        if backend.is_empty() {
            return refuse(format!("{name}: expected some of {}, got `{part}`", usable.join(", ")));
        }
        if !built_in.contains(backend) {
            let remedy = if backend == wgpu::Backends::GL { "; build it with `--features gles`" } else { "" };
            return refuse(format!(
                "{name}={value}: the backend `{part}` is not built into this program, which has {}{remedy}",
                usable.join(", ")
            ));
        }
        backends |= backend;
    }
    Ok(backends)
}

async fn enumerate() -> Result<Vec<wgpu::Adapter>, Error> {
    let backends = backends()?;
    let instance = instance();
    // A page has one adapter: the one that its browser picks for this wish.
    #[cfg(target_arch = "wasm32")]
    if backends.contains(wgpu::Backends::BROWSER_WEBGPU) {
        let power_preference = wgpu::PowerPreference::HighPerformance;
        let options = wgpu::RequestAdapterOptions { power_preference, ..Default::default() };
        return Ok(instance.request_adapter(&options).await.into_iter().collect());
    }
    let mut adapters = instance.enumerate_adapters(backends).await;
    adapters.retain(|adapter| adapter.get_info().backend != wgpu::Backend::Noop);
    adapters.sort_by_key(|adapter| match adapter.get_info().device_type {
        wgpu::DeviceType::DiscreteGpu => 0,
        wgpu::DeviceType::IntegratedGpu => 1,
        wgpu::DeviceType::VirtualGpu => 2,
        wgpu::DeviceType::Other => 3,
        wgpu::DeviceType::Cpu => 4,
    });
    Ok(adapters)
}

impl Gpu {
    /// Opens the best adapter there is: a discrete GPU before an integrated one before a software driver. In a page it is the
    /// one that the browser picks for high performance.
    ///
    /// `WGPU_BACKEND` and `WGPU_ADAPTER_NAME` are honoured. A no-op adapter is never taken.
    ///
    /// # Errors
    /// No adapter answers, with a word on what to install, or the adapter refuses a device.
    pub async fn open_async() -> Result<Self, Error> {
        Self::open_with_async(&Options::default()).await
    }

    /// Blocks, as [`Gpu::open_async`].
    ///
    /// # Errors
    /// As [`Gpu::open_async`].
    #[cfg(not(target_arch = "wasm32"))]
    pub fn open() -> Result<Self, Error> {
        pollster::block_on(Self::open_async())
    }

    /// Blocks, as [`Gpu::open_with_async`].
    ///
    /// # Errors
    /// As [`Gpu::open_with_async`].
    #[cfg(not(target_arch = "wasm32"))]
    pub fn open_with(options: &Options) -> Result<Self, Error> {
        pollster::block_on(Self::open_with_async(options))
    }

    /// Opens a device like [`Gpu::open_async`], with a choice of adapter and of shader checks.
    ///
    /// # Errors
    /// As [`Gpu::open_async`]; also if no adapter has the name or number asked for.
    pub async fn open_with_async(options: &Options) -> Result<Self, Error> {
        let adapters = enumerate().await?;
        let asked = options.adapter.clone().or_else(|| std::env::var("WGPU_ADAPTER_NAME").ok());
        let adapter = choose(&adapters, asked.as_deref())?;
        let Requirements { features, limits } = Self::requirements(adapter);
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("fourfold"),
            required_features: features,
            required_limits: limits,
            ..Default::default()
        };
        let opened = adapter.request_device(&descriptor).await;
        let (device, queue) =
            opened.map_err(|error| Error::NoDevice { adapter: adapter.get_info().name, message: error.to_string() })?;
        let gpu = Self::from_device(device, queue, options.checked);
        let loss = gpu.loss();
        gpu.device().set_device_lost_callback(move |reason, message| loss.mark(reason, message));
        Ok(gpu)
    }
}

fn choose<'a>(adapters: &'a [wgpu::Adapter], asked: Option<&str>) -> Result<&'a wgpu::Adapter, Error> {
    let Some(first) = adapters.first() else {
        return Err(Error::NoAdapter { message: nothing_found() });
    };
    let Some(asked) = asked.filter(|asked| !asked.is_empty()) else { return Ok(first) };
    let by_index = asked.parse::<usize>().ok().and_then(|index| adapters.get(index));
    let named = |adapter: &&wgpu::Adapter| adapter.get_info().name.to_lowercase().contains(&asked.to_lowercase());
    by_index.or_else(|| adapters.iter().find(named)).ok_or_else(|| {
        let names: Vec<_> =
            (0..).zip(adapters).map(|(index, a)| format!("adapter {index}, {}", a.get_info().name)).collect();
        let message = format!("expected the number or part of the name of {}, got `{asked}`", names.join(", or "));
        Error::NoAdapter { message }
    })
}

/// The sentence that tells a user how to get an adapter.
fn nothing_found() -> String {
    let backend = std::env::var("WGPU_BACKEND").ok().map(|backend| {
        let built_in = wgpu::Instance::enabled_backend_features();
        format!(" for WGPU_BACKEND={backend} (unset it to search {built_in:?})")
    });
    let install = if cfg!(target_arch = "wasm32") {
        "Chrome and Edge from 113, Safari from 26 and Firefox from 141 have WebGPU, on Linux and Android some of them behind a \
         setting"
    } else if cfg!(target_os = "linux") {
        "install your GPU's Vulkan driver, or Mesa's software driver: `apt-get install mesa-vulkan-drivers libvulkan1` \
         on Debian and Ubuntu, `dnf install mesa-vulkan-drivers` on Fedora"
    } else if cfg!(target_os = "windows") {
        "install your GPU vendor's driver (DirectX 12 or Vulkan)"
    } else {
        "a Mac of 2012 or later has Metal; elsewhere install a Vulkan driver"
    };
    format!("no GPU adapter was found{}: {install}", backend.unwrap_or_default())
}

#[cfg(all(test, not(target_arch = "wasm32")))]
mod tests {
    use wgpu::Backends;

    use super::*;

    #[test]
    fn backends_are_honoured_or_refused_by_name() {
        let read = |value: &str| named_backends("WGPU_BACKENDS", value, Backends::VULKAN | Backends::DX12);
        assert_eq!(read("vulkan"), Ok(Backends::VULKAN));
        assert_eq!(read("dx12, vk"), Ok(Backends::VULKAN | Backends::DX12));
        for (value, expected) in [
            ("gl", "`gl` is not built into this program, which has vulkan, dx12; build it with `--features gles`"),
            ("vulkan,metal", "`metal` is not built into this program"),
            ("vulcan", "expected some of vulkan, dx12, got `vulcan`"),
        ] {
            let sentence = read(value).expect_err("a backend that is not there").to_string();
            assert!(sentence.contains(expected) && sentence.starts_with("WGPU_BACKENDS"), "{sentence}");
        }
    }
}
