//! Random cases: every environment, with and without a trace.

use std::sync::Arc;

use super::twin::MOST_FAR;
use super::{ASKED, BEGAN, COUNTERS, Composition, Problem};
use crate::rollout::unroll::case::reached;
use crate::rollout::unroll::{Environment, traced};
use crate::{Case, Data, Generator};

/// A random case of an environment, with or without a trace.
pub(crate) fn case_of(generator: &mut Generator, environment: Arc<dyn Environment>) -> Case {
    // A table takes the trace's place.
    let trace = generator.chance(0.5) && environment.table().is_none();
    Composition { environment, trace }.case(generator)
}

impl Composition {
    /// A random case of this composition, for `verify`: a reset, or a step from states that its episodes reach.
    pub fn case(&self, generator: &mut Generator) -> Case {
        // The grid is that of every world; the twin of one with a table takes minutes for so many lanes.
        let huge = generator.huge() && !self.trace && self.environment.table().is_none();
        let members = if huge { 1 } else { generator.pick(&[1, 1, 2, 5]) };
        let problem = Problem {
            lanes: if huge { 8 * 65_535 + 3 } else { members * generator.length(300 / members) },
            members,
            horizon: generator.pick(&[1, 2, 5, 40]),
            fresh: generator.chance(0.2),
            automatic: generator.chance(0.5),
            stream: generator.pick(&[0, 5, 1 << 20]),
        };
        let call = problem.call_with(self, self.kernel(), generator.lanes_of_a_workgroup());
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
        // At times far from what an episode reaches: past the limits of speeds, at the goal on the way back.
        let far = generator.chance(0.25) && lanes <= MOST_FAR;
        let states: Vec<Vec<f64>> =
            states.into_iter().map(|state| if far { scattered(generator, state) } else { state }).collect();
        for lane in 0..lanes {
            let state = &states[lane % states.len()];
            for (row, number) in state.iter().chain([&5.0]).enumerate() {
                saved[row * lanes + lane] = *number as f32;
            }
            environment.observe(state, &mut observation);
            observations.extend(observation.iter().map(|&number| number as f32));
            counters[lane] = generator.pick(&[0, 1, horizon as u32 - 1]).min(horizon as u32 - 1);
            counters[lanes + lane] = u32::from(generator.chance(0.05));
            counters[2 * lanes + lane] = generator.pick(&[0, 0, 1, 7]);
            ends[lane] = generator.pick(&[0, 0, 0, 0, 0, 1, 2, BEGAN, ASKED]);
        }
        let infinite = generator.chance(0.2);
        let mut action = || match infinite && generator.chance(0.05) {
            true => f32::INFINITY,
            false => generator.normal(),
        };
        let actions = (0..lanes * environment.actions()).map(|_| action()).collect();
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
        inputs.extend(environment.table().map(|table| Data::F32(table.to_vec())));
        inputs
    }
}

/// Scales a state, or each of its numbers by itself with either sign; not one of whole numbers.
fn scattered(generator: &mut Generator, mut state: Vec<f64>) -> Vec<f64> {
    if state.iter().all(|number| number.fract() == 0.0) {
        return state;
    }
    let mut factor = || 2f64.powf(f64::from(2.0 * generator.normal().clamp(-1.5, 2.0)));
    let whole = factor();
    let each: Vec<f64> = state.iter().map(|_| factor()).collect();
    let apart = generator.chance(0.5);
    for (number, own) in state.iter_mut().zip(each) {
        let sign = if apart && generator.chance(0.5) { -1.0 } else { 1.0 };
        *number *= sign * if apart { own } else { whole };
    }
    state
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rollout::environments::CartPole;

    /// A step of many cart-poles, with its operands after it.
    fn stepped(automatic: u32) -> (Case, Vec<Data>) {
        let mut generator = Generator::new(3, Generator::FULL);
        let case = (0..).map(|_| case_of(&mut generator, Arc::new(CartPole))).find(|case| {
            let uniform: super::super::Uniform = case.call.uniform();
            uniform.fresh == 0 && uniform.automatic == automatic && uniform.lanes > 50
        });
        let case = case.expect("one case in four is such a one");
        let after = case.expected();
        (case, after)
    }

    fn changed(case: &Case, after: &[Data], operand: usize, lane: usize) -> bool {
        let bits = |data: &Data| data.clone().operand().f32()[lane].to_bits();
        bits(&after[operand]) != bits(&case.operands[operand])
    }

    #[test]
    fn a_lane_that_is_over_keeps_everything_and_earns_nothing() {
        let (case, after) = stepped(0);
        let lanes = case.operands[6].len();
        for lane in 0..lanes {
            let end = case.operands[6].u32()[lane];
            let over = end == 1 || end == 2 || (case.operands[3].u32()[lanes + lane] != 0 && end != ASKED);
            assert_eq!(changed(&case, &after, 2, lane), !over, "the first number of the state of lane {lane}");
            let paid = !over && end != ASKED;
            assert_eq!(after[5].f32()[lane], f32::from(u8::from(paid)), "the reward of lane {lane}");
        }
    }

    #[test]
    fn a_lane_whose_episode_is_over_begins_the_next_one_where_that_is_automatic_or_asked() {
        let (case, after) = stepped(1);
        let lanes = case.operands[6].len();
        let (before, counters, ends) = (case.operands[3].u32(), after[3].u32(), after[6].u32());
        let mut begun = 0;
        for lane in 0..lanes {
            let asked = case.operands[6].u32()[lane] == ASKED;
            if before[lanes + lane] != 0 && !asked {
                assert!(!changed(&case, &after, 2, lane), "lane {lane} has stopped");
                continue;
            }
            assert_eq!(ends[lane] == BEGAN, asked, "lane {lane}");
            let begins = ends[lane] != 0;
            begun += usize::from(begins);
            assert_eq!(counters[lane], if begins { 0 } else { before[lane] + 1 }, "the steps of lane {lane}");
            assert_eq!(counters[2 * lanes + lane], before[2 * lanes + lane] + u32::from(begins), "lane {lane}");
            assert_eq!(after[5].f32()[lane], f32::from(u8::from(!asked)), "the reward of lane {lane}");
        }
        assert!(begun > 3, "{begun} of {lanes}");
    }
}
