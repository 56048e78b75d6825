//! Kernels of environments and policies.

use std::sync::Arc;

use fourfold_shaders::rollout::environments::{CartPole, Pong, PongTeacher};
use fourfold_shaders::rollout::policies::Linear;
use fourfold_shaders::rollout::unroll::{self, Composition, Environment, Interface, Sensors, WeightSource, Wiring};
use fourfold_shaders::rollout::{act, picture, pong_teacher, step};

use crate::{of, try_arguments};

#[test]
fn rollouts() {
    try_arguments(10, |draw, tally, target| {
        let [members, groups, episodes, horizon, steps] = [(); 5].map(|()| draw.small());
        let problem = unroll::Problem {
            members,
            first_member: 0,
            present: members,
            groups,
            episodes,
            horizon,
            steps,
            fresh: true,
            common_random_numbers: false,
            stream: u32::MAX,
        };
        let wiring = Wiring { interval: draw.small(), phases: draw.small(), forget: true };
        let sensors = Sensors {
            copies: draw.small(),
            noise_channels: draw.small(),
            noise: draw.factor(),
            wiring: draw.flag(2).then_some(wiring),
        };
        let weights = [WeightSource::Given { trace: true }, WeightSource::Perturbed][draw.0.below(2) as usize];
        let composition = Composition { sensors, weights, ..Composition::new(CartPole, Linear) };
        let slots = |width| of(&[members, groups, width]);
        let (results, inputs) = (slots(episodes), composition.interface().inputs);
        let parameters = composition.parameters();
        let mut lengths = vec![2, slots(composition.saved()), slots(unroll::COUNTERS), results, results];
        match weights {
            WeightSource::Perturbed => lengths.extend([parameters as u128; 2]),
            WeightSource::Given { .. } => lengths.push(of(&[members, parameters])),
        }
        if sensors.wiring.is_some() {
            lengths.push(of(&[groups, episodes, wiring.phases, inputs]));
        }
        if weights != WeightSource::Perturbed {
            lengths.push(of(&[members, groups, steps, composition.traced()]));
        }
        tally.judge(problem.sequence(&composition, target), &lengths);
        let (lanes, trace) = (draw.size(), draw.flag(2));
        let composition = step::Composition { environment: Arc::new(CartPole), trace };
        let members = if draw.flag(3) { members } else { 1 };
        let problem = step::Problem { lanes, members, horizon, fresh: false, automatic: true, stream: 0 };
        let widths = [CartPole.actions(), composition.saved(), step::COUNTERS, CartPole.observations(), 1, 1];
        let widths = widths.iter().map(|&width| of(&[width, lanes]));
        let traced = of(&[horizon, unroll::traced(&CartPole), lanes]);
        let lengths: Vec<u128> = [2].into_iter().chain(widths).chain([traced]).collect();
        tally.judge(problem.sequence(&composition, target), &lengths);
        let composition = act::Composition { policy: Arc::new(Linear), interface: Interface { inputs: 3, actions: 2 } };
        let lengths = [8, of(&[3, lanes]), lanes as u128, lanes as u128, of(&[2, lanes])];
        tally.judge(act::Problem { lanes }.sequence(&composition, target), &lengths);
        let composition = picture::Composition { environment: Arc::new(Pong) };
        let lengths = [of(&[8, lanes]), of(&[84 * 84 / 4, lanes])];
        tally.judge(picture::Problem { lanes }.sequence(&composition, target), &lengths);
        let problem = pong_teacher::Problem { lanes, teacher: PongTeacher::LookAhead };
        tally.judge(problem.sequence(target), &[of(&[22, lanes]), of(&[3, lanes]), lanes as u128]);
    });
}
