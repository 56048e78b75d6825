//! The environments that data is collected in.

use std::sync::Arc;

use fourfold::data::{Actions, Trajectories};
use fourfold::evolution::EvolutionStrategy;
use fourfold::rollout::Environment;
use fourfold::rollout::environments::{CartPole, CartPoleSwingUp, Pendulum, Swimmer};
use serde::{Deserialize, Serialize};

use super::{ActionRepeat, Course};

/// An environment with everything that collecting needs to know of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum World {
    /// Swung up by a motor that is too weak to lift it, and held
    Pendulum,
    /// A pole that hangs from a cart, swung up and balanced; each action lasts 4 steps
    CartPoleSwingUp,
    /// A pole kept upright on a cart by pushes to the left and to the right
    CartPole,
    /// Three rods that swim; each action lasts 4 steps
    Swimmer,
}

impl World {
    pub const ALL: [Self; 4] = [Self::Pendulum, Self::CartPoleSwingUp, Self::CartPole, Self::Swimmer];

    pub fn name(self) -> &'static str {
        match self {
            World::Pendulum => "pendulum",
            World::CartPoleSwingUp => "cart-pole-swing-up",
            World::CartPole => "cart-pole",
            World::Swimmer => "swimmer",
        }
    }

    /// Returns the environment that data of `data collect` are of.
    pub fn of(data: &Trajectories) -> Option<Self> {
        let name = data.notes().get("environment")?;
        let world = Self::ALL.into_iter().find(|world| world.name() == name)?;
        let fits = world.environment().observations() == data.observations() && world.actions() == data.actions();
        (fits && data.notes().contains_key("stage")).then_some(world)
    }

    /// The name of [`environment`](Self::environment) in a file of weights.
    pub fn played(self) -> &'static str {
        match self {
            World::Pendulum => "pendulum",
            World::CartPoleSwingUp => "cart-pole-swing-up-easy*4",
            World::CartPole => "cart-pole",
            World::Swimmer => "swimmer*4",
        }
    }

    /// The environment that is played. The swing-up starts near rest, so that the start does not decide the return, and where a second has
    /// a hundred steps or 25, an action lasts four of them: a context of 20 steps then spans as much as matters.
    pub fn environment(self) -> Arc<dyn Environment> {
        match self {
            World::Pendulum => Arc::new(Pendulum),
            World::CartPoleSwingUp => Arc::new(ActionRepeat::new(Arc::new(CartPoleSwingUp { easy: true }), 4)),
            World::CartPole => Arc::new(CartPole),
            World::Swimmer => Arc::new(ActionRepeat::new(Arc::new(Swimmer), 4)),
        }
    }

    /// The part of an action that is stored.
    pub fn actions(self) -> Actions {
        match self {
            World::CartPole => Actions::Discrete(2),
            World::Pendulum | World::CartPoleSwingUp => Actions::Continuous(1),
            World::Swimmer => Actions::Continuous(2),
        }
    }

    /// The numbers that are stored of an action that was done: a cart-pole's is 1 to the right, 0 to the left.
    pub(super) fn stored(self, action: &[f32]) -> Vec<f32> {
        match self {
            World::CartPole => vec![f32::from(u8::from(action[0] > 0.0))],
            _ => action.to_vec(),
        }
    }

    /// The training of its policies.
    pub fn course(self) -> Course {
        let pgpe = EvolutionStrategy::Pgpe { deviation: 0.5, rate: 0.1, fraction: 0.2 };
        let course = Course {
            hidden: vec![16],
            start: 0.3,
            strategy: pgpe,
            rate: 0.1,
            members: 128,
            episodes: 8,
            generations: 150,
            goal: 0.0,
            tries: 8,
        };
        match self {
            // Most trainings stay where half of the starts are swung up (-700 to -830): the tries are for those.
            World::Pendulum => Course { strategy: EvolutionStrategy::OpenAiEs { sigma: 0.2 }, goal: -200.0, ..course },
            World::CartPoleSwingUp => Course { members: 256, generations: 200, goal: 800.0, ..course },
            World::CartPole => Course { generations: 80, rate: 0.05, goal: 475.0, ..course },
            World::Swimmer => Course {
                hidden: Vec::new(),
                start: 0.0,
                strategy: EvolutionStrategy::OpenAiEs { sigma: 0.1 },
                rate: 0.03,
                members: 32,
                episodes: 2,
                goal: 300.0,
                ..course
            },
        }
    }
}
