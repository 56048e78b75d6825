//! Outer parameters trained through truncated unrolls: the problems, the estimators, the trainings and their report.

pub mod catalogue;
mod judge;
pub mod recipe;
mod report;
mod surface;
pub mod task;
mod trace;
mod training;

use std::time::Instant;

use crate::failure::Failure;
use crate::run::Run;
use crate::run::report::Report;
use task::{Entry, Task};
use trace::{Row, Trace};
use training::Training;

/// Points of which the objective is evaluated at a time.
const POINTS: usize = 16;

/// Trains every entry from every seed, and describes the trainings. `pixels` are those of a picture of the objective from
/// side to side.
///
/// # Errors
/// Settings out of range, out of memory, or the loss of the device.
pub fn train(
    run: &mut Run,
    task: &Task,
    entries: &[Entry],
    pixels: usize,
) -> Result<(Report, Option<Failure>), Failure> {
    let (gpu, seeds) = (run.gpu(), run.seeds());
    let judge = task.judge(&gpu, POINTS)?;
    // A plan that is refused is found before the first training.
    for entry in entries {
        Training::new(&gpu, run.ranks(), task, &judge, entry, seeds[0].into())?;
    }
    let iterations: u64 = entries.iter().map(|entry| entry.recipe.iterations as u64).sum();
    run.progress("pes", iterations * seeds.len() as u64);
    let mut traces = Vec::new();
    for entry in entries {
        for &seed in &seeds {
            let (begun, mut trained) = (Instant::now(), false);
            let stage = format!("{}, seed {seed}", entry.name);
            let outcome = run.stage(&stage, entry.recipe.iterations as u64, |run| {
                trained = true;
                training::train(run, task, &judge, entry, seed.into())
            })?;
            let iterations = outcome.diverged.unwrap_or(entry.recipe.iterations) as f64;
            let microseconds = trained.then(|| begun.elapsed().as_secs_f64() * 1e6 / iterations);
            let (entry, seed) = (entry.name.clone(), u64::from(seed));
            traces.push(Trace { entry, seed, outcome, points: Vec::new(), microseconds });
        }
    }
    for row in run.rows::<Row>()? {
        let of = |trace: &&mut Trace| trace.entry == row.estimator && trace.seed == row.seed;
        if let Some(trace) = traces.iter_mut().find(of) {
            trace.points.push(row.point);
        }
    }
    let diverged = traces.iter().find_map(|trace| Some((trace, trace.outcome.diverged?)));
    let diverged = diverged.map(|(Trace { entry, seed, .. }, iteration)| {
        Failure::Run(format!(
            "theta is not finite from iteration {iteration} on ({entry}, seed {seed}): a lower --rate, or --clip, may help"
        ))
    });
    Ok((report::report(run, task, entries, &traces, pixels)?, diverged))
}
