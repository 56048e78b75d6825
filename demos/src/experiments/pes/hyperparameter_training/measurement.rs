//! The objective at points of the paths, on trainings that no method learned from.

use fourfold::evolution::{Evaluator, EvaluatorSettings, GraphProblem};

use crate::failure::Failure;
use crate::limits;
use crate::run::Run;

/// The key of measurements, which no training has.
pub const MEASURED: u32 = 0x0B1E_C71E;

/// Checks `--side-by-side` points with `--episodes` trainings each, of `horizon` steps.
///
/// # Errors
/// One is out of range, or they are too many together.
pub fn check(side_by_side: usize, episodes: usize, horizon: usize) -> Result<(), Failure> {
    limits::counts([("--side-by-side", side_by_side, 1..=65_536), ("--episodes", episodes, 1..=65_536)])?;
    let (steps, most) = (side_by_side * episodes * horizon, 1 << 28);
    match steps <= most {
        true => Ok(()),
        false => Err(Failure::Input(format!(
            "--side-by-side, --episodes and --horizon: expected a product of at most {most}, got {steps}"
        ))),
    }
}

/// Measures the objective at each row of `thetas` (points, parameters), in a stage of this name with a step for each.
///
/// # Errors
/// Rows that are not whole, out of memory, or the loss of the device.
pub fn measured(
    run: &mut Run,
    stage: &str,
    problem: &dyn GraphProblem,
    settings: &EvaluatorSettings,
    thetas: &[f32],
) -> Result<Vec<f64>, Failure> {
    run.say(stage);
    let values: Vec<Option<f64>> = run.stage(stage, (thetas.len() / problem.parameters()) as u64, |run| {
        let mut before = 0;
        let values = Evaluator::new(&run.gpu(), problem, settings)?.run_reporting(thetas, |done| {
            run.advance((done - before) as u64);
            before = done;
        })?;
        Ok(values.into_iter().map(|at| at.sum.is_finite().then_some(at.sum)).collect())
    })?;
    Ok(values.into_iter().map(|value| value.unwrap_or(f64::NAN)).collect())
}
