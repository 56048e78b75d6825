//! How the graph and its walkers look.

use super::{CLICKS, Paths, learning};
use crate::dt::attention_panel::AttentionPanel;
use crate::panel::{body, panel};
use crate::plot::{Plot, Series};
use crate::{Align, Area, Colour, Drawing, Paint, View};

/// Columns and rows of the starts.
const GRID: [usize; 2] = [5, 4];

/// Where everything stands.
#[derive(Debug, Clone)]
pub(super) struct Places {
    frame: Area,
    /// Where each node stands, and the names of the columns.
    nodes: Vec<[f32; 2]>,
    columns: Vec<([f32; 2], String)>,
    radius: f32,
    attention: Area,
    chances: Area,
    curve: Area,
    /// Loss and shares of a training, where there is one.
    learning: Option<[Area; 2]>,
    starts: Area,
    text: f32,
}

/// Lays the drawing out.
pub(super) fn places(scene: &Paths, view: View) -> Places {
    let (area, gap, text) = (view.area().shrink(0.5 * view.text), 0.6 * view.text, view.text);
    let [left, right] = area.split([1.15, 1.0], gap, view.is_narrow());
    let [frame, attention] = left.split([2.4, 1.0], gap, true);
    let (learning, [chances, curve, starts]) = match scene.learning {
        None => (None, right.split([1.0, 1.3, 1.0], gap, true)),
        Some(_) => {
            let [learning, rest] = right.split([1.0, 2.9], gap, true);
            (Some(learning.split([1.0, 1.0], gap, false)), rest.split([0.9, 1.0, 1.0], gap, true))
        }
    };
    let map = body(frame, text).shrink(0.8 * text);
    // From the right: the goal, its neighbours, .., and last the nodes without a way.
    let by_distance = scene.world.by_distance();
    let rows = by_distance.iter().map(Vec::len).max().unwrap_or(1);
    let step = [map.width() / by_distance.len() as f32, (map.height() - 1.5 * text) / rows as f32];
    let mut nodes = vec![map.centre(); scene.world.nodes()];
    let mut columns = Vec::new();
    for (column, members) in by_distance.iter().enumerate() {
        let x = map.max[0] - (column as f32 + 0.5) * step[0];
        for (index, &node) in members.iter().enumerate() {
            let middle = index as f32 - 0.5 * (members.len() as f32 - 1.0);
            // A little out of line, so that few edges lie on others.
            let aside = if members.len() == 1 { 0.0 } else { [-0.16, 0.16][index % 2] };
            let y = map.min[1] + 0.5 * (map.height() - 1.5 * text) + middle * step[1];
            nodes[node] = [x + aside * step[0], y];
        }
        let name = match scene.distances[members[0]] {
            Some(0) => "goal".to_owned(),
            Some(1) => "1 step".to_owned(),
            Some(distance) => format!("{distance} steps"),
            None => "no way".to_owned(),
        };
        columns.push(([x, map.max[1] - 0.4 * text], name));
    }
    let radius = text.min(0.35 * step[1]).min(0.3 * step[0]);
    Places { frame, nodes, columns, radius, attention, chances, curve, learning, starts, text }
}

impl Places {
    /// The node at a point, in the graph or in the list of starts.
    pub(super) fn node(&self, scene: &Paths, at: [f32; 2]) -> Option<usize> {
        let distance = |node: usize| (self.nodes[node][0] - at[0]).hypot(self.nodes[node][1] - at[1]);
        let nodes = 0..scene.world.nodes();
        let nearest = nodes.clone().min_by(|&a, &b| distance(a).total_cmp(&distance(b)))?;
        let listed = || nodes.clone().find(|&node| body(self.starts, self.text).cell(node, GRID).contains(at));
        if distance(nearest) < 1.4 * self.radius { Some(nearest) } else { listed() }
    }

    /// Where a node stands.
    #[cfg(test)]
    pub(super) fn of(&self, node: usize) -> [f32; 2] {
        self.nodes[node]
    }
}

pub(super) fn draw(scene: &Paths, view: View) -> Drawing {
    let mut drawing = Drawing { is_waiting: scene.answer.is_waiting(), ..Drawing::default() };
    let (places, text) = (places(scene, view), view.text);
    graph(scene, &mut drawing, &places);
    let attention = AttentionPanel {
        shares: &scene.shares,
        context: scene.attention.context(),
        known: scene.known,
        names: &["node", "return", "action"],
        version: scene.version,
    };
    attention.draw(&mut drawing, places.attention, text);
    chances(scene, &mut drawing, places.chances, text);
    curve(scene, &mut drawing, places.curve, text);
    if let Some((learning, [left, right])) = scene.learning.as_ref().zip(places.learning) {
        let plot = |title, greatest, colour: Colour, name, points| Plot {
            title,
            across: "training step",
            ranges: [Some([0.0, learning::STEPS as f64]), Some([0.0, greatest])],
            series: vec![Series { name, paint: colour.into(), points }],
            marks: Vec::new(),
        };
        let curve = learning.curve();
        let greatest = curve.iter().map(|point| point[1]).fold(1.0, f64::max).ceil();
        plot("loss of the training", greatest, Colour::Orange, "mean of 8", curve).draw(&mut drawing, left, text);
        let shares = learning.shares().to_vec();
        plot("shortest paths", 1.0, Colour::Blue, "of all starts", shares).draw(&mut drawing, right, text);
    }
    starts(scene, &mut drawing, places.starts, text);
    drawing
}

fn graph(scene: &Paths, drawing: &mut Drawing, places: &Places) {
    let (world, text) = (&scene.world, places.text);
    let nodes = scene.path().map_or(&[][..], |path| &path.nodes);
    let title =
        format!("from node {}, step {}; a click sets {}", scene.start, nodes.len().max(1) - 1, CLICKS[scene.click]);
    panel(drawing, places.frame, text, Colour::Ink, &title);
    let taken: Vec<(usize, usize)> = nodes.windows(2).map(|pair| (pair[0], pair[1])).collect();
    let faint = Paint { colour: Colour::Muted, opacity: 0.45 };
    for from in 0..world.nodes() {
        for &to in world.successors(from).iter().filter(|&&to| !taken.contains(&(from, to))) {
            arrow(drawing, places, from, to, 1.0, faint);
        }
    }
    for &(from, to) in taken.iter().filter(|(from, to)| from != to) {
        arrow(drawing, places, from, to, 3.0, Colour::Blue.into());
    }
    let here = nodes.last().copied().unwrap_or(scene.start);
    for (node, &at) in places.nodes.iter().enumerate() {
        let (fill, ink) = match node {
            node if node == world.goal() => (Colour::Green.into(), Colour::Ground),
            node if nodes.contains(&node) => (Colour::Blue.into(), Colour::Ground),
            _ => (Paint { colour: Colour::Muted, opacity: 0.22 }, Colour::Ink),
        };
        drawing.disc(at, places.radius, fill);
        if node == here {
            drawing.ring(at, 1.25 * places.radius, 2.5, Colour::Orange);
        }
        drawing.text(at, (0.85 * text).min(1.2 * places.radius), Align::Centre, ink, node.to_string());
    }
    for (at, name) in &places.columns {
        drawing.text(*at, 0.8 * text, Align::Centre, Colour::Muted, name.as_str());
    }
}

/// An edge between the rims of two discs, with its head. Two edges between the same nodes lie side by side.
fn arrow(drawing: &mut Drawing, places: &Places, from: usize, to: usize, width: f32, paint: Paint) {
    let (from, to) = (places.nodes[from], places.nodes[to]);
    let [x, y] = [to[0] - from[0], to[1] - from[1]];
    let length = x.hypot(y).max(1.0);
    let [x, y] = [x / length, y / length];
    let at = |along: f32, across: f32| [from[0] + along * x - across * y, from[1] + along * y + across * x];
    let (beside, head) = (0.17 * places.radius, 0.4 * places.radius + 1.2 * width);
    let tip = length - places.radius;
    drawing.line(vec![at(places.radius, beside), at(tip - 0.6 * head, beside)], width, paint);
    drawing.polygon(
        vec![at(tip, beside), at(tip - head, beside + 0.4 * head), at(tip - head, beside - 0.4 * head)],
        paint,
    );
}

/// The chances of each length at the last step, and the length for which the step was taken.
fn chances(scene: &Paths, drawing: &mut Drawing, area: Area, text: f32) {
    let title = "predicted chances of path lengths; framed: asked for now";
    let area = panel(drawing, area, text, Colour::Ink, title);
    let Some((chances, &taken)) = scene.path().and_then(|path| path.chances.last().zip(path.lengths.last())) else {
        return;
    };
    // Length 0 is left out: an agent that still walks is not at the goal.
    let shown = &chances[1..];
    let greatest = shown.iter().copied().fold(1e-6, f32::max);
    for (index, &chance) in shown.iter().enumerate() {
        let cell = area.cell(index, [shown.len(), 1]).shrink(0.15 * text);
        let foot = cell.max[1] - 1.2 * text;
        let top = foot - (chance / greatest).clamp(0.0, 1.0) * (foot - cell.min[1] - 0.3 * text);
        let name = if index + 1 == shown.len() { "never".to_owned() } else { (index + 1).to_string() };
        drawing.rectangle(Area { min: [cell.min[0], top], max: [cell.max[0], foot] }, 1.0, Colour::Purple);
        if index + 1 == taken {
            drawing.outline(Area { min: [cell.min[0], cell.min[1]], max: [cell.max[0], foot] }, 1.5, Colour::Ink);
        }
        drawing.text([cell.centre()[0], foot + 0.7 * text], 0.8 * text, Align::Centre, Colour::Ink, name);
    }
}

/// The return is minus the steps to the goal, so lengths are shown.
fn curve(scene: &Paths, drawing: &mut Drawing, area: Area, text: f32) {
    let most = scene.trained.prior.steps as f64;
    let path = scene.path();
    let points = |of: &dyn Fn(usize) -> f64| {
        let steps = 0..path.map_or(0, |path| path.actions.len());
        steps.map(|step| [step as f64, of(step)]).collect::<Vec<_>>()
    };
    let (mut predicted, mut taken, mut fewest) = (Vec::new(), Vec::new(), Vec::new());
    if let Some(path) = path {
        predicted = points(&|step| scene.predicted(&path.chances[step])[0]);
        taken = points(&|step| path.lengths[step] as f64);
        fewest = points(&|step| scene.distances[path.nodes[step]].map_or(f64::NAN, |steps| steps as f64));
    }
    let series = [
        (Colour::Blue, "predicted mean, of walks that arrive", predicted),
        (Colour::Purple, "asked for", taken),
        (Colour::Orange, "fewest", fewest),
    ];
    let plot = Plot {
        title: "steps to the goal over time",
        across: "step",
        ranges: [Some([0.0, most]), Some([0.0, most])],
        series: series.map(|(colour, name, points)| Series { name, paint: colour.into(), points }).into(),
        marks: Vec::new(),
    };
    plot.draw(drawing, area, text);
}

/// The steps from every node beside the fewest.
fn starts(scene: &Paths, drawing: &mut Drawing, area: Area, text: f32) {
    let area = panel(drawing, area, text, Colour::Ink, "steps from every node (fewest); click one");
    for node in 0..scene.world.nodes() {
        let cell = area.cell(node, GRID).shrink(0.1 * text);
        if node == scene.start {
            drawing.outline(cell, 1.5, Colour::Ink);
        }
        let length = scene.paths.get(node).and_then(|path| scene.length(path));
        let (words, colour) = match (length, scene.distances[node]) {
            (_, Some(0)) => (format!("{node}: goal"), Colour::Green),
            (Some(length), Some(fewest)) => (
                format!("{node}: {length} ({fewest})"),
                if length == fewest { Colour::Blue } else { Colour::Vermilion },
            ),
            (_, Some(fewest)) => (format!("{node}: .. ({fewest})"), Colour::Muted),
            (_, None) => (format!("{node}: no way"), Colour::Muted),
        };
        let size = (0.9 * text).min(cell.width() / 5.0).min(cell.height());
        drawing.text([cell.min[0] + 0.3 * text, cell.centre()[1]], size, Align::Left, colour, words);
    }
}
