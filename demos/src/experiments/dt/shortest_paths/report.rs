//! The report of finished trials.

use fourfold::models::shortest_paths::{BETA2, GraphFilter, NODES, SPARSITY, STEPS};
use serde_json::{Value, json};

use super::trial::{Finished, Problem};
use super::{AtDistance, Outcome, Settings, Walk, picture, ways};
use crate::failure::Failure;
use crate::picture::bar_plot::{ColumnPlot, Columns};
use crate::picture::plot::{Line, LinePlot};
use crate::run::report::Report;

/// One graph in a line.
pub fn line(seed: u32, finished: &Finished) -> String {
    let [paper, sifted] = &finished.transformer;
    format!(
        "graph {seed}: {:.1} % optimal and {:.1} % at the goal of {} reachable starts; with unlikely lengths left aside \
         {:.1} % and {:.1} %; random walk {:.1} %",
        paper.optimal_share(),
        paper.reached_share(),
        paper.reachable(),
        sifted.optimal_share(),
        sifted.reached_share(),
        finished.random_walk.reached_share(),
    )
}

/// Describes what was found.
pub fn report(settings: &Settings, trials: &[(Problem, Finished)]) -> Result<Report, Failure> {
    let (first, shown) = &trials[0];
    let all: Vec<&Finished> = trials.iter().map(|(_, finished)| finished).collect();
    let mut report = Report::new("Shortest paths from random walks");
    report.explanation(conditions(settings, trials.len()));
    report.table(&BY_GRAPH, by_graph(trials));
    report.table(&BY_DISTANCE, by_distance(trials));
    report.paragraph(EXPLANATION);
    let title = format!("Path lengths from {} starts, graph {}", settings.starts, first.seed);
    report.picture("lengths.png", "path lengths, first graph", lengths(&title, &[shown]).png(900, 460)?);
    let title = format!("Path lengths from {} starts on {} graphs", settings.starts * all.len(), all.len());
    report.picture("lengths-all.png", "path lengths, all graphs", lengths(&title, &all).png(900, 460)?);
    let title = format!("Graph {}, and a path that the transformer generated", first.seed);
    report.picture("graph.png", "the first graph", picture::png(&first.graph, longest(first, shown), &title)?);
    report.picture("loss.png", "loss", losses(trials).png(900, 420)?);
    report.result("graphs", trials.iter().map(|(problem, finished)| graph_json(problem, finished)).collect());
    Ok(report)
}

/// The meaning of the columns.
const EXPLANATION: &str = "Shares are of the starts from which a way leads to the goal. `paper`: the rule of the paper, \
P(R) of the transformer times the prior's power, and the most probable return and action; `sifted`: the same with lengths \
left aside to which the transformer gives too little. `original`: of the paths that arrived, those that no walk of the data \
contains. The random walk chooses among edges, random actions among all nodes.";

fn percent(share: f64) -> String {
    if share.is_nan() { "-".into() } else { format!("{share:.1}") }
}

const BY_GRAPH: [&str; 14] = [
    "graph",
    "edges",
    "at distance 1, 2, ..",
    "walks at goal %",
    "optimal, paper %",
    "reached",
    "detours",
    "all to 3",
    "original %",
    "optimal, sifted %",
    "reached",
    "all to 3",
    "random walk %",
    "random actions %",
];

/// A row for each graph, and one for all.
fn by_graph(trials: &[(Problem, Finished)]) -> Vec<Vec<String>> {
    let mut rows: Vec<Vec<String>> = Vec::new();
    for (trial, finished) in trials {
        let [paper, sifted] = &finished.transformer;
        let distances = trial.graph.distances();
        let counts: Vec<String> = (1..=paper.by_distance.len())
            .map(|steps| distances.iter().filter(|&&distance| distance == Some(steps)).count().to_string())
            .collect();
        let yes = |outcome: &Outcome| if outcome.solves(3) { "yes" } else { "no" }.to_owned();
        rows.push(vec![
            trial.seed.to_string(),
            trial.graph.edge_count().to_string(),
            counts.join(" "),
            percent(100.0 * trial.walks.reached()),
            percent(paper.optimal_share()),
            percent(paper.reached_share()),
            (paper.reached() - paper.optimal()).to_string(),
            yes(paper),
            percent(paper.original_share()),
            percent(sifted.optimal_share()),
            percent(sifted.reached_share()),
            yes(sifted),
            percent(finished.random_walk.reached_share()),
            percent(finished.random_actions.reached_share()),
        ]);
    }
    let mean = |value: &dyn Fn(&(Problem, Finished)) -> f64| {
        percent(trials.iter().map(value).sum::<f64>() / trials.len() as f64)
    };
    let solved = |rule: usize| {
        let solved = trials.iter().filter(|(_, finished)| finished.transformer[rule].solves(3)).count();
        format!("{solved} of {}", trials.len())
    };
    let detours: usize =
        trials.iter().map(|(_, finished)| finished.transformer[0].reached() - finished.transformer[0].optimal()).sum();
    rows.push(vec![
        "mean".into(),
        String::new(),
        String::new(),
        mean(&|(trial, _)| 100.0 * trial.walks.reached()),
        mean(&|(_, finished)| finished.transformer[0].optimal_share()),
        mean(&|(_, finished)| finished.transformer[0].reached_share()),
        format!("{:.1}", detours as f64 / trials.len() as f64),
        solved(0),
        mean(&|(_, finished)| finished.transformer[0].original_share()),
        mean(&|(_, finished)| finished.transformer[1].optimal_share()),
        mean(&|(_, finished)| finished.transformer[1].reached_share()),
        solved(1),
        mean(&|(_, finished)| finished.random_walk.reached_share()),
        mean(&|(_, finished)| finished.random_actions.reached_share()),
    ]);
    rows
}

const BY_DISTANCE: [&str; 10] = [
    "distance",
    "starts",
    "optimal, paper %",
    "reached %",
    "mean steps",
    "optimal, sifted %",
    "reached %",
    "random walk optimal %",
    "reached %",
    "mean steps",
];

/// A row for each distance over all graphs.
fn by_distance(trials: &[(Problem, Finished)]) -> Vec<Vec<String>> {
    let farthest = trials.iter().map(|(_, finished)| finished.shortest.by_distance.len()).max().unwrap_or(0);
    let row = |distance: usize| {
        let sum = |pick: &dyn Fn(&Finished) -> &Outcome| {
            let mut sum = AtDistance { distance, ..AtDistance::default() };
            for row in trials.iter().filter_map(|(_, finished)| pick(finished).by_distance.get(distance - 1)) {
                sum.starts += row.starts;
                sum.optimal += row.optimal;
                sum.reached += row.reached;
                sum.steps += row.steps;
            }
            sum
        };
        let [paper, sifted] = [sum(&|finished| &finished.transformer[0]), sum(&|finished| &finished.transformer[1])];
        let random = sum(&|finished| &finished.random_walk);
        let share = |part: usize| percent(100.0 * part as f64 / paper.starts as f64);
        let steps = |row: AtDistance| match row.mean_length() {
            mean if mean.is_nan() => "-".to_owned(),
            mean => format!("{mean:.2}"),
        };
        vec![
            distance.to_string(),
            paper.starts.to_string(),
            share(paper.optimal),
            share(paper.reached),
            steps(paper),
            share(sifted.optimal),
            share(sifted.reached),
            share(random.optimal),
            share(random.reached),
            steps(random),
        ]
    };
    (1..=farthest).map(row).collect()
}

/// The bar chart of figure 6: how many paths have 1, 2, .. steps, and how many never arrive.
fn lengths(title: &str, finished: &[&Finished]) -> ColumnPlot {
    let steps = finished[0].shortest.lengths.len();
    let series = |name: &str, pick: &dyn Fn(&Finished) -> &Outcome| {
        let count = |of: &dyn Fn(&Outcome) -> usize| finished.iter().map(|one| of(pick(one))).sum::<usize>() as f64;
        let arrived = (0..steps).map(|index| count(&|outcome| outcome.lengths[index]));
        let heights = arrived.chain([count(&|outcome| outcome.never)]).collect();
        Columns { name: name.into(), heights, ..Columns::default() }
    };
    ColumnPlot {
        title: title.into(),
        x: "steps to the goal".into(),
        y: "paths".into(),
        categories: (1..=steps).map(|steps| steps.to_string()).chain(["never".into()]).collect(),
        series: vec![
            series("shortest path", &|finished| &finished.shortest),
            series("transformer", &|finished| &finished.transformer[0]),
            series("transformer, sifted", &|finished| &finished.transformer[1]),
            series("random walk", &|finished| &finished.random_walk),
        ],
    }
}

fn losses(trials: &[(Problem, Finished)]) -> LinePlot {
    /// Training steps of one point.
    const SPAN: usize = 10;
    let of = |(trial, finished): &(Problem, Finished)| {
        let mean = |(index, losses): (usize, &[f32])| {
            let mean = losses.iter().map(|&loss| f64::from(loss)).sum::<f64>() / losses.len() as f64;
            ((index * SPAN + losses.len()) as f64, mean)
        };
        let points = finished.losses.chunks(SPAN).enumerate().map(mean);
        Line::new(format!("graph {}", trial.seed), points)
    };
    LinePlot::new("Training", "training step", "cross-entropy of return and action", trials.iter().map(of))
}

/// The longest generated path that is optimal; of several, one that no walk of the data contains.
fn longest<'a>(trial: &Problem, finished: &'a Finished) -> &'a Walk {
    let distances = trial.graph.distances();
    let ways = ways(&trial.walks.walks, trial.graph.goal());
    let goal = trial.graph.goal();
    let rank = |walk: &&Walk| match walk.length(goal) {
        Some(length) if distances[walk.nodes[0]] == Some(length) => (length, !ways.contains(&walk.nodes[..=length])),
        _ => (0, false),
    };
    finished.decoded.walks.iter().max_by_key(rank).expect("there is at least one start")
}

fn graph_json(trial: &Problem, finished: &Finished) -> Value {
    let graph = &trial.graph;
    let edges: Vec<&[usize]> = (0..graph.nodes()).map(|node| graph.successors(node)).collect();
    json!({
        "seed": trial.seed,
        "goal": graph.goal(),
        "edges": edges,
        "distances": graph.distances(),
        "graphs_drawn": trial.tries,
        "walks_that_reach_the_goal": trial.walks.reached(),
        "shortest": finished.shortest,
        "transformer": finished.transformer[0],
        "transformer_sifted": finished.transformer[1],
        "random_walk": finished.random_walk,
        "random_actions": finished.random_actions,
        "paths": paths(finished),
        "losses": finished.losses,
    })
}

/// The generated path of each node, with the length that was predicted for it.
fn paths(finished: &Finished) -> Vec<Value> {
    let both = finished.decoded.walks.iter().zip(&finished.decoded.predicted);
    both.map(|(walk, predicted)| json!({ "nodes": walk.nodes, "predicted": predicted })).collect()
}

fn conditions(settings: &Settings, graphs: usize) -> String {
    let filter = GraphFilter::figure_6();
    format!(
        "{graphs} random directed graphs of {NODES} nodes, each edge with probability {SPARSITY}, kept where there are about {:?} \
         nodes (at most {} off, at least one) at distances 1 to 5 of the goal, none farther away, and at most {} without a way. \
         On each, {} random walks of up to {STEPS} steps that choose among the edges there are and stop at the goal; a return is \
         minus the steps to the goal, or \"never\". A transformer of {} layers, {} head(s) and width {} learns tokens state, \
         return, action from windows of up to {} steps that begin at any step of a walk, with times counted from the window's \
         start: {} steps of {} windows, AdamW with beta2 {BETA2}, rate {} with half a cosine, dropout {}. It generates paths from \
         {} starts drawn uniformly, the most probable return under P(R) prior(R)^{} and then the most probable action; `sifted` \
         leaves lengths aside that have less than {}.",
        filter.at_distance,
        filter.tolerance,
        filter.unreachable,
        settings.walks,
        settings.layers,
        settings.heads,
        settings.width,
        settings.context,
        settings.training_steps,
        settings.batch,
        settings.rate,
        settings.dropout,
        settings.starts,
        settings.power,
        settings.least,
    )
}
