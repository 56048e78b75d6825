//! Random cases: every environment, with and without a trace.

use std::sync::Arc;

use super::{COUNTERS, Composition, Problem};
use crate::rollout::unroll::case::reached;
use crate::rollout::unroll::{Environment, traced};
use crate::{Case, Data, Generator};

/// A random case of an environment, with or without a trace.
pub(crate) fn case_of(generator: &mut Generator, environment: Arc<dyn Environment>) -> Case {
    Composition { environment, trace: generator.chance(0.5) }.case(generator)
}

impl Composition {
    /// A random case of this composition, for `verify`: a reset, or a step from states that its episodes reach.
    pub fn case(&self, generator: &mut Generator) -> Case {
        let problem = Problem {
            lanes: if generator.huge() && !self.trace { 8 * 65_535 + 3 } else { generator.length(300) },
            horizon: generator.pick(&[1, 2, 5, 40]),
            fresh: generator.chance(0.2),
            stream: generator.pick(&[0, 5, 1 << 20]),
        };
        let call = problem.call_with(self, self.kernel(), 8);
        let inputs = self.inputs(generator, &problem);
        Case::new((problem, self), call, inputs)
    }

    /// Operands: lanes at the start of an episode, in its middle, at its last step, over, and faulty.
    fn inputs(&self, generator: &mut Generator, problem: &Problem) -> Vec<Data> {
        let environment = &*self.environment;
        let Problem { lanes, horizon, .. } = *problem;
        let (mut saved, mut counters) = (vec![0.0; self.saved() * lanes], vec![0; COUNTERS * lanes]);
        let (mut observations, mut ends) = (Vec::new(), vec![0; lanes]);
        let mut observation = vec![0.0; environment.observations()];
        // Many lanes share few states.
        let states: Vec<Vec<f64>> =
            (0..lanes.min(300) as u32).map(|lane| reached(generator, environment, lane)).collect();
        for lane in 0..lanes {
            let state = &states[lane % states.len()];
            for (row, number) in state.iter().chain([&5.0]).enumerate() {
                saved[row * lanes + lane] = *number as f32;
            }
            environment.observe(state, &mut observation);
            observations.extend(observation.iter().map(|&number| number as f32));
            counters[lane] = generator.pick(&[0, 1, horizon as u32 - 1]).min(horizon as u32 - 1);
            counters[lanes + lane] = u32::from(generator.chance(0.05));
            ends[lane] = generator.pick(&[0, 0, 0, 0, 0, 0, 1, 2]);
        }
        let actions = (0..lanes * environment.actions()).map(|_| generator.normal()).collect();
        let mut inputs = vec![
            generator.indices(2, u32::MAX),
            Data::F32(actions),
            Data::F32(saved),
            Data::U32(counters),
            Data::F32(observations),
            Data::U32(ends),
        ];
        if self.trace {
            inputs.push(Data::F32(vec![-1.0; horizon * traced(environment) * lanes]));
        }
        inputs
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rollout::environments::CartPole;

    #[test]
    fn a_lane_that_is_over_keeps_everything_and_earns_nothing() {
        let mut generator = Generator::new(3, Generator::FULL);
        let case = (0..).map(|_| case_of(&mut generator, Arc::new(CartPole))).find(|case| {
            let uniform: super::super::Uniform = case.call.uniform();
            uniform.fresh == 0 && uniform.lanes > 50
        });
        let case = case.expect("one case in two is no reset");
        let lanes = case.operands[6].len();
        let after = case.expected();
        let over = |lane: usize| case.operands[6].u32()[lane] != 0 || case.operands[3].u32()[lanes + lane] != 0;
        let changed = |operand: usize, lane: usize| {
            let bits = |data: &Data| data.clone().operand().f32()[lane].to_bits();
            bits(&after[operand]) != bits(&case.operands[operand])
        };
        for lane in 0..lanes {
            assert_eq!(changed(2, lane), !over(lane), "the first number of the state of lane {lane}");
            assert_eq!(after[5].f32()[lane], if over(lane) { 0.0 } else { 1.0 }, "the reward of lane {lane}");
        }
    }
}
