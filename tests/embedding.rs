//! A host with a device of its own records our kernels between its own, in one pass of its own.

mod host;

use fourfold::shaders::normalisation::softmax;
use fourfold::wgpu;
use fourfold::{BufferView, Gpu, Launch};
use host::witness::{alone, frame, objects, threads};
use host::{COLUMNS, Host, LENGTH, ROWS, expected, input};

#[test]
fn a_host_records_our_kernel_between_its_own_and_nothing_else_happens() {
    let _alone = alone();
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
        let problem = softmax::Problem { rows: ROWS, columns: COLUMNS, log: false };
        let sequence = problem.sequence(&gpu.target()).expect("valid sizes");
        let views = [BufferView::from(&x), BufferView::from(&y)];
        let recording = gpu.prepare(&[Launch::new(&sequence, &views)]).unwrap_or_else(|error| panic!("{error}"));
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

#[test]
fn a_recording_takes_other_buffers_without_compiling() {
    let _alone = alone();
    let host = Host::new();
    let [x, y, z] = [&input()[..], &[f32::NAN; LENGTH], &[f32::NAN; LENGTH]].map(|values| host.buffer(values));
    let [x_view, y_view, z_view] = [&x, &y, &z].map(BufferView::from);
    let gpu = Gpu::adopt(host.device.clone(), host.queue.clone());
    let problem = softmax::Problem { rows: ROWS, columns: COLUMNS, log: false };
    let sequence = problem.sequence(&gpu.target()).unwrap();
    let first = gpu.prepare(&[Launch::new(&sequence, &[x_view.clone(), y_view.clone()])]).unwrap();
    let pipelines = gpu.pipelines();
    let second = first.rebind(&gpu, &[&[x_view.clone(), z_view.clone()]]).unwrap();
    assert_eq!((gpu.pipelines(), second.len()), (pipelines, first.len()));
    let frame = frame(&host, |encoder| {
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
        first.record(&mut pass);
        second.record(&mut pass);
    });
    assert!(!frame.polled);
    assert_eq!(host.read(&y), host.read(&z));
    assert!(host.read(&z).iter().all(|share| share.is_finite()));

    let refused = |views: &[&[BufferView]]| first.rebind(&gpu, views).unwrap_err().to_string();
    assert!(refused(&[]).contains("expected views for 1 launches, got 0"), "{}", refused(&[]));
    let short = refused(&[&[x_view.clone(), y_view.part(0, 10)]]);
    assert!(short.contains("softmax") && short.contains("40"), "{short}");
    let one = refused(&[std::slice::from_ref(&x_view)]);
    assert!(one.contains("argument 1"), "{one}");
    let same = refused(&[&[x_view.clone(), x_view]]);
    assert!(same.contains("softmax"), "{same}");
}
