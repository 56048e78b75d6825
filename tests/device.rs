//! The GPU floor: named errors for wrong buffers, shared pipelines, readback, loss of the device.

use fourfold::gpu::{self, AliasingProblem, BindingProblem, BufferView, Error, Gpu, Launch, Options, Timestamps};
use fourfold::shaders::{Call, Data, Element, Sequence, Slot, Target, normalisation::softmax};
use fourfold::wgpu;

fn open() -> Gpu {
    Gpu::open().unwrap_or_else(|error| panic!("{error}"))
}

/// A softmax over four rows of eight columns.
fn call(gpu: &Gpu) -> Call {
    softmax::Problem { rows: 4, columns: 8, log: false }
        .sequence(&gpu.target())
        .expect("valid sizes")
        .steps
        .swap_remove(0)
        .call
}

fn inputs() -> Data {
    Data::F32((0..32).map(|index| index as f32 * 0.25).collect())
}

fn expected(gpu: &Gpu) -> Vec<f32> {
    let mut operands = [inputs(), Data::poison(Element::F32, 32)];
    call(gpu).run_twin(&mut operands.each_mut().map(Data::operand));
    operands[1].f32().to_vec()
}

fn buffer(gpu: &Gpu, size: u64, usage: wgpu::BufferUsages) -> wgpu::Buffer {
    let descriptor = wgpu::BufferDescriptor { label: None, size, usage, mapped_at_creation: false };
    gpu.device().create_buffer(&descriptor)
}

/// The answer of preparing the softmax to these views.
fn refusal(gpu: &Gpu, views: &[BufferView]) -> Error {
    let error = gpu.prepare(&[Launch::new(&call(gpu), views)]).expect_err("the views are wrong");
    let text = error.to_string();
    assert!(text.contains("softmax"), "names the kernel: {text}");
    error
}

fn problem(error: Error, wrong: &str) -> BindingProblem {
    match error {
        Error::Binding { binding, problem, .. } if binding == wrong => problem,
        other => panic!("{other:?}"),
    }
}

fn close(got: &[f32], expected: &[f32]) {
    assert_eq!(got.len(), expected.len());
    for (got, expected) in got.iter().zip(expected) {
        assert!((got - expected).abs() < 1e-6, "{got} for {expected}");
    }
}

fn submit(gpu: &Gpu, recording: &fourfold::Recording, views: &[(BufferView, Element)]) -> Vec<Data> {
    let mut encoder = gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    recording.record(&mut encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default()));
    let ticket = gpu.encode_readback(&mut encoder, views).expect("buffers of ours");
    gpu.queue().submit([encoder.finish()]);
    ticket.wait().expect("the device is there")
}

#[test]
fn a_gpu_is_shared_between_threads() {
    fn assert<T: Send + Sync + Clone>() {}
    assert::<Gpu>();
    fn shared<T: Send + Sync>() {}
    shared::<fourfold::Recording>();
}

#[test]
fn a_buffer_without_storage_usage_is_refused_by_name() {
    let gpu = open();
    let plain = buffer(&gpu, 128, wgpu::BufferUsages::COPY_DST);
    let good = gpu.zeros("y", 32).expect("128 bytes");
    let error = refusal(&gpu, &[(&plain).into(), good]);
    assert!(error.to_string().contains("add STORAGE"), "{error}");
    assert_eq!(problem(error, "x"), BindingProblem::Usage { usage: wgpu::BufferUsages::COPY_DST });
}

#[test]
fn a_misaligned_view_is_refused_by_name() {
    let gpu = open();
    let long = buffer(&gpu, 1024, wgpu::BufferUsages::STORAGE);
    let good = gpu.zeros("y", 32).expect("128 bytes");
    let error = refusal(&gpu, &[BufferView::new(&long, 4, 512), good]);
    let alignment = u64::from(gpu.limits().min_storage_buffer_offset_alignment);
    assert_eq!(problem(error, "x"), BindingProblem::Alignment { offset: 4, alignment });
}

#[test]
fn a_short_view_is_refused_with_the_shape_and_both_sizes() {
    let gpu = open();
    let x = gpu.zeros("x", 32).expect("128 bytes");
    let y = gpu.zeros("y", 31).expect("124 bytes");
    let error = refusal(&gpu, &[x, y]);
    let text = error.to_string();
    assert!(text.contains("(rows, columns) = 32 elements"), "{text}");
    assert!(text.contains("128 bytes but the view has 124"), "{text}");
    assert_eq!(problem(error, "y"), BindingProblem::TooShort { needed: 128, size: 124 });
}

#[test]
fn a_view_past_the_end_of_its_buffer_is_refused() {
    let gpu = open();
    let short = buffer(&gpu, 64, wgpu::BufferUsages::STORAGE);
    let y = gpu.zeros("y", 32).expect("128 bytes");
    let error = refusal(&gpu, &[BufferView::new(&short, 0, 128), y]);
    assert_eq!(problem(error, "x"), BindingProblem::OutOfBuffer { end: 128, buffer: 64 });
}

#[test]
fn one_buffer_read_and_written_in_one_dispatch_is_refused_even_where_disjoint() {
    let gpu = open();
    let both = buffer(&gpu, 1024, wgpu::BufferUsages::STORAGE);
    let error = refusal(&gpu, &[BufferView::new(&both, 0, 128), BufferView::new(&both, 512, 128)]);
    assert!(matches!(error, Error::Aliasing { problem: AliasingProblem::ReadAndWrite, .. }), "{error}");
}

#[test]
fn the_wrong_number_of_views_is_refused_with_the_names_of_the_bindings() {
    let gpu = open();
    let error = refusal(&gpu, &[gpu.zeros("x", 32).expect("128 bytes")]);
    assert!(error.to_string().contains("takes 2 buffer views (x, y) but got 1"), "{error}");
}

#[test]
fn a_grid_beyond_the_device_is_refused_with_the_limit() {
    let gpu = open();
    let views = [gpu.zeros("x", 32).expect("128 bytes"), gpu.zeros("y", 32).expect("128 bytes")];
    let call = call(&gpu).changed(|call| call.grid = [70_000, 1, 1]);
    let error = gpu.prepare(&[Launch::new(&call, &views)]).expect_err("70,000 workgroups in a row");
    assert!(error.to_string().contains("max_compute_workgroups_per_dimension"), "{error}");
}

#[test]
fn a_constant_that_the_shader_does_not_know_is_an_error_that_names_the_kernel() {
    let gpu = open();
    let views = [gpu.zeros("x", 32).expect("128 bytes"), gpu.zeros("y", 32).expect("128 bytes")];
    let call = call(&gpu).changed(|call| call.constants.push(("NO_SUCH_CONSTANT", 1.0)));
    let error = gpu.prepare(&[Launch::new(&call, &views)]).expect_err("the constant is unknown");
    assert!(
        matches!(&error, Error::Pipeline { kernel, message }
        if kernel.starts_with("softmax") && message.contains("NO_SUCH_CONSTANT")),
        "{error}"
    );
}

#[test]
fn a_buffer_beyond_the_limit_of_the_device_is_an_error_value() {
    let gpu = open();
    let length = (gpu.limits().max_buffer_size / 4) as usize + 1;
    let error = gpu.zeros("weights", length).expect_err("longer than the longest buffer");
    assert!(matches!(&error, Error::BufferTooLarge { label, .. } if label == "weights"), "{error}");
}

#[test]
fn calls_of_one_variant_share_a_pipeline() {
    let gpu = open();
    let views = [gpu.upload("x", &inputs()).expect("128 bytes"), gpu.zeros("y", 32).expect("128 bytes")];
    let call = call(&gpu);
    let launch = Launch::new(&call, &views);
    let _first = gpu.prepare(&[launch, launch]).expect("right views");
    let _second = gpu.prepare(&[launch]).expect("right views");
    assert_eq!(gpu.pipelines(), 1);
}

#[test]
fn a_recording_replays_and_a_part_of_it_too() {
    let gpu = open();
    let x = gpu.upload("x", &inputs()).expect("128 bytes");
    let (once, twice) = (gpu.zeros("once", 32).expect("128 bytes"), gpu.zeros("twice", 32).expect("128 bytes"));
    let call = call(&gpu);
    let (first, second) = ([x.clone(), once.clone()], [once.clone(), twice.clone()]);
    let recording = gpu.prepare(&[Launch::new(&call, &first), Launch::new(&call, &second)]).expect("right views");
    let mut encoder = gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    recording.record_range(&mut encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default()), 0..1);
    gpu.queue().submit([encoder.finish()]);
    let values = submit(&gpu, &fourfold::Recording::default(), &[(once.clone(), Element::F32), (twice, Element::F32)]);
    close(values[0].f32(), &expected(&gpu));
    assert_eq!(values[1].f32(), [0.0; 32]);
    let values = submit(&gpu, &recording, &[(once, Element::F32)]);
    close(values[0].f32(), &expected(&gpu));
}

#[test]
fn different_uniform_blocks_in_one_submission_stay_apart() {
    let gpu = open();
    let x = gpu.upload("x", &inputs()).expect("128 bytes");
    let (wide, narrow) = (gpu.zeros("wide", 32).expect("128 bytes"), gpu.zeros("narrow", 32).expect("128 bytes"));
    let rows = softmax::Problem { rows: 32, columns: 1, log: false }.sequence(&Target::default()).expect("valid sizes");
    let (first, second) = ([x.clone(), wide.clone()], [x, narrow.clone()]);
    let recording = gpu.prepare(&[Launch::new(&call(&gpu), &first), Launch::new(&rows, &second)]).expect("right views");
    let values = submit(&gpu, &recording, &[(wide, Element::F32), (narrow, Element::F32)]);
    close(values[0].f32(), &expected(&gpu));
    close(values[1].f32(), &[1.0; 32]);
}

#[test]
fn a_sequence_passes_results_through_scratch_buffers_of_its_own() {
    let gpu = open();
    let mut sequence = Sequence::default();
    let scratch = sequence.scratch(Element::F32, 32);
    sequence.step(call(&gpu), [Slot::Argument(0), scratch]);
    sequence.step(call(&gpu), [scratch, Slot::Argument(1)]);
    let views = [gpu.upload("x", &inputs()).expect("128 bytes"), gpu.zeros("y", 32).expect("128 bytes")];
    let recording = gpu.prepare(&[Launch::new(&sequence, &views)]).expect("right views");
    assert_eq!(recording.len(), 2);
    let values = submit(&gpu, &recording, &[(views[1].clone(), Element::F32)]);
    let mut operands = [Data::F32(expected(&gpu)), Data::poison(Element::F32, 32)];
    call(&gpu).run_twin(&mut operands.each_mut().map(Data::operand));
    close(values[0].f32(), operands[1].f32());
    let error = gpu.prepare(&[Launch::new(&sequence, &views[..1])]).expect_err("one argument is missing");
    assert!(error.to_string().contains("argument 1"), "{error}");
}

#[test]
fn fresh_buffers_hold_what_they_promise() {
    let gpu = open();
    let zeros = gpu.zeros("zeros", 5).expect("20 bytes");
    let poisoned = gpu.poisoned("poisoned", 20_000).expect("80 kB");
    let fresh = gpu.uninitialised("fresh", 5).expect("20 bytes");
    let views = [(zeros, Element::F32), (poisoned, Element::F32), (fresh, Element::F32)];
    let values = submit(&gpu, &fourfold::Recording::default(), &views);
    assert_eq!(values[0].f32(), [0.0; 5]);
    assert!(values[1].f32().iter().all(|value| value.is_nan()));
    assert_eq!(values[2].f32().iter().all(|value| value.is_nan()), cfg!(debug_assertions));
}

#[test]
fn a_part_of_a_view_is_read_back_alone() {
    let gpu = open();
    let view = gpu.upload("x", &inputs()).expect("128 bytes");
    let values = submit(&gpu, &fourfold::Recording::default(), &[(view.part(3, 2), Element::F32)]);
    assert_eq!(values[0].f32(), [0.75, 1.0]);
}

#[test]
fn waiting_for_a_readback_that_was_never_submitted_is_an_error_and_no_deadlock() {
    let gpu = open();
    let view = gpu.zeros("x", 4).expect("16 bytes");
    let mut encoder = gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    let ticket = gpu.encode_readback(&mut encoder, &[(view, Element::F32)]).expect("a buffer of ours");
    assert!(ticket.try_take().is_none());
    assert_eq!(ticket.wait(), Err(Error::NotSubmitted));
}

#[test]
fn a_buffer_that_cannot_be_copied_from_is_refused_by_the_readback() {
    let gpu = open();
    let plain = buffer(&gpu, 64, wgpu::BufferUsages::STORAGE);
    let mut encoder = gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    let error = gpu.encode_readback(&mut encoder, &[((&plain).into(), Element::F32)]).expect_err("no COPY_SRC");
    assert!(error.to_string().contains("COPY_SRC"), "{error}");
}

#[test]
fn the_loss_of_the_device_is_a_value_everywhere() {
    let gpu = open();
    let views = [gpu.upload("x", &inputs()).expect("128 bytes"), gpu.zeros("y", 32).expect("128 bytes")];
    gpu.device().destroy();
    let waited = gpu.wait();
    assert!(matches!(waited, Err(Error::DeviceLost { .. })), "{waited:?}");
    assert!(matches!(gpu.lost(), Some(Error::DeviceLost { .. })));
    assert!(matches!(gpu.zeros("late", 4), Err(Error::DeviceLost { .. })));
    let call = call(&gpu);
    assert!(matches!(gpu.prepare(&[Launch::new(&call, &views)]), Err(Error::DeviceLost { .. })));
}

#[test]
fn timestamps_measure_a_pass_where_the_adapter_has_them() {
    let gpu = open();
    let timestamps = Timestamps::new(&gpu, 2).expect("room for four numbers");
    assert_eq!(timestamps.is_some(), gpu.features().contains(wgpu::Features::TIMESTAMP_QUERY));
    let Some(timestamps) = timestamps else { return };
    let views = [gpu.upload("x", &inputs()).expect("128 bytes"), gpu.zeros("y", 32).expect("128 bytes")];
    let recording = gpu.prepare(&[Launch::new(&call(&gpu), &views)]).expect("right views");
    let mut encoder = gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    for pass in 0..2 {
        let descriptor = wgpu::ComputePassDescriptor { label: None, timestamp_writes: timestamps.writes(pass) };
        recording.record(&mut encoder.begin_compute_pass(&descriptor));
    }
    assert!(timestamps.writes(2).is_none());
    let ticket = timestamps.encode_readback(&gpu, &mut encoder, 2).expect("room for four numbers");
    gpu.queue().submit([encoder.finish()]);
    let durations = ticket.wait().expect("the device is there");
    assert_eq!(durations.len(), 2);
    assert!(durations.iter().all(|duration| duration.as_secs() < 60), "{durations:?}");
}

#[test]
fn an_adapter_that_is_not_there_is_an_error_that_lists_those_that_are() {
    let options = Options { adapter: Some("no such adapter".into()), checked: false };
    let error = Gpu::open_with(&options).expect_err("no adapter has that name");
    assert!(error.to_string().contains(&gpu::adapters()[0].info.name), "{error}");
}

#[test]
fn an_adapter_is_chosen_by_number_and_by_part_of_its_name() {
    let first = gpu::adapters().remove(0).info.name;
    for asked in ["0".to_string(), first.to_uppercase()] {
        let opened = Gpu::open_with(&Options { adapter: Some(asked), checked: false });
        assert_eq!(opened.expect("the adapter is listed").info().name, first);
    }
}
