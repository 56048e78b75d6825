//! The report of a finished comparison.

use serde_json::json;

use super::Settings;
use super::curvature::CurvatureNorm;
use super::density;
use super::training::{EpochRow, Finished, StepTimes};
use crate::failure::Failure;
use crate::picture::plot::{Line, LinePlot, Summary};
use crate::run::report::Report;
use crate::statistics::{Mean, counted, mean};

/// Describes the results.
pub fn report(
    settings: &Settings,
    seeds: &[u32],
    epochs: &[EpochRow],
    finished: &[Finished],
    times: StepTimes,
) -> Result<Report, Failure> {
    let names = settings.method_names();
    let of = |name: &str, value: &dyn Fn(&Finished) -> f64| {
        let values: Vec<f64> = finished.iter().filter(|run| run.method == name).map(value).collect();
        mean(&values)
    };
    let eigenvalue = |name, index: usize| of(name, &|run| run.eigenvalues.get(index).copied().unwrap_or(f64::NAN));
    let ratio =
        |run: &Finished| run.eigenvalues.first().unwrap_or(&f64::NAN) / run.eigenvalues.last().unwrap_or(&f64::NAN);
    let rows = names.map(|name| {
        [
            name.to_owned(),
            shown(of(name, &|run| 100.0 * run.test_accuracy), 2),
            shown(of(name, &|run| 100.0 * run.best_test_accuracy), 2),
            shown(of(name, &|run| run.loss), 3),
            shown(of(name, &|run| run.sharpened_loss), 3),
            shown(eigenvalue(name, 0), 2),
            shown(of(name, &ratio), 2),
        ]
    });
    let conditions = format!(
        "{}, {} with {:.0} % label noise, rho {}, {}, {} epochs",
        settings.data,
        settings.model,
        100.0 * settings.label_noise,
        settings.rho,
        counted(seeds.len(), "seed"),
        settings.epochs
    );
    let mut report = Report::new(format!("{} against {}", names[0], names[1]));
    report.paragraph(format!("{conditions}."));
    report.table(&["method", "test %", "best test %", "loss at w", "at w + eps", "eigenvalue 1", "1 : 5"], rows);
    let spread = if seeds.len() > 1 { "Mean ± half of the 95 % interval over the seeds. " } else { "" };
    report.paragraph(format!(
        "{spread}Losses and Hessian eigenvalues on training images, eps of \
         length rho. A step of {} takes {:.2} times ({:.2} to {:.2}) one of {}.",
        names[1], times.ratio, times.least, times.most, names[0]
    ));
    report.explanation(format!(
        "Intervals are Student's. `test %` is the accuracy after the last epoch, `best test %` that of the best one. {} `1 : 5` \
         is the ratio of the largest eigenvalue to the fifth. Steps are timed in turn, in blocks; the ratio is the median of \
         nine, with the least and the most of them.",
        curvature_in_words(settings)
    ));
    if settings.chunks > 1 {
        report.explanation(
            "Batches fall into chunks, each with an ascent of its own. Where the network has batch norm, both methods normalise \
             each chunk by itself: a sweep over chunks measures m-sharpness beside the same batch norm.",
        );
    }
    report.picture(
        "accuracy.png",
        "test accuracy",
        accuracy_plot(&conditions, &names, epochs, seeds.len()).png(900, 520)?,
    );
    report.picture("loss.png", "loss", loss_plot(&conditions, &names, epochs).png(900, 520)?);
    add_density(&mut report, &conditions, &names, finished)?;
    report.result("trainings", json!(finished));
    report.result("step_times_ms", json!(times));
    Ok(report)
}

/// Says on what losses and eigenvalues are measured.
pub fn curvature_in_words(settings: &Settings) -> String {
    let norm = match settings.curvature_norm {
        CurvatureNorm::Running => "at the running statistics of batch norm",
        CurvatureNorm::Batch => "with batch norm over these images, differentiated through",
    };
    let images = settings.curvature_images;
    format!(
        "Losses and Hessian eigenvalues are those of the mean cross-entropy on up to {images} training images with the labels \
         that were trained on, {norm} where there is any."
    )
}

/// Adds the picture of the spectra of each method's first seed, where they were measured.
pub fn add_density(report: &mut Report, title: &str, names: &[&str], finished: &[Finished]) -> Result<(), Failure> {
    let first = |name: &&str| finished.iter().find(|run| run.method == *name);
    let of_name = |name: &&'_ str| first(name).map(|run| (run.method.as_str(), run.density.as_slice()));
    let densities: Vec<_> = names.iter().filter_map(of_name).filter(|(_, nodes)| !nodes.is_empty()).collect();
    if !densities.is_empty() {
        report.picture(
            "spectrum.png",
            "density of the Hessian's spectrum",
            density::plot(title, &densities).png(900, 520)?,
        );
        report.explanation(
            "Density: stochastic Lanczos quadrature from random signs, a Gaussian of 0.3 % of each spectrum's range over each Ritz \
             value; the first seed of each method.",
        );
    }
    Ok(())
}

pub fn shown(mean: Mean, digits: usize) -> String {
    match (mean.mean.is_nan(), mean.half_width.is_finite()) {
        (true, _) => "-".into(),
        (_, true) => format!("{mean:.digits$}"),
        (_, false) => format!("{:.digits$}", mean.mean),
    }
}

/// Returns a line for each method: the mean over seeds of a column, with its interval, by epoch.
fn lines(names: &[&str], epochs: &[EpochRow], value: impl Fn(&EpochRow) -> Option<f64>, suffix: &str) -> Vec<Line> {
    let last = epochs.iter().map(|row| row.epoch).max().unwrap_or(0);
    let line = |name: &str| {
        let at = |epoch: usize| {
            let rows = epochs.iter().filter(|row| row.method == name && row.epoch == epoch);
            (epoch as f64, rows.filter_map(&value).collect())
        };
        Line::of_seeds(format!("{name}{suffix}"), Summary::Interval, (1..=last).map(at))
    };
    names.iter().copied().map(line).filter(|line| !line.points.is_empty()).collect()
}

/// Draws the test accuracy of methods by epoch.
pub fn accuracy_plot(title: &str, names: &[&str], epochs: &[EpochRow], seeds: usize) -> LinePlot {
    LinePlot::new(
        title,
        "epoch",
        format!("test accuracy, %{}", Summary::Interval.in_words(seeds)),
        lines(names, epochs, |row| row.test_accuracy.map(|accuracy| 100.0 * accuracy), ""),
    )
}

fn loss_plot(title: &str, names: &[&str], epochs: &[EpochRow]) -> LinePlot {
    let mut all = lines(names, epochs, |row| Some(row.loss), ", training loss at w");
    all.extend(lines(names, epochs, |row| row.sharpened_loss, ", at w + eps"));
    LinePlot::new(title, "epoch", "cross-entropy", all)
}
