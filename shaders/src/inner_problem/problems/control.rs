//! Control as an inner problem: any policy in any environment, its weights the outer parameters.

use std::borrow::Cow;
use std::sync::Arc;

use crate::inner_problem::{InnerProblem, Loss};
use crate::rollout::unroll::environment::check_environment;
use crate::rollout::unroll::policy::check_policy;
use crate::rollout::unroll::{Environment, EpisodeRandom, Interface, Policy};
use crate::{Error, RuntimeChecks, product, sum};

/// A policy that acts in an environment: what an episode fails to reward is learned to be small.
///
/// The state is that of the environment, then the policy's memory; outer parameter i is the policy's `weight(i)`; the loss
/// of a step is minus its reward; an episode is cut off at the environment's horizon. The WGSL is put together from the
/// files of both and `control.wgsl`. A policy's [tables](Policy::tables) are computed at every use, which is right but
/// slow: the weights of two particles take turns.
#[derive(Debug, Clone)]
pub struct Control {
    environment: Arc<dyn Environment>,
    policy: Arc<dyn Policy>,
    waiting: bool,
    file: String,
}

impl Control {
    /// The policy in the environment. Where an episode ends of itself the inner problem is over, and both particles of an
    /// antithetic pair start anew as soon as one of them ends, as in Vicol et al. (2021).
    pub fn new(environment: impl Environment + 'static, policy: impl Policy + 'static) -> Self {
        Self::shared(Arc::new(environment), Arc::new(policy))
    }

    /// The same of an environment and a policy that others use too.
    pub fn shared(environment: Arc<dyn Environment>, policy: Arc<dyn Policy>) -> Self {
        let stem = |file: &str| file.strip_suffix(".wgsl").unwrap_or(file).to_string();
        let file = format!("control.{}.{}.wgsl", stem(environment.file()), stem(policy.file()));
        Self { environment, policy, waiting: false, file }
    }

    /// The same, but an episode that ends of itself waits for its horizon without reward.
    ///
    /// Then the end of an inner problem does not hang on the perturbation, and estimators stay unbiased: where both
    /// particles start anew with the first that ends, the rewards that the other would still have had are never seen.
    pub fn waiting(self) -> Self {
        Self { waiting: true, ..self }
    }

    /// The environment.
    pub fn environment(&self) -> &Arc<dyn Environment> {
        &self.environment
    }

    /// The policy.
    pub fn policy(&self) -> &Arc<dyn Policy> {
        &self.policy
    }

    fn interface(&self) -> Interface {
        Interface { inputs: self.environment.observations(), actions: self.environment.actions() }
    }

    fn remembered(&self) -> usize {
        self.policy.memory(self.interface())
    }
}

/// The text with one identifier for another.
fn renamed(text: &str, from: &str, to: &str) -> String {
    let word = |character: char| character.is_alphanumeric() || character == '_';
    let mut renamed = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(word) {
        let (before, tail) = rest.split_at(start);
        let (found, tail) = tail.split_at(tail.find(|character| !word(character)).unwrap_or(tail.len()));
        renamed.push_str(before);
        renamed.push_str(if found == from { to } else { found });
        rest = tail;
    }
    renamed + rest
}

impl InnerProblem for Control {
    fn file(&self) -> &str {
        &self.file
    }

    fn source(&self) -> Cow<'static, str> {
        // Both contracts call the numbers of their own state so.
        let environment = renamed(self.environment.source(), "STATE", "ENVIRONMENT_STATE");
        let mut parts = vec![environment.as_str(), self.policy.source(), wgsl!("control.wgsl")];
        if self.policy.tables(self.interface()) == 0 {
            parts.push(
                "// The policy has no tables.\nfn policy_table(i: u32) -> vec4<f32> {\n    return vec4<f32>();\n}\n",
            );
        }
        parts.join("\n").into()
    }

    fn check(&self) -> Result<(), Error> {
        check_environment(&*self.environment)?;
        check_policy(&*self.policy, self.interface())
    }

    fn states(&self) -> usize {
        sum(&[self.environment.states(), self.remembered(), self.waiting.into()])
    }

    fn parameters(&self) -> usize {
        self.policy.weights(self.interface())
    }

    fn horizon(&self) -> Option<usize> {
        Some(self.environment.horizon())
    }

    fn sizes(&self) -> Vec<(&'static str, usize)> {
        let interface = self.interface();
        let mut sizes = vec![
            ("ENVIRONMENT_STATE", self.environment.states()),
            ("OBSERVATIONS", interface.inputs),
            ("INPUTS", interface.inputs),
            ("ACTIONS", interface.actions),
            ("WEIGHTS", self.parameters()),
            ("TABLES", self.policy.tables(interface).max(1)),
            ("MEMORY", self.remembered().max(1)),
            ("REMEMBERED", self.remembered()),
            ("CHANNEL_MEMORY", self.policy.channel_memory(interface)),
            // Tables and weights are not held in registers.
            ("SPARE", 1),
            ("WAITS", usize::from(self.waiting)),
        ];
        sizes.extend(self.policy.sizes());
        sizes
    }

    fn constants(&self) -> Vec<(&'static str, f64)> {
        [self.environment.constants(), self.policy.constants()].concat()
    }

    /// Passes of the policy, of the copies of state and memory there and back, and of the loops of environments, which
    /// go over their states and observations or a few substeps.
    fn iterations(&self) -> usize {
        let interface = self.interface();
        let tables = self.policy.tables(interface);
        // A table at its use costs as many passes as there are weights, at most.
        let tables = product(&[tables, self.parameters()]);
        let Interface { inputs, actions } = interface;
        let copies = [self.states(), self.states(), inputs, inputs, actions, 8];
        sum(&[sum(&copies), self.policy.iterations(interface), tables])
    }

    fn rounding(&self) -> f64 {
        self.environment.rounding() + self.policy.rounding()
    }

    fn runtime_checks(&self) -> RuntimeChecks {
        let (environment, policy) = (&*self.environment, &*self.policy);
        let own = environment.runtime_checks().are_off(environment) && policy.runtime_checks().are_off(policy);
        if own { RuntimeChecks::own::<Self>() } else { RuntimeChecks::ON }
    }

    fn reset(&self, random: &mut EpisodeRandom, state: &mut [f64]) {
        state.fill(0.0);
        self.environment.reset(random, &mut state[..self.environment.states()]);
    }

    fn step(&self, state: &mut [f64], parameters: &[f64], _: u32, random: &mut EpisodeRandom) -> Loss {
        let (world, rest) = state.split_at_mut(self.environment.states());
        let (memory, ended) = rest.split_at_mut(self.remembered());
        if ended.first() == Some(&1.0) {
            return Loss { value: 0.0, done: false };
        }
        let mut observation = vec![0.0; self.environment.observations()];
        let mut action = vec![0.0; self.environment.actions()];
        self.environment.observe(world, &mut observation);
        // Policies without a memory are given one number, as on the GPU.
        let mut none = [0.0];
        let memory = if memory.is_empty() { &mut none } else { memory };
        self.policy.act(parameters, memory, &observation, &mut action);
        let outcome = self.environment.step(world, &action, random);
        if let Some(ended) = ended.first_mut() {
            *ended = f64::from(u8::from(outcome.done));
        }
        Loss { value: -outcome.reward, done: outcome.done && !self.waiting }
    }
}

#[cfg(test)]
mod tests {
    use naga::valid::{Capabilities, ValidationFlags, Validator};

    use super::*;
    use crate::inner_problem::{Evaluation, Truncation};
    use crate::random::threefry::Random;
    use crate::rollout::environments::{Acrobot, CartPole, CartPoleSwingUp, MountainCarContinuous, Pendulum, Swimmer};
    use crate::rollout::policies::{AttentionNeuron, Linear, Perceptron};

    fn all() -> Vec<Control> {
        vec![
            Control::new(Pendulum, Linear),
            Control::new(CartPoleSwingUp { easy: true }, Perceptron::new(&[4])),
            Control::new(CartPole, Linear).waiting(),
            Control::new(Acrobot, Perceptron::new(&[3, 5]).linear_output()),
            Control::new(MountainCarContinuous, Linear),
            Control::new(Swimmer, Linear),
            Control::new(CartPoleSwingUp::default(), AttentionNeuron::cart_pole()).waiting(),
        ]
    }

    #[test]
    fn a_name_is_replaced_where_it_is_a_whole_word() {
        assert_eq!(renamed("STATE, MY_STATE <STATE> state(STATE)", "STATE", "X"), "X, MY_STATE <X> state(X)");
        assert_eq!(renamed("", "STATE", "X"), "");
    }

    #[test]
    fn environments_with_policies_are_valid_wgsl() {
        for problem in all() {
            let problem: Arc<dyn InnerProblem> = Arc::new(problem);
            let evaluation = Evaluation { problem: problem.clone() };
            for source in [Truncation::new(problem.clone(), 6, false).wgsl(), evaluation.wgsl()] {
                let module = naga::front::wgsl::parse_str(&source);
                let module = module.unwrap_or_else(|error| panic!("{}", error.emit_to_string(&source)));
                let validated = Validator::new(ValidationFlags::all(), Capabilities::empty()).validate(&module);
                validated.unwrap_or_else(|error| panic!("{}: {}", problem.file(), error.emit_to_string(&source)));
            }
        }
    }

    /// The environment and the policy played by hand give the same losses and states, bit for bit, until the end.
    #[test]
    fn a_step_is_the_policy_acting_in_the_environment() {
        for problem in all() {
            let mut random = Random::new(3, 0);
            let weights: Vec<f64> = (0..problem.parameters()).map(|_| 0.5 * f64::from(random.normal())).collect();
            let (environment, policy) = (problem.environment(), problem.policy());
            let mut state = vec![7.0; problem.states()];
            problem.reset(&mut EpisodeRandom::new(4, 0, 2, 0), &mut state);
            let mut world = vec![0.0; environment.states()];
            environment.reset(&mut EpisodeRandom::new(4, 0, 2, 0), &mut world);
            let mut memory = vec![0.0; problem.remembered().max(1)];
            let mut ended = false;
            for time in 0..60 {
                let loss = problem.step(&mut state, &weights, time, &mut EpisodeRandom::new(4, 1, 2, time));
                let mut reward = 0.0;
                if !ended {
                    let mut observation = vec![0.0; environment.observations()];
                    let mut action = vec![0.0; environment.actions()];
                    environment.observe(&world, &mut observation);
                    policy.act(&weights, &mut memory, &observation, &mut action);
                    let outcome = environment.step(&mut world, &action, &mut EpisodeRandom::new(4, 1, 2, time));
                    reward = outcome.reward;
                    ended = outcome.done;
                }
                assert_eq!(loss, Loss { value: -reward, done: ended && !problem.waiting }, "{}", problem.file());
                assert_eq!(state[..world.len()], world);
                assert_eq!(state[world.len()..][..problem.remembered()], memory[..problem.remembered()]);
                if loss.done {
                    break;
                }
            }
        }
    }

    #[test]
    fn an_episode_that_waits_ends_without_further_loss() {
        let problem = Control::new(CartPole, Linear).waiting();
        let mut state = vec![0.0; problem.states()];
        problem.reset(&mut EpisodeRandom::new(0, 0, 0, 0), &mut state);
        // Always to one side: the pole falls.
        let weights: Vec<f64> =
            (0..problem.parameters()).map(|i| if i + 1 == problem.parameters() { 9.0 } else { 0.0 }).collect();
        let losses: Vec<f64> = (0..100)
            .map(|time| problem.step(&mut state, &weights, time, &mut EpisodeRandom::new(0, 1, 0, time)).value)
            .collect();
        let lasted = losses.iter().position(|&loss| loss == 0.0).expect("it has fallen");
        assert!((5..50).contains(&lasted) && losses[lasted..].iter().all(|&loss| loss == 0.0), "{losses:?}");
        assert!(losses[..lasted].iter().all(|&loss| loss == -1.0), "{losses:?}");
    }

    /// Weights by evolution (OpenAI-ES, 50 generations of 64), rounded to tenths.
    #[test]
    fn a_linear_policy_swims_sixteen_metres() {
        let problem = Control::new(Swimmer, Linear);
        let weights =
            [2.7, -1.1, -2.1, 2.3, 2.4, -1.5, 1.4, -3.0, -2.4, 3.0, -0.4, 0.4, 0.1, -2.9, 2.7, -0.2, -1.2, -0.1];
        let mut state = vec![0.0; problem.states()];
        problem.reset(&mut EpisodeRandom::new(1, 0, 0, 0), &mut state);
        let step = |time| problem.step(&mut state, &weights, time, &mut EpisodeRandom::new(1, 1, 0, time)).value;
        let loss: f64 = (0..1_000).map(step).sum();
        assert!(loss < -400.0 && state[0] > 16.0, "{loss}, {state:?}");
    }
}
