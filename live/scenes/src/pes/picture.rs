//! The map with the paths on it, and the learning curves.

use super::Pes;
use super::descent::{CONTESTANTS, Contestant, Run};
use super::surface::{COLOURS, PLANE, share};
use crate::panel::{body, panel};
use crate::plot::{Plot, Series, short};
use crate::{Align, Area, Colour, Drawing, View};

/// Where everything stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Places {
    frame: Area,
    /// The map itself.
    pub(super) map: Area,
    curve: Area,
}

/// Lays the drawing out.
pub(super) fn places(view: View) -> Places {
    let (area, gap, text) = (view.area().shrink(0.5 * view.text), 0.6 * view.text, view.text);
    let narrow = view.is_narrow();
    let [frame, curve] = area.split([1.35, 1.0], gap, narrow);
    let body = body(frame, text);
    let foot = Area { max: [body.max[0], body.max[1] - 2.6 * text], min: [body.min[0] + 1.6 * text, body.min[1]] };
    Places { frame, map: foot.square(), curve }
}

/// The place of theta on the map.
fn place(map: Area, theta: [f32; 2]) -> [f32; 2] {
    let [right, up] = theta.map(|number| share(number).clamp(0.0, 1.0));
    map.at([right, 1.0 - up])
}

pub(super) fn draw(scene: &Pes, view: View) -> Drawing {
    let is_waiting = scene.objectives.is_waiting() || scene.surface.picture().is_none();
    let mut drawing = Drawing { is_waiting, ..Drawing::default() };
    let (places, text) = (places(view), view.text);
    let title = "objective over both log learning rates: click to start elsewhere";
    panel(&mut drawing, places.frame, text, Colour::Ink, title);
    map(scene, &mut drawing, places.map, text);
    curve(scene, &mut drawing, places.curve, text);
    drawing
}

fn map(scene: &Pes, drawing: &mut Drawing, map: Area, text: f32) {
    match scene.surface.picture() {
        Some(picture) => drawing.picture(map, picture.clone()),
        None => drawing.text(map.centre(), text, Align::Centre, Colour::Muted, "the map is being computed"),
    }
    let small = 0.85 * text;
    for (share, end) in [0.0, 1.0].into_iter().zip(PLANE) {
        let [x, y] = map.at([share, 1.0 - share]);
        let value = short(end.into());
        drawing.text([x, map.max[1] + 0.7 * text], small, Align::Centre, Colour::Muted, value.clone());
        drawing.text([map.min[0] - 0.3 * text, y], small, Align::Right, Colour::Muted, value);
    }
    let foot = [map.centre()[0], map.max[1] + 0.7 * text];
    drawing.text(foot, small, Align::Centre, Colour::Muted, "first rate across, last rate up");
    let [least, greatest] = COLOURS.map(short);
    let colours = format!("light {least}, dark {greatest} and worse");
    drawing.text([foot[0], foot[1] + 1.1 * text], small, Align::Centre, Colour::Muted, colours);
    for (contestant, run) in CONTESTANTS.iter().zip(&scene.runs) {
        path(drawing, map, contestant, run, text);
    }
    drawing.ring(place(map, scene.settings.start), 0.45 * text, 2.0, Colour::Yellow);
}

fn path(drawing: &mut Drawing, map: Area, contestant: &Contestant, run: &Run, text: f32) {
    // A path has no more corners than can be seen.
    let every = (run.path.len() / 600).max(1);
    let last = run.path.len() - 1;
    let corners = run.path.iter().enumerate().filter(|(index, _)| index % every == 0 || *index == last);
    drawing.line(corners.map(|(_, theta)| place(map, *theta)).collect(), 2.5, contestant.colour);
    drawing.disc(place(map, run.theta()), 0.35 * text, Colour::Ground);
    drawing.disc(place(map, run.theta()), 0.25 * text, contestant.colour);
}

fn curve(scene: &Pes, drawing: &mut Drawing, area: Area, text: f32) {
    let series = CONTESTANTS.iter().zip(&scene.runs).map(|(contestant, run)| Series {
        name: contestant.name,
        paint: contestant.colour.into(),
        points: run.curve.iter().map(|[iteration, sum]| [*iteration, sum.min(COLOURS[1])]).collect(),
    });
    let plot = Plot {
        title: "objective: sum of the losses of 100 steps",
        across: "iteration",
        ranges: [None, Some([COLOURS[0], 3_000.0])],
        series: series.collect(),
        marks: Vec::new(),
    };
    plot.draw(drawing, area, text);
    for (index, run) in scene.runs.iter().enumerate() {
        if let Some(reason) = &run.stopped {
            let at = [area.min[0] + text, area.max[1] - (3.0 + index as f32) * text];
            let words = format!("{} stopped: {reason}", CONTESTANTS[index].name);
            drawing.text(at, 0.8 * text, Align::Left, Colour::Ink, words);
        }
    }
}
