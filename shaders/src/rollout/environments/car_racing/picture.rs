//! The picture of a race: the world around the car as it was in 2019, a sample at the middle of each pixel.

use super::background::Background;
use super::body::{Car, WHEEL, WHEELS};
use super::track::{HALF_WIDTH, KERB_WIDTH, Track, sign};
use super::{FIELD, Race};

/// Where the camera looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Camera {
    /// Along the car's way, as in the published experiments (`CarRacing-v0`); along the hull below 0.5 units a second.
    #[default]
    Travel,
    /// Along the hull, as in `CarRacing-v1` and later.
    Hull,
}

/// The settings of a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Picture {
    /// Rows and columns; 96 in the original.
    pub size: usize,
    /// Where the camera looks.
    pub camera: Camera,
    /// True if the camera comes from far above in the first second, as in the original: all tiles are then in sight.
    pub zoom_in: bool,
    /// Samples of a pixel along each axis: 1 gives hard edges, 2 comes closer to smoothed pictures.
    pub samples: usize,
    /// True for red, green and blue, as the original draws them; false for greys.
    pub colour: bool,
    /// True if the lowest eighth shows the original's instruments but for the number of the score: bars of the car's and the
    /// wheels' speeds, of steering and spin; false if it is black, as networks that see greys get it.
    pub instruments: bool,
}

impl Default for Picture {
    fn default() -> Self {
        Self { size: 96, camera: Camera::Travel, zoom_in: false, samples: 1, colour: false, instruments: false }
    }
}

/// Pixels of a window of 1000 x 800 for a unit of length.
const ZOOM: f64 = 16.2;
/// The same at the start of an episode, where the camera comes from far above.
const FAR: f64 = 0.6;

/// A race with all that is seen of it.
pub(super) struct View<'a> {
    pub race: &'a Race,
    pub track: &'a Track,
    /// In place of the grass.
    pub background: Option<&'a Background>,
}

/// Red, green and blue of a sample.
type Colour = [u8; 3];

const GRASS: Colour = [102, 204, 102];
/// Squares of lighter grass.
const PATCH: Colour = [102, 230, 102];
const ROAD: [Colour; 3] = [[102; 3], [105; 3], [107; 3]];
const KERB: [Colour; 2] = [[255; 3], [255, 0, 0]];
const HULL_COLOUR: Colour = [204, 0, 0];
const TYRE: Colour = [0; 3];
/// The stripe on a tyre that shows how it turns.
const MARK: Colour = [76; 3];
const BLACK: Colour = [0; 3];

/// The grey of a colour, as OpenCV rounds it.
fn grey(colour: Colour) -> f64 {
    let [red, green, blue] = colour.map(u32::from);
    f64::from((4899 * red + 9617 * green + 1868 * blue + 8192) >> 14)
}

/// From a tile's cross-section to the end of its kerb at the most: the tile that closes a track may be 13.5 long.
const FARTHEST: f64 = 18.0;

/// The parts of the hull around its origin, to the right and ahead.
const HULL: [&[[f64; 2]]; 4] = [
    &[[-1.2, 2.6], [1.2, 2.6], [1.2, 2.2], [-1.2, 2.2]],
    &[[-0.3, 2.4], [0.3, 2.4], [0.4, 0.4], [-0.4, 0.4]],
    &[[0.5, 0.4], [1.0, -0.2], [1.0, -0.8], [0.4, -1.8], [-0.4, -1.8], [-1.0, -0.8], [-1.0, -0.2], [-0.5, 0.4]],
    &[[-1.0, -2.4], [1.0, -2.4], [1.0, -1.8], [-1.0, -1.8]],
];

/// True if a point lies in a convex polygon, whichever way round its corners go.
fn is_inside(polygon: &[[f64; 2]], [x, y]: [f64; 2]) -> bool {
    let sides = polygon.iter().zip(polygon.iter().cycle().skip(1));
    let sides = sides.map(|(a, b)| (b[0] - a[0]) * (y - a[1]) - (b[1] - a[1]) * (x - a[0]));
    let (mut left, mut right) = (true, true);
    for side in sides {
        left &= side >= 0.0;
        right &= side <= 0.0;
    }
    left || right
}

/// A point as seen from a body at `place`, turned by `angle`: to the right and ahead.
fn seen_from(place: [f64; 2], angle: f64, point: [f64; 2]) -> [f64; 2] {
    let (sine, cosine) = angle.sin_cos();
    let [x, y] = [point[0] - place[0], point[1] - place[1]];
    [cosine * x + sine * y, cosine * y - sine * x]
}

/// The colour of the car at a point; `None` beside it.
fn car_colour(car: &Car, point: [f64; 2]) -> Option<Colour> {
    let hull = car.hull();
    let on_hull = seen_from(hull, car.angle, point);
    if HULL.iter().any(|part| is_inside(part, on_hull)) {
        return Some(HULL_COLOUR);
    }
    (0..4).rev().find_map(|wheel| {
        let (sine, cosine) = car.angle.sin_cos();
        let [right, ahead] = WHEELS[wheel];
        let place = [hull[0] + cosine * right - sine * ahead, hull[1] + sine * right + cosine * ahead];
        let [aside, along] = seen_from(place, car.wheel_angle(wheel), point);
        if aside.abs() > WHEEL[0] {
            return None;
        }
        let ends = [0.0, 1.2].map(|ahead| car.turns[wheel] + ahead);
        // The end of a stripe that is beneath the tyre shows at the tyre's edge.
        let edge = |turn: f64| WHEEL[1] * if turn.sin() > 0.0 { sign(turn.cos()) } else { turn.cos() };
        let [start, end] = ends.map(edge);
        let is_above = ends.iter().any(|turn| turn.sin() <= 0.0);
        if is_above && (start.min(end)..=start.max(end)).contains(&along) {
            return Some(MARK);
        }
        (along.abs() <= WHEEL[1]).then_some(TYRE)
    })
}

/// The colour of the road at a point: that of the last tile and kerb in the order of driving, a tile's kerb over its road.
fn road_colour(race: &Race, track: &Track, point: [f64; 2]) -> Option<Colour> {
    (0..track.sections().len()).rev().find_map(|tile| {
        let [here, before] = track.tile(tile);
        if (here.place[0] - point[0]).hypot(here.place[1] - point[1]) > FARTHEST {
            return None;
        }
        let band = |left: f64, right: f64| [here.at(left), here.at(right), before.at(right), before.at(left)];
        let [inner, outer] = [HALF_WIDTH, HALF_WIDTH + KERB_WIDTH].map(|width| here.kerb * width);
        if here.kerb != 0.0 && is_inside(&band(inner, outer), point) {
            return Some(KERB[tile % 2]);
        }
        let is_visited = race.visited[tile / 16] >> (tile % 16) & 1 == 1;
        let shade = if is_visited { 0 } else { tile % 3 };
        is_inside(&band(-HALF_WIDTH, HALF_WIDTH), point).then_some(ROAD[shade])
    })
}

/// The colour of the field at a point: a checkerboard, with black around it.
fn field_colour([x, y]: [f64; 2]) -> Colour {
    if x.abs() > FIELD || y.abs() > FIELD {
        return BLACK;
    }
    let square = FIELD / 20.0;
    let is_even = |place: f64| (place / square).floor().rem_euclid(2.0) == 0.0;
    if is_even(x) && is_even(y) { PATCH } else { GRASS }
}

/// The colour of the instruments at a point of the window of 1000 x 800, from its lower left corner; `None` beside them. The
/// original draws them in this order, each over those before it, in fortieths of the window.
fn instrument_colour(car: &Car, [x, y]: [f64; 2]) -> Option<Colour> {
    let (right, up) = (x / 25.0, y / 20.0);
    let is_between = |x: f64, start: f64, end: f64| (start.min(end)..=start.max(end)).contains(&x);
    let upwards = |place: f64, height: f64| is_between(right, place, place + 1.0) && is_between(up, 1.0, 1.0 + height);
    let sideways = |place: f64, width: f64| is_between(right, place, place + width) && is_between(up, 2.0, 4.0);
    let [front_left, front_right, rear_left, rear_right] = car.speeds;
    let drawn = [
        (up <= 5.0, BLACK),
        (upwards(5.0, 0.02 * car.speed()), [255; 3]),
        (upwards(7.0, 0.01 * front_left), [0, 0, 255]),
        (upwards(8.0, 0.01 * front_right), [0, 0, 255]),
        (upwards(9.0, 0.01 * rear_left), [51, 0, 255]),
        (upwards(10.0, 0.01 * rear_right), [51, 0, 255]),
        (sideways(20.0, -10.0 * car.steering), [0, 255, 0]),
        (sideways(30.0, -0.8 * car.spin), [255, 0, 0]),
    ];
    drawn.iter().rev().find_map(|&(is_drawn, colour)| is_drawn.then_some(colour))
}

impl Picture {
    /// The pictures of `CarRacing-v0`: 96 x 96 in colour with the instruments, the camera coming from far above.
    pub fn original() -> Self {
        Self { zoom_in: true, colour: true, instruments: true, ..Self::default() }
    }

    /// The point of a window of 1000 x 800 at a sample of the picture, from its lower left corner.
    fn window(&self, row: usize, column: usize) -> [f64; 2] {
        let samples = (self.size * self.samples) as f64;
        [(column as f64 + 0.5) * 1000.0 / samples, (samples - 0.5 - row as f64) * 800.0 / samples]
    }

    /// The point of the world at a point of the window.
    fn point(&self, race: &Race, window: [f64; 2]) -> [f64; 2] {
        let seconds = super::TIME_STEP * race.steps;
        let zoom = if self.zoom_in { FAR * (1.0 - seconds).max(0.0) + ZOOM * seconds.min(1.0) } else { ZOOM };
        let [right, ahead] = [(window[0] - 500.0) / zoom, (window[1] - 200.0) / zoom];
        let car = &race.car;
        let angle = match self.camera {
            Camera::Travel if car.speed() > 0.5 => car.velocity[0].atan2(car.velocity[1]),
            _ => -car.angle,
        };
        let (sine, cosine) = angle.sin_cos();
        let [x, y] = car.hull();
        [x + cosine * right + sine * ahead, y - sine * right + cosine * ahead]
    }

    /// The grey of a pixel, 0 to 255: the mean of its samples.
    pub(super) fn pixel(&self, view: &View<'_>, row: usize, column: usize) -> f64 {
        let samples = self.samples_of(view, row, column);
        samples.iter().map(|&colour| grey(colour)).sum::<f64>() / samples.len() as f64
    }

    /// Red, green and blue of a pixel, 0 to 255: the means of its samples.
    pub(super) fn colour(&self, view: &View<'_>, row: usize, column: usize) -> [f64; 3] {
        let samples = self.samples_of(view, row, column);
        let sum = |channel: usize| samples.iter().map(|colour| f64::from(colour[channel])).sum::<f64>();
        std::array::from_fn(|channel| sum(channel) / samples.len() as f64)
    }

    /// The colours of the samples of a pixel.
    fn samples_of(&self, view: &View<'_>, row: usize, column: usize) -> Vec<Colour> {
        let &View { race, track, background } = view;
        if !self.instruments && 8 * row >= 7 * self.size {
            return vec![BLACK];
        }
        let axis = || 0..self.samples;
        let samples = axis().flat_map(|y| axis().map(move |x| (row * self.samples + y, column * self.samples + x)));
        let colour = |(row, column)| {
            let window = self.window(row, column);
            let instruments = if self.instruments { instrument_colour(&race.car, window) } else { None };
            let point = self.point(race, window);
            instruments
                .or_else(|| car_colour(&race.car, point))
                .or_else(|| road_colour(race, track, point))
                .unwrap_or_else(|| match (field_colour(point), background) {
                    (BLACK, _) => BLACK,
                    (_, Some(background)) => background.colour(window, point),
                    (grass, None) => grass,
                })
        };
        samples.map(colour).collect()
    }
}
