//! A host with a device of its own records our kernels between its own, in one pass of its own.
//!
//! What the library must not do there is proved by what the host can see: the registry of its wgpu instance (devices,
//! queues, encoders and command buffers that exist), the numbers of its submissions, a callback that any poll of
//! the device would run, and the threads of its process (so this test has a process to itself).

mod host;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fourfold::shaders::softmax;
use fourfold::wgpu;
use fourfold::{BufferView, Gpu, Launch};
use host::{COLUMNS, Host, LENGTH, ROWS, expected, input};

/// Devices, queues, adapters, command encoders and command buffers that exist.
fn objects(host: &Host) -> [usize; 5] {
    let report = host.instance.generate_report().expect("a native instance keeps a registry");
    let hub = report.hub_report();
    let kinds = [&hub.devices, &hub.queues, &hub.adapters, &hub.command_encoders, &hub.command_buffers];
    kinds.map(|kind| kind.num_allocated)
}

/// Threads of this process, where the system lists them.
fn threads() -> Option<usize> {
    std::fs::read_dir("/proc/self/task").ok().map(Iterator::count)
}

/// What the host sees of one frame: by how much the number of its submissions grows, and whether anything polled its
/// device between the two.
#[derive(Debug, PartialEq)]
struct Frame {
    submissions: u64,
    polled: bool,
}

/// One frame of the host's: `record` fills the encoder, the host submits it.
fn frame(host: &Host, record: impl FnOnce(&mut wgpu::CommandEncoder)) -> Frame {
    // Only a poll, or the next submission, reports that this submission is done.
    let before = host.submit(None);
    let reported = Arc::new(AtomicBool::new(false));
    let report = Arc::clone(&reported);
    host.queue.on_submitted_work_done(move || report.store(true, Ordering::SeqCst));
    std::thread::sleep(Duration::from_millis(50));
    let mut encoder = host.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    record(&mut encoder);
    let polled = reported.load(Ordering::SeqCst);
    let after = host.submit(Some(encoder.finish()));
    host.poll();
    assert!(reported.load(Ordering::SeqCst), "a poll runs the callback");
    Frame { submissions: after - before, polled }
}

#[test]
fn a_host_records_our_kernel_between_its_own_and_nothing_else_happens() {
    let host = Host::new();
    let (x, y) = (host.buffer(&input()), host.buffer(&[f32::NAN; LENGTH]));

    // A frame without us, in which the driver also starts the threads of its own.
    let warm = host.buffer(&[0.0; 64]);
    let alone = frame(&host, |encoder| {
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
        host.record(&mut pass, &warm);
    });

    let together = frame(&host, |encoder| {
        let (existing, running) = (objects(&host), threads());
        let gpu = Gpu::adopt(host.device.clone(), host.queue.clone());
        let call = softmax::Problem { rows: ROWS, columns: COLUMNS, log: false }.call(&gpu.target());
        let views = [BufferView::from(&x), BufferView::from(&y)];
        let recording = gpu.prepare(&[Launch::new(&call, &views)]).unwrap_or_else(|error| panic!("{error}"));
        {
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
            host.record(&mut pass, &x);
            recording.record(&mut pass);
            host.record(&mut pass, &y);
        }
        assert_eq!(threads(), running, "the library started a thread");
        assert_eq!(objects(&host), existing, "the library made a device, a queue, an encoder or a command buffer");
    });
    assert!(!together.polled, "the library polled the device");
    assert_eq!(together, alone, "the library submitted");

    let got = host.read(&y);
    for (index, (got, expected)) in got.iter().zip(expected()).enumerate() {
        assert!((got - expected).abs() <= 1e-6 * expected.abs(), "element {index}: {got} for {expected}");
    }
}
