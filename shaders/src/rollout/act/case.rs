//! Random cases of every policy.

use std::sync::Arc;

use super::{Composition, Problem};
use crate::rollout::unroll::{Interface, Policy};
use crate::{Case, Data, Generator, Target};

/// A random case of a policy with few numbers of inputs and actions: each is a pipeline to build, and one with a memory
/// takes software drivers seconds.
pub(crate) fn case_of(generator: &mut Generator, policy: Arc<dyn Policy>) -> Case {
    let few = Interface { inputs: 3, actions: 1 };
    let [inputs, actions] = if policy.memory(few) > 0 { [3, 1] } else { generator.pick(&[[1, 1], [6, 1], [6, 3]]) };
    Composition { policy, interface: Interface { inputs, actions } }.case(generator)
}

impl Composition {
    /// A random case of this composition, for `verify`: lanes in the middle of an episode and at its start.
    pub fn case(&self, generator: &mut Generator) -> Case {
        let Self { policy, interface } = self;
        let lanes =
            if generator.huge() && policy.memory(*interface) == 0 { 8 * 65_535 + 3 } else { generator.length(300) };
        let target = Target { software: generator.chance(0.5) && !generator.on_gpu(), ..Target::default() };
        let alone = generator.lanes_of_a_workgroup();
        let call = Problem { lanes }.call_with(self, &target, if self.team(&target).is_some() { 64 } else { alone });
        let mut normals =
            |count: usize, scale: f32| Data::F32((0..count).map(|_| scale * generator.normal()).collect());
        let weights = normals(policy.weights(*interface), 0.5);
        let observations = normals(lanes * interface.inputs, 1.0);
        // A cell of an LSTM that has run for some steps lies within a few units of zero.
        let memory = normals(lanes * self.memory(), 0.7);
        let begins = Data::U32((0..lanes).map(|_| generator.pick(&[0, 0, 0, 1, 2])).collect());
        Case::new((lanes, self), call, [weights, observations, begins, memory])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rollout::policies::AttentionNeuron;

    #[test]
    fn a_lane_whose_episode_begins_acts_as_one_that_remembers_nothing() {
        let policy: Arc<dyn Policy> = Arc::new(AttentionNeuron::cart_pole());
        let composition = Composition { policy, interface: Interface { inputs: 5, actions: 1 } };
        let call = Problem { lanes: 2 }.call(&composition, &Target::default());
        let width = composition.memory();
        let numbers = |count: usize| -> Vec<f32> { (0..count).map(|i| 0.3 * (1.7 * i as f32).sin()).collect() };
        let memory = [vec![0.0; width], numbers(width)].concat();
        let observations = numbers(5).repeat(2);
        let after = |begins: [u32; 2]| {
            let [weights, observations, memory] = [&numbers(913), &observations, &memory].map(|v| Data::F32(v.clone()));
            Case::new("a step", call.clone(), [weights, observations, Data::U32(begins.to_vec()), memory]).expected()
        };
        let actions = |begins| after(begins).last().expect("actions").f32().to_vec();
        let [blank, remembering] = actions([0, 0])[..] else { panic!("two lanes") };
        assert_ne!(blank, remembering);
        assert_eq!(actions([0, 1]), [blank, blank]);
        assert_eq!(actions([7, 0]), [blank, remembering]);
    }
}
