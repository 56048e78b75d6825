//! The tables, the pictures and the files of a finished run.

use std::fmt::Write;

use fourfold::Gpu;
use serde_json::{Value, json};

use super::{Settings, surface};
use crate::failure::Failure;
use crate::pes::{Entry, OptimiserName, Recipe, Task, Trace};
use crate::picture::plot::{Axis, Line, LinePlot};
use crate::run::folder::{RunFolder, adapter_json};
use crate::table::wide_table;

/// Writes `metrics.jsonl`, `results.json`, `report.md` and the plots; returns the table for the terminal.
pub fn write(
    folder: &RunFolder,
    settings: &Settings,
    task: &Task,
    traces: &[Trace],
    gpu: &Gpu,
) -> Result<String, Failure> {
    let shown = Shown { settings, task, traces, command: folder.command_line()?.join(" ") };
    folder.write_json_lines("metrics.jsonl", &metrics(traces))?;
    folder.write_json("results.json", &shown.results(gpu))?;
    let mut pictures = vec![("objective.png", shown.objective())];
    if shown.truncations_differ() {
        pictures.push(("objective-steps.png", shown.objective_by_steps()));
    }
    pictures.extend(shown.parameter().map(|plot| ("theta.png", plot)));
    let mut names = Vec::new();
    for (name, plot) in pictures {
        folder.write(name, &plot.png(1_000, 600)?)?;
        names.push(name);
    }
    if let Some(picture) = surface::picture(gpu, settings, task, traces)? {
        folder.write("surface.png", &picture)?;
        names.insert(0, "surface.png");
    }
    folder.write("report.md", shown.markdown(gpu, &names).as_bytes())?;
    let (header, rows) = shown.table(false);
    let header: Vec<&str> = header.iter().map(String::as_str).collect();
    Ok(format!(
        "{}: {} after so many outer iterations{}\n\n{}\n\nThe run is in {}",
        task.name,
        task.objective,
        shown.spread(),
        wide_table(&header, rows),
        folder.path().display()
    ))
}

fn metrics(traces: &[Trace]) -> Vec<Value> {
    let row = |trace: &Trace| {
        let (entry, seed, steps) = (trace.entry.clone(), trace.seed, trace.inner_steps);
        let points = trace.points.clone();
        points.into_iter().map(move |point| {
            json!({
                "estimator": entry, "seed": seed, "iteration": point.iteration,
                "inner_steps": point.iteration * steps, "objective": point.objective, "loss": point.loss,
                "theta": point.theta,
            })
        })
    };
    traces.iter().flat_map(row).collect()
}

/// A number in as many digits as tell, by its size.
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

/// The median of values of which some may not be finite, which count as the largest; NaN where it is such a one.
fn median(values: &mut [f64]) -> f64 {
    values.iter_mut().filter(|value| value.is_nan()).for_each(|value| *value = f64::INFINITY);
    values.sort_by(f64::total_cmp);
    match values {
        [] => f64::NAN,
        _ => {
            let (below, above) = (values[(values.len() - 1) / 2], values[values.len() / 2]);
            if above.is_finite() { 0.5 * (below + above) } else { f64::NAN }
        }
    }
}

/// A run, for showing it.
struct Shown<'a> {
    settings: &'a Settings,
    task: &'a Task,
    traces: &'a [Trace],
    /// The command line that the run began with.
    command: String,
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
        let lasts = self.settings.entries.iter().map(|entry| entry.recipe.iterations);
        let most = lasts.clone().max().unwrap_or(0);
        let mut columns: Vec<usize> =
            self.task.milestones.iter().copied().filter(|&at| at <= most).chain(lasts).collect();
        columns.sort_unstable();
        columns.dedup();
        columns
    }

    fn spread(&self) -> &'static str {
        if self.settings.seeds.len() > 1 { ", median (least .. most) over seeds" } else { "" }
    }

    /// Where theta ended, of the training whose objective is the median (the lower of two).
    fn end(&self, entry: &Entry) -> String {
        let mut ends: Vec<_> = self.of(entry).filter_map(|trace| Some((trace, trace.last()?))).collect();
        ends.sort_by(|(_, a), (_, b)| a.objective.total_cmp(&b.objective));
        match ends.get(ends.len().saturating_sub(1) / 2) {
            Some((Trace { diverged: Some(iteration), .. }, _)) => format!("diverged at {iteration}"),
            Some((_, point)) if (1..=3).contains(&point.theta.len()) => {
                point.theta.iter().map(|&number| self::number(number.into())).collect::<Vec<_>>().join(", ")
            }
            _ => "-".into(),
        }
    }

    /// Header and rows, with what others measured where it is known.
    fn table(&self, references: bool) -> (Vec<String>, Vec<Vec<String>>) {
        let columns = self.columns();
        let mut header = vec!["estimator".to_owned()];
        header.extend(columns.iter().map(usize::to_string));
        header.push("theta at the end".into());
        let mut rows = Vec::new();
        for entry in &self.settings.entries {
            let cell = |&iteration: &usize| {
                let mut values = self.objectives(entry, iteration);
                match values.len() {
                    0 => "-".to_owned(),
                    1 => number(values[0]),
                    _ => {
                        let median = median(&mut values);
                        let shown = number(median);
                        let [least, most] = [values[0], values[values.len() - 1]].map(number);
                        if least == most { shown } else { format!("{shown} ({least} .. {most})") }
                    }
                }
            };
            let mut row = vec![entry.name.clone()];
            row.extend(columns.iter().map(cell));
            row.push(self.end(entry));
            rows.push(row);
            let reference = self.task.references.iter().find(|reference| reference.entry == entry.name);
            if let Some(reference) = reference.filter(|_| references) {
                let cell = |iteration: &usize| {
                    let value = reference.values.iter().find(|(at, _)| at == iteration);
                    value.map_or(String::new(), |(_, text)| format!("*{text}*"))
                };
                let mut row = vec!["*reference*".to_owned()];
                row.extend(columns.iter().map(cell));
                row.push(String::new());
                rows.push(row);
            }
        }
        (header, rows)
    }

    fn results(&self, gpu: &Gpu) -> Value {
        let entries: Vec<Value> = self
            .settings
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
                            "seed": trace.seed, "diverged": trace.diverged, "objectives": milestones,
                            "theta": last.map(|point| point.theta.clone()), "inner_steps_per_iteration": trace.inner_steps,
                            "seconds": trace.seconds,
                        })
                    })
                    .collect();
                json!({ "estimator": entry.name, "recipe": entry.recipe, "trainings": trainings })
            })
            .collect();
        json!({ "problem": self.task.name, "estimators": entries, "adapter": adapter_json(gpu.info()) })
    }

    /// Whether a logarithm of every objective exists.
    fn positive(&self) -> bool {
        let mut all = self.traces.iter().flat_map(|trace| &trace.points).map(|point| point.objective);
        all.all(|objective| objective.is_nan() || objective > 0.0)
    }

    fn truncations_differ(&self) -> bool {
        let mut truncations = self.settings.entries.iter().map(|entry| entry.recipe.truncation);
        let first = truncations.next();
        truncations.any(|truncation| Some(truncation) != first)
    }

    fn title(&self) -> String {
        let seeds = self.settings.seeds.len();
        match seeds {
            1 => format!("{}: seed {}", self.task.name, self.settings.seeds[0]),
            _ => format!("{}: median, least and most of {seeds} seeds", self.task.name),
        }
    }

    /// One line for each estimator: the median of a value of the points, with the range over the seeds.
    fn lines(&self, x: impl Fn(&Recipe, usize) -> f64, value: impl Fn(&Trace, usize) -> Option<f64>) -> Vec<Line> {
        let line = |entry: &Entry| {
            let mut line = Line { name: entry.name.clone(), ..Line::default() };
            let Some(longest) = self.of(entry).max_by_key(|trace| trace.points.len()) else { return line };
            for (index, point) in longest.points.iter().enumerate() {
                let mut values: Vec<f64> =
                    self.of(entry).map(|trace| value(trace, index).unwrap_or(f64::NAN)).collect();
                let median = median(&mut values);
                let finite: Vec<f64> = values.into_iter().filter(|value| value.is_finite()).collect();
                let (Some(&least), Some(&most)) = (finite.first(), finite.last()) else { continue };
                line.points.push((x(&entry.recipe, point.iteration), median));
                line.extremes.push((least, most));
            }
            if self.settings.seeds.len() == 1 {
                line.extremes.clear();
            }
            line
        };
        self.settings.entries.iter().map(line).collect()
    }

    fn objective(&self) -> LinePlot {
        LinePlot {
            title: self.title(),
            x: Axis { logarithmic: true, ..Axis::new("outer iterations") },
            y: self.objective_axis(),
            lines: self.lines(|_, iteration| iteration as f64, objective),
            // All lines begin at one point, and go down late.
            names_below: true,
            ..LinePlot::default()
        }
    }

    fn objective_by_steps(&self) -> LinePlot {
        LinePlot {
            title: self.title(),
            x: Axis { logarithmic: true, ..Axis::new("inner steps of a particle: outer iterations times K") },
            y: self.objective_axis(),
            lines: self.lines(|recipe, iteration| (iteration * recipe.truncation) as f64, objective),
            // All lines begin at one point, and go down late.
            names_below: true,
            ..LinePlot::default()
        }
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
        let lines = self.lines(|_, iteration| iteration as f64, theta).into_iter().filter(|line| !far(line)).collect();
        let iterations = || self.settings.entries.iter().map(|entry| entry.recipe.iterations);
        let logarithmic = iterations().max() > iterations().min().map(|least| 5 * least);
        Some(LinePlot {
            title: self.title(),
            x: Axis { logarithmic, ..Axis::new("outer iterations") },
            y: Axis::new(name),
            lines,
            marks: self.task.best.clone().unwrap_or_default(),
            ..LinePlot::default()
        })
    }

    fn markdown(&self, gpu: &Gpu, pictures: &[&str]) -> String {
        let mut text = format!("# {}\n\n{}\n\n", self.task.name, self.task.about);
        let _ = writeln!(text, "`fourfold {}`\n", self.command);
        let _ = writeln!(text, "{} after so many outer iterations{}.\n", capital(self.task.objective), self.spread());
        let (header, rows) = self.table(true);
        text += &markdown_table(&header, rows);
        if self.settings.entries.iter().any(|entry| self.task.references.iter().any(|other| other.entry == entry.name))
        {
            text +=
                "\n*Reference*: another implementation of the same settings, in JAX and f32, with seeds of its own.\n";
        }
        for picture in pictures {
            let name = picture.trim_end_matches(".png");
            let _ = writeln!(text, "\n![{name}]({picture})");
        }
        text += "\n## Settings and cost\n\n";
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
        let rows = self.settings.entries.iter().map(|entry| self.settings_row(entry)).collect();
        text += &markdown_table(&header.map(str::to_owned), rows);
        let info = gpu.info();
        let _ = writeln!(
            text,
            "\nThe time of an iteration is the median over seeds, evaluations of the objective included.\n\n\
             Adapter: {} ({}, {}).",
            info.name, info.backend, info.driver_info
        );
        text
    }

    fn settings_row(&self, entry: &Entry) -> Vec<String> {
        let recipe = &entry.recipe;
        let name = recipe.estimator;
        let optional = |known: bool, text: String| if known { text } else { "-".into() };
        let mut particles = optional(name.counts(), recipe.particles.to_string());
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
        let mut times: Vec<f64> = self
            .of(entry)
            .map(|trace| {
                let iterations = trace.last().map_or(0, |point| point.iteration).max(1);
                trace.seconds * 1e6 / iterations as f64
            })
            .collect();
        vec![
            entry.name.clone(),
            recipe.truncation.to_string(),
            particles,
            optional(name.perturbs(), recipe.sigma.to_string()),
            steps,
            recipe.iterations.to_string(),
            self.of(entry).next().map_or("-".into(), |trace| trace.inner_steps.to_string()),
            format!("{:.0}", median(&mut times)),
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

fn markdown_table(header: &[String], rows: Vec<Vec<String>>) -> String {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let rule = header.iter().map(|_| "---".to_owned()).collect::<Vec<_>>();
    line(header) + &line(&rule) + &rows.iter().map(|row| line(row)).collect::<String>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_the_digits_that_tell() {
        let shown = [563.62, 2_423.24, 0.1234, 24.0, 4.4e-14, 3.5e15, f64::NAN, 0.0].map(number);
        assert_eq!(shown, ["563.6", "2423.2", "0.123", "24.00", "4.4e-14", "3.5e15", "not finite", "0"]);
    }

    #[test]
    fn trainings_that_diverged_count_as_the_largest() {
        assert_eq!(median(&mut [f64::NAN, 1.0, 2.0]), 2.0);
        assert_eq!(median(&mut [3.0, 1.0]), 2.0);
        assert!(median(&mut [f64::NAN, f64::NAN, 1.0]).is_nan());
    }
}
