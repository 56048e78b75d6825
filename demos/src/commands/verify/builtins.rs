//! `fourfold verify builtins`: the accuracy of this adapter's builtins beside WGSL's bounds.

use clap::Args;
use fourfold::verify::builtins::{Measurement, SPECIAL, Worst, measure};
use serde_json::{Value, json};

use super::expectations::Expectations;
use super::row::{Kind, Number};
use crate::adapter::adapter_json;
use crate::entry::Plain;
use crate::failure::Failure;
use crate::guide::ending;
use crate::options::Common;
use crate::run::report::Report;

/// Measure the accuracy of the adapter's builtins beside WGSL's bounds; exit code 1 if one is beyond
///
/// Each is evaluated for some numbers of every binade of f32 and compared with the result in f64. The answers to NaN,
/// infinities, zeros and subnormal numbers, of which WGSL promises little, are listed.
#[derive(Debug, Clone, Args)]
pub struct Arguments {
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Print markdown
    #[arg(long, conflicts_with = "json")]
    markdown: bool,
}

impl Plain for Arguments {
    const NAME: &'static str = "verify builtins";
    const COMMON: &'static [&'static str] = &["adapter"];

    fn run(&self, common: &Common) -> Result<(), Failure> {
        let gpu = common.open_untuned(false)?;
        let measurements = measure(&gpu)?;
        let info = gpu.info();
        if self.json {
            let rows: Vec<Value> = measurements.iter().map(as_json).collect();
            crate::show!("{:#}", json!({ "adapter": adapter_json(info), "builtins": rows }));
        } else {
            let report = report(&measurements, &format!("{}, {} {}", info.name, info.driver, info.driver_info));
            crate::show!("{}", if self.markdown { report.markdown() } else { report.terminal() });
            if !self.markdown {
                crate::show!("{}", ending(Self::NAME, None, None));
            }
        }
        conclude(&measurements, &Expectations::load(None, info)?)
    }
}

/// Fails if a builtin is beyond its bound and not known to be, or within it and known not to be.
fn conclude(measurements: &[Measurement], known: &Expectations) -> Result<(), Failure> {
    let of = |measurement: &Measurement| known.find(&format!("builtins({})", measurement.name), Kind::Wrong);
    let named = |chosen: &dyn Fn(&Measurement) -> bool| -> Vec<&str> {
        measurements.iter().filter(|measurement| chosen(measurement)).map(|measurement| measurement.name).collect()
    };
    let beyond = named(&|measurement| !measurement.passed() && of(measurement).is_none());
    let mended = named(&|measurement| measurement.passed() && of(measurement).is_some_and(|known| known.always));
    match (&beyond[..], &mended[..]) {
        ([], []) => Ok(()),
        ([], mended) => Err(Failure::Coded(4, format!("known to fail, and right: {}", mended.join(", ")))),
        (beyond, _) => Err(Failure::run(format!("beyond WGSL's bounds: {}", beyond.join(", ")))),
    }
}

fn report(measurements: &[Measurement], adapter: &str) -> Report {
    let mut report = Report::new(format!("Builtins of {}", adapter.trim()));
    report.explanation(
        "The largest errors over numbers of every binade, in units of WGSL's bound (1 is the limit) and in ULP of f32, for \
         arguments with a bound and for all others. Errors in ULP leave out subnormal arguments and results.",
    );
    let at = |worst: &Worst| match worst.error {
        0.0 => String::new(),
        _ if worst.y == 0.0 => format!("{:e}", worst.x),
        _ => format!("{:e}, {:e}", worst.x, worst.y),
    };
    let rows = measurements.iter().map(|measurement| {
        [
            measurement.name.to_owned(),
            measurement.bound.to_owned(),
            format!("{:.3}", measurement.of_bound.error),
            at(&measurement.of_bound),
            in_ulp(measurement.ulp.error),
            at(&measurement.ulp),
            in_ulp(measurement.ulp_elsewhere.error),
        ]
    });
    report.table(&["builtin", "WGSL's bound", "error / bound", "at", "ULP", "at", "ULP elsewhere"], rows);
    report.heading("Special numbers");
    report.explanation("Operators of two numbers have 1 as the second one, or 0 in a sum.");
    let mut header = vec!["builtin"];
    header.extend(SPECIAL.iter().map(|&(name, _)| name));
    report.table(
        &header,
        measurements.iter().map(|measurement| {
            let mut cells = vec![measurement.name.to_owned()];
            cells.extend(measurement.special.iter().map(|&value| short(value)));
            cells
        }),
    );
    report
}

/// Few digits: the table tells kinds of numbers from one another.
fn short(value: f32) -> String {
    match value {
        _ if value.is_nan() || value.is_infinite() || value == 0.0 => value.to_string(),
        _ if (1e-3..1e4).contains(&value.abs()) => {
            format!("{value:.4}").trim_end_matches('0').trim_end_matches('.').to_owned()
        }
        _ => format!("{value:.2e}"),
    }
}

fn in_ulp(error: f64) -> String {
    if error < 1e5 { format!("{error:.2}") } else { format!("{error:.1e}") }
}

fn as_json(measurement: &Measurement) -> Value {
    let worst = |worst: &Worst| {
        let [x, y, got] = [worst.x, worst.y, worst.got].map(|value| Number(value.into()));
        json!({ "error": Number(worst.error), "x": x, "y": y, "got": got })
    };
    let special = SPECIAL.iter().zip(&measurement.special);
    let special: serde_json::Map<String, Value> =
        special.map(|(&(name, _), &got)| (name.to_owned(), json!(Number(got.into())))).collect();
    json!({
        "builtin": measurement.name,
        "bound": measurement.bound,
        "samples": measurement.samples,
        "passed": measurement.passed(),
        "error_over_bound": worst(&measurement.of_bound),
        "ulp": worst(&measurement.ulp),
        "ulp_elsewhere": worst(&measurement.ulp_elsewhere),
        "special": special,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_their_kinds_differ() {
        let numbers = [f32::NAN, f32::NEG_INFINITY, -0.0, 0.0, 1.0, 0.541_324_8, 1e-45, f32::MAX];
        assert_eq!(numbers.map(short), ["NaN", "-inf", "-0", "0", "1", "0.5413", "1.40e-45", "3.40e38"]);
        assert_eq!([1.234, 123_456_789.0, f64::INFINITY].map(in_ulp), ["1.23", "1.2e8", "inf"]);
    }
}
