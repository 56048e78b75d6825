//! Agents: the actions of a window that the host rebuilds at each step, whole batches of episodes without a readback, and
//! what is said of mistakes.

use fourfold::data::{Actions, Standardisation};
use fourfold::graph::{Graph, Plan, Tensor, TensorType, TwinSession, Values};
use fourfold::models::agent::{Agent, AgentError, AgentSettings, Sampling};
use fourfold::models::decision_transformer::{DecisionTransformer, Settings};
use fourfold::models::{SequenceModel, Window};
use fourfold::nn::{Initialise, Linear, Noise, Parameters, Weights};
use fourfold::rollout::environments::{CartPole, Pendulum};
use fourfold::rollout::{VectorEnvironment, VectorSettings};
use fourfold::shaders::random::threefry::Random;
use fourfold::shaders::{Data, Element};
use fourfold::{BufferView, Gpu};

fn gpu() -> Gpu {
    Gpu::open().unwrap_or_else(|error| panic!("{error}"))
}

fn transformer(observations: usize, actions: Actions, context: usize) -> DecisionTransformer {
    let settings = Settings { times: Some(9), ..Settings::gym(observations, actions, context).sized(16, 2, 2) };
    DecisionTransformer::new(settings).unwrap()
}

/// One episode as a host would keep it: everything since its start.
#[derive(Default)]
struct History {
    returns: Vec<f32>,
    observations: Vec<f32>,
    actions: Vec<f32>,
}

/// The model on windows that are rebuilt from whole histories, by the twins of its kernels.
struct Rebuilt {
    session: TwinSession,
    context: usize,
    widths: [usize; 2],
    restart_times: bool,
}

impl Rebuilt {
    fn new(gpu: &Gpu, model: &DecisionTransformer, weights: &Data, settings: &AgentSettings) -> Self {
        let episodes = settings.episodes();
        let graph = Graph::new();
        let (context, observations, width) = (model.context(), model.observations(), model.actions().width());
        let flat = model.parameters().state(&graph, "weights");
        let window = Window {
            returns: graph.input("returns", TensorType::f32([episodes, context])),
            observations: graph.input("observations", TensorType::f32([episodes, context, observations])),
            actions: graph.input("actions", TensorType::f32([episodes, context, width])),
            times: graph.input("times", TensorType::u32([episodes, context])),
            mask: graph.input("mask", TensorType::f32([episodes, context])),
        };
        graph.output("output", model.act(&model.parameters().of(flat), &window));
        let values = Values::from([("weights".to_string(), weights.clone())]);
        let session = TwinSession::new(Plan::new(&graph, &gpu.target()).unwrap(), &values).unwrap();
        Self { session, context, widths: [observations, width], restart_times: settings.restart_times }
    }

    /// The model's outputs for the last steps of each history, whose last action is not there yet.
    fn output(&mut self, histories: &[History]) -> Vec<f32> {
        let [observations, width] = self.widths;
        let (mut returns, mut seen, mut actions) = (Vec::new(), Vec::new(), Vec::new());
        let (mut times, mut mask) = (Vec::new(), Vec::new());
        for history in histories {
            let steps = history.returns.len();
            for place in 0..self.context {
                match (steps + place).checked_sub(self.context) {
                    Some(step) => {
                        returns.push(history.returns[step]);
                        seen.extend(&history.observations[step * observations..][..observations]);
                        let action = history.actions.get(step * width..(step + 1) * width);
                        actions.extend(action.unwrap_or(&vec![0.0; width]));
                        let first = if self.restart_times { steps.saturating_sub(self.context) } else { 0 };
                        times.push((step - first) as u32);
                        mask.push(1.0);
                    }
                    None => {
                        returns.push(0.0);
                        seen.extend(vec![0.0; observations]);
                        actions.extend(vec![0.0; width]);
                        times.push(0);
                        mask.push(0.0);
                    }
                }
            }
        }
        let columns = [("returns", returns), ("observations", seen), ("actions", actions), ("mask", mask)];
        for (name, values) in columns {
            self.session.write(name, &Data::F32(values)).unwrap();
        }
        self.session.write("times", &Data::U32(times)).unwrap();
        self.session.run(1);
        self.session.read("output").unwrap().f32().to_vec()
    }
}

/// Twelve steps of three episodes, longer and shorter than the context, one of which begins again at step 5 and another
/// at step 8, on random observations and rewards.
fn acts_on_the_last_steps(actions: Actions, context: usize, asked: AgentSettings) {
    const EPISODES: usize = 3;
    let gpu = gpu();
    let model = transformer(2, actions, context);
    let weights = model.parameters().initial(5);
    let standardisation = Standardisation { mean: vec![0.5, -1.0], deviation: vec![2.0, 0.25] };
    let settings = AgentSettings {
        targets: vec![30.0, -10.0, 5.0],
        return_scale: 10.0,
        standardisation: Some(standardisation.clone()),
        ..asked
    };
    let mut agent = Agent::new(&gpu, &model, weights.clone(), &settings).unwrap();
    let mut rebuilt = Rebuilt::new(&gpu, &model, &weights, &settings);
    let mut histories: Vec<History> = (0..EPISODES).map(|_| History::default()).collect();
    let mut random = Random::new(3, 0);
    let mut numbers = |count: usize| (0..count).map(|_| random.normal()).collect::<Vec<f32>>();
    for step in 0..12 {
        let restarted = match step {
            5 => vec![1],
            8 => vec![0, 1],
            _ => vec![],
        };
        agent.restart_lanes(&restarted).unwrap();
        restarted.into_iter().for_each(|lane: usize| histories[lane] = History::default());
        let (observations, rewards) = (numbers(2 * EPISODES), numbers(EPISODES));
        let chosen = agent.act(&observations, &rewards).unwrap();
        for (lane, history) in histories.iter_mut().enumerate() {
            history.returns.push(match history.returns.last() {
                None => settings.targets[lane] / 10.0,
                Some(&asked) if settings.delayed => asked,
                Some(&asked) => asked - rewards[lane] / 10.0,
            });
            for (index, seen) in observations[2 * lane..][..2].iter().enumerate() {
                let Standardisation { mean, deviation } = &standardisation;
                history.observations.push((seen - mean[index]) / deviation[index]);
            }
        }
        let (output, expected) = (agent.read_output().unwrap(), rebuilt.output(&histories));
        for (got, expected) in output.iter().zip(&expected) {
            assert!((got - expected).abs() < 1e-5, "step {step}: {output:?}, rebuilt {expected:?}");
        }
        match actions {
            Actions::Continuous(_) => assert_eq!(chosen, output),
            Actions::Discrete(choices) => {
                for (logits, &choice) in output.chunks(choices).zip(&chosen) {
                    assert!(logits.iter().all(|&logit| logit <= logits[choice as usize]), "{choice} of {logits:?}");
                }
            }
        }
        for (history, chosen) in histories.iter_mut().zip(chosen.chunks(actions.width())) {
            history.actions.extend(chosen);
        }
    }
}

#[test]
fn continuous_actions_are_those_of_the_last_steps_rebuilt_by_the_host() {
    acts_on_the_last_steps(Actions::Continuous(3), 4, AgentSettings::new(3, 0.0));
}

#[test]
fn discrete_actions_are_those_of_the_last_steps_rebuilt_by_the_host() {
    acts_on_the_last_steps(Actions::Discrete(4), 4, AgentSettings::new(3, 0.0));
}

#[test]
fn a_context_of_one_step_sees_that_step_alone() {
    acts_on_the_last_steps(Actions::Continuous(1), 1, AgentSettings::new(3, 0.0));
}

#[test]
fn delayed_rewards_leave_the_target_as_it_is() {
    let settings = AgentSettings { delayed: true, ..AgentSettings::new(3, 0.0) };
    acts_on_the_last_steps(Actions::Continuous(1), 3, settings);
}

#[test]
fn times_may_count_from_the_first_step_of_the_window() {
    let settings = AgentSettings { restart_times: true, ..AgentSettings::new(3, 0.0) };
    acts_on_the_last_steps(Actions::Continuous(1), 4, settings);
}

/// Logits that do not depend on anything but the weights.
#[derive(Debug)]
struct Loaded {
    observations: usize,
    parameters: Parameters,
    head: Linear,
}

impl Loaded {
    fn new(observations: usize, logits: &[f32]) -> (Self, Data) {
        let mut parameters = Parameters::new();
        let zero = Initialise::Constant(0.0);
        let head = Linear::initialised(&mut parameters, "head", [1, logits.len()], [zero, zero]);
        let mut dense = vec![0.0; logits.len()];
        dense.extend(logits);
        let weights = parameters.from_dense(&dense).unwrap();
        (Self { observations, parameters, head }, weights)
    }
}

impl SequenceModel for Loaded {
    fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    fn observations(&self) -> usize {
        self.observations
    }

    fn actions(&self) -> Actions {
        Actions::Discrete(self.parameters.count() / 2)
    }

    fn context(&self) -> usize {
        2
    }

    fn loss<'g>(&self, weights: &Weights<'_, 'g>, window: &Window<'g>, _: Noise<'g>) -> Tensor<'g> {
        self.act(weights, window).sum_all()
    }

    fn act<'g>(&self, weights: &Weights<'_, 'g>, window: &Window<'g>) -> Tensor<'g> {
        let last = window.observations.narrow(1, 1, 1).narrow(2, 0, 1);
        self.head.forward(weights, last.reshape([last.elements(), 1]))
    }
}

#[test]
fn sampled_actions_come_as_often_as_the_softmax_says_and_follow_the_seed() {
    const EPISODES: usize = 20_000;
    let shares: [f32; 3] = [0.7, 0.25, 0.05];
    let (model, weights) = Loaded::new(1, &shares.map(|share| 2.0 * share.ln()));
    let sampling = Sampling::Sampled { temperature: 2.0 };
    let settings = AgentSettings { sampling, seed: 8, ..AgentSettings::new(EPISODES, 0.0) };
    let mut agent = Agent::new(&gpu(), &model, weights, &settings).unwrap();
    let [observations, rewards] = [vec![1.0; EPISODES], vec![0.0; EPISODES]];
    let first = agent.act(&observations, &rewards).unwrap();
    for (choice, share) in shares.iter().enumerate() {
        let got = first.iter().filter(|&&chosen| chosen == choice as f32).count() as f32 / EPISODES as f32;
        // Four deviations of a share of so many.
        let bound = 4.0 * (share * (1.0 - share) / EPISODES as f32).sqrt();
        assert!((got - share).abs() < bound, "choice {choice}: {got}, expected {share}");
    }
    let second = agent.act(&observations, &rewards).unwrap();
    let equal = first.iter().zip(&second).filter(|(a, b)| a == b).count() as f32 / EPISODES as f32;
    let independent: f32 = shares.iter().map(|share| share * share).sum();
    assert!((equal - independent).abs() < 0.02, "{equal} of the choices are the same, expected {independent}");
    agent.set_seed(8).unwrap();
    assert_eq!(agent.act(&observations, &rewards).unwrap(), first);
}

fn lanes(gpu: &Gpu, episodes: usize, horizon: usize) -> VectorEnvironment {
    let settings = VectorSettings { trace: true, ..VectorSettings::new(episodes, horizon, 4) };
    VectorEnvironment::new(gpu, CartPole, &settings).unwrap()
}

#[test]
fn a_hundred_episodes_played_as_one_batch_are_those_of_a_host_that_steps_them() {
    const EPISODES: usize = 100;
    let gpu = gpu();
    let model = transformer(4, Actions::Discrete(2), 5);
    let weights = model.parameters().initial(2);
    let settings = AgentSettings { return_scale: 100.0, ..AgentSettings::new(EPISODES, 60.0) };

    let batch = lanes(&gpu, EPISODES, 40);
    let mut agent = Agent::in_environment(&batch, &model, weights.clone(), &settings).unwrap();
    let played = agent.play(&batch, None).unwrap();
    assert!(played.lengths.iter().any(|&length| length < 40), "some fall: {:?}", played.lengths);
    assert_eq!(agent.traffic().readbacks, 1, "nothing is read back before the end");
    assert!(agent.traffic().submissions <= 4, "many steps to a submission: {:?}", agent.traffic());

    let mut stepped = lanes(&gpu, EPISODES, 40);
    let mut host = Agent::new(&gpu, &model, weights, &settings).unwrap();
    let mut seen = stepped.reset(0).unwrap();
    for _ in 0..40 {
        let actions = host.act(&seen.observations, &seen.rewards).unwrap();
        seen = stepped.step(&actions).unwrap();
    }
    assert_eq!(stepped.episodes().unwrap(), played);
    assert_eq!(stepped.trace().unwrap(), batch.trace().unwrap());
}

#[test]
fn a_second_batch_starts_from_nothing_and_checks_end_it_early() {
    let gpu = gpu();
    // The same push always: the poles fall within a dozen steps.
    let (model, weights) = Loaded::new(4, &[0.0, 1.0]);
    let world = VectorEnvironment::new(&gpu, CartPole, &VectorSettings::new(6, 400, 1)).unwrap();
    let mut agent = Agent::in_environment(&world, &model, weights, &AgentSettings::new(6, 0.0)).unwrap();
    let first = agent.play(&world, Some(20)).unwrap();
    let traffic = agent.traffic();
    assert!(traffic.readbacks == 2 && traffic.submissions <= 4, "one look and the totals: {traffic:?}");
    assert!(first.lengths.iter().all(|&length| length < 20), "{:?}", first.lengths);
    assert_eq!(agent.play(&world, Some(20)).unwrap(), first);
}

fn values(gpu: &Gpu, view: BufferView) -> Vec<f32> {
    let mut encoder = gpu.device().create_command_encoder(&Default::default());
    let ticket = gpu.encode_readback(&mut encoder, &[(view, Element::F32)]).unwrap();
    gpu.queue().submit([encoder.finish()]);
    ticket.wait().unwrap()[0].f32().to_vec()
}

#[test]
fn targets_fall_by_what_was_earned_and_a_host_may_set_them() {
    let gpu = gpu();
    let (model, weights) = Loaded::new(1, &[0.0, 0.0]);
    let settings = AgentSettings { return_scale: 2.0, ..AgentSettings::new(2, 10.0) };
    let mut agent = Agent::new(&gpu, &model, weights, &settings).unwrap();
    let step = |agent: &mut Agent, rewards: [f32; 2]| {
        agent.act(&[0.0; 2], &rewards).unwrap();
        values(&gpu, agent.remaining())
    };
    assert_eq!(step(&mut agent, [f32::NAN, 9.0]), [5.0, 5.0], "the first reward is not read");
    assert_eq!(step(&mut agent, [1.0, 4.0]), [4.5, 3.0]);
    agent.set_remaining(&[20.0, 8.0]).unwrap();
    assert_eq!(step(&mut agent, [2.0, 0.0]), [9.0, 4.0]);
    agent.set_targets(&[6.0, -2.0]).unwrap();
    assert_eq!(step(&mut agent, [0.0, 0.0]), [9.0, 4.0], "targets are for episodes that begin");
    agent.restart().unwrap();
    assert_eq!(step(&mut agent, [1.0, 1.0]), [3.0, -1.0]);
}

#[test]
fn settings_that_do_not_fit_are_refused_with_what_was_expected() {
    let gpu = gpu();
    let model = transformer(4, Actions::Continuous(1), 3);
    let weights = model.parameters().initial(1);
    let refused = |settings: &AgentSettings| match Agent::new(&gpu, &model, weights.clone(), settings) {
        Err(AgentError::Settings { message }) => message,
        other => panic!("{other:?}"),
    };
    let plain = AgentSettings::new(2, 1.0);
    assert_eq!(refused(&AgentSettings::new(0, 1.0)), "expected at least one episode, got no target");
    assert_eq!(
        refused(&AgentSettings { return_scale: 0.0, ..plain.clone() }),
        "expected a return scale above 0, got 0"
    );
    let sampling = Sampling::Sampled { temperature: 1.0 };
    assert_eq!(
        refused(&AgentSettings { sampling, ..plain.clone() }),
        "continuous actions are not sampled: the model says one"
    );
    let standardisation = Some(Standardisation { mean: vec![0.0; 3], deviation: vec![1.0; 3] });
    assert_eq!(
        refused(&AgentSettings { standardisation, ..plain.clone() }),
        "expected the standardisation of 4 observations, got one of 3"
    );
    let pendulum = VectorEnvironment::new(&gpu, Pendulum, &VectorSettings::new(2, 10, 0)).unwrap();
    let error = Agent::in_environment(&pendulum, &model, weights.clone(), &plain).unwrap_err().to_string();
    assert!(error.starts_with("the agent plays (2, 4, 1) and the environment (2, 3, 1)"), "{error}");
    let mut agent = Agent::new(&gpu, &model, weights.clone(), &plain).unwrap();
    assert!(agent.act(&[0.0; 7], &[0.0; 2]).unwrap_err().to_string().contains("`observation`"));
    assert!(agent.restart_lanes(&[0, 2]).unwrap_err().to_string().ends_with("below 2, got 2"));
    let elsewhere = lanes(&gpu, 2, 5);
    assert!(matches!(agent.play(&elsewhere, None), Err(AgentError::Settings { .. })));
}

#[test]
fn an_observation_or_an_action_that_is_not_finite_is_refused_by_name() {
    let gpu = gpu();
    let (model, weights) = Loaded::new(1, &[0.0, 0.0]);
    let mut agent = Agent::new(&gpu, &model, weights, &AgentSettings::new(2, 10.0)).unwrap();
    let error = agent.act(&[0.0, f32::NAN], &[0.0; 2]).unwrap_err().to_string();
    assert_eq!(error, "observation of episode 1: expected finite numbers, got NaN at index 0");
    let error = agent.act(&[f32::INFINITY, 0.0], &[0.0; 2]).unwrap_err().to_string();
    assert_eq!(error, "observation of episode 0: expected finite numbers, got inf at index 0");
    let (model, _) = Loaded::new(1, &[0.0, 0.0]);
    let broken = Data::F32(vec![f32::NAN; model.parameters().length()]);
    for sampling in [Sampling::Greedy, Sampling::Sampled { temperature: 1.0 }] {
        let settings = AgentSettings { sampling, ..AgentSettings::new(2, 10.0) };
        let mut agent = Agent::new(&gpu, &model, broken.clone(), &settings).unwrap();
        let error = agent.act(&[0.0; 2], &[0.0; 2]).unwrap_err().to_string();
        assert_eq!(error, "action of episode 0: expected finite numbers, got NaN at index 0");
    }
}
