//! The log of a training: the objective and theta at some of its iterations.

use serde::{Deserialize, Deserializer, Serialize};

/// One of the iterations that are logged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// Outer iterations finished.
    pub iteration: usize,
    /// The outer objective at theta; NaN (in files null) where it is not finite.
    #[serde(deserialize_with = "number")]
    pub objective: f64,
    /// The mean loss of the particles in the last unroll.
    pub loss: Option<f64>,
    /// Theta, where it is short.
    pub theta: Vec<f32>,
}

/// JSON has no number that is not finite.
fn number<'a, D: Deserializer<'a>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or(f64::NAN))
}

/// A line of the log of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The name of the training.
    pub estimator: String,
    pub seed: u64,
    /// Inner steps so far, over all particles.
    pub inner_steps: usize,
    #[serde(flatten)]
    pub point: Point,
}

/// The outcome of a training, besides its log.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// Inner steps of one outer iteration.
    pub inner_steps: usize,
    /// The first iteration after which theta is not finite.
    pub diverged: Option<usize>,
}

/// A finished training.
#[derive(Debug, Clone, PartialEq)]
pub struct Trace {
    /// The name of the [`Entry`](super::task::Entry).
    pub entry: String,
    pub seed: u64,
    pub outcome: Outcome,
    pub points: Vec<Point>,
    /// Microseconds of an iteration, evaluations included; None if an earlier process finished the training.
    pub microseconds: Option<f64>,
}

impl Trace {
    /// Returns the objective after an iteration, if it is logged.
    pub fn at(&self, iteration: usize) -> Option<f64> {
        let index = self.points.binary_search_by_key(&iteration, |point| point.iteration).ok()?;
        Some(self.points[index].objective)
    }

    /// Returns the last point.
    pub fn last(&self) -> Option<&Point> {
        self.points.last()
    }
}

/// The iterations that are logged: 1, 2, 5, 10 and so on, every so many, milestones and the last. About 400 in all.
#[derive(Debug, Clone, PartialEq)]
pub struct Log {
    every: usize,
    milestones: Vec<usize>,
    last: usize,
}

impl Log {
    /// Selects iterations.
    pub fn new(iterations: usize, milestones: &[usize]) -> Self {
        let decades = (0..10).flat_map(|power| [1, 2, 5].map(|digit| digit * 10_usize.pow(power)));
        let every = decades.take_while(|&every| every <= iterations / 400).last().unwrap_or(1);
        Self { every, milestones: milestones.to_vec(), last: iterations }
    }

    /// Returns true if an iteration is logged.
    pub fn holds(&self, iteration: usize) -> bool {
        let mut digits = iteration;
        while digits > 0 && digits.is_multiple_of(10) {
            digits /= 10;
        }
        iteration.is_multiple_of(self.every)
            || matches!(digits, 1 | 2 | 5)
            || self.milestones.contains(&iteration)
            || iteration == self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn about_four_hundred_iterations_are_logged_the_early_ones_more_often() {
        let log = Log::new(20_000, &[333]);
        let held: Vec<usize> = (0..=20_000).filter(|&iteration| log.holds(iteration)).collect();
        assert_eq!(held[..10], [0, 1, 2, 5, 10, 20, 50, 100, 150, 200]);
        assert!(held.contains(&333) && held.last() == Some(&20_000));
        assert!((400..420).contains(&held.len()), "{}", held.len());
        assert!((0..=150).all(|iteration| Log::new(150, &[]).holds(iteration)));
    }

    #[test]
    fn an_objective_that_is_not_finite_survives_a_file() {
        let point = Point { iteration: 3, objective: f64::NAN, loss: Some(0.1), theta: vec![1.5] };
        let text = serde_json::to_string(&point).unwrap();
        assert_eq!(text, r#"{"iteration":3,"objective":null,"loss":0.1,"theta":[1.5]}"#);
        assert!(serde_json::from_str::<Point>(&text).unwrap().objective.is_nan());
    }
}
