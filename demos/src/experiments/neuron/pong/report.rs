//! The report of students of Pong.

use serde_json::json;

use super::{Settings, Student, Taught};
use crate::experiments::neuron::imitation::{curve, table};
use crate::failure::Failure;
use crate::run::report::Report;
use crate::statistics::extremes;

pub fn report(settings: &Settings, all: &[Taught]) -> Result<Report, Failure> {
    let mut report = Report::new(match settings.student {
        Student::Scenes => "Pong learnt from a player who looks ahead, by scenes",
        Student::Pictures => "Pong learnt from a player who looks ahead, by patches of its picture",
    });
    report.paragraph(format!(
        "Points won less points lost: mean and deviation over {} games of at most {} steps, whose starts no student has met. \
         The teacher wins 21 to 0.",
        settings.games, settings.horizon
    ));
    let rows = all.iter().flat_map(|taught| {
        taught.rows.iter().map(|(shown, scores)| {
            let (least, most) = extremes(&scores.returns);
            let score = format!("{:.1} ± {:.1}", scores.mean(), scores.deviation());
            let range = format!("{least:.0} to {most:.0}");
            [taught.seed.to_string(), format!("{:.0} %", 100.0 * taught.occlusion), shown.clone(), score, range]
        })
    });
    report.table(&["seed", "missing in training", "shown", "score", "range"], rows.collect::<Vec<_>>());
    for taught in all {
        let share = (100.0 * taught.occlusion).round();
        report.heading(format!("Seed {}, {share} % missing in training", taught.seed));
        table(&mut report, &taught.imitated);
        let file = format!("rounds-{}-{share}.png", taught.seed);
        report.picture(file, "score by round", curve(&taught.imitated, "points won less lost").png(820, 460)?);
    }
    let results: Vec<_> = all
        .iter()
        .flat_map(|taught| {
            taught.rows.iter().map(|(shown, scores)| {
                json!({
                    "seed": taught.seed, "occlusion": taught.occlusion, "shown": shown, "mean": scores.mean(),
                    "deviation": scores.deviation(), "returns": scores.returns, "steps": scores.lengths,
                })
            })
        })
        .collect();
    report.result("rows", json!(results));
    let rounds = all
        .iter()
        .map(|taught| json!({ "seed": taught.seed, "occlusion": taught.occlusion, "rounds": taught.imitated.rounds }));
    report.result("students", rounds.collect());
    Ok(report)
}
