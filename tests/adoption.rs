//! The promises of an adopted device: several recordings in one submission, and the host's own callbacks.

mod host;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use fourfold::shaders::normalisation::softmax;
use fourfold::wgpu;
use fourfold::{BufferView, Gpu, Launch};
use host::{COLUMNS, Host, LENGTH, ROWS, expected, input};

#[test]
fn recording_twice_in_one_submission_computes_twice() {
    let host = Host::new();
    let (x, y, z) = (host.buffer(&input()), host.buffer(&[f32::NAN; LENGTH]), host.buffer(&[f32::NAN; LENGTH]));
    let gpu = Gpu::adopt(host.device.clone(), host.queue.clone());
    let problem = softmax::Problem { rows: ROWS, columns: COLUMNS, log: false };
    let sequence = problem.sequence(&gpu.target()).expect("valid sizes");
    let views = [[&x, &y].map(BufferView::from), [&x, &z].map(BufferView::from)];
    let prepare = |views| gpu.prepare(&[Launch::new(&sequence, views)]).unwrap_or_else(|error| panic!("{error}"));
    let (first, second) = (prepare(&views[0]), prepare(&views[1]));
    let mut encoder = host.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    {
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
        first.record(&mut pass);
        host.record(&mut pass, &x);
        second.record(&mut pass);
        host.record(&mut pass, &z);
    }
    host.submit(Some(encoder.finish()));
    let (plain, doubled) = (host.read(&y), host.read(&z));
    assert_ne!(plain, doubled);
    for (index, (got, expected)) in doubled.iter().zip(expected()).enumerate() {
        assert!((got - expected).abs() <= 1e-6 * expected.abs(), "element {index}: {got} for {expected}");
    }
}

#[test]
fn an_adopted_device_keeps_the_hosts_own_callback_for_its_loss() {
    let host = Host::new();
    let told = Arc::new(AtomicBool::new(false));
    let tell = Arc::clone(&told);
    host.device.set_device_lost_callback(move |_, _| tell.store(true, Ordering::SeqCst));
    let gpu = Gpu::adopt(host.device.clone(), host.queue.clone());
    let problem = softmax::Problem { rows: ROWS, columns: COLUMNS, log: false };
    let sequence = problem.sequence(&gpu.target()).expect("valid sizes");
    let views = [host.buffer(&input()), host.buffer(&[f32::NAN; LENGTH])].each_ref().map(BufferView::from);
    let _recording = gpu.prepare(&[Launch::new(&sequence, &views)]).unwrap_or_else(|error| panic!("{error}"));
    host.device.destroy();
    host.poll();
    assert!(told.load(Ordering::SeqCst));
}
