//! The report of the experiment.

use serde_json::json;

use super::ladder::Played;
use super::{Settings, Trial};
use crate::failure::Failure;
use crate::picture::plot::{Line, LinePlot, Summary};
use crate::run::report::Report;
use crate::statistics::average;

/// The ladder, what was achieved for what was asked, and a picture of it.
pub fn report(settings: &Settings, rungs: &[Played], trials: &[Trial]) -> Result<Report, Failure> {
    let mut report = Report::new("Pong from recorded games: return asked and achieved");
    report.heading("Data");
    report.explanation(format!(
        "Games of our own Pong, seen as scenes of eight numbers, by a ladder of players; {} games of each, at most 3,000 steps \
         of four frames.",
        settings.games
    ));
    report.table(
        &["player", "steps", "mean return", "least", "most"],
        rungs.iter().map(|rung| {
            let Played { name, steps, mean, least, most, .. } = rung;
            [name.clone(), steps.to_string(), format!("{mean:.1}"), format!("{least:.0}"), format!("{most:.0}")]
        }),
    );
    report.heading("Asked and achieved");
    report.explanation(format!(
        "Mean return over {} games for each return asked, whose starts no data set has. A game that is cut off at its horizon \
         counts by its points. Behaviour cloning is asked nothing. `r` is Pearson's correlation of asked and achieved.",
        settings.evaluation
    ));
    let asked = settings.asked.iter().map(|asked| format!("{asked}"));
    let header: Vec<String> =
        ["method".into(), "seed".into(), "actions".into()].into_iter().chain(asked).chain(["r".into()]).collect();
    let rows = trials.iter().flat_map(|trial| {
        trial.achieved.iter().map(|(actions, achieved)| {
            let mut row = vec![trial.name.clone(), trial.seed.to_string(), actions.clone()];
            row.extend(settings.asked.iter().enumerate().map(|(index, _)| match achieved.get(index) {
                Some(games) => format!("{:.1}", average(games)),
                None => String::new(),
            }));
            row.push(if achieved.len() > 2 { format!("{:.2}", settings.correlation(achieved)) } else { String::new() });
            row
        })
    });
    report.table(&header, rows);
    report.picture("asked.png", "asked", picture(settings, trials).png(820, 620)?);
    report.heading("Setting");
    let sizes = &settings.sizes;
    report.explanation(format!(
        "Transformer of width {}, {} layers, K = {}, {}; {} steps of batch {} at rate {}. `delayed` is told the whole return of \
         the game at each step, and its target is held. Behaviour cloning: three hidden layers of {} over the last {} scenes, {} \
         steps of batch {}. Observations are standardised.",
        sizes.width,
        sizes.layers,
        sizes.context,
        sizes.times_in_words(),
        sizes.steps,
        sizes.batch,
        sizes.rate,
        sizes.cloning_width,
        sizes.context,
        sizes.cloning_steps,
        sizes.cloning_batch,
    ));
    report.result("ladder", json!(rungs));
    report.result("trials", json!(trials));
    Ok(report)
}

/// A line for each method and way to choose actions; behaviour cloning, which is asked nothing, as a level line.
fn picture(settings: &Settings, trials: &[Trial]) -> LinePlot {
    let asked = || settings.asked.iter().map(|&asked| f64::from(asked));
    let mut lines = vec![Line::new("as asked", asked().map(|asked| (asked, asked)))];
    let mut names: Vec<(String, String)> = Vec::new();
    for trial in trials {
        for (actions, _) in &trial.achieved {
            let name = (trial.name.clone(), actions.clone());
            if !names.contains(&name) {
                names.push(name);
            }
        }
    }
    for (name, actions) in names {
        let of_seeds: Vec<&Vec<Vec<f64>>> = trials
            .iter()
            .filter(|trial| trial.name == name)
            .flat_map(|trial| trial.achieved.iter().filter(|(own, _)| *own == actions).map(|(_, games)| games))
            .collect();
        let values = asked().enumerate().map(|(index, asked)| {
            let games = |games: &&Vec<Vec<f64>>| average(games.get(index).unwrap_or(&games[0]));
            (asked, of_seeds.iter().map(games).collect::<Vec<f64>>())
        });
        lines.push(Line::of_seeds(format!("{name}, {actions}"), Summary::Range, values));
    }
    LinePlot::new("Pong: return asked and achieved", "return asked", "mean return achieved", lines)
}
