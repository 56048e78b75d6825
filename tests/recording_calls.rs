//! Recording makes no system call, as strace counts them where it is there.
#![cfg(target_os = "linux")]

mod host;

use std::process::Command;

use fourfold::graph::{Graph, Plan, Session, Tag, TensorType, Values};
use fourfold::{Gpu, wgpu};
use host::Host;

/// Files that are not there: looking for them marks a place in the trace.
const MARKS: [&str; 2] = ["/fourfold-recording-begins", "/fourfold-recording-ends"];
/// Set for the process that is traced.
const TRACED: &str = "FOURFOLD_TRACED_RECORDING";

/// A training step of a few dozen dispatches, recorded into a host's pass between two marks.
fn record() {
    let host = Host::new();
    let gpu = Gpu::adopt(host.device.clone(), host.queue.clone());
    let graph = Graph::new();
    let x = graph.input("x", TensorType::f32([16, 16]));
    let weights = graph.state("weights", Tag::Weights, TensorType::f32([16, 16]));
    let y = (0..8).fold(x, |y, _| y.matmul(weights).tanh());
    graph.output("y", y);
    let session = Session::new(&gpu, Plan::new(&graph, &gpu.target()).unwrap(), &Values::new()).unwrap();
    // The first pass grows what wgpu keeps of a pass, by memory of the system.
    for marked in [false, true] {
        let mut encoder = host.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        {
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
            let mark = |at: usize| drop(marked.then(|| std::fs::metadata(MARKS[at])));
            mark(0);
            session.record(&mut pass);
            mark(1);
        }
        host.submit(Some(encoder.finish()));
    }
    host.poll();
}

#[test]
fn recording_a_step_makes_no_system_call() {
    if std::env::var_os(TRACED).is_some() {
        return record();
    }
    if Command::new("strace").arg("--version").output().is_err() {
        eprintln!("skipped: there is no strace");
        return;
    }
    let trace = std::env::temp_dir().join(format!("fourfold-recording-{}.trace", std::process::id()));
    let program = std::env::current_exe().expect("a test is a program");
    let mut strace = Command::new("strace");
    strace.args(["-f", "-o"]).arg(&trace).arg(program);
    let traced = strace.args(["recording_a_step_makes_no_system_call", "--exact"]).env(TRACED, "1").output().unwrap();
    let lines = std::fs::read_to_string(&trace).unwrap_or_default();
    let _ = std::fs::remove_file(&trace);
    let Some(begin) = lines.lines().position(|line| line.contains(MARKS[0])) else {
        // A container may forbid tracing.
        assert!(!traced.status.success(), "the marks are missing from the trace");
        eprintln!("skipped: strace says {}", String::from_utf8_lossy(&traced.stderr));
        return;
    };
    let thread = lines.lines().nth(begin).and_then(|line| line.split_whitespace().next()).expect("a thread");
    let after = lines.lines().skip(begin + 1).filter(|line| line.starts_with(thread));
    let between: Vec<&str> = after.take_while(|line| !line.contains(MARKS[1])).collect();
    // strace may write the end of the first mark's own call on a line of its own.
    let calls: Vec<_> = between.iter().filter(|line| !line.contains("resumed>")).collect();
    assert!(calls.is_empty(), "recording calls the system: {calls:#?}");
}
