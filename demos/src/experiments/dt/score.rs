//! D4RL's scores: 0 for a random policy, 100 for an expert, linear between and beyond.

use fourfold::data::Trajectories;

/// The returns between which an environment's score is taken, and what the paper asks of a transformer there.
#[derive(Debug, Clone, PartialEq)]
pub struct Reference {
    /// The return of a random policy.
    pub random: f64,
    /// The return of an expert.
    pub expert: f64,
    /// The number that returns are divided by, and the target returns of evaluations (Decision Transformer's code and table 9).
    pub protocol: Option<(f32, Vec<f32>)>,
}

/// Environments by the beginning of their names in lower case: D4RL's `infos.py`, whose returns are the same for all
/// data sets of an environment.
const REFERENCES: [(&str, f64, f64); 12] = [
    ("halfcheetah", -280.178953, 12135.0),
    ("hopper", -20.272305, 3234.3),
    ("walker2d", 1.629008, 4592.3),
    ("antmaze", 0.0, 1.0),
    ("ant", -325.6, 3879.7),
    ("pen", 96.262799, 3076.8331017826877),
    ("hammer", -274.856578, 12794.134825156867),
    ("door", -56.512833, 2880.5693087298737),
    ("relocate", -6.425911, 4233.877797728884),
    ("kitchen", 0.0, 4.0),
    ("maze2d-umaze", 23.85, 161.86),
    ("maze2d-medium", 13.13, 277.39),
];

impl Reference {
    /// The reference of an environment or data set: `Hopper-v5`, `hopper-medium-v2`, `mujoco/hopper/medium-v0`.
    pub fn of(name: &str) -> Option<Self> {
        let name = name.to_lowercase();
        let mut places =
            std::iter::once(&name[..]).chain(name.match_indices(['/', '\\']).map(|(at, _)| &name[at + 1..]));
        let (prefix, random, expert) =
            places.find_map(|place| REFERENCES.into_iter().find(|(prefix, ..)| begins(place, prefix)))?;
        let protocol = match prefix {
            "hopper" => Some((1000.0, vec![3600.0, 1800.0])),
            "halfcheetah" => Some((1000.0, vec![12000.0, 6000.0])),
            "walker2d" => Some((1000.0, vec![5000.0, 2500.0])),
            _ => None,
        };
        Some(Self { random, expert, protocol })
    }

    /// The reference for data: the one that its metadata states, or that of the environment, else of the name.
    pub fn for_data(data: &Trajectories, environment: Option<&str>) -> Option<Self> {
        let known = environment.and_then(Self::of).or_else(|| Self::of(data.name()));
        let stated = |keys: [&str; 2]| keys.iter().find_map(|key| data.notes().get(*key)?.parse().ok());
        // Minari's names and those of `data collect`.
        match (stated(["ref_min_score", "random_return"]), stated(["ref_max_score", "expert_return"])) {
            (Some(random), Some(expert)) if expert > random => {
                Some(Self { random, expert, protocol: known.and_then(|known| known.protocol) })
            }
            _ => known,
        }
    }

    pub fn score(&self, total: f64) -> f64 {
        100.0 * (total - self.random) / (self.expert - self.random)
    }
}

/// True if the name begins with a word, and not with a longer one.
fn begins(name: &str, word: &str) -> bool {
    let rest = name.strip_prefix(word);
    rest.is_some_and(|rest| !rest.starts_with(|next: char| next.is_alphanumeric()))
}

#[cfg(test)]
mod tests {
    use fourfold::data::{Actions, Steps};

    use super::*;

    #[test]
    fn scores_are_those_of_d4rl() {
        let hopper = Reference::of("hopper-medium-v2").unwrap();
        assert_eq!(hopper.score(-20.272305), 0.0);
        assert_eq!(hopper.score(3234.3), 100.0);
        // The paper's 67.6 of hopper-medium is a return of about 2,180.
        assert!((hopper.score(2179.8) - 67.6).abs() < 0.01);
    }

    #[test]
    fn environments_are_known_by_any_of_their_names() {
        for name in ["Hopper-v5", "mujoco/hopper/medium-v0", "data/Hopper-v5-random.hdf5", "hopper"] {
            assert_eq!(Reference::of(name).unwrap().expert, 3234.3, "{name}");
        }
        assert_eq!(Reference::of("Ant-v5").unwrap().expert, 3879.7);
        assert_eq!(Reference::of("D4RL/antmaze/umaze-v1").unwrap().expert, 1.0);
        assert_eq!(Reference::of("Pendulum-v1"), None);
        assert_eq!(Reference::of("antelope-v1"), None);
    }

    #[test]
    fn what_a_data_set_states_comes_first() {
        let steps = Steps {
            observations: vec![0.0],
            actions: vec![0.0],
            rewards: vec![1.0],
            ends: vec![1],
            terminated: vec![true],
        };
        let mut data = Trajectories::new("hopper-x", 1, Actions::Continuous(1), steps).unwrap();
        assert_eq!(Reference::for_data(&data, None).unwrap().expert, 3234.3);
        data.set_note("ref_min_score", "10.0");
        data.set_note("ref_max_score", "20.0");
        let stated = Reference::for_data(&data, Some("Hopper-v5")).unwrap();
        assert_eq!((stated.score(15.0), stated.protocol.is_some()), (50.0, true));
    }
}
