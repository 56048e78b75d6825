//! How the cart-poles look.

use super::poles::{LANES, Seen};
use super::{Neuron, Settings};
use crate::panel::{body, panel};
use crate::plot::{Plot, short};
use crate::{Align, Area, Colour, Drawing, Paint, View};

/// Half the track in metres, and what is seen of the world beside and above it.
const TRACK: f32 = 2.4;
const WORLD: [f32; 2] = [3.0, 0.9];
const POLE: f32 = 0.6;

/// Small cart-poles in a row and a column.
const GRID: [usize; 2] = [8, 8];

/// Where everything stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Places {
    pub(super) large: Area,
    attention: Area,
    grids: [Area; 2],
    curve: Area,
    text: f32,
}

/// Lays the drawing out.
pub(super) fn places(view: View) -> Places {
    let (area, gap, text) = (view.area().shrink(0.5 * view.text), 0.6 * view.text, view.text);
    if view.is_narrow() {
        let [large, grids, attention, curve] = area.split([1.0, 1.1, 1.0, 0.9], gap, true);
        return Places { large, attention, grids: grids.split([1.0, 1.0], gap, false), curve, text };
    }
    let [left, right] = area.split([1.0, 1.0], gap, false);
    let [large, attention] = left.split([1.0, 1.0], gap, true);
    let [grids, curve] = right.split([1.2, 1.0], gap, true);
    Places { large, attention, grids: grids.split([1.0, 1.0], gap, false), curve, text }
}

impl Places {
    /// The lane of the small cart-pole at a point.
    pub(super) fn lane(&self, at: [f32; 2]) -> Option<usize> {
        let area = body(self.grids[0], self.text);
        (0..LANES).find(|&lane| area.cell(lane, GRID).contains(at))
    }
}

/// Points of a metre, and the place of metres from the middle of the track.
fn scale(area: Area) -> f32 {
    (area.width() / (2.0 * WORLD[0])).min(area.height() / (2.0 * WORLD[1]))
}

/// The place of a cart in the large panel.
pub(super) fn cart(area: Area, x: f32) -> [f32; 2] {
    let [across, down] = area.centre();
    [across + scale(area) * x, down]
}

fn pole(drawing: &mut Drawing, area: Area, [x, _, angle, _]: [f32; 4], colour: Colour, large: bool) {
    let metre = scale(area);
    let [across, down] = area.centre();
    let place = |x: f32, y: f32| [across + metre * x, down - metre * y];
    let ground = Paint { colour: Colour::Muted, opacity: if large { 0.8 } else { 0.35 } };
    let y = if large { -0.2 } else { -0.1 };
    drawing.line(vec![place(-TRACK, y), place(TRACK, y)], if large { 2.0 } else { 1.0 }, ground);
    let [left, top] = place(x - 0.2, 0.1);
    let [right, bottom] = place(x + 0.2, -0.1);
    drawing.rectangle(Area { min: [left, top], max: [right, bottom] }, 0.04 * metre, Colour::Muted);
    // Small poles are longer than their tracks would have them: they are what one looks at.
    let length = if large { POLE * metre } else { 0.44 * area.width().min(area.height()) };
    // Positive angles lean to the left.
    let foot = place(x, 0.0);
    let tip = [foot[0] - length * angle.sin(), foot[1] - length * angle.cos()];
    let up = angle.cos() > 0.866;
    let paint = Paint { colour, opacity: if up || large { 1.0 } else { 0.5 } };
    drawing.line(vec![foot, tip], (0.07 * metre).max(2.0), paint);
    if large {
        for side in [-TRACK, TRACK] {
            drawing.line(vec![place(side, -0.25), place(side, 0.0)], 2.0, ground);
        }
        for wheel in [-0.12, 0.12] {
            drawing.disc(place(x + wheel, -0.145), 0.055 * metre, Colour::Ink);
        }
        drawing.disc(tip, 0.06 * metre, paint);
    }
}

pub(super) fn draw(scene: &Neuron, view: View) -> Drawing {
    let mut drawing = Drawing { is_waiting: scene.answer.is_waiting(), ..Drawing::default() };
    let places = places(view);
    let text = view.text;
    large(scene, &mut drawing, places.large, text);
    let names = [(Colour::Blue, "attention neuron"), (Colour::Orange, "perceptron")];
    for (index, (colour, name)) in names.into_iter().enumerate() {
        let seen = &scene.seen[index];
        let title = format!("{name}: {:.0} % up", 100.0 * seen.up());
        let area = panel(&mut drawing, places.grids[index], text, colour, &title);
        grid(&mut drawing, area, seen, colour, (index == 0).then_some(scene.lane));
    }
    attention(scene, &mut drawing, places.attention, text);
    curve(scene, &mut drawing, places.curve, text);
    drawing
}

fn large(scene: &Neuron, drawing: &mut Drawing, area: Area, text: f32) {
    let title = format!("attention neuron, cart {}: click beside the pole to push it", scene.lane + 1);
    panel(drawing, area, text, Colour::Blue, &title);
    if scene.seen[0].rewards.is_empty() {
        return;
    }
    let state = scene.seen[0].state(scene.lane);
    pole(drawing, area, state, Colour::Blue, true);
    let (metre, [x, y]) = (scale(area), cart(area, state[0]));
    let side = scene.action.signum();
    if scene.action.abs() > 0.05 {
        let from = x + 0.24 * metre * side;
        let to = from + 0.5 * metre * scene.action;
        drawing.line(vec![[from, y], [to, y]], 3.0, Colour::Vermilion);
        let head = 0.08 * metre;
        drawing.polygon(vec![[to, y - head], [to + side * head, y], [to, y + head]], Colour::Vermilion);
    }
}

fn grid(drawing: &mut Drawing, area: Area, seen: &Seen, colour: Colour, chosen: Option<usize>) {
    if seen.rewards.is_empty() {
        return;
    }
    for lane in 0..LANES {
        let cell = area.cell(lane, GRID);
        if chosen == Some(lane) {
            drawing.outline(cell, 1.5, Colour::Ink);
        }
        pole(drawing, cell, seen.state(lane), colour, false);
    }
}

/// The name of a source.
fn source(index: usize, Settings { from, .. }: Settings) -> String {
    const NAMES: [&str; 5] = ["x", "v", "cos", "sin", "spin"];
    match index.checked_sub(NAMES.len() * from.copies) {
        Some(noise) => format!("noise {}", noise + 1),
        None if index >= NAMES.len() => format!("{} again", NAMES[index % NAMES.len()]),
        None => NAMES[index].into(),
    }
}

fn attention(scene: &Neuron, drawing: &mut Drawing, area: Area, text: f32) {
    let area = panel(drawing, area, text, Colour::Ink, "attention to each input, as it is wired now, and the input");
    let now = scene.attention.now();
    if now.is_empty() || scene.order.len() != now.len() {
        return;
    }
    let rows = now.len();
    let size = (0.8 * area.height() / rows as f32).min(text);
    let [names, rest] = area.split([1.0, 4.0], 0.4 * text, false);
    let [strip, bars, values] = rest.split([3.0, 1.0, 0.5], 0.4 * text, false);
    drawing.picture(strip, scene.attention.strip());
    for (row, &attention) in now.iter().enumerate() {
        let line = |area: Area| area.cell(row, [1, rows]);
        let at = [names.max[0], line(names).centre()[1]];
        let index = scene.order[row] as usize;
        let noise = index >= 5 * scene.settings.from.copies;
        let colour = if noise { Colour::Muted } else { Colour::Ink };
        drawing.text(at, size, Align::Right, colour, source(index, scene.settings));
        let bar = line(bars).shrink(0.1 * size);
        let reach = bar.min[0] + attention.clamp(0.0, 1.0) * bar.width();
        drawing.rectangle(Area { max: [reach, bar.max[1]], ..bar }, 1.0, Colour::Blue);
        if rows <= 12 {
            let value = scene.inputs.get(row).copied().unwrap_or(0.0);
            let text = short(f64::from((10.0 * value).round() / 10.0));
            drawing.text([values.max[0], bar.centre()[1]], 0.85 * size, Align::Right, Colour::Muted, text);
        }
    }
}

fn curve(scene: &Neuron, drawing: &mut Drawing, area: Area, text: f32) {
    let title = "reward a step, 64 poles; a line is a shuffle";
    let plot = Plot::of_shares(title, ["attention neuron", "perceptron"], scene.curve.moments());
    Plot { marks: scene.curve.marks(), ..plot }.draw(drawing, area, text);
}
