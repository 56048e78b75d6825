//! The report of the control experiment.

use fourfold::Gpu;
use serde_json::{Value, json};

use super::{Compared, Settings, Trial, spread};
use crate::dt::contender::Contender;
use crate::failure::Failure;
use crate::picture::column_plot::{ColumnPlot, Columns};
use crate::run::folder::{RunFolder, adapter_json};
use crate::table::wide_table;

/// Writes `results.json`: every number behind the table.
fn write_results(folder: &RunFolder, results: &[Compared]) -> Result<(), Failure> {
    let set = |Compared { data, trials }: &Compared| -> Value {
        let returns = data.trajectories.returns();
        json!({
            "data": data.name(),
            "episodes": data.trajectories.episodes(),
            "steps": data.trajectories.steps(),
            "mean_return": returns.iter().sum::<f64>() / returns.len() as f64,
            "best_return": returns.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            "random_return": data.random,
            "expert_return": data.expert,
            "target": data.target(),
            "notes": data.trajectories.notes(),
            "trials": trials,
        })
    };
    folder.write_json("results.json", &json!(results.iter().map(set).collect::<Vec<_>>()))
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

/// Writes the report and returns its table for the terminal.
pub fn write(folder: &RunFolder, settings: &Settings, results: &[Compared], gpu: &Gpu) -> Result<String, Failure> {
    write_results(folder, results)?;
    let names: Vec<String> = Contender::ALL.iter().map(|contender| contender.name()).collect();
    let of_data = |Compared { data, .. }: &Compared| {
        let returns = data.trajectories.returns();
        data.score(returns.iter().sum::<f64>() / returns.len() as f64)
    };
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
    let average = |index: usize| {
        let means = results.iter().map(|compared| compared.trials[index].spread().0);
        format!("{:.1}", means.sum::<f64>() / results.len() as f64)
    };
    let data = results.iter().map(of_data).sum::<f64>() / results.len() as f64;
    let own = ["average".to_owned(), String::new(), format!("{data:.1}")];
    rows.push(own.into_iter().chain((0..names.len()).map(average)).collect());

    folder.write("scores.png", &picture(&names, results).png(1_800, 620)?)?;

    let header: Vec<&str> = ["data", "seeds", "its mean"].into_iter().chain(names.iter().map(String::as_str)).collect();
    let seconds: f64 = results.iter().flat_map(|compared| &compared.trials).flat_map(|trial| &trial.seconds).sum();
    let each = |index: usize| {
        let of_one: Vec<f64> = results.iter().flat_map(|compared| compared.trials[index].seconds.clone()).collect();
        let (mean, _) = spread(&of_one);
        let parameters = results.first().map_or(0, |compared| compared.trials[index].parameters);
        format!("{}: {parameters} parameters, {mean:.0} s", names[index])
    };
    let trainings: Vec<String> = [0, 2, 6].into_iter().map(each).collect();
    let markdown = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let lines: String = rows.iter().map(|row| markdown(row)).collect();
    let sizes = &settings.sizes;
    let text = format!(
        "# Control from recorded episodes: the decision transformer beside behaviour cloning\n\n\
         Normalised scores, 0 for uniform actions and 100 for the expert, over {} episodes played as one batch, mean ± \
         standard deviation over the seeds, or the standard error of one seed. `its mean` is the score of the data themselves. Transformers are asked for \
         the expert's return, or the best of the data where that is lower. `delayed` is told the whole return at each step, as where all reward is paid at the end, \
         and its target is held; behaviour cloning sees no rewards, so that it is the same with both.\n\n\
         | {} |\n|---{}|\n{lines}\n![scores](scores.png)\n\n\
         ## Setting\n\n\
         * {} episodes of each data set of our own; `results.json` says which policies played them, with which noise and \
         seeds.\n\
         * Transformer: width {}, {} layers, one head, K = {} (or 1), dropout {}, {}; {} steps of batch {}, AdamW, rate \
         {} after a warm-up of a tenth of the steps, falling along half a cosine to a tenth, clipped at 0.25.\n\
         * Behaviour cloning: three hidden layers of {} over the last {} observations, {} steps of batch {}, no clipping.\n\
         * The mean time of a training on the first data set's sizes ({:.0} s for all): {}.\n\n\
         Adapter: {} ({}).\n",
        settings.evaluation,
        header.join(" | "),
        "|---".repeat(header.len() - 1),
        settings.episodes,
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
        seconds,
        trainings.join("; "),
        gpu.info().name,
        gpu.info().driver_info,
    );
    folder.write("report.md", text.as_bytes())?;
    folder.write_json("adapter.json", &adapter_json(gpu.info()))?;
    Ok(wide_table(&header, rows))
}
