//! Programs: plans of buffers and recordings, and what is kept of them.

use fourfold::gpu::program::{Allocation, BufferId, Program, ProgramPlan, RecordingId};
use fourfold::shaders::elementwise::{Binary, binary};
use fourfold::shaders::{Data, Element};
use fourfold::{Gpu, gpu};

/// `sum = sum + step`, one dispatch through a scratch tensor and one back.
fn counting() -> (ProgramPlan, [BufferId; 3], RecordingId) {
    let mut plan = ProgramPlan::default();
    let step = plan.buffer(Allocation::f32("step", 4).given());
    let sum = plan.buffer(Allocation::values("sum", Data::F32(vec![1.0; 4])).kept());
    let next = plan.buffer(Allocation::f32("next", 4));
    let recording = plan.recording();
    let apply = |operation| binary(operation, &[4], &[4]);
    plan.sequence(recording, apply(Binary::Add), &[sum, step, next]);
    plan.sequence(recording, apply(Binary::Max), &[next, next, sum]);
    (plan, [step, sum, next], recording)
}

fn open() -> Gpu {
    Gpu::open().unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn a_plan_counts_the_buffers_that_its_programs_allocate() {
    let (plan, ..) = counting();
    assert_eq!(plan.bytes(), 2 * 4 * Element::BYTES as u64);
    let names: Vec<_> = plan.buffers().iter().map(|buffer| (buffer.name.as_ref(), buffer.bytes())).collect();
    assert_eq!(names, [("step", 0), ("sum", 16), ("next", 16)]);
}

#[test]
fn a_program_runs_on_the_buffers_that_it_is_given() {
    let gpu = open();
    let (plan, [step, sum, _], recording) = counting();
    let given = gpu.upload("step", &Data::F32(vec![0.5, 1.0, 2.0, 4.0])).unwrap();
    let program = Program::new(&gpu, "counting", plan, &[(step, &given)]).unwrap();
    program.submit(recording).unwrap();
    program.submit_range(recording, 0..program.dispatches(recording)).unwrap();
    assert_eq!(program.read([sum]).unwrap(), [Data::F32(vec![2.0, 3.0, 5.0, 9.0])]);
    program.write(sum, &[0.0_f32; 4]).unwrap();
    program.submit(recording).unwrap();
    assert_eq!(program.read([sum, step]).unwrap()[0], Data::F32(vec![0.5, 1.0, 2.0, 4.0]));
}

#[test]
fn a_checkpoint_holds_the_kept_tensors_alone() {
    let gpu = open();
    let (plan, [step, ..], _) = counting();
    let given = gpu.zeros("step", 4).unwrap();
    let program = Program::new(&gpu, "counting", plan, &[(step, &given)]).unwrap();
    let kept = program.kept("run.");
    assert_eq!(kept.iter().map(|tensor| (&*tensor.name, tensor.length)).collect::<Vec<_>>(), [("run.sum", 4)]);
}

#[test]
fn a_given_buffer_that_is_missing_is_named() {
    let (plan, ..) = counting();
    let Err(error @ gpu::Error::Validation { .. }) = Program::new(&open(), "counting", plan, &[]) else {
        panic!("a missing buffer")
    };
    let message = error.to_string();
    assert!(message.contains("counting") && message.contains("`step` must be given"), "{message}");
}
