//! Errors of the settings and the fitness values given to a CMA-ES.

use std::fmt;

/// An error of a CMA-ES.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum CmaEsError {
    /// A setting, or the initial mean, is out of its range.
    Setting {
        /// The setting by name.
        setting: &'static str,
        /// Its range in words.
        expected: String,
        /// The value given.
        got: String,
    },
    /// The number of fitness values differs from the number of members.
    Fitness {
        /// Members of the population.
        members: usize,
        /// Values given.
        got: usize,
    },
    /// Fitness values came for a population that nobody has seen.
    NotAsked,
    /// The search distribution has left the range of `f32`: the objective grows without bound, or the fitness is
    /// noise alone.
    Diverged {
        /// The generation, from 0.
        generation: u32,
        /// The step size there.
        sigma: f64,
    },
}

impl fmt::Display for CmaEsError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Setting { setting, expected, got } => {
                write!(formatter, "CMA-ES: expected {setting} of {expected}, got {got}")
            }
            Self::Fitness { members, got } => {
                write!(formatter, "CMA-ES: expected a fitness for each of {members} members, got {got} values")
            }
            Self::NotAsked => {
                write!(formatter, "CMA-ES: call `ask` and evaluate its members before `tell`, once a generation")
            }
            Self::Diverged { generation, sigma } => write!(
                formatter,
                "CMA-ES: expected finite members in generation {generation}, got a diverged distribution (sigma \
                 {sigma:e}): bound the objective, or lower sigma"
            ),
        }
    }
}

impl std::error::Error for CmaEsError {}
