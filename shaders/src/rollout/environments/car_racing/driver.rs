//! A driver that knows the track: it steers at a point ahead and slows before bends.

use std::f64::consts::{PI, TAU};

use super::{CarRacing, Race};

/// Units a second on a straight.
const FASTEST: f64 = 85.0;

impl CarRacing {
    /// The action of a driver that knows the track, in the scene of an observation: steering, gas and brake.
    ///
    /// It steers at the middle of the road five tiles ahead and one more for each 14 units a second, and brakes for the
    /// hardest bend that it sees. It scores about 880 of 1,000, a teacher for networks that see pictures.
    pub fn driver(&self, scene: &[f64]) -> [f64; 3] {
        let race = Race::seen(scene);
        let (car, sections) = (&race.car, self.track(race.track).sections());
        let count = sections.len();
        let [x, y] = car.hull();
        let distance = |tile: usize| (sections[tile].place[0] - x).powi(2) + (sections[tile].place[1] - y).powi(2);
        let nearest = (0..count).min_by(|&a, &b| distance(a).total_cmp(&distance(b))).unwrap_or(0);
        let speed = car.speed();
        let ahead = sections[(nearest + 5 + (speed / 14.0) as usize) % count].place;
        let (sine, cosine) = car.angle.sin_cos();
        let [right, along] =
            [cosine * (ahead[0] - x) + sine * (ahead[1] - y), cosine * (ahead[1] - y) - sine * (ahead[0] - x)];
        let bend = |tiles: usize| {
            let [end, start] = [nearest + tiles, nearest + tiles + count - 4].map(|tile| sections[tile % count].angle);
            ((end - start + PI).rem_euclid(TAU) - PI).abs()
        };
        let goal = FASTEST / (1.0 + 1.3 * [6, 10, 14, 18].into_iter().map(bend).fold(0.0, f64::max));
        let steer = (0.9 * right.atan2(along)).clamp(-1.0, 1.0);
        let gas = (0.1 * (goal - speed)).clamp(0.0, 0.6) * if steer.abs() < 0.35 { 1.0 } else { 0.25 };
        [steer, gas, if speed > goal + 6.0 { 0.3 } else { 0.0 }]
    }

    /// The speed of the car in the scene of an observation, in units a second.
    pub fn speed(&self, scene: &[f64]) -> f64 {
        Race::seen(scene).car.speed()
    }
}
