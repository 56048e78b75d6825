//! Tracks of the car race: closed roads through random checkpoints, made on the host.
//!
//! The generator branches on comparisons of numbers (which checkpoint is next, where a lap closes), so that f32 and f64
//! would disagree about it. It runs in f64, operation by operation as Gymnasium's `CarRacing` does it, and gives the same
//! track to the last bit for the same deviates.

use std::f64::consts::{PI, TAU};

use crate::rollout::unroll::EpisodeRandom;

/// Most cross-sections of a track; longer ones (one in 300) are drawn again.
pub const MOST_SECTIONS: usize = 384;

/// Half of the width of the road.
pub const HALF_WIDTH: f64 = 20.0 / 3.0;

/// The width of a kerb.
pub const KERB_WIDTH: f64 = 4.0 / 3.0;

const CHECKPOINTS: usize = 12;
const RADIUS: f64 = 150.0;
/// The length of a step between two cross-sections.
const STEP: f64 = 3.5;
/// The most that a step turns, radians.
const MOST_TURN: f64 = 0.31;
/// Points that are laid at most before the road is cut into laps.
const MOST_POINTS: usize = 2_500;
/// Laps that are laid; the last full one is the track.
const LAPS: usize = 5;

/// A cross-section of the road. Tile `i` lies between cross-sections `i - 1` and `i`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Section {
    /// The middle of the road.
    pub place: [f64; 2],
    /// The angle of a car that drives along the road, radians: it drives towards `(-sin, cos)`, its right is `(cos, sin)`.
    pub angle: f64,
    /// Cosine and sine of the angle.
    pub across: [f64; 2],
    /// The side of the tile that has a kerb: 1 right, -1 left, 0 none.
    pub kerb: f64,
}

impl Section {
    /// A point of the cross-section so far to the right of its middle.
    pub fn at(&self, right: f64) -> [f64; 2] {
        [self.place[0] + right * self.across[0], self.place[1] + right * self.across[1]]
    }
}

/// A closed road.
#[derive(Debug, Clone, PartialEq)]
pub struct Track {
    sections: Vec<Section>,
    tries: usize,
}

impl Track {
    /// Draws a track: 24 deviates a try, an angle and a radius for each checkpoint, until a try closes to within a step and
    /// has at most [`MOST_SECTIONS`] cross-sections.
    pub fn draw(random: &mut EpisodeRandom) -> Self {
        let mut tries = 0;
        loop {
            tries += 1;
            let deviates = std::array::from_fn(|_| random.uniform());
            if let Some(lap) = lap(&deviates) {
                return Self::of(&lap, tries);
            }
        }
    }

    /// A track through these points, with kerbs where it turns hard.
    fn of(lap: &[Point], tries: usize) -> Self {
        let kerbs = kerbs(lap);
        let section = |(point, kerb): (&Point, f64)| {
            let (sine, cosine) = point.angle.sin_cos();
            Section { place: point.place, angle: point.angle, across: [cosine, sine], kerb }
        };
        Self { sections: lap.iter().zip(kerbs).map(section).collect(), tries }
    }

    /// The same track in numbers of f32.
    pub(super) fn rounded(&self) -> Self {
        let round = |number: f64| f64::from(number as f32);
        let rounded = |section: &Section| Section {
            place: section.place.map(round),
            angle: round(section.angle),
            across: section.across.map(round),
            kerb: section.kerb,
        };
        Self { sections: self.sections.iter().map(rounded).collect(), tries: self.tries }
    }

    /// The cross-sections, in the order in which the car drives.
    pub fn sections(&self) -> &[Section] {
        &self.sections
    }

    /// Tries that it took, the last one included.
    pub fn tries(&self) -> usize {
        self.tries
    }

    /// The cross-sections at the end and at the start of a tile.
    pub fn tile(&self, tile: usize) -> [&Section; 2] {
        let before = if tile == 0 { self.sections.len() - 1 } else { tile - 1 };
        [&self.sections[tile], &self.sections[before]]
    }
}

/// A point that was laid.
#[derive(Debug, Clone, Copy, Default)]
struct Point {
    place: [f64; 2],
    /// Of the car.
    angle: f64,
    /// Of the place, from the middle of the field, within 0 .. 2 pi, or below where it waits for the first checkpoint.
    around: f64,
}

/// The checkpoints: their angles around the middle of the field, and their places.
fn checkpoints(deviates: &[f64; 2 * CHECKPOINTS]) -> [(f64, [f64; 2]); CHECKPOINTS] {
    std::array::from_fn(|c| {
        let even = TAU * c as f64 / CHECKPOINTS as f64;
        let (angle, radius) = match c {
            0 => (0.0, 1.5 * RADIUS),
            _ if c + 1 == CHECKPOINTS => (even, 1.5 * RADIUS),
            _ => (
                even + deviates[2 * c] * (TAU / CHECKPOINTS as f64),
                RADIUS / 3.0 + deviates[2 * c + 1] * (RADIUS - RADIUS / 3.0),
            ),
        };
        (angle, [radius * angle.cos(), radius * angle.sin()])
    })
}

/// Lays points from checkpoint to checkpoint until the last lap closes.
fn laid(checkpoints: &[(f64, [f64; 2]); CHECKPOINTS]) -> Vec<Point> {
    let ([mut x, mut y], mut angle) = ([1.5 * RADIUS, 0.0], 0.0_f64);
    let (mut goal, mut laps, mut beyond) = (0, 0, false);
    let mut points = Vec::with_capacity(MOST_POINTS);
    while laps < LAPS && points.len() < MOST_POINTS {
        let mut around = y.atan2(x);
        if beyond && around > 0.0 {
            laps += 1;
            beyond = false;
        }
        if around < 0.0 {
            beyond = true;
            around += TAU;
        }
        // The next checkpoint around the field; past the last one, those of the next lap.
        while around > checkpoints[goal % CHECKPOINTS].0 {
            goal += 1;
            if goal % CHECKPOINTS == 0 {
                around -= TAU;
            }
        }
        let (sine, cosine) = (angle.sin(), angle.cos());
        let [goal_x, goal_y] = checkpoints[goal % CHECKPOINTS].1;
        let across = 6.0 * (cosine * (goal_x - x) + sine * (goal_y - y));
        while angle - around > 1.5 * PI {
            angle -= TAU;
        }
        while angle - around < -1.5 * PI {
            angle += TAU;
        }
        let before = angle;
        let turn = MOST_TURN.min((0.001 * across).abs());
        if across > 0.3 {
            angle -= turn;
        }
        if across < -0.3 {
            angle += turn;
        }
        x -= sine * STEP;
        y += cosine * STEP;
        points.push(Point { place: [x, y], angle: 0.5 * (before + angle), around });
    }
    points
}

/// The last full lap of a try; `None` if there is none, if it does not close, or if it is too long.
fn lap(deviates: &[f64; 2 * CHECKPOINTS]) -> Option<Vec<Point>> {
    const START: f64 = -TAU / 24.0;
    let points = laid(&checkpoints(deviates));
    let mut starts = (1..points.len()).rev().filter(|&i| points[i].around > START && points[i - 1].around <= START);
    let (last, first) = (starts.next()?, starts.next()?);
    let lap = &points[first..last - 1];
    let (Some(start), Some(end)) = (lap.first(), lap.last()) else { return None };
    let gap = (start.angle.cos() * (start.place[0] - end.place[0]))
        .hypot(start.angle.sin() * (start.place[1] - end.place[1]));
    (gap <= STEP && lap.len() <= MOST_SECTIONS).then(|| lap.to_vec())
}

/// The side of each tile that has a kerb: where four turns in a row are hard and to one side, and on the four tiles before.
fn kerbs(lap: &[Point]) -> Vec<f64> {
    let count = lap.len();
    let turn = |i: usize| lap[i % count].angle - lap[(i + count - 1) % count].angle;
    let is_hard = |i: usize| {
        let turns: [f64; 4] = std::array::from_fn(|k| turn(i + count - k));
        let side: f64 = turns.iter().map(|&turn| sign(turn)).sum();
        turns.iter().all(|turn| turn.abs() > MOST_TURN * 0.2) && side.abs() == 4.0
    };
    let mut has_kerb: Vec<bool> = (0..count).map(is_hard).collect();
    // In order, since the last tiles get kerbs from the first ones, and hand them on.
    for i in 0..count {
        for k in 0..4 {
            let behind = (i + count - k) % count;
            has_kerb[behind] = has_kerb[behind] || has_kerb[i];
        }
    }
    has_kerb.iter().enumerate().map(|(i, &kerb)| if kerb { -sign(turn(i)) } else { 0.0 }).collect()
}

/// -1, 0 or 1.
pub(super) fn sign(number: f64) -> f64 {
    if number == 0.0 { 0.0 } else { number.signum() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn track(episode: u32) -> Track {
        Track::draw(&mut EpisodeRandom::new(1, 1, episode, 0))
    }

    /// From `car_world.py golden`, our program in Python whose tracks equal those of Gymnasium 1.4.0 to the last bit: key
    /// (1, 1), episode 0.
    #[test]
    fn a_track_is_that_of_the_reference_to_the_last_bit() {
        let track = track(0);
        let sections = track.sections();
        let kerbs = sections.iter().filter(|section| section.kerb != 0.0).count();
        assert_eq!((sections.len(), track.tries(), kerbs), (266, 1, 54));
        for (tile, angle, x, y) in [
            (0, -1.41681744768957, 87.57048077317557, -21.286785793287702),
            (1, -1.41681744768957, 91.02907107056917, -20.749986804116876),
            (133, 0.9750862411946973, -33.711644682488455, 102.25693316499431),
            (265, -1.4168148016903612, 80.65306857581342, -22.360818243592323),
        ] {
            assert_eq!((sections[tile].angle, sections[tile].place), (angle, [x, y]), "tile {tile}");
        }
        let with_kerb: Vec<usize> = (0..sections.len()).filter(|&tile| sections[tile].kerb != 0.0).collect();
        let runs = [41..51, 107..118, 144..156, 162..166, 191..195, 218..223, 235..239, 258..262];
        assert_eq!(with_kerb, runs.into_iter().flatten().collect::<Vec<_>>());
    }

    /// From the same program, which counts too long tracks among the rejected tries: episodes 0 to 299.
    #[test]
    fn three_hundred_tracks_have_the_lengths_tries_and_kerbs_of_the_reference() {
        let tracks: Vec<Track> = (0..300).map(track).collect();
        let lengths: Vec<usize> = tracks.iter().map(|track| track.sections().len()).collect();
        let tries: usize = tracks.iter().map(Track::tries).sum();
        let sections = || tracks.iter().flat_map(|track| track.sections());
        let kerbs = sections().filter(|section| section.kerb != 0.0).count();
        // The reference counts three more, on tiles that do not turn: they have no side, and so no width.
        assert_eq!((lengths.iter().sum::<usize>(), tries, kerbs), (87_461, 324, 17_653 - 3));
        assert_eq!((lengths.iter().min(), lengths.iter().max()), (Some(&246), Some(&358)));
        let sum: f64 = sections().map(|section| section.angle + section.place[0] + section.place[1]).sum();
        assert!((sum / 3_569_015.997_888_46 - 1.0).abs() < 1e-12, "{sum}");
        for (tries, episode) in [(2, 4), (2, 32), (2, 39)] {
            assert_eq!(tracks[episode].tries(), tries, "episode {episode}");
        }
    }

    #[test]
    fn a_track_is_closed_and_steps_evenly() {
        for episode in 0..20 {
            let track = track(episode);
            for tile in 1..track.sections().len() {
                let [here, before] = track.tile(tile);
                let step = (here.place[0] - before.place[0]).hypot(here.place[1] - before.place[1]);
                assert!((step - STEP).abs() < 1e-9, "episode {episode} tile {tile}: {step}");
            }
            let [first, last] = track.tile(0);
            let gap = (first.place[0] - last.place[0]).hypot(first.place[1] - last.place[1]);
            assert!(gap < 3.0 * STEP, "episode {episode}: {gap}");
        }
    }
}
