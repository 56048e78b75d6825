//! The objective at points of the paths, on trainings that no method learned from.

use fourfold::evolution::Evaluator;

use crate::failure::Failure;
use crate::progress::Progress;

/// The key of measurements, which no training has.
pub const MEASURED: u32 = 0x0B1E_C71E;

/// The objective at each row of `thetas` (points, parameters), under a bar of this name.
///
/// # Errors
/// Rows that are not whole, or the loss of the device.
pub fn measured(
    evaluator: &Evaluator,
    thetas: &[f32],
    parameters: usize,
    name: &str,
    quiet: bool,
) -> Result<Vec<f64>, Failure> {
    let mut progress = Progress::new(name, (thetas.len() / parameters) as u64, quiet);
    let mut before = 0;
    let values = evaluator.run_reporting(thetas, |done| {
        progress.advance((done - before) as u64);
        before = done;
    })?;
    progress.finish();
    Ok(values.into_iter().map(|at| at.sum).collect())
}
