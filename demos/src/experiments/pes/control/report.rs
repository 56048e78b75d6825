//! The report of a finished comparison.

use serde_json::json;

use super::{Compared, Curve, Settings, Task};
use crate::failure::Failure;
use crate::picture::plot::{Line, LinePlot, Summary};
use crate::run::report::Report;
use crate::statistics::{Mean, mean, median};

/// Points at the end of a curve that a final return is the mean of.
const LAST: usize = 5;

/// Describes a finished comparison over `seeds` seeds.
pub(super) fn report(settings: &Settings, seeds: usize, results: &[(Task, Vec<Compared>)]) -> Result<Report, Failure> {
    let mut report = Report::new("Control: persistent, full and truncated evolution strategies");
    report.explanation(format!(
        "Adam with its usual constants; every pair of particles has episodes of its own. For each estimator sigma ({:?}) and \
         rate ({:?}) are those whose curves have the highest mean over {} tuning seeds, with the same budget of environment \
         steps for all; the tables are of {seeds} other seeds. A return is the mean over {} episodes of the unperturbed \
         policy, the same for all points.",
        settings.sigmas, settings.rates, settings.tuning_seeds, settings.episodes,
    ));
    report.explanation(format!(
        "Final return: the mean over the last {LAST} points of a curve, mean and 95 % interval over the seeds; then \
         the environment steps until a seed's curve first \
         reaches the goal, the median over the seeds that do, and how many do. Steps count those of all particles."
    ));
    let mut tasks = Vec::new();
    for (task, compared) in results {
        report.heading(task.name);
        let (description, budget) = (uppercased(task.description), grouped(task.budget));
        report.paragraph(format!("{description}. {} particles, {budget} environment steps.", task.particles));
        let goal = format!("steps to {}", task.goal);
        let header = ["estimator", "K", "sigma", "rate", "final return", &goal, "reached"];
        report.table(&header, compared.iter().map(|one| row(task, one)));
        report.picture(format!("{}.png", task.name), task.name, plot(task, compared).png(900, 520)?);
        tasks.push(json!({
            "task": task.name, "particles": task.particles, "chunks": task.chunks, "budget": task.budget,
            "goal": task.goal, "estimators": compared,
        }));
    }
    report.result("tasks", json!(tasks));
    Ok(report)
}

fn last(curve: &Curve) -> f64 {
    let returns: Vec<f64> = curve.iter().rev().take(LAST.min(curve.len() - 1)).map(|point| point.1).collect();
    returns.iter().sum::<f64>() / returns.len() as f64
}

/// The environment steps at which a curve first reaches a return.
fn reached(curve: &Curve, goal: f64) -> Option<f64> {
    curve.iter().find(|point| point.1 >= goal).map(|point| point.0)
}

fn row(task: &Task, one: &Compared) -> [String; 7] {
    let finals: Vec<f64> = one.curves.iter().map(last).collect();
    let steps: Vec<f64> = one.curves.iter().filter_map(|curve| reached(curve, task.goal)).collect();
    [
        one.estimator.to_owned(),
        one.truncation.to_string(),
        one.hyperparameters.sigma.to_string(),
        one.hyperparameters.rate.to_string(),
        shown(mean(&finals)),
        if steps.is_empty() { "-".into() } else { grouped(median(&steps) as u64) },
        format!("{} of {}", steps.len(), one.curves.len()),
    ]
}

fn shown(mean: Mean) -> String {
    if mean.half_width.is_finite() { format!("{mean:.0}") } else { format!("{:.0}", mean.mean) }
}

/// Digits in groups of three.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let grouped: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().map(|group| std::str::from_utf8(group).unwrap_or_default()).collect();
    grouped.join(",")
}

fn uppercased(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

fn plot(task: &Task, compared: &[Compared]) -> LinePlot {
    let line = |one: &Compared| {
        let at = |index: usize| one.curves.iter().map(|curve| curve[index].1).collect::<Vec<_>>();
        let values = one.curves[0].iter().enumerate().map(|(index, point)| (point.0, at(index)));
        Line::of_seeds(format!("{}, K = {}", one.estimator, one.truncation), Summary::Interval, values)
    };
    let seeds = compared.first().map_or(0, |one| one.curves.len());
    LinePlot::new(
        format!("{}: return by environment steps", task.name),
        "environment steps of training",
        format!("return{}", Summary::Interval.in_words(seeds)),
        compared.iter().map(line),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_final_return_is_the_mean_of_the_end() {
        let curve: Curve = (0..11).map(|point| (f64::from(point), f64::from(point))).collect();
        assert_eq!(last(&curve), 8.0);
        assert_eq!(reached(&curve, 6.5), Some(7.0));
        assert_eq!(reached(&curve, 11.0), None);
    }

    #[test]
    fn digits_stand_in_threes() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
    }
}
