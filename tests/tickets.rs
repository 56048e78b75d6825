//! Tickets: awaited, waited for too early, and their staging buffers.

mod host;

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use fourfold::gpu::{Error, Ticket};
use fourfold::graph::{Graph, Plan, Session, TensorType, Values};
use fourfold::shaders::{Data, Element};
use fourfold::{Gpu, wgpu};
use host::Host;

fn open() -> Gpu {
    Gpu::open().unwrap_or_else(|error| panic!("{error}"))
}

fn ticket(gpu: &Gpu, encoder: &mut wgpu::CommandEncoder) -> Ticket {
    let view = gpu.upload("x", &Data::F32(vec![1.0, 2.0, 3.0, 4.0])).unwrap();
    gpu.encode_readback(encoder, &[(view, Element::F32)]).unwrap()
}

#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn an_awaited_ticket_is_woken_by_the_poll_of_its_host() {
    let gpu = open();
    let mut encoder = gpu.device().create_command_encoder(&Default::default());
    let ticket = ticket(&gpu, &mut encoder);
    gpu.queue().submit([encoder.finish()]);
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(woken.clone());
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(ticket.into_future());
    if future.as_mut().poll(&mut context).is_pending() {
        assert_eq!(woken.0.load(Ordering::SeqCst), 0);
        gpu.device().poll(wgpu::PollType::wait_indefinitely()).unwrap();
        assert_eq!(woken.0.load(Ordering::SeqCst), 1);
    }
    let Poll::Ready(values) = future.as_mut().poll(&mut context) else { panic!("the host has polled") };
    assert_eq!(values.unwrap()[0].f32(), [1.0, 2.0, 3.0, 4.0]);
}

#[test]
fn waiting_before_the_submission_is_an_error_at_once_and_spoils_nothing() {
    let gpu = open();
    let mut encoder = gpu.device().create_command_encoder(&Default::default());
    let (early, kept) = (ticket(&gpu, &mut encoder), ticket(&gpu, &mut encoder));
    let start = Instant::now();
    assert_eq!(early.wait(), Err(Error::NotSubmitted));
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    // The encoder with the copies of both is submitted all the same.
    gpu.queue().submit([encoder.finish()]);
    assert_eq!(kept.wait().unwrap()[0].f32(), [1.0, 2.0, 3.0, 4.0]);
}

#[test]
fn a_ticket_whose_encoder_was_dropped_is_not_submitted() {
    let gpu = open();
    let mut encoder = gpu.device().create_command_encoder(&Default::default());
    let ticket = ticket(&gpu, &mut encoder);
    drop(encoder);
    assert_eq!(ticket.wait(), Err(Error::NotSubmitted));
}

#[test]
fn staging_buffers_are_used_again() {
    let host = Host::new();
    let gpu = Gpu::adopt(host.device.clone(), host.queue.clone());
    let graph = Graph::new();
    graph.output("y", graph.input("x", TensorType::f32([64])).exp());
    let mut session = Session::new(&gpu, Plan::new(&graph, &gpu.target()).unwrap(), &Values::new()).unwrap();
    let buffers = || host.instance.generate_report().expect("a native registry").hub_report().buffers.num_allocated;
    session.submit(1).unwrap();
    let mut counts = Vec::new();
    for value in 0..4 {
        session.write("x", &Data::F32(vec![value as f32; 64])).unwrap();
        session.submit(1).unwrap();
        assert!((session.read("y").unwrap().f32()[63] - (value as f32).exp()).abs() < 1e-4);
        counts.push(buffers());
    }
    assert_eq!(counts, [counts[0]; 4]);
}

#[test]
fn asynchronous_twins_give_what_the_blocking_forms_give() {
    let gpu = open();
    let graph = Graph::new();
    graph.output("y", graph.input("x", TensorType::f32([4])).exp());
    let mut session = Session::new(&gpu, Plan::new(&graph, &gpu.target()).unwrap(), &Values::new()).unwrap();
    session.submit(1).unwrap();
    let blocking = session.read("y").unwrap();
    let awaited = gpu.block_on(async {
        gpu.settled().await?;
        session.read_async("y").await
    });
    assert_eq!(awaited.unwrap(), blocking);
}
