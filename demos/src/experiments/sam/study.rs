//! The report of a run with more than two trainings a seed.

use serde_json::json;

use super::Settings;
use super::report::{accuracy_plot, add_density, curvature_in_words, shown};
use super::training::{EpochRow, Finished};
use super::variation::{Arm, Variation};
use crate::failure::Failure;
use crate::picture::bar_plot::BarPlot;
use crate::picture::plot::{Level, Line, LinePlot, Summary};
use crate::run::report::Report;
use crate::statistics::{Mean, average, counted, mean};

/// Methods whose curves are drawn in one picture, at most.
const CURVES: usize = 6;

/// A value of the flag that is varied, and the accuracy of each seed.
type Point = (f64, Vec<f64>);

/// Trainings and their results.
struct Results<'r> {
    arms: &'r [Arm],
    seeds: &'r [u32],
    finished: &'r [Finished],
}

impl<'r> Results<'r> {
    /// The values of an arm, one for each seed.
    fn of(&self, arm: &Arm, value: impl Fn(&Finished) -> f64) -> Vec<f64> {
        let of_seed = |&seed: &u32| {
            let own = self.finished.iter().find(|run| run.method == arm.name && run.seed == u64::from(seed));
            own.map_or(f64::NAN, &value)
        };
        self.seeds.iter().map(of_seed).collect()
    }

    fn accuracy(&self, arm: &Arm) -> Vec<f64> {
        self.of(arm, |run| 100.0 * run.test_accuracy)
    }

    /// The arms without an ascent beside which an arm stands: those of the same values.
    fn plain(&self, arm: &Arm) -> impl Iterator<Item = &'r Arm> {
        let values = arm.values.clone();
        let same = move |plain: &&Arm| plain.values.iter().all(|(flag, value)| values.get(flag) == Some(value));
        self.arms.iter().filter(|other| !other.sharpness_aware).filter(same)
    }

    /// The better of them, by its mean accuracy on the test images: the comparison that favours them.
    fn baseline(&self, arm: &Arm) -> Option<&'r Arm> {
        let score = |arm: &Arm| average(&self.accuracy(arm));
        self.plain(arm).max_by(|a, b| score(a).total_cmp(&score(b)))
    }

    /// The lead of an arm over its baseline, seed by seed.
    fn lead(&self, arm: &Arm) -> Option<Mean> {
        let (own, other) = (self.accuracy(arm), self.accuracy(self.baseline(arm)?));
        Some(mean(&own.iter().zip(other).map(|(own, other)| own - other).collect::<Vec<_>>()))
    }

    /// Of the sharpness-aware arms that share a baseline, the best on the held-back images; nothing without such images.
    fn chosen(&self) -> Vec<&'r Arm> {
        let held_back = |arm: &Arm| average(&self.of(arm, |run| run.validation_accuracy.unwrap_or(f64::NAN)));
        let mut best: Vec<(Option<&str>, &Arm, f64)> = Vec::new();
        for arm in self.arms.iter().filter(|arm| arm.sharpness_aware) {
            let (plain, score) = (self.plain(arm).next().map(|arm| &*arm.name), held_back(arm));
            match best.iter_mut().find(|best| best.0 == plain) {
                Some(best) if score > best.2 => *best = (plain, arm, score),
                Some(_) => {}
                None if score.is_finite() => best.push((plain, arm, score)),
                None => {}
            }
        }
        best.into_iter().map(|best| best.1).collect()
    }
}

/// Describes the results.
pub fn report(
    settings: &Settings,
    arms: &[Arm],
    seeds: &[u32],
    epochs: &[EpochRow],
    finished: &[Finished],
) -> Result<Report, Failure> {
    let results = Results { arms, seeds, finished };
    let varied: Vec<String> = settings.vary.iter().map(Variation::words).collect();
    let names: Vec<&str> = arms.iter().map(|arm| arm.name.as_str()).collect();
    let title = match &varied[..] {
        [] => "SGD for once and twice the epochs against SAM".to_owned(),
        varied => format!("SAM by {}", varied.join(" and ")),
    };
    let mut report = Report::new(title);
    report.paragraph(format!("{}.", conditions(settings, seeds.len())));
    let held_back = settings.validation > 0;
    let mut columns = vec!["method"];
    columns.extend(varied.iter().map(String::as_str));
    columns.push("test %");
    columns.extend(held_back.then_some(["held back %", "at best %"]).into_iter().flatten());
    columns.extend(["learnt %", "lead"]);
    columns.extend((settings.lanczos > 0).then_some("eigenvalue 1"));
    let percent = |arm, value: &dyn Fn(&Finished) -> Option<f64>| {
        shown(mean(&results.of(arm, |run| value(run).map_or(f64::NAN, |share| 100.0 * share))), 1)
    };
    let rows = arms.iter().map(|arm| {
        let value = |variation: &Variation| arm.values.get(&variation.flag).cloned().unwrap_or("-".into());
        let mut row: Vec<String> = [arm.method.clone()].into_iter().chain(settings.vary.iter().map(value)).collect();
        row.push(percent(arm, &|run| Some(run.test_accuracy)));
        if held_back {
            row.push(percent(arm, &|run| run.validation_accuracy));
            row.push(percent(arm, &|run| run.test_accuracy_of_best_validation));
        }
        row.push(percent(arm, &|run| Some(run.training_accuracy)));
        let lead = if arm.sharpness_aware { results.lead(arm) } else { None };
        row.push(lead.map_or("-".into(), signed));
        if settings.lanczos > 0 {
            let largest = |run: &Finished| run.eigenvalues.first().copied().unwrap_or(f64::NAN);
            row.push(shown(mean(&results.of(arm, largest)), 1));
        }
        row
    });
    report.table(&columns, rows.collect::<Vec<_>>());
    let chosen = results.chosen();
    if settings.vary.iter().any(|variation| !variation.is_of_both()) && !chosen.is_empty() {
        let lines = chosen.iter().map(|arm| {
            let lead = results.lead(arm).map_or(String::new(), |lead| format!(", ahead by {}", signed(lead)));
            format!("{}: {} %{lead}", arm.name, shown(mean(&results.accuracy(arm)), 1))
        });
        report.paragraph(format!(
            "Chosen by the accuracy on the held-back images alone: {}.",
            lines.collect::<Vec<_>>().join("; ")
        ));
    }
    let spread = if seeds.len() > 1 { "Mean ± half of Student's 95 % interval over the seeds. " } else { "" };
    let mut words = format!(
        "{spread}`test %` is the accuracy after the last epoch; `learnt %` the share of the given labels of the training \
         images, wrong ones too, that the network gives; `lead` the difference to the same training without an ascent, seed by \
         seed{}. {}",
        if settings.double_sgd { " (to the better of its two lengths; the longer has twice the epochs)" } else { "" },
        curvature_in_words(settings)
    );
    if held_back {
        words += " Held-back images are training images that are not trained on, with as large a share of wrong labels; `at best \
                  %` is the test accuracy after the epoch that was best on them.";
    }
    report.explanation(words);
    add_picture(&mut report, settings, &results)?;
    if names.len() <= CURVES {
        let plot = accuracy_plot(&conditions(settings, seeds.len()), &names, epochs, seeds.len());
        report.picture("curves.png", "test accuracy by epoch", plot.png(900, 520)?);
    }
    // More spectra in one picture tell nothing.
    if names.len() <= 3 {
        add_density(&mut report, "Spectrum of the Hessian", &names, finished)?;
    }
    report.result("trainings", json!(finished));
    Ok(report)
}

fn conditions(settings: &Settings, seeds: usize) -> String {
    let noise = match settings.vary.iter().any(|variation| variation.flag == "label-noise") {
        true => String::new(),
        false => format!(" with {:.0} % label noise", 100.0 * settings.label_noise),
    };
    let images = settings.images.map_or(String::new(), |images| format!(", {images} images"));
    let epochs = counted(settings.epochs, "epoch");
    format!("{}, {}{noise}{images}, {epochs}, {}", settings.data, settings.model, counted(seeds, "seed"))
}

fn signed(mean: Mean) -> String {
    let sign = if mean.mean >= 0.0 { "+" } else { "" };
    format!("{sign}{}", shown(mean, 1))
}

/// Draws the accuracy over the first flag that is varied.
fn add_picture(report: &mut Report, settings: &Settings, results: &Results) -> Result<(), Failure> {
    const Y: &str = "test accuracy, %";
    let title = conditions(settings, results.seeds.len());
    let first = settings.vary.first();
    let number = |arm: &Arm| arm.values.get(&first?.flag)?.parse::<f64>().ok();
    let aware = || results.arms.iter().filter(|arm| arm.sharpness_aware);
    if !aware().all(|arm| number(arm).is_some()) {
        let bars = results.arms.iter().map(|arm| (arm.name.clone(), average(&results.accuracy(arm))));
        let plot = BarPlot { title, label: Y.into(), bars: bars.collect() };
        report.picture("accuracy.png", "test accuracy", plot.png(900)?);
        return Ok(());
    }
    // A line for each method and each combination of the other flags, over the values of the first.
    let chosen = results.chosen();
    let line_of = |arm: &Arm| {
        let value = |variation: &Variation| Some((variation.words(), arm.values.get(&variation.flag)?));
        let others = settings.vary.iter().skip(1).filter_map(value).map(|(words, value)| format!(", {words} {value}"));
        format!("{}{}", arm.method, others.collect::<String>())
    };
    let mut lines: Vec<(String, Vec<Point>)> = Vec::new();
    let mut levels = Vec::new();
    let all_chosen = first.is_some_and(Variation::is_of_both) && settings.vary.len() > 1 && !chosen.is_empty();
    for arm in results.arms {
        let Some(x) = number(arm) else {
            levels.push(Level::across(&arm.name, average(&results.accuracy(arm))));
            continue;
        };
        let name = match all_chosen && arm.sharpness_aware {
            true if chosen.iter().any(|chosen| chosen.name == arm.name) => {
                format!("{}, chosen on held-back images", settings.method_names()[1])
            }
            true => continue,
            false => line_of(arm),
        };
        let point = (x, results.accuracy(arm));
        match lines.iter_mut().find(|line| line.0 == name) {
            Some(line) => line.1.push(point),
            None => lines.push((name, vec![point])),
        }
    }
    let lines = lines.into_iter().map(|(name, mut points)| {
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        Line::of_seeds(name, Summary::Interval, points)
    });
    let x = first.map_or(String::new(), Variation::words);
    let y = format!("{Y}{}", Summary::Interval.in_words(results.seeds.len()));
    let plot = LinePlot { levels, ..LinePlot::new(title, x, y, lines) };
    report.picture("accuracy.png", "test accuracy", plot.png(900, 520)?);
    Ok(())
}
