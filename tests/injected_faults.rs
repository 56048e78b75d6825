//! Faults of a device that are injected: values that name what ran, at every moment, and a new device goes on.

use std::sync::Arc;
use std::time::Duration;

use fourfold::Gpu;
use fourfold::data::Checkpoint;
use fourfold::evolution::problems::ToyRegression;
use fourfold::evolution::{
    Descent, Error, Estimator, OuterLoop, OuterSettings, OuterTensors, UnrollSettings, UnrolledGradient,
};
use fourfold::gpu::Fault;
use fourfold::graph::{Graph, Plan, Session, TensorType, Values};
use fourfold::shaders::Data;

/// A training of a few iterations, from the beginning or a checkpoint.
fn training(gpu: &Gpu, from: Option<&Checkpoint>) -> Result<OuterLoop<UnrolledGradient>, Error> {
    let outer = OuterTensors::new(gpu, &ToyRegression::START, 3)?;
    let settings = UnrollSettings::new(Estimator::PES, 8, 10, 0.3);
    let source = UnrolledGradient::new(gpu, Arc::new(ToyRegression::default()), &settings, &outer)?;
    let settings = OuterSettings { descent: Descent::adam(0.99), rate: 0.01, clip: None, ring: 5 };
    let mut outer = OuterLoop::new(gpu, outer, Box::new(source), settings)?;
    if let Some(checkpoint) = from {
        outer.restore(checkpoint)?;
    }
    Ok(outer)
}

fn trained(gpu: &Gpu) -> Result<Vec<f32>, Error> {
    let mut outer = training(gpu, None)?;
    outer.run(5)?;
    outer.parameters()
}

#[test]
fn an_allocation_that_is_refused_at_any_moment_is_a_value_that_names_the_buffer() {
    let gpu = Gpu::open().unwrap();
    let whole = trained(&gpu).unwrap();
    let mut refused = 0;
    loop {
        gpu.inject(Fault::out_of_memory(refused));
        match trained(&gpu) {
            Ok(parameters) => {
                assert_eq!(parameters, whole);
                break;
            }
            Err(error) => {
                let sentence = error.to_string();
                assert!(sentence.contains("out of GPU memory: `"), "allocation {refused}: {sentence}");
            }
        }
        refused += 1;
    }
    assert!(refused > 5, "{refused} allocations");
}

#[test]
fn a_device_lost_at_any_submission_is_a_value_that_names_the_last_one_and_another_device_goes_on_to_the_same_bits() {
    let whole = trained(&Gpu::open().unwrap()).unwrap();
    for submissions in 0..6 {
        let gpu = Gpu::open().unwrap();
        let mut checkpoint = Checkpoint::new();
        let mut saved = false;
        let mut steps = || -> Result<Vec<f32>, Error> {
            let mut outer = training(&gpu, None)?;
            gpu.inject(Fault::loss(submissions));
            for _ in 0..5 {
                outer.run(1)?;
                let mut own = Checkpoint::new();
                outer.save(&mut own)?;
                (checkpoint, saved) = (own, true);
            }
            outer.parameters()
        };
        let sentence = steps().unwrap_err().to_string();
        assert!(sentence.contains("the GPU device was lost"), "{sentence}");
        assert!(submissions == 0 || sentence.contains("last submitted: `"), "{sentence}");
        let again = Gpu::open().unwrap();
        let mut outer = training(&again, saved.then_some(&checkpoint)).unwrap();
        while outer.iteration() < 5 {
            outer.run(1).unwrap();
        }
        assert_eq!(outer.parameters().unwrap(), whole, "lost at submission {submissions}");
    }
}

#[test]
fn a_submission_that_takes_longer_than_is_allowed_is_a_loss_that_names_it() {
    let gpu = Gpu::open().unwrap();
    let graph = Graph::new();
    let x = graph.input("x", TensorType::f32([512, 512]));
    graph.output("y", (0..8).fold(x, |y, _| (y.matmul(x) * 1e-3).tanh()));
    let plan = Plan::new(&graph, &gpu.target()).unwrap();
    let values = Values::from([("x".to_owned(), Data::F32(vec![0.5; 512 * 512]))]);
    let mut session = Session::new(&gpu, plan, &values).unwrap();
    session.submit(1).unwrap();
    gpu.wait().unwrap();
    gpu.limit_waits(Duration::from_millis(1));
    session.submit(2).unwrap();
    let sentence = gpu.wait().unwrap_err().to_string();
    assert!(sentence.contains("it was not done after 1 ms (last submitted: `"), "{sentence}");
    assert!(gpu.lost().is_some() && session.submit(1).is_err());
}
