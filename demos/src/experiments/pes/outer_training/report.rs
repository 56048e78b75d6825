//! The report of finished trainings.

use std::fmt::Write;

use serde_json::{Value, json};

use super::recipe::{OptimiserName, Recipe};
use super::surface;
use super::task::{Entry, Reference, Task};
use super::trace::{Outcome, Trace};
use crate::failure::Failure;
use crate::picture::axis::Axis;
use crate::picture::plot::{Level, Line, LinePlot, Summary};
use crate::run::Run;
use crate::run::report::Report;
use crate::statistics::{extremes, median};

/// The label of a row with the measurements of others.
const REFERENCE: &str = "*reference*";

/// Describes the trainings of a run; `pixels` is the width of the picture of the objective.
///
/// # Errors
/// Out of memory, or the loss of the device.
pub fn report(run: &Run, task: &Task, entries: &[Entry], traces: &[Trace], pixels: usize) -> Result<Report, Failure> {
    let seeds = &run.seeds();
    let shown = Shown { entries, seeds, task, traces };
    let mut report = Report::new(task.name.as_str());
    report.explanation(task.about.as_str());
    report.paragraph(format!("{} after so many outer iterations{}.", capital(task.objective), shown.spread()));
    let (header, rows) = shown.table();
    let referenced = rows.iter().any(|row| row[0] == REFERENCE);
    report.table(&header, rows);
    if referenced {
        report.paragraph(
            "*Reference*: another implementation of the same settings, in JAX and f32, with seeds of its own.",
        );
    }
    if let Some(picture) = surface::picture(&run.gpu(), task, traces, seeds[0].into(), pixels)? {
        report.picture("surface.png", "surface", picture);
    }
    let mut plots = vec![("objective", shown.objective())];
    if shown.truncations_differ() {
        plots.push(("objective-steps", shown.objective_by_steps()));
    }
    plots.extend(shown.parameter().map(|plot| ("theta", plot)));
    for (name, plot) in plots {
        report.picture(format!("{name}.png"), name, plot.png(1_000, 600)?);
    }
    report.heading("Settings and cost");
    let header = [
        "estimator",
        "K",
        "particles",
        "sigma",
        "outer steps",
        "iterations",
        "inner steps of an iteration",
        "us an iteration",
    ];
    report.table(&header, entries.iter().map(|entry| shown.settings_row(entry)));
    report.explanation("The time of an iteration is the median over seeds, evaluations of the objective included.");
    report.result("problem", json!(task.name));
    report.result("estimators", shown.results());
    Ok(report)
}

/// Formats a number in as many digits as tell, by its size.
pub fn number(value: f64) -> String {
    match value.abs() {
        _ if !value.is_finite() => "not finite".into(),
        0.0 => "0".into(),
        size if !(1e-2..1e5).contains(&size) => format!("{value:.1e}"),
        size if size < 10.0 => format!("{value:.3}"),
        size if size < 100.0 => format!("{value:.2}"),
        size if size >= 1e4 => format!("{value:.0}"),
        _ => format!("{value:.1}"),
    }
}

/// The trainings of a run, for showing them.
struct Shown<'a> {
    entries: &'a [Entry],
    seeds: &'a [u32],
    task: &'a Task,
    traces: &'a [Trace],
}

impl Shown<'_> {
    fn of<'s>(&'s self, entry: &'s Entry) -> impl Iterator<Item = &'s Trace> {
        self.traces.iter().filter(|trace| trace.entry == entry.name)
    }

    /// The objectives of all seeds after an iteration; NaN of those that diverged before.
    fn objectives(&self, entry: &Entry, iteration: usize) -> Vec<f64> {
        if iteration > entry.recipe.iterations {
            return Vec::new();
        }
        self.of(entry).map(|trace| trace.at(iteration).unwrap_or(f64::NAN)).collect()
    }

    /// Iterations in the columns of the table.
    fn columns(&self) -> Vec<usize> {
        let lasts = self.entries.iter().map(|entry| entry.recipe.iterations);
        let most = lasts.clone().max().unwrap_or(0);
        let mut columns: Vec<usize> =
            self.task.milestones.iter().copied().filter(|&at| at <= most).chain(lasts).collect();
        columns.sort_unstable();
        columns.dedup();
        columns
    }

    fn spread(&self) -> &'static str {
        if self.seeds.len() > 1 { ", median (least .. most) over seeds" } else { "" }
    }

    /// Formats the last theta of the training whose objective is the median (the lower of two).
    fn end(&self, entry: &Entry) -> String {
        let mut ends: Vec<_> = self.of(entry).filter_map(|trace| Some((trace, trace.last()?))).collect();
        ends.sort_by(|(_, a), (_, b)| a.objective.total_cmp(&b.objective));
        match ends.get(ends.len().saturating_sub(1) / 2) {
            Some((Trace { outcome: Outcome { diverged: Some(iteration), .. }, .. }, _)) => {
                format!("diverged at {iteration}")
            }
            Some((_, point)) if (1..=3).contains(&point.theta.len()) => {
                point.theta.iter().map(|&number| self::number(number.into())).collect::<Vec<_>>().join(", ")
            }
            _ => "-".into(),
        }
    }

    /// Returns header and rows, with the measurements of others where they are known.
    fn table(&self) -> (Vec<String>, Vec<Vec<String>>) {
        let columns = self.columns();
        let mut header = vec!["estimator".to_owned()];
        header.extend(columns.iter().map(usize::to_string));
        header.push("theta at the end".into());
        let mut rows = Vec::new();
        for entry in self.entries {
            let cell = |&iteration: &usize| {
                let values = self.objectives(entry, iteration);
                match values.len() {
                    0 => "-".to_owned(),
                    1 => number(values[0]),
                    _ => {
                        let median = median(&values);
                        let shown = number(median);
                        let (least, most) = extremes(&values);
                        let [least, most] = [least, most].map(number);
                        if least == most { shown } else { format!("{shown} ({least} .. {most})") }
                    }
                }
            };
            let mut row = vec![entry.name.clone()];
            row.extend(columns.iter().map(cell));
            row.push(self.end(entry));
            rows.push(row);
            let reference = self.task.references.iter().find(|reference| reference.entry == entry.name);
            let shown = |reference: &&Reference| reference.values.iter().any(|(at, _)| columns.contains(at));
            if let Some(reference) = reference.filter(shown) {
                let cell = |iteration: &usize| {
                    let value = reference.values.iter().find(|(at, _)| at == iteration);
                    value.map_or(String::new(), |(_, text)| format!("*{text}*"))
                };
                let mut row = vec![REFERENCE.to_owned()];
                row.extend(columns.iter().map(cell));
                row.push(String::new());
                rows.push(row);
            }
        }
        (header, rows)
    }

    fn results(&self) -> Value {
        let entries: Vec<Value> = self
            .entries
            .iter()
            .map(|entry| {
                let trainings: Vec<Value> = self
                    .of(entry)
                    .map(|trace| {
                        let last = trace.last();
                        let milestones: Vec<Value> = self
                            .columns()
                            .into_iter()
                            .filter_map(|at| Some(json!({ "iteration": at, "objective": trace.at(at)? })))
                            .collect();
                        json!({
                            "seed": trace.seed, "diverged": trace.outcome.diverged, "objectives": milestones,
                            "theta": last.map(|point| point.theta.clone()), "inner_steps_per_iteration": trace.outcome.inner_steps,
                            "microseconds_per_iteration": trace.microseconds,
                        })
                    })
                    .collect();
                json!({ "estimator": entry.name, "recipe": entry.recipe, "trainings": trainings })
            })
            .collect();
        entries.into()
    }

    /// Returns true if every objective has a logarithm.
    fn positive(&self) -> bool {
        let mut all = self.traces.iter().flat_map(|trace| &trace.points).map(|point| point.objective);
        all.all(|objective| objective.is_nan() || objective > 0.0)
    }

    fn truncations_differ(&self) -> bool {
        let mut truncations = self.entries.iter().map(|entry| entry.recipe.truncation);
        let first = truncations.next();
        truncations.any(|truncation| Some(truncation) != first)
    }

    fn title(&self) -> String {
        let seeds = self.seeds.len();
        match seeds {
            1 => format!("{}: seed {}", self.task.name, self.seeds[0]),
            2 => format!("{}: median and both of 2 seeds", self.task.name),
            _ => format!("{}: median, least and most of {seeds} seeds", self.task.name),
        }
    }

    /// One line for each estimator: the median of a value of the points, with the range over the seeds.
    fn lines(&self, x: impl Fn(&Recipe, usize) -> f64, value: impl Fn(&Trace, usize) -> Option<f64>) -> Vec<Line> {
        let line = |entry: &Entry| {
            let longest = self.of(entry).max_by_key(|trace| trace.points.len());
            let points = longest.map_or(&[][..], |trace| &trace.points);
            let values = |index: usize| self.of(entry).map(|trace| value(trace, index).unwrap_or(f64::NAN)).collect();
            let values =
                points.iter().enumerate().map(|(index, point)| (x(&entry.recipe, point.iteration), values(index)));
            Line::of_seeds(&*entry.name, Summary::Median, values)
        };
        self.entries.iter().map(line).collect()
    }

    fn objective(&self) -> LinePlot {
        LinePlot::new(
            self.title(),
            Axis::logarithmic("outer iterations"),
            self.objective_axis(),
            self.lines(|_, iteration| iteration as f64, objective),
        )
    }

    fn objective_by_steps(&self) -> LinePlot {
        LinePlot::new(
            self.title(),
            Axis::logarithmic("inner steps of a particle: outer iterations times K"),
            self.objective_axis(),
            self.lines(|recipe, iteration| (iteration * recipe.truncation) as f64, objective),
        )
    }

    fn objective_axis(&self) -> Axis {
        Axis { label: self.task.objective.into(), logarithmic: self.positive(), range: self.task.range.clone() }
    }

    /// Theta along the way, where it is one number.
    fn parameter(&self) -> Option<LinePlot> {
        let [name] = self.task.parameters[..] else { return None };
        let theta = |trace: &Trace, index: usize| trace.points.get(index)?.theta.first().map(|&theta| f64::from(theta));
        // Where estimators diverge, the others would be one flat line.
        let start = f64::from(self.task.theta[0]);
        let far = |line: &Line| line.points.iter().any(|(_, theta)| (theta - start).abs() > 20.0 * (1.0 + start.abs()));
        let lines = self.lines(|_, iteration| iteration as f64, theta).into_iter().filter(|line| !far(line));
        let iterations = || self.entries.iter().map(|entry| entry.recipe.iterations);
        let logarithmic = iterations().max() > iterations().min().map(|least| 5 * least);
        Some(LinePlot {
            levels: self.task.best.iter().flatten().map(|&best| Level::across("best", best)).collect(),
            ..LinePlot::new(self.title(), Axis { logarithmic, ..Axis::new("outer iterations") }, name, lines)
        })
    }

    fn settings_row(&self, entry: &Entry) -> Vec<String> {
        let recipe = &entry.recipe;
        let name = recipe.estimator;
        let optional = |known: bool, text: String| if known { text } else { "-".into() };
        let mut particles = optional(name.has_particles(), recipe.particles.to_string());
        if recipe.chunks > 1 {
            let _ =
                write!(particles, " in {} {}chunks", recipe.chunks, if recipe.staggered { "staggered " } else { "" });
        }
        let rate = if recipe.rate < 1e-3 { format!("{:e}", recipe.rate) } else { recipe.rate.to_string() };
        let mut steps = match recipe.optimiser {
            OptimiserName::Sgd => format!("SGD {rate}"),
            OptimiserName::Adam => format!("Adam {rate}, beta1 {}", recipe.beta1),
        };
        if let Some(clip) = recipe.clip {
            let _ = write!(steps, ", cut off at {clip}");
        }
        let times: Vec<f64> = self.of(entry).filter_map(|trace| trace.microseconds).collect();
        vec![
            entry.name.clone(),
            recipe.truncation.to_string(),
            particles,
            optional(name.is_perturbed(), recipe.sigma.to_string()),
            steps,
            recipe.iterations.to_string(),
            self.of(entry).next().map_or("-".into(), |trace| trace.outcome.inner_steps.to_string()),
            optional(!times.is_empty(), format!("{:.0}", median(&times))),
        ]
    }
}

fn objective(trace: &Trace, index: usize) -> Option<f64> {
    trace.points.get(index).map(|point| point.objective)
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_the_digits_that_tell() {
        let shown = [563.62, 2_423.24, 0.1234, 24.0, 4.4e-14, 3.5e15, f64::NAN, 0.0].map(number);
        assert_eq!(shown, ["563.6", "2423.2", "0.123", "24.00", "4.4e-14", "3.5e15", "not finite", "0"]);
    }
}
