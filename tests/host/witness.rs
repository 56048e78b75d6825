//! Everything that a host can see of a library: the registry of its wgpu instance, the numbers of its submissions, a
//! callback that any poll of the device would run, and the threads of its process (so whoever counts them holds
//! [`alone`], as do all tests of its file).

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fourfold::wgpu;

use super::Host;

/// Devices, queues, adapters, command encoders and command buffers that exist.
pub fn objects(host: &Host) -> [usize; 5] {
    let report = host.instance.generate_report().expect("a native instance keeps a registry");
    let hub = report.hub_report();
    let kinds = [&hub.devices, &hub.queues, &hub.adapters, &hub.command_encoders, &hub.command_buffers];
    kinds.map(|kind| kind.num_allocated)
}

/// Keeps the tests of a file apart, held from their first line: the threads of drivers come and go with their devices.
pub fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Threads of this process, where the system lists them.
pub fn threads() -> Option<usize> {
    std::fs::read_dir("/proc/self/task").ok().map(Iterator::count)
}

/// The trace of one frame that the host sees: by how much the number of its submissions grows, and whether anything
/// polled its device between the two.
#[derive(Debug, PartialEq)]
pub struct Frame {
    pub submissions: u64,
    pub polled: bool,
}

/// One frame of the host's: `record` fills the encoder, the host submits it.
pub fn frame(host: &Host, record: impl FnOnce(&mut wgpu::CommandEncoder)) -> Frame {
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
