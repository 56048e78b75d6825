//! The table, the pictures and the files of a finished comparison.

use fourfold::Gpu;
use serde_json::json;

use super::Settings;
use super::run::{EpochRow, Finished, StepTimes};
use crate::Failure;
use crate::plot::{Axis, Line, LinePlot};
use crate::run_folder::{RunFolder, adapter_json};
use crate::statistics::{Mean, mean};
use crate::table::table;

/// Writes `metrics.jsonl`, `results.json`, `report.md` and two plots; returns the table for the terminal.
pub fn write(
    folder: &RunFolder,
    settings: &Settings,
    epochs: &[EpochRow],
    finished: &[Finished],
    times: StepTimes,
    gpu: &Gpu,
) -> Result<String, Failure> {
    let names = settings.method_names();
    let of = |name: &str, value: &dyn Fn(&Finished) -> f64| {
        let values: Vec<f64> = finished.iter().filter(|run| run.method == name).map(value).collect();
        mean(&values)
    };
    let accuracy = names.map(|name| of(name, &|run| 100.0 * run.test_accuracy));
    let eigenvalue = |name, index: usize| of(name, &|run| run.eigenvalues.get(index).copied().unwrap_or(f64::NAN));
    let step = [times.plain, times.sharpness_aware];
    let rows = [0, 1].map(|index| {
        let name = names[index];
        [
            name.to_owned(),
            shown(accuracy[index], 2),
            shown(of(name, &|run| 100.0 * run.best_test_accuracy), 2),
            shown(of(name, &|run| run.loss), 3),
            shown(of(name, &|run| run.sharpened_loss), 3),
            shown(eigenvalue(name, 0), 2),
            shown(
                of(name, &|run| {
                    run.eigenvalues.first().unwrap_or(&f64::NAN) / run.eigenvalues.last().unwrap_or(&f64::NAN)
                }),
                2,
            ),
            format!("{:.3}", step[index]),
        ]
    });
    let header = ["method", "test %", "best test %", "loss at w", "at w + eps", "eigenvalue 1", "1 : 5", "ms a step"];
    let noise = 100.0 * settings.label_noise;
    let title = format!(
        "{}, {} with {noise:.0} % label noise, rho {}, {} seeds, {} epochs",
        settings.data, settings.model, settings.rho, settings.seeds, settings.epochs
    );
    let summary = format!(
        "{}\n\n{}\n\nMean and 95 % interval over the seeds. Losses and Hessian eigenvalues on training images, eps of length rho.\nA step of {} takes {:.2} times one of {}, measured in turn on {}.",
        title,
        table(header, rows.clone()),
        names[1],
        times.ratio,
        names[0],
        gpu.info().name
    );
    let rows_json = |rows: &[EpochRow]| rows.iter().map(serde_json::to_value).collect::<Result<Vec<_>, _>>();
    folder.write_json_lines("metrics.jsonl", &rows_json(epochs).map_err(Failure::run)?)?;
    let results = json!({
        "settings": settings, "trainings": finished, "step_times_ms": times, "adapter": adapter_json(gpu.info()),
    });
    folder.write_json("results.json", &results)?;
    folder.write("accuracy.png", &accuracy_plot(&title, names, epochs).png(900, 520)?)?;
    folder.write("loss.png", &loss_plot(&title, names, epochs).png(900, 520)?)?;
    folder.write("report.md", markdown(&title, header, &rows, names, times, gpu).as_bytes())?;
    Ok(format!("{summary}\n\nThe run is in {}", folder.path().display()))
}

fn shown(mean: Mean, digits: usize) -> String {
    match (mean.mean.is_nan(), mean.half_width.is_finite()) {
        (true, _) => "-".into(),
        (_, true) => format!("{mean:.digits$}"),
        (_, false) => format!("{:.digits$}", mean.mean),
    }
}

/// One line a method: the mean over seeds of a column, with its interval, by epoch.
fn lines(names: [&str; 2], epochs: &[EpochRow], value: impl Fn(&EpochRow) -> Option<f64>, suffix: &str) -> Vec<Line> {
    let last = epochs.iter().map(|row| row.epoch).max().unwrap_or(0);
    let line = |name: &str| {
        let at = |epoch: usize| {
            let rows = epochs.iter().filter(|row| row.method == name && row.epoch == epoch);
            let values: Vec<f64> = rows.filter_map(&value).collect();
            (!values.is_empty()).then(|| (epoch as f64, mean(&values)))
        };
        let points: Vec<(f64, Mean)> = (1..=last).filter_map(at).collect();
        let band = points.iter().map(|(_, mean)| if mean.half_width.is_finite() { mean.half_width } else { 0.0 });
        Line {
            name: format!("{name}{suffix}"),
            band: band.collect(),
            points: points.iter().map(|(epoch, mean)| (*epoch, mean.mean)).collect(),
            ..Line::default()
        }
    };
    names.map(line).into_iter().filter(|line| !line.points.is_empty()).collect()
}

fn accuracy_plot(title: &str, names: [&str; 2], epochs: &[EpochRow]) -> LinePlot {
    LinePlot {
        title: title.into(),
        x: Axis::new("epoch"),
        y: Axis::new("test accuracy, % (band: 95 % interval over seeds)"),
        lines: lines(names, epochs, |row| Some(100.0 * row.test_accuracy), ""),
        ..LinePlot::default()
    }
}

fn loss_plot(title: &str, names: [&str; 2], epochs: &[EpochRow]) -> LinePlot {
    let mut all = lines(names, epochs, |row| Some(row.loss), ", training loss at w");
    all.extend(lines(names, epochs, |row| row.sharpened_loss, ", at w + eps"));
    LinePlot {
        title: title.into(),
        x: Axis::new("epoch"),
        y: Axis::new("cross-entropy"),
        lines: all,
        ..LinePlot::default()
    }
}

fn markdown(
    title: &str,
    header: [&str; 8],
    rows: &[[String; 8]; 2],
    names: [&str; 2],
    times: StepTimes,
    gpu: &Gpu,
) -> String {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let head = line(&header.map(str::to_owned));
    let rule = line(&header.map(|_| "---".to_owned()));
    let body: String = rows.iter().map(|row| line(row)).collect();
    format!(
        "# {} against {}\n\n{title}.\n\n{head}{rule}{body}\nMean ± half of the 95 % interval over the seeds (Student). `test %` is the accuracy after the last epoch, \
        `best test %` that of the best one. Losses and Hessian eigenvalues are those of the mean cross-entropy on up to 1,000 \
        training images with the labels that were trained on; `eps` has length rho. `1 : 5` is the ratio of the largest eigenvalue \
        to the fifth.\n\nA step of {} takes {:.2} times one of {} (blocks in turn, median of nine).\n\nAdapter: {} ({}, {}).\n\n\
        ![test accuracy](accuracy.png)\n\n![loss](loss.png)\n",
        names[0],
        names[1],
        names[1],
        times.ratio,
        names[0],
        gpu.info().name,
        gpu.info().backend,
        gpu.info().driver_info,
    )
}
