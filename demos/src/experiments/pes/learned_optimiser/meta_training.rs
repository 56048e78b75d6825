//! The outer loop around the learned optimiser.

use fourfold::evolution::{
    Descent, Estimator, EvaluatorSettings, OuterLoop, OuterSettings, OuterTensors, UnrollSettings, UnrolledGradient,
};
use fourfold::models::learned_optimiser::LearnedTraining;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Settings;
use crate::failure::Failure;
use crate::run::{Run, entry, set_entry};

/// A point of the curve: the mean loss of a step over held-out episodes, with theta unperturbed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Point {
    pub iteration: usize,
    pub loss: f64,
}

/// A finished training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Curve {
    pub name: String,
    pub points: Vec<Point>,
    /// Inner steps of an outer iteration, over all particles.
    pub inner_steps: usize,
    pub theta: Vec<f32>,
}

/// Thetas that are evaluated at a time.
const TOGETHER: usize = 8;

/// Points of a curve, besides the first.
const POINTS: usize = 40;

/// The key of held-out episodes.
const HELD_OUT: u32 = 0x0E1D_0047;

/// Trains the optimiser by one estimator, in a stage of the run.
///
/// # Errors
/// Data that cannot be read, settings out of range, theta that is not finite, out of memory, or the loss of the device.
pub fn train(run: &mut Run, name: &str, estimator: Estimator, settings: &Settings) -> Result<Curve, Failure> {
    let (gpu, seed) = (run.gpu(), run.seed() as u32);
    let problem = LearnedTraining::new(settings.trained_on()?, settings.optimiser());
    let initial = problem.optimiser().initial(seed);
    let outer = OuterTensors::new(&gpu, &initial, seed)?;
    let truncation = UnrollSettings {
        chunks: settings.chunks,
        staggered: settings.chunks > 1,
        ..UnrollSettings::new(estimator, settings.particles, settings.truncation, settings.sigma)
    };
    let gradient = UnrolledGradient::new(&gpu, &problem, &truncation, &outer)?;
    let (steps, episodes) = (Some(settings.horizon), settings.episodes);
    let evaluated = EvaluatorSettings { points: TOGETHER, episodes, steps, key: HELD_OUT };
    let evaluator = gradient.evaluator(&problem, &evaluated)?;
    let descent = Descent::adam(settings.beta1);
    let outer_settings = OuterSettings { descent, rate: settings.rate, clip: None, ring: 1 };
    let inner_steps = gradient.inner_steps();
    let mut outer = OuterLoop::new(&gpu, outer, Box::new(gradient), outer_settings)?;

    let mut points: Vec<Point> = Vec::new();
    // Theta at iterations whose points are not yet evaluated.
    let mut waiting: Vec<(usize, Vec<f32>)> = vec![(0, initial)];
    if let Some(checkpoint) = run.restored() {
        outer.restore(&checkpoint)?;
        (points, waiting) = entry(&checkpoint, "curve")?;
        run.skip(outer.iteration().into());
    }
    let every = settings.iterations.div_ceil(POINTS);
    loop {
        let iteration = outer.iteration() as usize;
        if iteration >= settings.iterations {
            break;
        }
        let count = every.min(settings.iterations - iteration);
        // One iteration a submission: K steps of a whole population are work enough for one.
        for _ in 0..count {
            outer.run(1)?;
            run.advance(1);
        }
        let (iteration, theta) = (iteration + count, outer.parameters()?);
        if !theta.iter().all(|number| number.is_finite()) {
            return Err(Failure::Run(format!("{name}: theta is not finite after {iteration} iterations")));
        }
        waiting.push((iteration, theta));
        if waiting.len() == TOGETHER || iteration == settings.iterations {
            let rows: Vec<f32> = waiting.iter().flat_map(|(_, theta)| theta.iter().copied()).collect();
            let losses = evaluator.run(&rows)?.into_iter().map(|at| at.sum / settings.horizon as f64);
            for ((iteration, _), loss) in waiting.drain(..).zip(losses) {
                run.log(
                    &json!({ "estimator": name, "iteration": iteration, "loss": loss.is_finite().then_some(loss) }),
                )?;
                points.push(Point { iteration, loss });
            }
        }
        if let Some(point) = points.last() {
            run.say(format!("{name}: {:.3} at {}", point.loss, point.iteration));
        }
        run.save_if_due(|checkpoint| {
            set_entry(checkpoint, "curve", &(&points, &waiting))?;
            Ok(outer.save(checkpoint)?)
        })?;
    }
    Ok(Curve { name: name.into(), points, inner_steps, theta: outer.parameters()? })
}
