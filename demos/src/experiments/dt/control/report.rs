//! The report of the control experiment.

use serde_json::{Value, json};

use super::{Compared, Settings, Trial};
use crate::experiments::dt::contender::Contender;
use crate::failure::Failure;
use crate::picture::bar_plot::{ColumnPlot, Columns};
use crate::run::report::Report;
use crate::statistics::{average, extremes};

/// Reports the scores of all contenders on all data sets.
pub fn report(settings: &Settings, results: &[Compared]) -> Result<Report, Failure> {
    let names: Vec<String> = Contender::ALL.iter().map(|contender| contender.name()).collect();
    let of_data = |Compared { data, .. }: &Compared| data.score(average(&data.trajectories.returns()));
    let cell = |trial: &Trial| {
        let (mean, deviation) = trial.spread();
        format!("{mean:.1} ± {deviation:.1}")
    };
    let seeds = |compared: &Compared| compared.trials.first().map_or(0, |trial| trial.scores.len());
    let mut rows: Vec<Vec<String>> = Vec::new();
    for compared in results {
        let own = [compared.data.name().to_owned(), seeds(compared).to_string(), format!("{:.1}", of_data(compared))];
        rows.push(own.into_iter().chain(compared.trials.iter().map(cell)).collect());
    }
    let column =
        |of: &dyn Fn(&Compared) -> f64| format!("{:.1}", average(&results.iter().map(of).collect::<Vec<f64>>()));
    let own = ["average".to_owned(), String::new(), column(&of_data)];
    let averages = (0..names.len()).map(|index| column(&|compared| compared.trials[index].spread().0));
    rows.push(own.into_iter().chain(averages).collect());

    let mut report = Report::new("Control from recorded episodes: the decision transformer beside behaviour cloning");
    report.explanation(format!(
        "Normalised scores, 0 for uniform actions and 100 for the expert, over {} episodes played as one batch, mean ± \
         standard deviation over the seeds, or the standard error of one seed. `its mean` is the score of the data \
         themselves. Transformers are asked for the expert's return, or the best of the data where that is lower. `delayed` \
         is told the whole return at each step, as where all reward is paid at the end, and its target is held; behaviour \
         cloning sees no rewards, so that it is the same with both.",
        settings.common.evaluation,
    ));
    let header: Vec<&str> = ["data", "seeds", "its mean"].into_iter().chain(names.iter().map(String::as_str)).collect();
    report.table(&header, rows);
    report.picture("scores.png", "scores", picture(&names, results).png(1_100, 480)?);
    report.heading("Setting");
    let sizes = &settings.common.sizes;
    let parameters = |index: usize| {
        let count = results.first().map_or(0, |compared| compared.trials[index].parameters);
        format!("{}: {count} parameters", names[index])
    };
    report.explanation(format!(
        "* {} episodes of each data set of our own; `results.json` says which policies played them, with which noise and \
         seeds.\n\
         * Transformer: width {}, {} layers, one head, K = {} (or 1), dropout {}, {}; {} steps of batch {}, AdamW, rate {} \
         after a warm-up of a tenth of the steps, falling along half a cosine to a tenth, clipped at 0.25.\n\
         * Behaviour cloning: three hidden layers of {} over the last {} observations, {} steps of batch {}, no clipping.\n\
         * On the first data set: {}. `metrics.jsonl` has the seconds of each training.",
        settings.common.episodes,
        sizes.width,
        sizes.layers,
        sizes.context,
        sizes.dropout,
        sizes.times_in_words(),
        sizes.steps,
        sizes.batch,
        sizes.rate,
        sizes.cloning_width,
        sizes.context,
        sizes.cloning_steps,
        sizes.cloning_batch,
        [0, 2, 6].map(parameters).join("; "),
    ));
    report.result("data_sets", results.iter().map(data_set).collect::<Vec<_>>().into());
    Ok(report)
}

/// Returns the numbers behind the row of a data set.
fn data_set(Compared { data, trials }: &Compared) -> Value {
    let returns = data.trajectories.returns();
    json!({
        "data": data.name(),
        "episodes": data.trajectories.episodes(),
        "steps": data.trajectories.steps(),
        "mean_return": average(&returns),
        "best_return": extremes(&returns).1,
        "random_return": data.random,
        "expert_return": data.expert,
        "target": data.target(),
        "notes": data.trajectories.notes(),
        "trials": trials,
    })
}

/// The scores as bars, a group for each data set.
fn picture(names: &[String], results: &[Compared]) -> ColumnPlot {
    let series = |(index, name): (usize, &String)| {
        let spreads = results.iter().map(|compared| compared.trials[index].spread());
        let (heights, spreads) = spreads.unzip();
        Columns { name: name.clone(), heights, spreads }
    };
    let category = |compared: &Compared| compared.data.name().replace("cart-pole-swing-up", "swing-up");
    ColumnPlot {
        title: "Normalised scores after training on recorded episodes".into(),
        x: String::new(),
        y: "score: 0 random, 100 expert".into(),
        categories: results.iter().map(category).collect(),
        series: names.iter().enumerate().map(series).collect(),
    }
}
