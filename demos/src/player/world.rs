//! The worlds that policies are played in, and how they look.

use std::sync::Arc;

use fourfold::rollout::environments::{CartPole, CartPoleSwingUp, KeyToDoor, Pendulum, Swimmer};
use fourfold::rollout::{Environment, Step};

use crate::animation::drawing::{Drawing, Ink};
use crate::animation::reel::{Curve, Reel, Scene};
use crate::experiments::data::ActionRepeat;
use crate::failure::Failure;

/// A world by its name.
#[derive(Debug, Clone)]
pub struct World {
    pub environment: Arc<dyn Environment>,
    kind: Kind,
    /// Seconds of a step.
    time_step: f64,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    /// A pole that is balanced, 1 metre long.
    Cart,
    /// A pole that is swung up from wherever it is, or hanging near rest.
    SwingUp {
        easy: bool,
    },
    Pendulum,
    Swimmer,
    Rooms(KeyToDoor),
}

/// The names of the worlds.
pub(super) const NAMES: [&str; 6] =
    ["cart-pole", "cart-pole-swing-up", "cart-pole-swing-up-easy", "pendulum", "swimmer", "key-to-door"];

/// The most steps that an action lasts, cells of a side and steps of a room that a name says.
const MOST: usize = 100;

impl World {
    /// Finds a world by its name: `NAME*4` for actions that last four steps, `key-to-door:4:5` for rooms of 4 by 4 cells
    /// and 5 steps.
    ///
    /// # Errors
    /// No world has this name.
    pub fn named(name: &str) -> Result<Self, Failure> {
        let (plain, times) = name.split_once('*').map_or((name, Some(1)), |(plain, times)| (plain, times.parse().ok()));
        let (base, sizes) = plain.split_once(':').map_or((plain, None), |(base, sizes)| (base, Some(sizes)));
        let sizes: Option<Vec<usize>> =
            sizes.map(|sizes| sizes.split(':').filter_map(|size| size.parse().ok()).collect());
        let world = |environment: Arc<dyn Environment>, kind, time_step| Self { environment, kind, time_step };
        let found = match (base, sizes.as_deref()) {
            ("cart-pole", None) => Some(world(Arc::new(CartPole), Kind::Cart, 0.02)),
            ("cart-pole-swing-up", None) => {
                Some(world(Arc::new(CartPoleSwingUp { easy: false }), Kind::SwingUp { easy: false }, 0.01))
            }
            ("cart-pole-swing-up-easy", None) => {
                Some(world(Arc::new(CartPoleSwingUp { easy: true }), Kind::SwingUp { easy: true }, 0.01))
            }
            ("pendulum", None) => Some(world(Arc::new(Pendulum), Kind::Pendulum, 0.05)),
            ("swimmer", None) => Some(world(Arc::new(Swimmer), Kind::Swimmer, 0.04)),
            ("key-to-door", None) => {
                let rooms = KeyToDoor::full();
                Some(world(Arc::new(rooms), Kind::Rooms(rooms), 0.2))
            }
            ("key-to-door", Some(&[side, steps])) if (2..=MOST).contains(&side) && (1..=MOST).contains(&steps) => {
                let rooms = KeyToDoor::square(side, steps);
                Some(world(Arc::new(rooms), Kind::Rooms(rooms), 0.4))
            }
            _ => None,
        };
        match (found, times) {
            (Some(world), Some(1)) => Ok(world),
            (Some(world), Some(times)) if (2..=MOST).contains(&times) => Ok(Self {
                environment: Arc::new(ActionRepeat::new(world.environment, times)),
                time_step: world.time_step * times as f64,
                kind: world.kind,
            }),
            _ => {
                let expected = format!("expected one of {} (with *4 for actions of four steps)", NAMES.join(", "));
                Err(Failure::Input(format!("--world: {expected}, got `{name}`")))
            }
        }
    }

    /// Finds the world whose observations and actions are as many; of the swing-ups the one with hard starts.
    pub(super) fn of_sizes(observations: usize, actions: usize) -> Option<Self> {
        let worlds = NAMES.iter().filter_map(|name| Self::named(name).ok());
        let sizes = |world: &Self| (world.environment.observations(), world.environment.actions());
        worlds.into_iter().find(|world| sizes(world) == (observations, actions))
    }

    /// Returns true for the cart-pole swing-up from hard starts.
    pub(super) fn is_hard_swing_up(&self) -> bool {
        matches!(self.kind, Kind::SwingUp { easy: false }) && self.time_step < 0.02
    }

    /// Makes a film of an episode by `who`; `asked` is the return that was asked for.
    pub(super) fn reel(&self, who: &str, steps: &[Step], shuffles: &[usize], asked: Option<f32>) -> Reel {
        let mut earned = 0.0;
        let returns: Vec<f64> = steps
            .iter()
            .map(|step| {
                earned += f64::from(step.reward);
                earned
            })
            .collect();
        let width = self.environment.actions();
        let mut curves = Vec::new();
        if !matches!(self.kind, Kind::Rooms(_)) {
            curves.extend((0..width).map(|index| {
                let name = if width == 1 { "action".to_owned() } else { format!("action {}", index + 1) };
                let values = steps.iter().map(|step| f64::from(step.action[index]).clamp(-1.0, 1.0)).collect();
                Curve { name, values, range: [-1.0, 1.0] }
            }));
        }
        curves.push(Curve::new("return", returns.clone()));
        if let Some(asked) = asked {
            let left =
                returns.iter().zip(steps).map(|(earned, step)| f64::from(asked) - earned + f64::from(step.reward));
            curves.push(Curve::new("still asked", left.collect()));
        }
        let scene = |(index, step): (usize, &Step)| Scene {
            drawing: self.drawing(step),
            words: [self.words(index, step), self.right(returns[index], asked)],
        };
        let shuffles = shuffles.iter().copied().filter(|&step| step < steps.len()).collect();
        let asks = asked.map_or(String::new(), |asked| format!(" of {} asked", shown(f64::from(asked))));
        Reel {
            title: format!("{who}: a return of {}{asks} in {} steps", shown(earned), steps.len()),
            time_step: self.time_step,
            score: earned,
            shuffles,
            scenes: steps.iter().enumerate().map(scene).collect(),
            curves,
        }
    }

    fn words(&self, index: usize, step: &Step) -> String {
        match self.kind {
            Kind::Rooms(rooms) => {
                let key = if step.state[6] > 0.0 { ", with the key" } else { "" };
                format!("step {index:>3}   room {} of 3{key}", rooms.room(index) + 1)
            }
            _ => format!("step {index:>4}"),
        }
    }

    fn right(&self, earned: f64, asked: Option<f32>) -> String {
        let asked = asked.map_or(String::new(), |asked| format!(" of {} asked", shown(f64::from(asked))));
        format!("return {}{asked}", shown(earned))
    }

    fn drawing(&self, step: &Step) -> Drawing {
        let state: Vec<f64> = step.state.iter().map(|&number| number.into()).collect();
        let action: Vec<f64> = step.action.iter().map(|&number| f64::from(number).clamp(-1.0, 1.0)).collect();
        match self.kind {
            Kind::Cart => cart(&state, action[0], 1.0),
            Kind::SwingUp { .. } => cart(&state, action[0], 0.6),
            Kind::Pendulum => pendulum(&state, action[0]),
            Kind::Swimmer => swimmer(&state),
            Kind::Rooms(rooms) => room(rooms, &state),
        }
    }
}

fn shown(value: f64) -> String {
    if value.abs() < 10.0 && value.fract().abs() > 1e-6 { format!("{value:.2}") } else { format!("{value:.0}") }
}

fn cart(state: &[f64], action: f64, length: f64) -> Drawing {
    const TRACK: f64 = 2.4;
    let (x, angle) = (state[0], state[2]);
    let mut drawing = Drawing::new([-3.1, if length < 1.0 { -0.85 } else { -0.5 }, 3.1, length + 0.15]);
    drawing.line(Ink::Ground, 0.02, &[(-TRACK, -0.2), (TRACK, -0.2)]);
    for side in [-TRACK, TRACK] {
        drawing.line(Ink::Ground, 0.04, &[(side, -0.25), (side, 0.0)]);
    }
    drawing.block(Ink::Body, (x, 0.0), [0.4, 0.2]);
    for wheel in [-0.12, 0.12] {
        drawing.disc(Ink::Action, (x + wheel, -0.145), 0.055);
    }
    // Positive angles of the swing-up lean to the left, those of the other to the right.
    let side = if length < 1.0 { -1.0 } else { 1.0 };
    let tip = (x + side * length * angle.sin(), length * angle.cos());
    drawing.line(Ink::Limb, 0.07, &[(x, 0.0), tip]);
    drawing.disc(Ink::Limb, tip, 0.05);
    if action.abs() > 0.05 {
        arrow(&mut drawing, (x + 0.24 * action.signum(), 0.0), 0.5 * action);
    }
    drawing
}

/// An arrow to the right or left.
fn arrow(drawing: &mut Drawing, (x, y): (f64, f64), reach: f64) {
    let head = 0.08 * reach.signum();
    drawing.line(Ink::Action, 0.03, &[(x, y), (x + reach, y)]);
    drawing.polygon(Ink::Action, &[(x + reach, y - 0.05), (x + reach + head, y), (x + reach, y + 0.05)]);
}

fn pendulum(state: &[f64], action: f64) -> Drawing {
    let mut drawing = Drawing::new([-3.0, -1.2, 3.0, 1.2]);
    let ring = (0..=60).map(|part| (f64::from(part) * std::f64::consts::TAU / 60.0).sin_cos()).collect::<Vec<_>>();
    drawing.line(Ink::Grey(40), 0.01, &ring);
    // Positive angles are counted against the clock.
    let tip = (-state[0].sin(), state[0].cos());
    drawing.line(Ink::Limb, 0.1, &[(0.0, 0.0), tip]);
    drawing.disc(Ink::Limb, tip, 0.08);
    drawing.disc(Ink::Body, (0.0, 0.0), 0.09);
    let turn = |part: i32| {
        let angle = -action * f64::from(part) / 20.0 * 1.5;
        (0.35 * angle.sin(), 0.35 * angle.cos())
    };
    drawing.line(Ink::Action, 0.04, &(0..=20).map(turn).collect::<Vec<_>>());
    drawing
}

fn swimmer(state: &[f64]) -> Drawing {
    let (x, y) = (state[0], state[1]);
    let directions: Vec<(f64, f64)> = state[2..5].iter().map(|angle| (angle.cos(), angle.sin())).collect();
    // Metres from the nose to the centre of each rod, and to the mean of the three.
    let behind = |rod: usize, other: usize| if other < rod { 1.0 } else { 0.5 * f64::from(u8::from(other == rod)) };
    let mean = |other: usize| (0..3).map(|rod| behind(rod, other)).sum::<f64>() / 3.0;
    let mut joint = (0..3).fold((x, y), |place, other| {
        (place.0 + mean(other) * directions[other].0, place.1 + mean(other) * directions[other].1)
    });
    let mut drawing = Drawing::new([x - 4.2, y - 1.6, x + 4.2, y + 1.6]);
    for metre in (x - 4.2).ceil() as i64..=(x + 4.2).floor() as i64 {
        let place = metre as f64;
        drawing.line(Ink::Ground, 0.02, &[(place, y - 1.3), (place, y - 1.2)]);
        if metre % 2 == 0 && (place - x).abs() < 3.9 {
            drawing.label((place, y - 1.48), format!("{metre} m"));
        }
    }
    drawing.line(Ink::Ground, 0.02, &[(x - 4.2, y - 1.3), (x + 4.2, y - 1.3)]);
    let nose = joint;
    for (rod, direction) in directions.iter().enumerate() {
        let end = (joint.0 - direction.0, joint.1 - direction.1);
        drawing.line(if rod == 0 { Ink::Body } else { Ink::Limb }, 0.14, &[joint, end]);
        joint = end;
    }
    drawing.disc(Ink::Body, nose, 0.12);
    drawing
}

fn room(rooms: KeyToDoor, state: &[f64]) -> Drawing {
    let [rows, columns] = rooms.side.map_or([7, 11], |side| [side; 2]);
    let middle = (columns as f64 - 1.0) / 2.0;
    let wide = (columns as f64 / 2.0 + 0.6).max(1.5 * rows as f64);
    let mut drawing = Drawing::new([middle - wide, -(rows as f64), middle + wide, 1.0]);
    let place = |row: f64, column: f64| (column, -row);
    for row in 0..rows {
        for column in 0..columns {
            drawing.block(Ink::Grey(22), place(row as f64, column as f64), [0.92, 0.92]);
        }
    }
    if state[5] > 0.0 {
        let key = rooms.room(state[0] as usize) == 0;
        let object = place(state[3], state[4]);
        if key {
            drawing.disc(Ink::Goal, object, 0.3)
        } else {
            drawing.block(Ink::Goal, object, [0.7, 0.9])
        }
        drawing.label(object, if key { "key" } else { "door" });
    }
    let agent = place(state[1], state[2]);
    drawing.disc(Ink::Body, agent, 0.36);
    if state[6] > 0.0 {
        drawing.disc(Ink::Goal, (agent.0 + 0.22, agent.1 + 0.22), 0.15);
    }
    drawing
}

#[cfg(test)]
mod tests {
    use fourfold::rollout::End;

    use super::*;
    use crate::animation::Animation;

    #[test]
    fn every_world_has_a_name_sizes_that_tell_it_and_a_look() {
        for name in NAMES {
            let world = World::named(name).unwrap();
            let environment = &world.environment;
            let step = Step {
                state: vec![0.1; environment.states()],
                observation: vec![0.0; environment.observations()],
                action: vec![0.5; environment.actions()],
                reward: 1.0,
                end: End::No,
            };
            let reel = world.reel("somebody", &[step.clone(), step], &[1], Some(5.0));
            assert_eq!((reel.length(), reel.score, reel.shuffles.clone()), (2, 2.0, vec![1]), "{name}");
            assert!(reel.frame(1).pixels.iter().any(|&value| value < 250), "{name}");
            let found = World::of_sizes(environment.observations(), environment.actions()).unwrap();
            assert_eq!(found.environment.horizon(), environment.horizon(), "{name}");
        }
        let repeated = World::named("swimmer*4").unwrap();
        assert_eq!((repeated.environment.horizon(), repeated.time_step), (250, 0.16));
        assert_eq!(World::named("key-to-door:4:5").unwrap().environment.horizon(), 15);
        for wrong in ["hopper", "swimmer*0", "swimmer*x", "key-to-door:4", "key-to-door:1:5", "pendulum:3:3"] {
            let sentence = World::named(wrong).unwrap_err().to_string();
            assert!(sentence.starts_with("--world: expected one of cart-pole"), "{sentence}");
        }
    }
}
