//! Sessions on given buffers: what is refused, by the names that the host gave.

use std::error::Error as _;

use fourfold::graph::{Graph, Plan, Session, SessionError, Tag, TensorType};
use fourfold::shaders::Data;
use fourfold::{BufferView, Gpu, gpu, wgpu};

fn open() -> Gpu {
    Gpu::open().unwrap_or_else(|error| panic!("{error}"))
}

/// `y = x w`, `total = total + y`.
fn plan(gpu: &Gpu) -> Plan {
    let graph = Graph::new();
    let x = graph.input("x", TensorType::f32([8, 8]));
    let weights = graph.state("w", Tag::Weights, TensorType::f32([8, 8]));
    let total = graph.state("total", Tag::Bookkeeping, TensorType::f32([8, 8]));
    let y = x.matmul(weights);
    graph.output("y", y);
    graph.assign(total, total + y);
    Plan::new(&graph, &gpu.target()).unwrap()
}

fn refusal(gpu: &Gpu, given: &[(&str, BufferView)]) -> SessionError {
    let builder = given
        .iter()
        .fold(Session::builder(gpu, plan(gpu)), |builder, (name, view)| builder.on_buffer(*name, view.clone()));
    builder.build().expect_err("the buffers are wrong")
}

#[test]
fn a_built_session_computes_on_its_values_and_given_buffers() {
    let gpu = open();
    let (x, total) = (gpu.upload("x", &Data::F32(vec![1.0; 64])).unwrap(), gpu.zeros("total", 64).unwrap());
    let builder = Session::builder(&gpu, plan(&gpu)).value("w", Data::F32(vec![0.5; 64]));
    let mut session = builder.on_buffer("x", x).on_buffer("total", &total.buffer).build().unwrap();
    session.submit(2).unwrap();
    assert_eq!(session.read("y").unwrap(), Data::F32(vec![4.0; 64]));
    assert_eq!(session.read("total").unwrap(), Data::F32(vec![8.0; 64]));
    assert_eq!(session.buffer("total").unwrap().buffer, total.buffer);
}

#[test]
fn a_step_in_parts_goes_on_with_what_the_host_has_put_in_the_place_of_what_a_dispatch_wrote() {
    let gpu = open();
    let ones = Data::F32(vec![1.0; 64]);
    let mut session =
        Session::builder(&gpu, plan(&gpu)).value("x", ones.clone()).value("w", ones.clone()).build().unwrap();
    let product = session.plan().dispatches[0].call.kernel.name.to_string();
    let (stop, end) = (session.dispatches_of(&product)[0], session.plan().dispatches.len());
    assert!(stop + 1 < end && session.dispatches_of("dance").is_empty(), "{}", session.plan());
    session.submit_range(0..stop + 1).unwrap();
    assert_eq!(session.submit_readback_of(stop).unwrap().wait().unwrap(), [Data::F32(vec![8.0; 64])]);
    session.replace(stop, &Data::F32(vec![3.0; 64])).unwrap();
    session.submit_range(stop + 1..end).unwrap();
    assert_eq!(session.read("total").unwrap(), Data::F32(vec![3.0; 64]));
    let refused = session.replace(stop, &Data::F32(vec![3.0; 63])).unwrap_err().to_string();
    assert!(refused.contains("takes 64 F32 values, got 63 F32 values"), "{refused}");
}

#[test]
fn overlapping_buffers_of_two_tensors_are_refused_by_both_names() {
    let gpu = open();
    let buffer = gpu.zeros("given", 128).unwrap();
    let same = refusal(&gpu, &[("x", buffer.clone()), ("w", buffer.clone())]);
    assert_eq!(same, SessionError::SameBytes { first: "w".into(), second: "x".into() });
    assert_eq!(same.to_string(), "tensors `w` and `x` are given overlapping buffers: make them disjoint");
    // Two that are only read may share a buffer; one that is written may not lie next to one that is read.
    let (low, high) = (buffer.part(0, 64), buffer.part(64, 64));
    let builder = Session::builder(&gpu, plan(&gpu)).on_buffer("x", low.clone()).on_buffer("w", high.clone());
    builder.build().unwrap();
    let mixed = refusal(&gpu, &[("x", low), ("y", high)]);
    assert_eq!(mixed, SessionError::OneBuffer { first: "x".into(), second: "y".into() });
}

#[test]
fn values_for_a_tensor_in_a_given_buffer_are_refused() {
    let gpu = open();
    let builder = Session::builder(&gpu, plan(&gpu)).value("x", Data::F32(vec![0.0; 64]));
    let error = builder.on_buffer("x", gpu.zeros("x", 64).unwrap()).build().unwrap_err();
    assert_eq!(error, SessionError::GivenValue { name: "x".into() });
}

#[test]
fn a_given_buffer_that_cannot_be_bound_is_refused_by_the_name_of_its_tensor() {
    let gpu = open();
    let buffer = gpu.zeros("given", 256).unwrap();
    let misaligned = refusal(&gpu, &[("x", buffer.part(1, 64))]).to_string();
    assert!(misaligned.contains("tensor `x`") && misaligned.contains("but is 4"), "{misaligned}");
    let outside = refusal(&gpu, &[("x", buffer.part(192, 128))]).to_string();
    assert!(outside.contains("tensor `x`") && outside.contains("byte 1280 but its buffer has 1024"), "{outside}");
}

#[test]
fn the_cause_of_a_sessions_error_is_its_source() {
    let gpu = open();
    gpu.mark_lost(wgpu::DeviceLostReason::Unknown, "the cable was pulled");
    let error = Session::builder(&gpu, plan(&gpu)).build().unwrap_err();
    let source = error.source().and_then(|source| source.downcast_ref::<gpu::Error>());
    assert!(matches!(source, Some(gpu::Error::DeviceLost { .. })), "{source:?}");
}
