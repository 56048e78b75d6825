//! The report of a finished study.

use serde_json::json;

use super::linear::{self, Row};
use super::network::{BASE_BATCHES, ESTIMATORS, Measurement, Study};
use super::{Findings, Settings};
use crate::failure::Failure;
use crate::picture::axis::Axis;
use crate::picture::plot::{Line, LinePlot};
use crate::run::report::Report;

/// Describes the results.
pub fn report(settings: &Settings, findings: &Findings) -> Result<Report, Failure> {
    let studies = &findings.network;
    let parameters = studies.first().map_or(0, |study| study.base.parameters);
    let full = (parameters + 1) as f64 / (settings.particles / 2) as f64;
    let mut report = Report::new("Variance of gradients through truncated unrolls at fixed theta");
    report.explanation(format!(
        "The study of Vicol et al. (2021) on a one-layer LSTM that predicts characters: embedding {}, {} hidden units, \
         {parameters} parameters, which stay at the paper's initialisation. T = {} steps, N = {} particles, sigma = {}, {} \
         estimates for each truncation K of the gradient of the sum of all losses (the gradients of the T / K unrolls are \
         added). The text is not Penn Treebank but Genesis in the King James Version, in lower case without punctuation, 27 \
         characters (`real`); `random` has characters drawn uniformly, `repeat` the first character again and again.",
        settings.embedding,
        settings.hidden,
        settings.steps,
        settings.particles,
        settings.sigma,
        settings.repeats,
    ));
    report.explanation(format!(
        "Reported is the mean of `|g - base|^2 / |base|^2` ± half of its 95 % interval over the estimates (Student). The base \
         is a full unroll of {} particles with noise of its own. Its own error, known from the spread of its {BASE_BATCHES} \
         batches, is subtracted from the squared distance and from the squared length: otherwise it would be added to every \
         line. A full unroll, and NRES at any K, are expected at (P + 1) / (N / 2) = {}.",
        settings.base_particles,
        digits(full),
    ));
    for study in studies {
        let name = study.scenario.name();
        report.heading(name);
        report.table(&HEADER, rows(study));
        report.picture(format!("{name}.png"), name, plot(settings, study).png(900, 560)?);
    }
    report.explanation(
        "The relative bias of truncated ES is the distance of the mean of its estimates from the gradient by central \
         differences, relative to the gradient's length, less what the estimates' spread gives to it; a dash where it is \
         within two standard errors of 0.",
    );
    report.heading("The base, and rounding");
    report.table(&BASE_HEADER, studies.iter().map(base_row));
    let pairs = studies.first().map_or(0, |study| study.agreement.pairs);
    report.explanation(format!(
        "The gradient's length and the error of the base (its squared distance, relative to the squared length, beside what \
         the spread of its batches makes expect) are by central differences of the CPU twin in f64. The last three columns are \
         relative distances between the GPU, in f32, and the twin, in f64, over one full unroll of {pairs} antithetic pairs: \
         of the differences `loss+ - loss-` as the kernel adds them up step by step, of the differences of the two sums of \
         losses, and of the gradient of these pairs.",
    ));
    report.heading("Linear losses");
    report.explanation(format!(
        "P = {}, {} unrolls of one step, {} estimates of {} antithetic pairs on the GPU. The total variance of one pair in \
         units of the squared length of the gradient, measured (with a standard error of about {:.0} %), and in brackets its \
         closed form.",
        linear::PARAMETERS,
        linear::UNROLLS,
        settings.linear_repeats,
        linear::PAIRS,
        // That of the mean of squares which scatter about as much as they are large.
        100.0 / (settings.linear_repeats as f64).sqrt(),
    ));
    report.table(&LINEAR_HEADER, findings.linear.iter().map(linear_row));
    report.result("findings", json!(findings));
    Ok(report)
}

fn of(study: &Study, estimator: usize) -> impl Iterator<Item = &Measurement> {
    study.measurements.iter().filter(move |measurement| measurement.estimator == estimator)
}

fn plot(network: &Settings, study: &Study) -> LinePlot {
    let line = |(estimator, (name, _)): (usize, (&str, _))| {
        let mut points: Vec<&Measurement> = of(study, estimator).collect();
        points.sort_by_key(|point| point.unrolls);
        // An edge at 0 has no place on a logarithmic axis.
        let half = |point: &Measurement| point.half_width.min(0.9 * point.error.abs());
        Line {
            band: points.iter().map(|point| (point.error - half(point), point.error + half(point))).collect(),
            ..Line::new(name, points.iter().map(|point| (point.unrolls as f64, point.error)))
        }
    };
    let title = format!(
        "{}: T = {}, N = {}, sigma = {}",
        study.scenario.name(),
        network.steps,
        network.particles,
        network.sigma
    );
    LinePlot::new(
        title,
        Axis::logarithmic("unrolls, T / K"),
        Axis::logarithmic("mean |g - base|^2 / |base|^2 (band: 95 %)"),
        ESTIMATORS.into_iter().enumerate().map(line),
    )
}

const HEADER: [&str; 6] = ["K", "unrolls", "PES", "NRES", "truncated ES", "its relative bias"];

fn shown(measurement: &Measurement) -> String {
    format!("{} ± {}", digits(measurement.error), digits(measurement.half_width))
}

/// About three significant digits.
fn digits(value: f64) -> String {
    match value.abs() {
        size if !size.is_finite() => "-".into(),
        0.0 => "0".into(),
        size if size >= 99.5 => format!("{value:.0}"),
        size if size >= 9.95 => format!("{value:.1}"),
        size if size >= 0.0995 => format!("{value:.2}"),
        size if size >= 0.00995 => format!("{value:.3}"),
        _ => format!("{value:.1e}"),
    }
}

fn rows(study: &Study) -> Vec<[String; 6]> {
    let row = |(index, persistent): (usize, &Measurement)| {
        let [reused, truncated] = [1, 2].map(|estimator| of(study, estimator).nth(index));
        let [reused, error] = [reused, truncated].map(|found| found.map_or_else(String::new, shown));
        let seen = truncated.filter(|found| found.squared_bias > 2.0 * found.squared_bias_error);
        let bias = seen.map_or(f64::NAN, |found| found.squared_bias.sqrt());
        let [unrolls, truncation] = [persistent.unrolls, persistent.truncation].map(|number| number.to_string());
        [truncation, unrolls, shown(persistent), reused, error, digits(bias)]
    };
    of(study, 0).enumerate().map(row).collect()
}

const LINEAR_HEADER: [&str; 5] = ["structure of the gradients", "PES", "NRES", "truncated ES", "its relative bias"];

fn linear_row(row: &Row) -> [String; 5] {
    let both = |[measured, closed]: [f64; 2]| format!("{} ({})", digits(measured), digits(closed));
    [
        row.structure.label().to_owned(),
        both(row.persistent),
        both(row.reused),
        both(row.truncated),
        both(row.truncated_bias),
    ]
}

const BASE_HEADER: [&str; 7] = [
    "text",
    "length of the gradient",
    "error of the base",
    "expected",
    "loss differences",
    "subtracted sums",
    "gradient",
];

fn base_row(study: &Study) -> [String; 7] {
    let (base, agreement) = (study.base, study.agreement);
    let numbers = [
        base.length,
        base.error,
        base.expected_error,
        agreement.differences,
        agreement.subtracted_sums,
        agreement.gradient,
    ];
    let [a, b, c, d, e, f] = numbers.map(digits);
    [study.scenario.name().to_owned(), a, b, c, d, e, f]
}
