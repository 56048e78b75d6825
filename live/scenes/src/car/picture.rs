//! How the car looks.

use std::sync::Arc;

use fourfold::shaders::vision::ABSENT;

use super::Car;
use super::drive::Seen;
use crate::panel::{body, panel};
use crate::plot::{Plot, Series};
use crate::{Align, Area, Colour, Drawing, Paint, Picture, View};

/// Patches that are framed: those that are looked at most.
const FRAMED: usize = 3;

/// Where everything stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Places {
    road: Area,
    pub(super) shown: Area,
    track: Area,
    curve: Area,
    text: f32,
}

/// Lays the drawing out.
pub(super) fn places(view: View) -> Places {
    let (area, gap, text) = (view.area().shrink(0.5 * view.text), 0.6 * view.text, view.text);
    if view.is_narrow() {
        let [pictures, track, curve] = area.split([1.2, 1.0, 0.9], gap, true);
        let [road, shown] = pictures.split([1.0, 1.0], gap, false);
        return Places { road, shown, track, curve, text };
    }
    let [above, below] = area.split([1.7, 1.0], gap, true);
    let [road, shown] = above.split([1.0, 1.0], gap, false);
    let [track, curve] = below.split([1.0, 1.6], gap, false);
    Places { road, shown, track, curve, text }
}

impl Places {
    /// The slot at a point of what the network is shown, of so many slots in a row.
    pub(super) fn slot(&self, at: [f32; 2], across: usize) -> Option<usize> {
        let area = body(self.shown, self.text).square();
        (0..across * across).find(|&slot| area.cell(slot, [across; 2]).contains(at))
    }
}

pub(super) fn draw(scene: &Car, view: View) -> Drawing {
    let mut drawing = Drawing { is_waiting: scene.answer.is_waiting(), ..Drawing::default() };
    let places = places(view);
    let text = view.text;
    let title = format!("the road, step {}: framed is what the network looks at most", scene.seen_step);
    let road = panel(&mut drawing, places.road, text, Colour::Ink, &title).square();
    let title = format!("what it is shown: {} patches; a click covers one", scene.seen_order.len());
    let shown = panel(&mut drawing, places.shown, text, Colour::Blue, &title).square();
    let track = panel(&mut drawing, places.track, text, Colour::Ink, "the track; steering, gas and brake");
    if let Some(seen) = &scene.seen {
        let version = scene.seen_step as u64;
        drawing.picture(road, coloured(seen, scene.drive.road_size(), version));
        drawing.picture(shown, greys(scene, seen, version));
        looks(scene, &mut drawing, [road, shown]);
        let [map, levers] = track.split([2.0, 1.0], text, false);
        way(&scene.drive.track(seen), seen, &mut drawing, map);
        pedals(seen, &mut drawing, levers, text);
    }
    curve(scene, &mut drawing, places.curve, text);
    drawing
}

fn coloured(seen: &Seen, size: [usize; 2], version: u64) -> Picture {
    let rgba: Vec<u8> = seen.road.chunks_exact(3).flat_map(|pixel| [pixel[0], pixel[1], pixel[2], 255]).collect();
    Picture { size, rgba: Arc::from(rgba), version, smooth: true }
}

/// The greys as they are wired; where a slot sees nothing, there is nothing.
fn greys(scene: &Car, seen: &Seen, version: u64) -> Picture {
    let across = scene.seen_order.len().isqrt().max(1);
    let newest = seen.frames.last().map_or(&[][..], Vec::as_slice);
    let size = newest.len().isqrt();
    let side = size / across;
    let mut rgba = vec![0; 4 * size * size];
    for (slot, &source) in scene.seen_order.iter().enumerate().filter(|(_, source)| **source < ABSENT) {
        let place = |patch: usize| [patch / across * side, patch % across * side];
        let ([to_row, to_column], [row, column]) = (place(slot), place(source as usize));
        for (line, pixel) in (0..side).flat_map(|line| (0..side).map(move |pixel| (line, pixel))) {
            let grey = newest[(row + line) * size + column + pixel];
            let to = 4 * ((to_row + line) * size + to_column + pixel);
            rgba[to..to + 4].copy_from_slice(&[grey, grey, grey, 255]);
        }
    }
    // A shuffle changes it while the step is the same.
    let order = scene
        .seen_order
        .iter()
        .fold(u64::from(scene.shuffles), |hash, &patch| hash.wrapping_mul(0x100_0000_01b3).wrapping_add(patch.into()));
    Picture { size: [size; 2], rgba: Arc::from(rgba), version: version ^ order << 20, smooth: false }
}

/// Frames the patches that are looked at most, where they are and where the network is shown them.
fn looks(scene: &Car, drawing: &mut Drawing, [road, shown]: [Area; 2]) {
    let across = scene.seen_order.len().isqrt().max(1);
    let mut ranked: Vec<usize> = (0..scene.attention.len()).collect();
    ranked.sort_by(|&a, &b| scene.attention[b].total_cmp(&scene.attention[a]));
    for (rank, &patch) in ranked.iter().take(FRAMED).enumerate() {
        let slot = scene.seen_order.iter().position(|&source| source as usize == patch);
        let width = if rank == 0 { 3.0 } else { 2.0 };
        drawing.outline(road.cell(patch, [across; 2]), width, Colour::Vermilion);
        if let Some(slot) = slot {
            drawing.outline(shown.cell(slot, [across; 2]), width, Colour::Vermilion);
        }
    }
    // A grid, in which one sees what a patch is.
    let faint = Paint { colour: Colour::Panel, opacity: 0.5 };
    for line in 1..across {
        let share = line as f32 / across as f32;
        drawing.line(vec![shown.at([share, 0.0]), shown.at([share, 1.0])], 1.0, faint);
        drawing.line(vec![shown.at([0.0, share]), shown.at([1.0, share])], 1.0, faint);
    }
}

/// The track from above, and the car on it.
fn way(track: &[[f32; 2]], seen: &Seen, drawing: &mut Drawing, area: Area) {
    let fold = |axis: usize, least: f32, pick: fn(f32, f32) -> f32| track.iter().map(|at| at[axis]).fold(least, pick);
    let least = [0, 1].map(|axis| fold(axis, f32::MAX, f32::min));
    let most = [0, 1].map(|axis| fold(axis, f32::MIN, f32::max));
    let spans = [0, 1].map(|axis| (most[axis] - least[axis]).max(1.0));
    let area = area.shrink(6.0);
    let unit = (area.width() / spans[0]).min(area.height() / spans[1]);
    let centre = area.centre();
    let place = |[x, y]: [f32; 2]| {
        let middle = [0, 1].map(|axis| 0.5 * (least[axis] + most[axis]));
        [centre[0] + unit * (x - middle[0]), centre[1] - unit * (y - middle[1])]
    };
    let closed = track.iter().chain(track.first()).map(|&at| place(at)).collect();
    drawing.line(closed, 4.0, Paint { colour: Colour::Muted, opacity: 0.6 });
    let at = seen.at().map(|number| number.clamp(-400.0, 400.0));
    let angle = seen.angle();
    let nose = [at[0] - 22.0 * angle.sin(), at[1] + 22.0 * angle.cos()];
    drawing.line(vec![place(at), place(nose)], 2.0, Colour::Vermilion);
    drawing.disc(place(at), 5.0, Colour::Vermilion);
}

/// Bars of steering, gas and brake.
fn pedals(seen: &Seen, drawing: &mut Drawing, area: Area, text: f32) {
    let [steering, gas, brake] = area.split([1.0, 1.0, 1.0], 0.4 * text, true);
    let names =
        [(steering, "steering", Colour::Blue), (gas, "gas", Colour::Green), (brake, "brake", Colour::Vermilion)];
    for (number, (area, name, colour)) in names.into_iter().enumerate() {
        let value = seen.action.get(number).copied().unwrap_or_default().clamp(-1.0, 1.0);
        let [label, bar] = area.cut_top(1.2 * text);
        drawing.text([label.min[0], label.centre()[1]], 0.85 * text, Align::Left, Colour::Muted, name);
        let bar = Area { max: [bar.max[0], bar.max[1].min(bar.min[1] + 0.8 * text)], ..bar };
        drawing.rectangle(bar, 2.0, Paint { colour: Colour::Muted, opacity: 0.2 });
        // Steering goes both ways from the middle.
        let from: f32 = if number == 0 { 0.5 } else { 0.0 };
        let to = if number == 0 { 0.5 + 0.5 * value } else { value.max(0.0) };
        let [min, max] = [bar.at([from.min(to), 0.0]), bar.at([from.max(to), 1.0])];
        drawing.rectangle(Area { min, max }, 2.0, colour);
    }
}

fn curve(scene: &Car, drawing: &mut Drawing, area: Area, text: f32) {
    // A race that begins leaves a gap.
    let mut points: Vec<[f64; 2]> = Vec::with_capacity(scene.curve.moments().len());
    for (index, &[step, score]) in scene.curve.moments().iter().enumerate() {
        if index > 0 && score < scene.curve.moments()[index - 1][1] - 50.0 {
            points.push([f64::NAN; 2]);
        }
        points.push([step, score]);
    }
    let series = vec![Series { name: "attention neuron", paint: Colour::Blue.into(), points }];
    let title = "score of the race; a line is a shuffle";
    let marks = scene.curve.marks();
    Plot { title, across: "step", ranges: [None, None], series, marks }.draw(drawing, area, text);
}
