//! The report of a finished experiment.

use serde_json::json;

use super::training::Trial;
use super::{Credit, Group, Method, Outcome, Settings};
use crate::failure::Failure;
use crate::picture::axis::Axis;
use crate::picture::bar_plot::BarPlot;
use crate::picture::plot::{Level, Line, LinePlot, Summary};
use crate::run::report::Report;
use crate::statistics::average;

/// Everything that was measured.
#[derive(Debug, Clone)]
pub struct Results {
    pub trials: Vec<Trial>,
    /// The critic's predictions, for each seed.
    pub credits: Vec<Credit>,
    /// The share of all random episodes that succeeded.
    pub random: f64,
}

/// Describes what was found.
pub fn report(settings: &Settings, results: &Results) -> Result<Report, Failure> {
    let mut report = Report::new(format!("Key-to-Door: {}", task(settings)));
    report.explanation(explanation(settings));
    report.table(&HEADER, cells(settings).map(|(episodes, method)| row(results, episodes, method)));
    report.paragraph(format!("Random play succeeds in {:.2} %.", 100.0 * results.random));
    report.picture("success.png", "Success", bars(settings, results).png(900)?);
    if settings.points > 1 {
        report.picture("learning.png", "Success during training", learning(settings, results).png(900, 520)?);
    }
    if !settings.no_critic {
        report.heading("Credit assignment");
        report.explanation(format!(
            "A transformer of the same size that sees observations and moves, but no returns, learns to predict whether \
             the episode will be rewarded, from batches with {:.0} % successes. Below are its predictions at some steps of \
             random episodes that it was not trained on. The key that is held cannot be seen after the first room, so that \
             what separates the lines then is remembered.",
            100.0 * settings.critic_share,
        ));
        let header =
            ["episodes", "count", "first step", "last step in the key's room", "first step in the door's", "last step"];
        report.table(&header, Outcome::ALL.map(|outcome| predicted(settings, results, outcome)));
        let plot = credit(settings, results).png(900, 520)?;
        report.picture("credit.png", "Predicted chance of the reward", plot);
    }
    report.result("random", json!(results.random));
    report.result("trials", json!(results.trials));
    report.result("credit", json!(results.credits));
    Ok(report)
}

const HEADER: [&str; 7] =
    ["method", "episodes", "successes", "success, greedy", "key, greedy", "success, sampled", "key, sampled"];

/// The rows of the table.
fn cells(settings: &Settings) -> impl Iterator<Item = (usize, Method)> {
    settings.episodes.iter().flat_map(|&episodes| settings.methods.iter().map(move |&method| (episodes, method)))
}

fn trials(results: &Results, episodes: usize, method: Method) -> Vec<&Trial> {
    results.trials.iter().filter(|trial| (trial.episodes, trial.method) == (episodes, method)).collect()
}

/// `94.5 % (93.0, 96.0)`: the mean and, where there are several, each seed's.
fn percents(values: impl Iterator<Item = f64>) -> String {
    let values: Vec<f64> = values.map(|value| 100.0 * value).collect();
    let all: Vec<String> = values.iter().map(|value| format!("{value:.1}")).collect();
    let mean = format!("{:.1} %", average(&values));
    if all.len() > 1 { format!("{mean} ({})", all.join(", ")) } else { mean }
}

fn row(results: &Results, episodes: usize, method: Method) -> [String; 7] {
    let trials = trials(results, episodes, method);
    let successes: Vec<String> = trials.iter().map(|trial| trial.successes.to_string()).collect();
    [
        method.name().to_owned(),
        episodes.to_string(),
        successes.join(", "),
        percents(trials.iter().map(|trial| trial.greedy.success)),
        percents(trials.iter().map(|trial| trial.greedy.key)),
        percents(trials.iter().map(|trial| trial.sampled.success)),
        percents(trials.iter().map(|trial| trial.sampled.key)),
    ]
}

fn task(settings: &Settings) -> String {
    let [key, empty, door] = settings.world().phases;
    match settings.full {
        true => format!("rooms of the paper, {key} + {empty} + {door} steps"),
        false => format!("squares of {0} x {0} cells, {key} + {empty} + {door} steps", settings.side),
    }
}

fn explanation(settings: &Settings) -> String {
    format!(
        "Each seed has random episodes, networks and evaluation episodes of its own; its smaller sets are the first of its \
         episodes. Every training takes {} steps of {} whole episodes (AdamW, rate {}, clipped at 0.25) with layers: {}, \
         width: {}, heads: {}, no dropout; the network after the last step counts, none is chosen. In the transformer's \
         batches successes are drawn more often, so that they are {:.0} % of the windows; BC draws all episodes with equal \
         chances and %BC successes alone. The transformer is asked for a return of 1. {} evaluation episodes a trial, played \
         as one batch, with the most likely move (greedy) and with moves drawn from the network's probabilities (sampled).",
        settings.steps,
        settings.batch,
        settings.rate,
        settings.layers,
        settings.width,
        settings.heads,
        100.0 * settings.share,
        settings.evaluation,
    )
}

/// The critic's predictions for one kind of episodes at four steps.
fn predicted(settings: &Settings, results: &Results, outcome: Outcome) -> [String; 6] {
    let [key, empty, door] = settings.world().phases;
    let count: usize = results.credits.iter().map(|credit| credit.of(outcome).count).sum();
    let at = |step: usize| {
        average(&results.credits.iter().map(|credit| number(credit.of(outcome).mean[step])).collect::<Vec<f64>>())
    };
    let [a, b, c, d] = [0, key - 1, key + empty, key + empty + door - 1].map(|step| format!("{:.2}", at(step)));
    [outcome.name().into(), count.to_string(), a, b, c, d]
}

fn number(value: Option<f64>) -> f64 {
    value.unwrap_or(f64::NAN)
}

/// A bar for each method and number of episodes, and one for random play.
fn bars(settings: &Settings, results: &Results) -> BarPlot {
    let bar = |(episodes, method)| {
        let trials = trials(results, episodes, method);
        let success = 100.0 * average(&trials.iter().map(|trial| trial.greedy.success).collect::<Vec<f64>>());
        (format!("{}, {episodes}: {success:.1} %", method.name()), success)
    };
    let random = 100.0 * results.random;
    let bars = cells(settings).map(bar).chain([(format!("random play: {random:.1} %"), random)]).collect();
    BarPlot {
        title: format!("Key-to-Door, {}", task(settings)),
        label: "episodes that end with the door open, in percent (greedy)".into(),
        bars,
    }
}

fn learning(settings: &Settings, results: &Results) -> LinePlot {
    let line = |(episodes, method): (usize, Method)| {
        let trials = trials(results, episodes, method);
        let at = |index: usize| trials.iter().map(|trial| 100.0 * trial.curve[index].1).collect();
        let values = trials[0].curve.iter().enumerate().map(|(index, point)| (point.0 as f64, at(index)));
        Line::of_seeds(format!("{}, {episodes} episodes", method.name()), Summary::Range, values)
    };
    LinePlot::new(
        "Success during training, all seeds",
        "training steps",
        Axis::within("success in percent (greedy)", 0.0..100.0),
        cells(settings).map(line),
    )
}

fn credit(settings: &Settings, results: &Results) -> LinePlot {
    let line = |outcome: Outcome| {
        let steps = settings.world().phases.iter().sum();
        let over = |pick: &dyn Fn(&Group) -> f64| {
            average(&results.credits.iter().map(|one| pick(one.of(outcome))).collect::<Vec<f64>>())
        };
        Line {
            band: (0..steps)
                .map(|step| [0, 1].map(|end| over(&|group| number(group.quartiles[step][end]))).into())
                .collect(),
            ..Line::new(outcome.name(), (0..steps).map(|step| (step as f64, over(&|group| number(group.mean[step])))))
        }
    };
    let [key, empty, _] = settings.world().phases;
    LinePlot {
        title: "Predicted chance of the reward (band: middle half of the episodes)".into(),
        x: Axis::new("step"),
        y: Axis { range: Some(0.0..1.0), ..Axis::new("predicted chance of the reward") },
        lines: Outcome::ALL.map(line).into(),
        levels: vec![
            Level::upright("empty room", key as f64),
            Level::upright("room of the door", (key + empty) as f64),
        ],
    }
}
