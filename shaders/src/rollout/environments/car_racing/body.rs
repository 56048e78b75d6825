//! The car: one rigid body with four wheels without mass, in the units of Gymnasium's `CarRacing`.

use super::track::{HALF_WIDTH, Track, sign};

/// Seconds of a step.
pub(super) const TIME_STEP: f64 = 0.02;
/// The centre of mass of hull and wheels, ahead of the hull's own origin.
pub(super) const CENTRE: f64 = -0.080_459_174_2;
/// Places of the wheels around the hull's origin, to the right and ahead: front left, front right, rear left, rear right.
pub(super) const WHEELS: [[f64; 2]; 4] = [[-1.1, 1.6], [1.1, 1.6], [-1.1, -1.64], [1.1, -1.64]];
/// Half of the width and of the length of a wheel.
pub(super) const WHEEL: [f64; 2] = [0.28, 0.54];

const MASS: f64 = 7.301_919_97;
/// The moment of inertia about the centre of mass.
const INERTIA: f64 = 19.170_645_961;
const POWER: f64 = 40_000.0;
/// The moment of inertia of a wheel.
const WHEEL_INERTIA: f64 = 1.6;
/// The force that holds a wheel on the road at most; on grass it is 0.6 of that.
const GRIP: f64 = 400.0;
/// Force for each unit of speed by which a wheel slips.
const SLIP: f64 = 82.0;
/// The radius at which a wheel rolls.
const ROLL: f64 = 0.54;
/// The farthest that Box2D moves a body in a step.
const FARTHEST: f64 = 2.0;
/// The margin that Box2D adds to the edges of shapes.
const SKIN: f64 = 0.01;

/// Where the car is and how it moves.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Car {
    /// The centre of mass.
    pub place: [f64; 2],
    /// Radians from the y axis, to the left.
    pub angle: f64,
    pub velocity: [f64; 2],
    pub spin: f64,
    /// The angle of the front wheels against the car.
    pub steering: f64,
    pub gas: f64,
    /// How fast the wheels turn, radians a second.
    pub speeds: [f64; 4],
    /// How far they have turned, radians.
    pub turns: [f64; 4],
}

impl Car {
    /// A car at rest on the first cross-section of a track.
    pub fn at_the_start_of(track: &Track) -> Self {
        let section = &track.sections()[0];
        let [cosine, sine] = section.across;
        let place = [section.place[0] - CENTRE * sine, section.place[1] + CENTRE * cosine];
        Self { place, angle: section.angle, ..Self::default() }
    }

    /// The hull's own origin, by which the camera and the field's edge go.
    pub fn hull(&self) -> [f64; 2] {
        let (sine, cosine) = self.angle.sin_cos();
        [self.place[0] + CENTRE * sine, self.place[1] - CENTRE * cosine]
    }

    /// The centre of mass of a car of this angle whose hull is there.
    pub fn place_of(&self, hull: [f64; 2]) -> [f64; 2] {
        let (sine, cosine) = self.angle.sin_cos();
        [hull[0] - CENTRE * sine, hull[1] + CENTRE * cosine]
    }

    /// Units a second.
    pub fn speed(&self) -> f64 {
        self.velocity[0].hypot(self.velocity[1])
    }

    /// The place of a wheel from the centre of mass, along the axes of the field.
    fn arm(&self, wheel: usize) -> [f64; 2] {
        let (sine, cosine) = self.angle.sin_cos();
        let [right, ahead] = [WHEELS[wheel][0], WHEELS[wheel][1] - CENTRE];
        [cosine * right - sine * ahead, sine * right + cosine * ahead]
    }

    /// The angle of a wheel: the front ones are steered.
    pub fn wheel_angle(&self, wheel: usize) -> f64 {
        self.angle + if wheel < 2 { self.steering } else { 0.0 }
    }

    /// Advances the car by a step. `steer` is the angle that the front wheels shall have, to the left; `on_road` says which
    /// wheels have the road's grip.
    pub fn drive(&mut self, steer: f64, gas: f64, brake: f64, on_road: [bool; 4]) {
        let gas = gas.clamp(0.0, 1.0);
        self.gas += (gas - self.gas).min(0.1);
        let (mut forces, mut torque) = ([0.0, 0.0], 0.0);
        for (wheel, on_road) in on_road.into_iter().enumerate() {
            let arm = self.arm(wheel);
            let (sine, cosine) = self.wheel_angle(wheel).sin_cos();
            let velocity = [self.velocity[0] - self.spin * arm[1], self.velocity[1] + self.spin * arm[0]];
            let along = cosine * velocity[1] - sine * velocity[0];
            let aside = cosine * velocity[0] + sine * velocity[1];
            let limit = if on_road { GRIP } else { 0.6 * GRIP };
            let mut speed = self.speeds[wheel];
            if wheel >= 2 {
                speed += TIME_STEP * POWER * self.gas / WHEEL_INERTIA / (speed.abs() + 5.0);
            }
            if brake >= 0.9 {
                speed = 0.0;
            } else if brake > 0.0 {
                speed -= sign(speed) * (15.0 * brake).min(speed.abs());
            }
            self.turns[wheel] += speed * TIME_STEP;
            let (mut forward, mut sideways) = (SLIP * (speed * ROLL - along), -SLIP * aside);
            let force = forward.hypot(sideways);
            if force > limit {
                forward *= limit / force;
                sideways *= limit / force;
            }
            self.speeds[wheel] = speed - TIME_STEP * forward * ROLL / WHEEL_INERTIA;
            let pushed = [sideways * cosine - forward * sine, sideways * sine + forward * cosine];
            forces = [forces[0] + pushed[0], forces[1] + pushed[1]];
            torque += arm[0] * pushed[1] - arm[1] * pushed[0];
        }
        self.steering = (self.steering + (steer - self.steering).clamp(-0.06, 0.06)).clamp(-0.4, 0.4);
        for (velocity, force) in self.velocity.iter_mut().zip(forces) {
            *velocity += TIME_STEP * force / MASS;
        }
        self.spin += TIME_STEP * torque / INERTIA;
        let distance = TIME_STEP * self.speed();
        if distance > FARTHEST {
            self.velocity = self.velocity.map(|velocity| velocity * (FARTHEST / distance));
        }
        for (place, velocity) in self.place.iter_mut().zip(self.velocity) {
            *place += TIME_STEP * velocity;
        }
        self.angle += TIME_STEP * self.spin;
    }

    /// The wheels that stand on a tile.
    pub fn touches(&self, track: &Track, tile: usize) -> [bool; 4] {
        /// From a wheel to the tile's cross-section, farther than which none meets it. The tile that closes a track may be
        /// longer, and counts no further than this.
        const REACH: f64 = 11.0;
        let corners = corners(track, tile);
        let section = track.sections()[tile].place;
        std::array::from_fn(|wheel| {
            let arm = self.arm(wheel);
            let place = [self.place[0] + arm[0], self.place[1] + arm[1]];
            let distance = (section[0] - place[0]).hypot(section[1] - place[1]);
            distance <= REACH && meets(&corners, place, self.wheel_angle(wheel))
        })
    }
}

/// The corners of a tile, one after the other.
pub(super) fn corners(track: &Track, tile: usize) -> [[f64; 2]; 4] {
    let [here, before] = track.tile(tile);
    [here.at(-HALF_WIDTH), here.at(HALF_WIDTH), before.at(HALF_WIDTH), before.at(-HALF_WIDTH)]
}

/// True if a wheel at `place` meets a tile: no axis across an edge of either separates them.
fn meets(corners: &[[f64; 2]; 4], place: [f64; 2], angle: f64) -> bool {
    let half = WHEEL.map(|half| half + SKIN);
    let (sine, cosine) = angle.sin_cos();
    let (mut low, mut high) = ([f64::INFINITY; 2], [f64::NEG_INFINITY; 2]);
    for corner in corners {
        let [x, y] = [corner[0] - place[0], corner[1] - place[1]];
        for (axis, along) in [cosine * x + sine * y, cosine * y - sine * x].into_iter().enumerate() {
            low[axis] = low[axis].min(along);
            high[axis] = high[axis].max(along);
        }
    }
    if (0..2).any(|axis| low[axis] > half[axis] || high[axis] < -half[axis]) {
        return false;
    }
    (0..4).all(|edge| {
        let [start, end, across] = [0, 1, 2].map(|next| corners[(edge + next) % 4]);
        let [x, y] = [end[0] - start[0], end[1] - start[1]];
        let length = x.hypot(y);
        if length < 1e-9 {
            return true;
        }
        let mut normal = [y / length, -x / length];
        if (across[0] - start[0]) * normal[0] + (across[1] - start[1]) * normal[1] > 0.0 {
            normal = normal.map(|part| -part);
        }
        let reach = (normal[0] * cosine + normal[1] * sine).abs() * half[0]
            + (normal[1] * cosine - normal[0] * sine).abs() * half[1];
        (place[0] - start[0]) * normal[0] + (place[1] - start[1]) * normal[1] <= reach + SKIN
    })
}
