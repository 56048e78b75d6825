//! How the rooms look.

use super::{ASKED, LANES, Rooms, STATES};
use crate::dt::attention_panel::AttentionPanel;
use crate::panel::{body, panel};
use crate::plot::{Plot, Series};
use crate::{Align, Area, Colour, Drawing, Paint, View};

const GRID: [usize; 2] = [8, 8];

/// The directions of the actions.
const DIRECTIONS: [&str; 4] = ["north", "south", "west", "east"];

/// Where everything stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Places {
    frame: Area,
    /// The large room.
    room: Area,
    chances: Area,
    attention: Area,
    grid: Area,
    predicted: Area,
    curve: Area,
    text: f32,
}

/// Lays the drawing out.
pub(super) fn places(view: View) -> Places {
    let (area, gap, text) = (view.area().shrink(0.5 * view.text), 0.6 * view.text, view.text);
    let [left, right] = area.split([1.0, 1.0], gap, view.is_narrow());
    let [frame, attention] = left.split([1.7, 1.0], gap, true);
    let [grid, predicted, curve] = right.split([1.4, 0.9, 0.8], gap, true);
    let [room, chances] = body(frame, text).split([2.0, 1.0], gap, false);
    Places { frame, room: room.square(), chances, attention, grid, predicted, curve, text }
}

impl Places {
    /// Row and column of the cell of the large room at a point.
    pub(super) fn cell(&self, at: [f32; 2], side: usize) -> Option<[f32; 2]> {
        let inside = self.room.contains(at);
        let [x, y] = self.room.share(at).map(|share| (share * side as f32).floor().min(side as f32 - 1.0));
        inside.then_some([y, x])
    }

    /// The lane of the small room at a point.
    pub(super) fn lane(&self, at: [f32; 2]) -> Option<usize> {
        let area = body(self.grid, self.text);
        (0..LANES).find(|&lane| area.cell(lane, GRID).contains(at))
    }
}

/// Cells of a side.
pub(super) fn side(scene: &Rooms) -> usize {
    scene.trained.rooms.side.unwrap_or(4)
}

pub(super) fn draw(scene: &Rooms, view: View) -> Drawing {
    let mut drawing = Drawing { is_waiting: scene.answer.is_waiting(), ..Drawing::default() };
    let (places, text) = (places(view), view.text);
    large(scene, &mut drawing, places, text);
    let attention = AttentionPanel {
        shares: &scene.looked.attention,
        context: scene.attention.context(),
        known: scene.looked.known,
        names: &["return", "seen", "action"],
        version: scene.version,
    };
    attention.draw(&mut drawing, places.attention, text);
    predicted(scene, &mut drawing, places.predicted, text);
    let title = format!("upper half: asked for {:.2}; lower half: asked for 0", scene.settings.target);
    let area = panel(&mut drawing, places.grid, text, Colour::Ink, &title);
    if !scene.seen.state.is_empty() {
        for lane in 0..LANES {
            let cell = area.cell(lane, GRID).shrink(0.15 * text);
            if lane == scene.lane {
                drawing.outline(cell, 1.5, Colour::Ink);
            }
            room(&mut drawing, cell.square(), scene, scene.seen.state(lane), lane < ASKED, false);
        }
    }
    curve(scene, &mut drawing, places.curve, text);
    drawing
}

fn room(drawing: &mut Drawing, area: Area, scene: &Rooms, state: [f32; STATES], asked: bool, large: bool) {
    let side = side(scene);
    let centre = |row: f32, column: f32| area.at([(column + 0.5) / side as f32, (row + 0.5) / side as f32]);
    let size = area.width() / side as f32;
    drawing.rectangle(area, 0.0, Paint { colour: Colour::Muted, opacity: 0.18 });
    if large {
        for cell in 0..side * side {
            drawing.outline(area.cell(cell, [side; 2]), 1.0, Paint { colour: Colour::Muted, opacity: 0.3 });
        }
    }
    let [time, row, column, object_row, object_column, shown, key] = state;
    if shown > 0.0 {
        let at = centre(object_row, object_column);
        if scene.trained.rooms.room(time as usize) == 0 {
            drawing.disc(at, 0.3 * size, Colour::Yellow);
        } else {
            let half = 0.36 * size;
            let door = Area { min: [at[0] - half, at[1] - half], max: [at[0] + half, at[1] + half] };
            drawing.rectangle(door, 0.0, Colour::Green);
        }
    }
    let at = centre(row, column);
    drawing.disc(at, 0.32 * size, if asked { Colour::Blue } else { Colour::Orange });
    if key > 0.0 {
        drawing.disc([at[0] + 0.16 * size, at[1] - 0.16 * size], 0.14 * size, Colour::Yellow);
    }
}

fn large(scene: &Rooms, drawing: &mut Drawing, places: Places, text: f32) {
    let state = scene.seen.state(scene.lane);
    let number = scene.trained.rooms.room(state[0] as usize) + 1;
    let title = format!("episode {}, room {number} of 3: click a cell to move key or door", scene.lane + 1);
    panel(drawing, places.frame, text, Colour::Ink, &title);
    if scene.seen.state.is_empty() {
        return;
    }
    room(drawing, places.room, scene, state, scene.lane < ASKED, true);
    let side = side(scene) as f32;
    let trail = scene.trail.iter().copied().chain([[state[1], state[2]]]);
    let trail = trail.map(|[row, column]| places.room.at([(column + 0.5) / side, (row + 0.5) / side]));
    drawing.line(trail.collect(), 2.0, Paint { colour: Colour::Ink, opacity: 0.35 });
    // The chances of the four directions, by the softmax of the logits.
    let highest = scene.seen.logits.iter().copied().fold(f32::MIN, f32::max);
    let weights: Vec<f32> = scene.seen.logits.iter().map(|logit| (logit - highest).exp()).collect();
    let sum: f32 = weights.iter().sum();
    for (index, (name, weight)) in DIRECTIONS.iter().zip(&weights).enumerate() {
        let row = places.chances.cell(index, [1, 6]);
        drawing.text([row.min[0], row.centre()[1]], 0.9 * text, Align::Left, Colour::Ink, *name);
        let bar = Area { min: [row.min[0] + 3.2 * text, row.min[1]], ..row }.shrink(0.25 * text);
        let reach = bar.min[0] + (weight / sum.max(1e-9)).clamp(0.0, 1.0) * bar.width();
        drawing.rectangle(Area { max: [reach, bar.max[1]], ..bar }, 1.0, Colour::Purple);
    }
    let words = format!("still asked {:.2}", scene.seen.asked * scene.trained.scale);
    let at = places.chances.cell(5, [1, 6]);
    drawing.text([at.min[0], at.centre()[1]], 0.9 * text, Align::Left, Colour::Ink, words);
}

/// The return that the critic expects, beside what is asked for.
fn predicted(scene: &Rooms, drawing: &mut Drawing, area: Area, text: f32) {
    let rooms = &scene.trained.rooms;
    let numbered = |numbers: &[f32]| -> Vec<[f64; 2]> {
        numbers.iter().enumerate().map(|(step, &number)| [step as f64, number.into()]).collect()
    };
    let asked: Vec<f32> = scene.tokens.iter().map(|token| token.asked * scene.trained.scale).collect();
    let faint = Paint { colour: Colour::Muted, opacity: 0.6 };
    let series = [
        (Colour::Orange.into(), "still asked", asked),
        (faint, "predicted, episode before", scene.before.clone()),
        (Colour::Blue.into(), "predicted by a critic", scene.looked.predicted.clone()),
    ];
    let [first, second, third] = rooms.phases;
    let plot = Plot {
        title: "predicted return over time (lines: a new room)",
        across: "step",
        ranges: [Some([0.0, (first + second + third - 1) as f64]), Some([0.0, 1.0])],
        series: series.map(|(paint, name, numbers)| Series { name, paint, points: numbered(&numbers) }).into(),
        marks: vec![first as f64, (first + second) as f64],
    };
    plot.draw(drawing, area, text);
}

fn curve(scene: &Rooms, drawing: &mut Drawing, area: Area, text: f32) {
    let title = "share of episodes that open the door";
    Plot::of_shares(title, ["asked", "asked for 0"], &scene.curve).draw(drawing, area, text);
}
