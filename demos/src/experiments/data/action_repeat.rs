//! An environment whose actions last for several of its steps.

use std::sync::Arc;

use fourfold::rollout::{Environment, EpisodeRandom, Outcome, PictureSize};

/// Each action is done `times` times, and a step rewards the sum of what they reward: as in most code for Atari games, and
/// wherever an environment's own steps are shorter than a decision need be. An episode ends with the step in which the
/// inner one does; the horizon becomes as much shorter, so that an episode still lasts as long.
#[derive(Debug, Clone)]
pub struct ActionRepeat {
    environment: Arc<dyn Environment>,
    times: usize,
    source: String,
}

impl ActionRepeat {
    pub fn new(environment: Arc<dyn Environment>, times: usize) -> Self {
        let inner = environment.source().replace("environment_step", "environment_single_step");
        let source = format!(
            "{inner}
const TIMES = {times}u;

fn environment_step(
    state: ptr<function, array<f32, STATE>>, action: array<f32, ACTIONS>, random: ptr<function, Random>,
) -> Outcome {{
    var whole = Outcome(0.0, false);
    for (var time = 0u; time < TIMES; time++) {{
        let outcome = environment_single_step(state, action, random);
        whole.reward += outcome.reward;
        whole.done = outcome.done;
        if outcome.done {{
            break;
        }}
    }}
    return whole;
}}
"
        );
        Self { environment, times, source }
    }
}

impl Environment for ActionRepeat {
    fn file(&self) -> &str {
        self.environment.file()
    }

    fn source(&self) -> &str {
        &self.source
    }

    fn states(&self) -> usize {
        self.environment.states()
    }

    fn observations(&self) -> usize {
        self.environment.observations()
    }

    fn actions(&self) -> usize {
        self.environment.actions()
    }

    fn horizon(&self) -> usize {
        self.environment.horizon().div_ceil(self.times)
    }

    fn table(&self) -> Option<&[f32]> {
        self.environment.table()
    }

    fn decides(&self) -> bool {
        self.environment.decides()
    }

    fn picture(&self) -> Option<PictureSize> {
        self.environment.picture()
    }

    fn iterations(&self) -> usize {
        self.environment.iterations().saturating_add(1).saturating_mul(self.times)
    }

    fn pixel_iterations(&self) -> usize {
        self.environment.pixel_iterations()
    }

    fn largest_observation(&self) -> f64 {
        self.environment.largest_observation()
    }

    fn constants(&self) -> Vec<(&'static str, f64)> {
        self.environment.constants()
    }

    /// No world here magnifies a difference more than fourfold in a step.
    fn rounding(&self) -> f64 {
        self.environment.rounding() * 4f64.powi(self.times as i32)
    }

    fn reset(&self, random: &mut EpisodeRandom, state: &mut [f64]) {
        self.environment.reset(random, state);
    }

    fn observe(&self, state: &[f64], observation: &mut [f64]) {
        self.environment.observe(state, observation);
    }

    fn step(&self, state: &mut [f64], action: &[f64], random: &mut EpisodeRandom) -> Outcome {
        let mut whole = Outcome { reward: 0.0, done: false };
        for _ in 0..self.times {
            let outcome = self.environment.step(state, action, random);
            whole.reward += outcome.reward;
            whole.done = outcome.done;
            if outcome.done {
                break;
            }
        }
        whole
    }

    fn pixel(&self, scene: &[f64], row: usize, column: usize) -> f64 {
        self.environment.pixel(scene, row, column)
    }

    fn colour(&self, scene: &[f64], row: usize, column: usize) -> [f64; 3] {
        self.environment.colour(scene, row, column)
    }
}

#[cfg(test)]
mod tests {
    use fourfold::Gpu;
    use fourfold::rollout::environments::CartPoleSwingUp;
    use fourfold::rollout::policies::Linear;
    use fourfold::rollout::{Composition, Sensors, WeightSource};
    use fourfold::shaders::Generator;

    use super::*;

    #[test]
    fn an_action_lasts_until_the_episode_ends() {
        let world = Arc::new(CartPoleSwingUp { easy: true });
        let repeated = ActionRepeat::new(world.clone(), 4);
        assert_eq!(repeated.horizon(), 250);
        let random = &mut EpisodeRandom::new(0, 0, 0, 0);
        let mut slow = [0.0, 0.0, 3.0, 0.0];
        let mut fast = slow;
        let singles: f64 = (0..4).map(|_| world.step(&mut slow, &[0.5], random).reward).sum();
        let Outcome { reward, done } = repeated.step(&mut fast, &[0.5], random);
        assert_eq!((slow, singles, false), (fast, reward, done));

        // 5 centimetres from the end of the track at 3 metres per second: the second step leaves it.
        let mut state = [2.35, 3.0, 3.0, 0.0];
        assert!(repeated.step(&mut state, &[1.0], random).done);
        assert!((2.4..2.43).contains(&state[0]), "{state:?}");
    }

    #[test]
    fn the_kernel_computes_what_the_twin_does() {
        let gpu = Gpu::open().unwrap();
        let composition = Composition {
            environment: Arc::new(ActionRepeat::new(Arc::new(CartPoleSwingUp { easy: true }), 4)),
            policy: Arc::new(Linear),
            sensors: Sensors::default(),
            weights: WeightSource::Given { trace: true },
        };
        for seed in 0..3 {
            let case = composition.case(&mut Generator::new(seed, Generator::FULL));
            let verdict = fourfold::verify::run(&gpu, &case).unwrap();
            assert!(verdict.passed(), "{verdict}");
        }
    }
}
