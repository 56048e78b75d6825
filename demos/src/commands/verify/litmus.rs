//! `fourfold verify litmus`: tests of the memory model on this adapter.

use clap::Args;
use fourfold::verify::litmus::{Observed, Report as Counted, run};
use serde_json::{Value, json};

use crate::adapter::adapter_json;
use crate::entry::Plain;
use crate::failure::Failure;
use crate::guide::ending;
use crate::options::Common;
use crate::run::report::Report;

/// Run litmus tests of WGSL's memory model; exit code 1 if a forbidden result occurs
///
/// Message passing, store buffering, coherence and atomicity, in thousands of instances at once at permuted locations,
/// beside workgroups that keep the memory busy. Weak results that the model allows are counted.
#[derive(Debug, Clone, Args)]
pub struct Arguments {
    /// Rounds of each test, each with other locations [default: 100, or 10 with --quick]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    rounds: Option<u32>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Print markdown
    #[arg(long, conflicts_with = "json")]
    markdown: bool,
}

impl Plain for Arguments {
    const NAME: &'static str = "verify litmus";
    const COMMON: &'static [&'static str] = &["seed", "adapter", "quick"];

    fn run(&self, common: &Common) -> Result<(), Failure> {
        let gpu = common.open_untuned(false)?;
        let rounds = self.rounds.unwrap_or(if common.quick { 10 } else { 100 });
        // Any seed will do: the high bits would only repeat rounds of other seeds.
        let tests = run(&gpu, common.seed as u32, rounds)?;
        let info = gpu.info();
        if self.json {
            let rows: Vec<Value> = tests.iter().map(as_json).collect();
            crate::show!("{:#}", json!({ "adapter": adapter_json(info), "seed": common.seed, "tests": rows }));
        } else {
            let adapter = format!("{}, {} {}", info.name, info.driver, info.driver_info);
            let report = report(&tests, &adapter);
            crate::show!("{}", if self.markdown { report.markdown() } else { report.terminal() });
            if !self.markdown {
                crate::show!("{}", ending(Self::NAME, None, None));
            }
        }
        let failed: Vec<&str> = tests.iter().filter(|test| !test.passed()).map(|test| test.name).collect();
        match failed[..] {
            [] => Ok(()),
            _ => Err(Failure::run(format!("the memory model forbids results of: {}", failed.join(", ")))),
        }
    }
}

fn report(tests: &[Counted], adapter: &str) -> Report {
    let mut report = Report::new(format!("Litmus tests on {}", adapter.trim()));
    let rows = tests.iter().map(|test| {
        let verdict = match test.first {
            None if test.allowed => "allowed".to_owned(),
            None => "right".to_owned(),
            Some((round, instance, Observed { read, last })) => {
                format!("WRONG: r0, r1 = {read:?}, x, y = {last:?} in round {round}, instance {instance}")
            }
        };
        [
            test.name.to_owned(),
            test.condition.to_owned(),
            test.instances.to_string(),
            test.weak.to_string(),
            test.forbidden.to_string(),
            verdict,
        ]
    });
    report.table(&["test", "looked for", "instances", "weak", "forbidden", "verdict"], rows);
    report
}

fn as_json(test: &Counted) -> Value {
    let first = test.first.map(|(round, instance, Observed { read, last })| {
        json!({ "round": round, "instance": instance, "read": read, "last": last })
    });
    json!({
        "test": test.name,
        "condition": test.condition,
        "allowed": test.allowed,
        "instances": test.instances,
        "weak": test.weak,
        "forbidden": test.forbidden,
        "first_forbidden": first,
    })
}
