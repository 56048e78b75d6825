//! The environments' twins against whole episodes of Gymnasium's own classic control, and of the cart-pole swing-up:
//! the files of `tests/goldens/gymnasium`, whose README says what they hold.

use std::path::Path;
use std::sync::Arc;

use fourfold::Gpu;
use fourfold::shaders::rollout::environments::{Acrobot, CartPole, CartPoleSwingUp, MountainCarContinuous, Pendulum};
use fourfold::shaders::rollout::policies::Linear;
use fourfold::shaders::rollout::unroll::{
    Composition, Environment, EpisodeRandom, Outcome, Policy, Problem, Sensors, WeightSource, WeightStorage,
};
use fourfold::shaders::{Case, Data};
use fourfold::verify;
use safetensors::{Dtype, SafeTensors};

/// An environment, its golden file, and how its action is made of Gymnasium's.
struct World {
    environment: Arc<dyn Environment>,
    file: &'static str,
    action: fn(f64) -> Vec<f64>,
    /// The amount by which a free run may differ from the recorded one, in units of 2^-53 of the larger of 1 and the
    /// value: some hundred times what is seen. A step differs by a unit or two (another library's sine), which is
    /// carried on.
    strays: f64,
    /// The factor by which a difference may grow in a step, besides.
    growth: f64,
}

fn worlds() -> [World; 5] {
    [
        World {
            environment: Arc::new(CartPole),
            file: "cart_pole",
            action: |choice| vec![2.0 * choice - 1.0],
            strays: 1e2,
            // A pole that is not held falls with a time constant of sqrt(0.5 (4/3 - 0.1/1.1) / 9.8) = 0.252 s, and the
            // recorded actions do not hold it.
            growth: (0.02_f64 / 0.252).exp(),
        },
        World {
            environment: Arc::new(Pendulum),
            file: "pendulum",
            action: |torque| vec![torque / 2.0],
            strays: 1e4,
            growth: 1.0,
        },
        World {
            environment: Arc::new(Acrobot),
            file: "acrobot",
            action: |choice| (0..3).map(|place| f64::from(f64::from(place) == choice)).collect(),
            // A double pendulum that swings wide is chaotic.
            strays: 1e6,
            growth: 1.0,
        },
        World {
            environment: Arc::new(MountainCarContinuous),
            file: "mountain_car_continuous",
            action: |force| vec![force],
            strays: 1e4,
            growth: 1.0,
        },
        World {
            environment: Arc::new(CartPoleSwingUp::default()),
            file: "cart_pole_swing_up",
            action: |force| vec![force],
            strays: 1e4,
            growth: 1.0,
        },
    ]
}

struct Golden(Vec<u8>);

impl Golden {
    fn load(file: &str) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/gymnasium");
        Self(std::fs::read(folder.join(format!("{file}.safetensors"))).expect("a golden file"))
    }

    fn tensors(&self) -> SafeTensors<'_> {
        SafeTensors::deserialize(&self.0).expect("a golden file")
    }

    /// The values of a tensor of any type; `None` where the file has none of the name.
    fn find(&self, name: &str) -> Option<Vec<f64>> {
        let tensors = self.tensors();
        let tensor = tensors.tensor(name).ok()?;
        let bytes = tensor.data();
        let values = match tensor.dtype() {
            Dtype::F64 => bytes.as_chunks().0.iter().map(|&value| f64::from_le_bytes(value)).collect(),
            Dtype::F32 => bytes.as_chunks().0.iter().map(|&value| f64::from(f32::from_le_bytes(value))).collect(),
            Dtype::U32 => bytes.as_chunks().0.iter().map(|&value| f64::from(u32::from_le_bytes(value))).collect(),
            Dtype::U8 => bytes.iter().map(|&value| f64::from(value)).collect(),
            other => panic!("{name} holds {other:?}"),
        };
        Some(values)
    }

    fn values(&self, name: &str) -> Vec<f64> {
        self.find(name).unwrap_or_else(|| panic!("no `{name}` in the golden file"))
    }

    fn metadata(&self, key: &str) -> String {
        let (_, header) = SafeTensors::read_metadata(&self.0).expect("a golden file");
        header.metadata().as_ref().expect("metadata")[key].clone()
    }

    /// All episodes, with the names that messages give.
    fn episodes(&self, world: &World) -> Vec<Episode> {
        let names: Vec<String> = serde_json::from_str(&self.metadata("episodes")).expect("a list of names");
        let states = world.environment.states();
        let rows = |values: Vec<f64>, width: usize| values.chunks_exact(width).map(<[f64]>::to_vec).collect();
        names
            .iter()
            .map(|name| Episode {
                name: format!("{}, {name}", world.file),
                states: rows(self.values(&format!("{name}.state")), states),
                observations: self
                    .find(&format!("{name}.observation"))
                    .map(|values| rows(values, world.environment.observations())),
                actions: self.values(&format!("{name}.action")).into_iter().map(world.action).collect(),
                rewards: self.values(&format!("{name}.reward")),
                terminated: self.values(&format!("{name}.terminated")).iter().map(|&flag| flag == 1.0).collect(),
                truncated: self.values(&format!("{name}.truncated")).iter().map(|&flag| flag == 1.0).collect(),
            })
            .collect()
    }
}

struct Episode {
    name: String,
    states: Vec<Vec<f64>>,
    /// `None`: the state itself is observed.
    observations: Option<Vec<Vec<f64>>>,
    actions: Vec<Vec<f64>>,
    rewards: Vec<f64>,
    terminated: Vec<bool>,
    truncated: Vec<bool>,
}

/// The largest difference, in units of the larger of 1 and the expected value.
fn stray(got: &[f64], expected: &[f64]) -> f64 {
    assert_eq!(got.len(), expected.len());
    let pairs = got.iter().zip(expected);
    pairs.map(|(got, expected)| (got - expected).abs() / expected.abs().max(1.0)).fold(0.0, f64::max)
}

/// The recorded steps of every episode: world, episode, step.
fn each_episode(mut visit: impl FnMut(&World, &Episode)) {
    for world in worlds() {
        let golden = Golden::load(world.file);
        let episodes = golden.episodes(&world);
        assert!(episodes.len() >= 4, "{} has {} episodes", world.file, episodes.len());
        for episode in &episodes {
            visit(&world, episode);
        }
    }
}

fn step(world: &World, state: &mut [f64], action: &[f64]) -> Outcome {
    // No world of classic control draws after its reset.
    world.environment.step(state, action, &mut EpisodeRandom::new(0, 0, 0, 0))
}

#[test]
fn each_step_from_a_recorded_state_is_gymnasiums() {
    each_episode(|world, episode| {
        for (time, action) in episode.actions.iter().enumerate() {
            let mut state = episode.states[time].clone();
            let outcome = step(world, &mut state, action);
            let place = format!("{}, step {time}", episode.name);
            assert!(stray(&state, &episode.states[time + 1]) < 1e-12, "{place}: {state:?}");
            let reward = episode.rewards[time];
            assert!(stray(&[outcome.reward], &[reward]) < 1e-12, "{place}: {} and {reward}", outcome.reward);
            assert_eq!(outcome.done, episode.terminated[time], "{place}");
        }
    });
}

/// One member for each recorded step, in the state before it, with weights that give its action whatever it sees.
fn case_of(world: &World, episodes: &[Episode]) -> Case {
    let composition = Composition {
        environment: world.environment.clone(),
        policy: Arc::new(Linear),
        sensors: Sensors::default(),
        weights: WeightSource::Given { trace: false },
    };
    let steps: Vec<(&Vec<f64>, &Vec<f64>)> =
        episodes.iter().flat_map(|episode| episode.states.iter().zip(&episode.actions)).collect();
    let count = steps.len();
    let problem = Problem {
        members: count,
        first_member: 0,
        present: count,
        groups: 1,
        episodes: 1,
        horizon: 1_000,
        steps: 1,
        fresh: false,
        common_random_numbers: true,
        stream: 0,
    };
    let mut saved = vec![0.0; composition.saved() * count];
    let mut weights = vec![0.0; composition.parameters() * count];
    for (member, (state, action)) in steps.into_iter().enumerate() {
        for (row, number) in state.iter().enumerate() {
            saved[row * count + member] = *number as f32;
        }
        // The biases come last.
        let biases = &mut weights[..(member + 1) * composition.parameters()];
        let first = biases.len() - action.len();
        biases[first..].iter_mut().zip(action).for_each(|(bias, number)| *bias = *number as f32);
    }
    // No episode finished, one step into the present one, nothing wrong.
    let counters = [vec![0; count], vec![1; count], vec![0; count]].concat();
    let inputs = [
        Data::U32(vec![0; 2]),
        Data::F32(saved),
        Data::U32(counters),
        Data::F32(vec![-7.0; count]),
        Data::U32(vec![77; count]),
        Data::F32(weights),
    ];
    let keeping = WeightStorage::Private;
    let sequence = problem.sequence_with(&composition, composition.kernel(keeping), keeping, 64);
    let call = sequence.expect("valid sizes").steps.swap_remove(0).call;
    Case::new((world.file, problem), call, inputs)
}

/// Random policies seldom meet walls, goals and speed limits; these episodes do. The twin's step is Gymnasium's (above).
#[test]
fn each_recorded_step_on_the_gpu_is_the_twins() {
    let gpu = Gpu::open().unwrap_or_else(|error| panic!("{error}"));
    for world in worlds() {
        let verdict = verify::run(&gpu, &case_of(&world, &Golden::load(world.file).episodes(&world)));
        let verdict = verdict.unwrap_or_else(|error| panic!("{}: {error}", world.file));
        println!("{verdict}");
        assert!(verdict.passed(), "{verdict}");
        // The bound is that of an environment and a policy; this policy hands on a weight and rounds nothing.
        let (environment, policy) = (world.environment.rounding(), Linear.rounding());
        assert!(verdict.worst <= environment / (environment + policy), "{verdict}");
    }
}

#[test]
fn each_observation_is_gymnasiums() {
    each_episode(|world, episode| {
        let mut observation = vec![0.0; world.environment.observations()];
        for (time, state) in episode.states.iter().enumerate() {
            world.environment.observe(state, &mut observation);
            let expected = episode.observations.as_ref().map_or(state, |observations| &observations[time]);
            // Gymnasium rounds it to f32.
            assert!(stray(&observation, expected) < 6e-8, "{}, step {time}: {observation:?}", episode.name);
        }
    });
}

#[test]
fn an_episode_run_freely_stays_with_gymnasiums() {
    each_episode(|world, episode| {
        let mut state = episode.states[0].clone();
        let (mut sum, mut expected, mut bound) = (0.0, 0.0, world.strays * 2.0_f64.powi(-53));
        for (time, action) in episode.actions.iter().enumerate() {
            let outcome = step(world, &mut state, action);
            sum += outcome.reward;
            expected += episode.rewards[time];
            bound *= world.growth;
            if bound > 1e-3 {
                // Of a pole that falls this long, nothing can be said.
                assert!(world.growth > 1.0 && time > 250, "{}: compared for {time} steps only", episode.name);
                return;
            }
            let difference = stray(&state, &episode.states[time + 1]);
            assert!(difference < bound, "{}, step {time}: strays by {difference:e}", episode.name);
            assert_eq!(outcome.done, episode.terminated[time], "{}, step {time}", episode.name);
        }
        assert!(stray(&[sum], &[expected]) < bound, "{}: return {sum}, not {expected}", episode.name);
    });
}

#[test]
fn time_limits_are_gymnasiums() {
    each_episode(|world, episode| {
        let cut_off = episode.truncated.iter().position(|&cut_off| cut_off).map(|time| time + 1);
        let horizon = world.environment.horizon();
        match cut_off {
            Some(steps) => assert_eq!(steps, horizon, "{}", episode.name),
            None => assert!(episode.actions.len() < horizon, "{}", episode.name),
        }
    });
}

/// Gymnasium's mountain car keeps its state in f32 and so computes in it; the other tests compare with its source in f64.
#[test]
fn the_mountain_car_as_shipped_strays_only_by_its_own_rounding() {
    let [.., world, _] = worlds();
    let golden = Golden::load(world.file);
    let names: Vec<String> = serde_json::from_str(&golden.metadata("episodes")).expect("a list of names");
    let allowed: f64 = golden.metadata("shipped_stray").parse().expect("a number");
    assert!(allowed < 2e-5, "{allowed}");
    for (name, episode) in names.iter().zip(golden.episodes(&world)) {
        let shipped = golden.values(&format!("{name}.shipped_state"));
        let mut state = episode.states[0].clone();
        for (time, action) in episode.actions.iter().enumerate() {
            step(&world, &mut state, action);
            let expected = &shipped[2 * (time + 1)..][..2];
            // The metadata hold three digits of it.
            assert!(stray(&state, expected) < 1.01 * allowed, "{}, step {time}: {state:?}", episode.name);
        }
    }
}

#[test]
fn the_swing_up_follows_the_trajectory_of_the_original() {
    let golden = Golden::load("cart_pole_swing_up");
    let world = worlds().into_iter().next_back().expect("the swing-up");
    let (states, returns) = (golden.values("reference.state"), golden.values("reference.return"));
    let mut state = [0.1, -0.2, 3.0, 0.5];
    let (mut steps_done, mut sum) = (0, 0.0);
    for (row, steps) in golden.values("reference.steps").into_iter().enumerate() {
        while f64::from(steps_done) < steps {
            sum += step(&world, &mut state, &[(0.1 * f64::from(steps_done)).sin()]).reward;
            steps_done += 1;
        }
        assert!(stray(&state, &states[4 * row..][..4]) < 1e-12, "after {steps} steps: {state:?}");
        // Nine decimals are recorded.
        assert!((sum - returns[row]).abs() < 1e-9, "after {steps} steps: {sum}");
    }
    assert_eq!(steps_done, 100);
}

/// Uniform in `middle +- reach`, by the bounds, the mean and the variance of many draws.
fn assert_uniform(draws: &[f64], middle: f64, reach: f64, what: &str) {
    let count = draws.len() as f64;
    let mean = draws.iter().sum::<f64>() / count;
    let variance = draws.iter().map(|draw| (draw - middle).powi(2)).sum::<f64>() / count;
    // Five standard errors each: of the mean, reach / sqrt(3 n); of the variance, reach^2 sqrt(4 / (45 n)).
    assert!(draws.iter().all(|draw| (draw - middle).abs() <= reach), "{what}: out of bounds");
    assert!((mean - middle).abs() <= 5.0 * reach / (3.0 * count).sqrt(), "{what}: mean {mean}");
    let spread = 5.0 * reach * reach * (4.0 / (45.0 * count)).sqrt();
    assert!((variance - reach * reach / 3.0).abs() <= spread, "{what}: variance {variance}");
}

#[test]
fn resets_are_distributed_as_gymnasiums() {
    use std::f64::consts::{FRAC_PI_2, PI};
    // Middle and reach of each number of the state.
    let resets: [(World, Vec<(f64, f64)>); 5] = {
        let [cart_pole, pendulum, acrobot, mountain_car, swing_up] = worlds();
        [
            (cart_pole, vec![(0.0, 0.05); 4]),
            (pendulum, vec![(0.0, PI), (0.0, 1.0)]),
            (acrobot, vec![(0.0, 0.1); 4]),
            (mountain_car, vec![(-0.5, 0.1), (0.0, 0.0)]),
            (swing_up, vec![(0.0, 2.4), (0.0, 10.0), (PI, FRAC_PI_2), (0.0, 10.0)]),
        ]
    };
    for (world, ranges) in resets {
        let mut draws = vec![Vec::new(); ranges.len()];
        let mut state = vec![0.0; ranges.len()];
        for episode in 0..20_000 {
            world.environment.reset(&mut EpisodeRandom::new(7, 1, episode, 0), &mut state);
            draws.iter_mut().zip(&state).for_each(|(draws, value)| draws.push(*value));
        }
        for (number, (draws, (middle, reach))) in draws.iter().zip(ranges).enumerate() {
            assert_uniform(draws, middle, reach, &format!("{}, number {number}", world.file));
        }
    }
}
