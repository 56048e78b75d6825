//! The loss of an adopted device, and buffers that lack a usage: values from every call, with wgpu's own handler of
//! errors, which panics.

mod host;

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use fourfold::data::{Actions, Checkpoint, Steps, Trajectories};
use fourfold::evolution::problems::ToyRegression;
use fourfold::evolution::{
    Descent, Estimator, Evaluator, EvaluatorSettings, EvolutionStrategy, GraphProblem, InnerStep, MemberState,
    OuterLoop, OuterSettings, OuterTensors, Population, RolloutGradient, RolloutGradientPlan, StepContext,
    UnrollSettings, UnrolledGradient,
};
use fourfold::gpu::program::{Allocation, BufferId, Program, ProgramPlan, RecordingId};
use fourfold::gpu::{Error, Timestamps};
use fourfold::graph::{self, Graph, Plan, Session, Tag, Tensor, TensorType, Values};
use fourfold::models::decision_transformer::{DecisionTransformer, Settings};
use fourfold::models::offline_training::{OfflineSettings, OfflineTraining};
use fourfold::models::{Agent, AgentSettings, PolicyNetwork, Sampling, SequenceModel, TrainedPolicy};
use fourfold::rollout::environments::CartPole;
use fourfold::rollout::policies::Linear;
use fourfold::rollout::{
    self, Composition, Interface, Operands, PolicyBuffers, Rollout, VectorEnvironment, VectorSettings, WeightSource,
    Weights,
};
use fourfold::shaders::elementwise::{Binary, binary};
use fourfold::shaders::{Data, Element, Generator, Sequence, Slot, kernels};
use fourfold::{BufferView, Gpu, Launch, verify, wgpu};
use host::Host;

/// Requires that a call said that the device is lost.
#[track_caller]
fn lost<T, E: Display>(result: Result<T, E>) {
    match result {
        Ok(_) => panic!("expected the loss of the device, got Ok"),
        Err(error) => assert!(error.to_string().contains("the GPU device was lost"), "{error}"),
    }
}

fn counting(gpu: &Gpu) -> (Program, BufferId, RecordingId) {
    let mut plan = ProgramPlan::default();
    let [sum, next] = ["sum", "next"].map(|name| plan.buffer(Allocation::f32(name, 4).zeros()));
    let recording = plan.recording();
    plan.sequence(recording, binary(Binary::Add, &[4], &[4]), &[sum, sum, next]);
    (Program::new(gpu, "counting", plan, &[]).unwrap(), sum, recording)
}

fn plan(gpu: &Gpu) -> Plan {
    let graph = Graph::new();
    let x = graph.input("x", TensorType::f32([4, 4]));
    let weights = graph.state("weights", Tag::Weights, TensorType::f32([4, 4]));
    graph.output("y", x.matmul(weights));
    Plan::new(&graph, &gpu.target()).unwrap()
}

fn rolling(gpu: &Gpu) -> Rollout {
    let composition =
        Composition { weights: WeightSource::Given { trace: true }, ..Composition::new(CartPole, Linear) };
    let weights = gpu.zeros("weights", 2 * composition.parameters()).unwrap();
    let plan = rollout::Plan::new(&composition, &rollout::Settings::new(2, 1, 5), &gpu.target()).unwrap();
    let seed = gpu.upload("seed", &Data::U32(vec![3, 0])).unwrap();
    Rollout::new(gpu, plan, Operands { seed, weights: Weights::Given(weights), wiring: None }).unwrap()
}

fn strategy_plan(gpu: &Gpu) -> (OuterTensors, RolloutGradientPlan) {
    let composition = Composition::new(CartPole, Linear);
    let outer = OuterTensors::new(gpu, &vec![0.0; composition.parameters()], 1).unwrap();
    let settings = rollout::Settings::new(2, 1, 5);
    let strategy = EvolutionStrategy::OpenAiEs { sigma: 0.1 };
    (outer, RolloutGradientPlan::new(&composition, strategy, &settings, &gpu.target()).unwrap())
}

fn unrolls() -> UnrollSettings {
    UnrollSettings::new(Estimator::PES, 4, 10, 0.1)
}

fn unrolled(gpu: &Gpu) -> OuterLoop<UnrolledGradient> {
    let outer = OuterTensors::new(gpu, &[-4.0, -4.0], 1).unwrap();
    let source = UnrolledGradient::new(gpu, Arc::new(ToyRegression::default()), &unrolls(), &outer).unwrap();
    let settings = OuterSettings { descent: Descent::Sgd, rate: 0.1, clip: None, ring: 1 };
    OuterLoop::new(gpu, outer, Box::new(source), settings).unwrap()
}

/// Descent on `x^2 / 2` by a rate that is learned.
#[derive(Debug)]
struct Slope;

impl GraphProblem for Slope {
    fn name(&self) -> &str {
        "slope"
    }
    fn parameters(&self) -> usize {
        1
    }
    fn horizon(&self) -> Option<usize> {
        Some(5)
    }
    fn states(&self) -> Vec<MemberState> {
        vec![MemberState::f32("x", [])]
    }
    fn reset<'g>(&self, inner: &StepContext<'g>) -> Vec<Tensor<'g>> {
        vec![inner.graph.constant(1.0)]
    }
    fn step<'g>(&self, inner: &StepContext<'g>, states: &[Tensor<'g>]) -> InnerStep<'g> {
        let x = states[0] - inner.parameter(0).exp() * states[0];
        InnerStep { states: vec![x], loss: x.square() * 0.5 }
    }
}

fn transformer() -> DecisionTransformer {
    DecisionTransformer::new(Settings::gym(4, Actions::Continuous(1), 3).sized(16, 1, 1)).unwrap()
}

fn trajectories() -> Trajectories {
    let steps = Steps {
        observations: vec![0.5; 24],
        actions: vec![0.5; 6],
        rewards: vec![1.0; 6],
        ends: vec![6],
        terminated: vec![true],
    };
    Trajectories::new("six", 4, Actions::Continuous(1), steps).unwrap()
}

/// Destroys an adopted device, and tries every call that needs it.
fn every_call_after_a_loss(wired: bool) {
    let host = Host::new();
    let gpu = Gpu::adopt(host.device.clone(), host.queue.clone());
    if wired {
        let loss = gpu.loss();
        host.device.set_device_lost_callback(move |reason, message| loss.mark(reason, message));
    }
    let x = gpu.upload("x", &Data::F32(vec![1.0; 4])).unwrap();
    let views = [(x.clone(), Element::F32)];
    let (program, sum, recording) = counting(&gpu);
    let plan = plan(&gpu);
    let mut session = Session::new(&gpu, plan.clone(), &Values::new()).unwrap();
    let mut rolling = rolling(&gpu);
    let traced = VectorSettings { trace: true, ..VectorSettings::new(2, 5, 7) };
    let mut environment = VectorEnvironment::new(&gpu, CartPole, &traced).unwrap();
    let interface = Interface { inputs: 4, actions: 1 };
    let trained = TrainedPolicy::new(PolicyNetwork::Linear, interface, vec![0.1; 5]).unwrap();
    let policy = trained.on_buffers(&gpu, PolicyBuffers::of(&environment)).unwrap();
    let rows = binary(Binary::Add, &[4], &[4]).unwrap();
    let buffers = [x.clone(), x.clone(), gpu.zeros("sum", 4).unwrap()];
    let recording_of_rows = gpu.prepare(&[Launch::new(&rows, &buffers)]).unwrap();
    let model = transformer();
    let weights = model.parameters().initial(1);
    let mut agent = Agent::in_environment(&environment, &model, weights.clone(), &AgentSettings::new(2, 1.0)).unwrap();
    let choosing = DecisionTransformer::new(Settings::gym(4, Actions::Discrete(2), 3).sized(16, 1, 1)).unwrap();
    let sampling = Sampling::Sampled { temperature: 1.0 };
    let sampled = AgentSettings { sampling, ..AgentSettings::new(2, 1.0) };
    let mut sampler = Agent::new(&gpu, &choosing, choosing.parameters().initial(1), &sampled).unwrap();
    let (weighed, strategy_plan) = strategy_plan(&gpu);
    let strategy = RolloutGradient::new(&gpu, strategy_plan.clone(), &weighed).unwrap();
    let population = Population::new(&gpu, &Slope, 2, 1, 3).unwrap();
    let mut outer = unrolled(&gpu);
    let toy = Arc::new(ToyRegression::default());
    let theta = OuterTensors::new(&gpu, &[-4.0, -4.0], 1).unwrap();
    let evaluated = EvaluatorSettings { steps: Some(5), ..EvaluatorSettings::new(2, 0) };
    let mut evaluator = Evaluator::new(&gpu, toy.clone(), &evaluated).unwrap();
    let steps = trajectories();
    let offline = OfflineSettings { batch: 2, losses: 4, ..OfflineSettings::behaviour_cloning(&steps) };
    let mut training = OfflineTraining::new(&gpu, &model, &steps, offline.clone()).unwrap();
    let mut encoder = host.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    let unsubmitted = gpu.encode_readback(&mut encoder, &views).unwrap();
    let mut checkpoint = Checkpoint::new();
    outer.save(&mut checkpoint).unwrap();
    training.save(&mut checkpoint, "t.").unwrap();
    let mut submitted = (0..2).map(|_| session.submit_readback(&["y"]).unwrap()).collect::<Vec<_>>();
    let mut late_encoder = host.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    let case = kernels()[0].case.draw(&mut Generator::new(1, 10));

    host.device.destroy();
    if wired {
        host.poll();
        assert!(matches!(gpu.lost(), Some(Error::DeviceLost { reason, .. }) if reason == "destroyed"));
    }
    assert!(matches!(gpu.lost(), Some(Error::DeviceLost { .. })));

    // The GPU floor.
    let addition = binary(Binary::Add, &[4], &[4]).unwrap();
    lost(gpu.upload("late", &Data::F32(vec![1.0; 4])));
    lost(gpu.zeros("late", 4));
    lost(gpu.uninitialised("late", 4));
    lost(gpu.poisoned("late", 4));
    let late = [x.clone(), x.clone(), x.clone()];
    lost(gpu.prepare(&[Launch::new(&addition, &late)]));
    let mut sequence = Sequence::default();
    sequence.step(addition.steps[0].call.clone(), [Slot::Argument(0), Slot::Argument(0), Slot::Argument(1)]);
    lost(gpu.prepare(&[Launch::new(&sequence, &late)]));
    lost(recording_of_rows.rebind(&gpu, &[&buffers]));
    lost(gpu.encode_readback(&mut encoder, &views));
    lost(gpu.wait());
    lost(pollster::block_on(gpu.settled()));
    // A device without timestamps has none, lost or not.
    assert!(matches!(Timestamps::new(&gpu, 1), Ok(None)));
    lost(submitted.pop().unwrap().try_take().unwrap());
    lost(submitted.pop().unwrap().wait());
    lost(unsubmitted.try_take().unwrap());
    lost(unsubmitted.wait());
    // Recording itself fails in nothing, and the host's own submission of it is refused by nobody.
    session.record(&mut encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default()));
    host.queue.submit([encoder.finish()]);

    // Programs and sessions.
    lost(Program::new(
        &gpu,
        "late",
        {
            let mut plan = ProgramPlan::default();
            plan.buffer(Allocation::f32("x", 4));
            plan
        },
        &[],
    ));
    lost(program.write(sum, &[1.0_f32; 4]));
    lost(program.submit(recording));
    lost(program.submit_range(recording, 0..1));
    lost(program.submit_pass(|pass| program.record(recording, pass)));
    lost(program.read([sum]));
    lost(Session::new(&gpu, plan.clone(), &Values::new()));
    lost(Session::builder(&gpu, plan.clone()).build());
    lost(session.submit(1));
    lost(session.write("x", &Data::F32(vec![0.0; 16])));
    lost(session.submit_readback(&["y"]));
    lost(session.read("y"));
    lost(session.states());
    assert!(matches!(session.profile(), Ok(None)));
    lost(graph::session::run_mixed(&gpu, plan.clone(), &Values::new(), 0));
    lost(graph::session::find_wrong_kernel(&gpu, plan, &Values::new(), |_, _, _| true));

    // Rollouts and environments.
    lost(rolling.run());
    lost(rolling.episodes());
    lost(rolling.trace());
    lost(rolling.pace(std::time::Duration::from_millis(10)));
    lost(VectorEnvironment::new(&gpu, CartPole, &VectorSettings::new(2, 5, 7)));
    lost(environment.set_generation(1));
    lost(environment.reset(1));
    lost(environment.step(&[0.0; 2]));
    lost(environment.is_over());
    lost(environment.episodes());
    lost(environment.trace());
    lost(environment.reset_lanes(&[1]));
    lost(trained.on_buffers(&gpu, PolicyBuffers::of(&environment)));
    lost(policy.encode_restart(&mut late_encoder, 0..2));
    lost(rolling.submit());

    // Models.
    lost(Agent::new(&gpu, &model, weights.clone(), &AgentSettings::new(2, 1.0)));
    lost(agent.act(&[0.0; 8], &[0.0; 2]));
    lost(agent.read_output());
    lost(agent.play(&environment, None));
    lost(agent.restart());
    lost(sampler.set_seed(5));
    lost(agent.restart_lanes(&[1]));
    lost(agent.set_targets(&[1.0; 2]));
    lost(Agent::in_environment(&environment, &model, weights.clone(), &AgentSettings::new(2, 1.0)));
    lost(agent.set_remaining(&[1.0; 2]));
    lost(OfflineTraining::new(&gpu, &model, &steps, offline));
    lost(training.submit(1));
    lost(training.losses());
    lost(training.weights());
    lost(training.set_weights(&weights));
    lost(training.save(&mut Checkpoint::new(), "t."));
    lost(training.restore(&checkpoint, "t."));
    assert!(matches!(training.profile(), Ok(None)));

    // Evolution.
    lost(OuterTensors::new(&gpu, &[1.0], 1));
    lost(outer.submit(1));
    lost(outer.run(1));
    lost(outer.set_rate(0.5));
    lost(outer.parameters());
    lost(outer.gradient());
    lost(outer.save(&mut Checkpoint::new()));
    lost(outer.restore(&checkpoint));
    lost(evaluator.set_key(3));
    lost(evaluator.run(&[0.0; 2]));
    lost(evaluator.curves(&[0.0; 2], |_| ()));
    lost(Evaluator::new(&gpu, toy.clone(), &evaluated));
    lost(evaluator.run_reporting(&[0.0; 2], |_| ()));
    lost(outer.source().evaluator(toy.clone(), &evaluated));
    lost(UnrolledGradient::new(&gpu, toy, &unrolls(), &theta));
    lost(Population::new(&gpu, &Slope, 2, 1, 3));
    lost(population.rewind());
    lost(RolloutGradient::new(&gpu, strategy_plan, &weighed));
    lost(strategy.deviation());
    lost(strategy.paced(std::time::Duration::from_millis(10)));

    lost(verify::run(&gpu, &case));
    lost(verify::examine(&gpu, &case));
    lost(verify::litmus::run(&gpu, 1, 1));
    lost(verify::builtins::measure(&gpu));
    assert!(matches!(verify::judge(&gpu, &kernels()[0], &case), verify::Outcome::Lost(_)));
}

#[test]
fn every_call_after_the_loss_of_an_adopted_device_returns_it() {
    every_call_after_a_loss(false);
}

#[test]
fn a_host_that_wires_its_callback_learns_the_reason() {
    every_call_after_a_loss(true);
}

#[test]
fn a_device_that_its_host_marks_as_lost_is_lost() {
    let host = Host::new();
    let gpu = Gpu::adopt(host.device.clone(), host.queue.clone());
    gpu.zeros("early", 4).unwrap();
    gpu.mark_lost(wgpu::DeviceLostReason::Unknown, "the cable was pulled");
    assert!(gpu.zeros("late", 4).unwrap_err().to_string().contains("the cable was pulled"));
}

#[test]
fn asking_for_a_loss_reaches_neither_the_handler_nor_the_scopes_of_the_host() {
    let host = Host::new();
    let told = Arc::new(AtomicBool::new(false));
    let tell = Arc::clone(&told);
    host.device.on_uncaptured_error(Arc::new(move |_| tell.store(true, Ordering::SeqCst)));
    let scope = host.device.push_error_scope(wgpu::ErrorFilter::Validation);
    let gpu = Gpu::adopt(host.device.clone(), host.queue.clone());
    assert!(gpu.lost().is_none());
    gpu.zeros("x", 4).unwrap();
    assert!(pollster::block_on(scope.pop()).is_none());
    assert!(!told.load(Ordering::SeqCst));
}

/// A buffer of 64 bytes.
fn buffer(host: &Host, usage: wgpu::BufferUsages) -> BufferView {
    let descriptor = wgpu::BufferDescriptor { label: None, size: 64, usage, mapped_at_creation: false };
    BufferView::from(&host.device.create_buffer(&descriptor))
}

#[test]
fn a_given_buffer_without_a_usage_is_refused_by_the_name_of_its_tensor() {
    use wgpu::BufferUsages as Usages;
    let host = Host::new();
    let gpu = Gpu::adopt(host.device.clone(), host.queue.clone());
    let on = |name: &str, usage| {
        let given = BTreeMap::from([(name.to_owned(), buffer(&host, usage))]);
        Session::on_buffers(&gpu, plan(&gpu), &Values::new(), &given)
    };
    let plain = on("x", Usages::COPY_DST).unwrap_err().to_string();
    assert!(plain.starts_with("the buffer that is given for tensor `x`") && plain.contains("STORAGE"), "{plain}");
    let mut session = on("x", Usages::STORAGE).unwrap();
    let unwritable = session.write("x", &Data::F32(vec![0.0; 16])).unwrap_err().to_string();
    assert!(unwritable.contains("`x`") && unwritable.contains("COPY_DST"), "{unwritable}");
    let mut session = on("y", Usages::STORAGE).unwrap();
    let unreadable = session.read("y").unwrap_err().to_string();
    assert!(unreadable.contains("`y`") && unreadable.contains("COPY_SRC"), "{unreadable}");
    session.read("x").unwrap();
}
