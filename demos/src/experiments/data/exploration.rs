//! Policies that explore: noise added to the actions of another, and actions drawn at random.
//!
//! Both take their noise from the noise channels of [`Sensors`](fourfold::rollout::Sensors), one for each number of the
//! action, which are drawn by counters: the same seed gives the same episodes.

use std::sync::Arc;

use fourfold::rollout::{Interface, Policy};

/// Another policy with normal noise on its action, which is kept within [-1, 1]: the inputs beyond those of the policy,
/// as many as there are actions, are added to it.
#[derive(Debug, Clone)]
pub struct Exploring {
    policy: Arc<dyn Policy>,
    source: String,
}

impl Exploring {
    pub fn new(policy: Arc<dyn Policy>) -> Self {
        let own = policy.source().replace("policy_act", "policy_act_steadily").replace("INPUTS", "SEEN");
        let source = format!("const SEEN: u32 = INPUTS - ACTIONS;\n\n{own}\n{EXPLORING}");
        Self { policy, source }
    }

    fn steady(&self, interface: Interface) -> Interface {
        Interface { inputs: interface.inputs - interface.actions, ..interface }
    }
}

const EXPLORING: &str = "
fn policy_act(memory: ptr<function, array<f32, MEMORY>>, inputs: array<f32, INPUTS>) -> array<f32, ACTIONS> {
    var seen: array<f32, SEEN>;
    for (var i = 0u; i < SEEN; i++) {
        seen[i] = inputs[i];
    }
    var action = policy_act_steadily(memory, seen);
    for (var a = 0u; a < ACTIONS; a++) {
        action[a] = clamp(action[a] + inputs[SEEN + a], -1.0, 1.0);
    }
    return action;
}
";

impl Policy for Exploring {
    fn file(&self) -> &str {
        self.policy.file()
    }

    fn source(&self) -> &str {
        &self.source
    }

    fn sizes(&self) -> Vec<(&'static str, usize)> {
        self.policy.sizes()
    }

    fn constants(&self) -> Vec<(&'static str, f64)> {
        self.policy.constants()
    }

    fn weights(&self, interface: Interface) -> usize {
        self.policy.weights(self.steady(interface))
    }

    fn memory(&self, interface: Interface) -> usize {
        self.policy.memory(self.steady(interface))
    }

    fn tables(&self, interface: Interface) -> usize {
        self.policy.tables(self.steady(interface))
    }

    fn iterations(&self, interface: Interface) -> usize {
        self.policy.iterations(self.steady(interface)) + interface.inputs
    }

    fn rounding(&self) -> f64 {
        self.policy.rounding() + 64.0
    }

    fn act(&self, weights: &[f64], memory: &mut [f64], inputs: &[f64], action: &mut [f64]) {
        let (seen, noise) = inputs.split_at(inputs.len() - action.len());
        self.policy.act(weights, memory, seen, action);
        for (action, noise) in action.iter_mut().zip(noise) {
            *action = (*action + noise).clamp(-1.0, 1.0);
        }
    }
}

/// Actions uniform in [-1, 1], whatever is seen: D4RL's random policy. Its noise channels have deviation 1; their normal
/// distribution function, by the approximation with tanh that GELU uses too, is uniform to within 3e-4.
#[derive(Debug, Clone, Copy)]
pub struct UniformActions;

/// sqrt(2 / pi), and the cubic term.
const SLOPE: f64 = 0.797_884_560_802_865_4;
const CUBIC: f64 = 0.044_715;

impl Policy for UniformActions {
    fn file(&self) -> &str {
        "uniform_actions.wgsl"
    }

    fn source(&self) -> &str {
        "
fn policy_act(memory: ptr<function, array<f32, MEMORY>>, inputs: array<f32, INPUTS>) -> array<f32, ACTIONS> {
    var action: array<f32, ACTIONS>;
    for (var a = 0u; a < ACTIONS; a++) {
        let z = inputs[INPUTS - ACTIONS + a];
        action[a] = hyperbolic_tangent(0.79788456 * (z + 0.044715 * z * z * z));
    }
    return action;
}
"
    }

    /// Every member has a weight at least; this one is not read.
    fn weights(&self, _: Interface) -> usize {
        1
    }

    fn act(&self, _: &[f64], _: &mut [f64], inputs: &[f64], action: &mut [f64]) {
        let first = inputs.len() - action.len();
        for (action, z) in action.iter_mut().zip(&inputs[first..]) {
            *action = (SLOPE * (z + CUBIC * z.powi(3))).tanh();
        }
    }
}

#[cfg(test)]
mod tests {
    use fourfold::Gpu;
    use fourfold::rollout::environments::Swimmer;
    use fourfold::rollout::policies::Perceptron;
    use fourfold::rollout::{Composition, Sensors, WeightSource};
    use fourfold::shaders::Generator;

    use super::*;

    #[test]
    fn kernels_of_exploring_policies_compute_what_their_twins_do() {
        let gpu = Gpu::open().unwrap();
        let policies: [Arc<dyn Policy>; 2] =
            [Arc::new(Exploring::new(Arc::new(Perceptron::new(&[8])))), Arc::new(UniformActions)];
        for policy in policies {
            let composition = Composition {
                environment: Arc::new(Swimmer),
                policy,
                sensors: Sensors { noise_channels: 2, noise: 0.7, ..Sensors::default() },
                weights: WeightSource::Given { trace: true },
            };
            for seed in 0..3 {
                let case = composition.case(&mut Generator::new(seed, Generator::FULL));
                let verdict = fourfold::verify::run(&gpu, &case).unwrap();
                assert!(verdict.passed(), "{verdict}");
            }
        }
    }

    #[test]
    fn noise_is_added_to_the_action_of_the_policy_and_kept_within_bounds() {
        let steady = Perceptron::new(&[4]);
        let exploring = Exploring::new(Arc::new(steady.clone()));
        let interface = Interface { inputs: 3, actions: 1 };
        let weights: Vec<f64> = (0..exploring.weights(interface)).map(|index| 0.1 * index as f64 - 0.7).collect();
        let mut expected = [0.0];
        steady.act(&weights, &mut [], &[0.3, -0.2], &mut expected);
        let act = |noise: f64| {
            let mut action = [0.0];
            exploring.act(&weights, &mut [], &[0.3, -0.2, noise], &mut action);
            action[0]
        };
        assert_eq!([act(0.0), act(0.01), act(5.0)], [expected[0], expected[0] + 0.01, 1.0]);
    }

    #[test]
    fn random_actions_fill_every_tenth_of_their_range_alike() {
        let mut random = fourfold::shaders::random::threefry::Random::new(1, 2);
        let mut counts = [0; 10];
        for _ in 0..20_000 {
            let mut action = [0.0];
            UniformActions.act(&[], &mut [], &[f64::from(random.normal())], &mut action);
            counts[((action[0] + 1.0) * 5.0) as usize] += 1;
        }
        // The deviation of a count is 42.
        assert!(counts.iter().all(|count| (1_850..2_150).contains(count)), "{counts:?}");
    }
}
