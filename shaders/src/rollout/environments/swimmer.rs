//! Swimmer: three rods in a viscous fluid, two motors between them, and a way to swim.

use crate::description::own_wgsl;
use crate::rollout::unroll::{Environment, EpisodeRandom, Outcome};

/// The task of Gymnasium's `Swimmer` (Coulom 2002), by physics of our own: three rods of 1 metre and 1 kilogram under
/// resistive-force drag, derived in `swimmer.wgsl`.
///
/// State `(x, y, angle 1..3, v_x, v_y, spin 1..3)`: place and velocity of the centre of mass, metres and metres per
/// second; the directions of the rods from nose to tail, each pointing towards the nose, radians from the x axis, not
/// wrapped, and radians per second; at first each uniform in +-0.1. Observation `(angle 1, joint 1, joint 2, v_x, v_y,
/// spin 1, joint spin 1, joint spin 2)`, joint i being angle i + 1 less angle i: all but the place. Action: two numbers in
/// [-1, 1], 5 newton metres each. The reward of a step of 0.04 seconds is the speed along x less 1e-4 of the squares of
/// the action; the episode is cut off after 1,000 steps and never ends of itself.
///
/// As in Gymnasium a linear policy swims well: evolution finds some that return 460 (18 metres in 40 seconds).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Swimmer;

const TORQUE: f64 = 5.0;
const LENGTH: f64 = 1.0;
const MASS: f64 = 1.0;
const WATER: Fluid = Fluid { along: 1.0, across: 6.0 };
/// 100 degrees.
const JOINT_LIMIT: f64 = 1.745_329_251_994_329_5;
const SPRING: f64 = 100.0;
const SUBSTEPS: usize = 4;
const TIME_STEP: f64 = 0.01;

/// The resistance to each metre of a rod that moves at a metre per second.
#[derive(Debug, Clone, Copy)]
struct Fluid {
    along: f64,
    across: f64,
}

/// A matrix over the generalised velocities `(v_x, v_y, spin 1..3)`.
type Matrix = [[f64; 5]; 5];

/// The derivative of the velocity of the centre of each rod by the generalised velocities: `[rod][axis][velocity]`.
///
/// Rod i has its centre half a rod behind its front end, and its front end i rods behind the nose; the mean of the centres
/// is the centre of mass.
fn jacobians(angles: [f64; 3]) -> [[[f64; 5]; 2]; 3] {
    // Metres that the centre of rod i lies behind the nose along rod j.
    let behind = |i: usize, j: usize| LENGTH * if j < i { 1.0 } else { 0.5 * f64::from(u8::from(j == i)) };
    std::array::from_fn(|i| {
        let arm = |j: usize| (0..3).map(|k| behind(k, j)).sum::<f64>() / 3.0 - behind(i, j);
        let row = |axis: usize| {
            std::array::from_fn(|velocity| match velocity {
                0 | 1 => f64::from(u8::from(velocity == axis)),
                spin => arm(spin - 2) * [-angles[spin - 2].sin(), angles[spin - 2].cos()][axis],
            })
        };
        [row(0), row(1)]
    })
}

/// The mass matrix: each rod's mass at its centre and its moment of inertia.
fn inertia(angles: [f64; 3]) -> Matrix {
    let jacobians = jacobians(angles);
    let product = |j: usize, k: usize| {
        let centres: f64 = jacobians.iter().flatten().map(|row| MASS * row[j] * row[k]).sum();
        centres + if j == k && j >= 2 { MASS * LENGTH * LENGTH / 12.0 } else { 0.0 }
    };
    std::array::from_fn(|j| std::array::from_fn(|k| product(j, k)))
}

/// The resistance to the motion: that to each rod's centre and that to its turning around it.
fn resistance(angles: [f64; 3], fluid: Fluid) -> Matrix {
    let jacobians = jacobians(angles);
    let product = |j: usize, k: usize| {
        let centres = jacobians.iter().zip(angles).map(|([x, y], angle)| {
            let (s, c) = angle.sin_cos();
            let along = (x[j] * c + y[j] * s) * (x[k] * c + y[k] * s);
            let across = (y[j] * c - x[j] * s) * (y[k] * c - x[k] * s);
            LENGTH * (fluid.along * along + fluid.across * across)
        });
        centres.sum::<f64>() + if j == k && j >= 2 { fluid.across * LENGTH.powi(3) / 12.0 } else { 0.0 }
    };
    std::array::from_fn(|j| std::array::from_fn(|k| product(j, k)))
}

/// The x of `matrix x = right`, by elimination; a positive definite matrix needs no pivots.
fn solution(mut matrix: Matrix, mut right: [f64; 5]) -> [f64; 5] {
    for pivot in 0..5 {
        let above = matrix[pivot];
        for row in pivot + 1..5 {
            let factor = matrix[row][pivot] / above[pivot];
            for (number, above) in matrix[row].iter_mut().zip(above) {
                *number -= factor * above;
            }
            right[row] -= factor * right[pivot];
        }
    }
    for row in (0..5).rev() {
        let known: f64 = (row + 1..5).map(|column| matrix[row][column] * right[column]).sum();
        right[row] = (right[row] - known) / matrix[row][row];
    }
    right
}

/// One substep of `time` seconds under the torques of the motors.
fn advance(state: &mut [f64], motors: [f64; 2], fluid: Fluid, time: f64) {
    let angles: [f64; 3] = std::array::from_fn(|i| state[2 + i]);
    let moving: [f64; 5] = std::array::from_fn(|i| state[5 + i]);
    let pulls: [f64; 2] = std::array::from_fn(|joint| {
        let angle = angles[joint + 1] - angles[joint];
        motors[joint] - SPRING * (angle - angle.clamp(-JOINT_LIMIT, JOINT_LIMIT))
    });
    let mut forces = [0.0, 0.0, -pulls[0], pulls[0] - pulls[1], pulls[1]];
    // The rods' centres swing around each other: their accelerations at constant spins turn the normals by a quarter more.
    let turned = jacobians(angles.map(|angle| angle + std::f64::consts::FRAC_PI_2));
    for (row, turned) in jacobians(angles).iter().flatten().zip(turned.iter().flatten()) {
        let acceleration: f64 = (2..5).map(|i| turned[i] * moving[i] * moving[i]).sum();
        for (force, along) in forces.iter_mut().zip(row) {
            *force -= MASS * along * acceleration;
        }
    }

    let (inertia, resistance) = (inertia(angles), resistance(angles, fluid));
    let sum = |i: usize, k: usize| inertia[i][k] + time * resistance[i][k];
    let momentum = |i: usize| (0..5).map(|k| inertia[i][k] * moving[k]).sum::<f64>() + time * forces[i];
    let moving = solution(std::array::from_fn(|i| std::array::from_fn(|k| sum(i, k))), std::array::from_fn(momentum));
    state[5..10].copy_from_slice(&moving);
    for (place, speed) in state[..5].iter_mut().zip(moving) {
        *place += time * speed;
    }
}

impl Environment for Swimmer {
    own_wgsl!("swimmer.wgsl");

    fn states(&self) -> usize {
        10
    }

    fn observations(&self) -> usize {
        8
    }

    fn actions(&self) -> usize {
        2
    }

    fn horizon(&self) -> usize {
        1_000
    }

    /// Four substeps, in each of which the equations magnify the roundings of a hundred operations by their condition, at
    /// most 20; against the spring of a joint an angle's rounding of 2^-24 makes 60 of them in a spin.
    fn rounding(&self) -> f64 {
        512.0
    }

    fn reset(&self, random: &mut EpisodeRandom, state: &mut [f64]) {
        for value in state {
            *value = 0.1 * (2.0 * random.uniform() - 1.0);
        }
    }

    fn observe(&self, state: &[f64], observation: &mut [f64]) {
        let [_, _, angle1, angle2, angle3, vx, vy, spin1, spin2, spin3] = *state else {
            unreachable!("ten numbers of state")
        };
        let (angles, spins) = ([angle1, angle2 - angle1, angle3 - angle2], [spin1, spin2 - spin1, spin3 - spin2]);
        observation.copy_from_slice(&[angles[0], angles[1], angles[2], vx, vy, spins[0], spins[1], spins[2]]);
    }

    fn step(&self, state: &mut [f64], action: &[f64], _: &mut EpisodeRandom) -> Outcome {
        let efforts: [f64; 2] = std::array::from_fn(|motor| action[motor].clamp(-1.0, 1.0));
        let start = state[0];
        for _ in 0..SUBSTEPS {
            advance(state, efforts.map(|effort| TORQUE * effort), WATER, TIME_STEP);
        }
        let speed = (state[0] - start) / (SUBSTEPS as f64 * TIME_STEP);
        let cost: f64 = efforts.iter().map(|effort| 1e-4 * effort * effort).sum();
        Outcome { reward: speed - cost, done: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Generator;

    const VACUUM: Fluid = Fluid { along: 0.0, across: 0.0 };
    const ZIGZAG: [f64; 10] = [0.0, 0.0, 0.3, -0.4, 0.7, 0.5, -0.2, 2.0, -3.0, 1.5];

    fn energy(state: &[f64]) -> f64 {
        let inertia = inertia([state[2], state[3], state[4]]);
        let moving = &state[5..10];
        let kinetic: f64 =
            (0..5).flat_map(|i| (0..5).map(move |k| (i, k))).map(|(i, k)| moving[i] * inertia[i][k] * moving[k]).sum();
        let stretched = |joint: f64| (joint.abs() - JOINT_LIMIT).max(0.0);
        let springs = stretched(state[3] - state[2]).powi(2) + stretched(state[4] - state[3]).powi(2);
        0.5 * kinetic + 0.5 * SPRING * springs
    }

    fn angular_momentum(state: &[f64]) -> f64 {
        let inertia = inertia([state[2], state[3], state[4]]);
        (2..5).flat_map(|i| (2..5).map(move |k| (i, k))).map(|(i, k)| inertia[i][k] * state[5 + k]).sum()
    }

    /// Pulls the joints towards angles of the time in seconds, from rest in a straight line; the last state, the return.
    fn swim(gait: impl Fn(f64) -> [f64; 2]) -> (Vec<f64>, f64) {
        let mut random = EpisodeRandom::new(0, 0, 0, 0);
        let mut state = vec![0.0; 10];
        let mut sum = 0.0;
        for step in 0..1_000 {
            let wanted = gait(0.04 * f64::from(step));
            let efforts = [0, 1].map(|joint| 4.0 * (wanted[joint] - (state[3 + joint] - state[2 + joint])));
            sum += Swimmer.step(&mut state, &efforts, &mut random).reward;
        }
        (state, sum)
    }

    /// A wave of bending that travels from the nose to the tail.
    fn wave(time: f64) -> [f64; 2] {
        let phase = std::f64::consts::TAU * 0.5 * time;
        [0.8 * phase.sin(), 0.8 * (phase - 1.5).sin()]
    }

    #[test]
    fn the_motors_change_neither_momentum_where_nothing_resists() {
        let mut state = ZIGZAG;
        let before = angular_momentum(&state);
        for step in 0..20_000 {
            let time = 5e-5 * f64::from(step);
            advance(&mut state, [3.0 * time.sin(), 2.0 * (3.0 * time).cos()], VACUUM, 5e-5);
        }
        assert!((state[5] - 0.5).abs() < 1e-9 && (state[6] + 0.2).abs() < 1e-9, "{state:?}");
        assert!((state[0] - 0.5).abs() < 1e-9 && (state[1] + 0.2).abs() < 1e-9, "{state:?}");
        let error = (angular_momentum(&state) - before).abs();
        assert!(error < 1e-3 * before.abs(), "{error} of {before}");
        assert!((state[7] - 2.0).abs() > 0.1);
    }

    #[test]
    fn energy_is_kept_where_nothing_resists_and_no_motor_turns() {
        let mut state = ZIGZAG;
        let before = energy(&state);
        for _ in 0..20_000 {
            advance(&mut state, [0.0; 2], VACUUM, 5e-5);
            assert!((energy(&state) - before).abs() < 2e-3 * before, "{} was {before}", energy(&state));
        }
    }

    #[test]
    fn without_torques_the_energy_only_falls() {
        let mut generator = Generator::new(3, 10);
        for _ in 0..100 {
            let mut state: [f64; 10] = std::array::from_fn(|_| f64::from(generator.normal()));
            state[3] = state[2] + state[3].clamp(-JOINT_LIMIT, JOINT_LIMIT);
            state[4] = state[3] + state[4].clamp(-JOINT_LIMIT, JOINT_LIMIT);
            let mut before = energy(&state);
            let start = before;
            for _ in 0..1_000 {
                advance(&mut state, [0.0; 2], WATER, TIME_STEP);
                assert!(energy(&state) <= before + 1e-12, "{} was {before}", energy(&state));
                before = energy(&state);
            }
            assert!(before < 1e-3 * start);
        }
    }

    #[test]
    fn at_rest_without_torques_any_shape_stays_where_it_is() {
        let mut state = [1.0, -2.0, 0.5, 1.5, 0.2, 0.0, 0.0, 0.0, 0.0, 0.0];
        let outcome = Swimmer.step(&mut state, &[0.0; 2], &mut EpisodeRandom::new(0, 0, 0, 0));
        assert_eq!((outcome.reward, outcome.done), (0.0, false));
        assert_eq!(state, [1.0, -2.0, 0.5, 1.5, 0.2, 0.0, 0.0, 0.0, 0.0, 0.0]);
    }

    /// Speeds fall by the resistance of three metres over the mass of three rods.
    #[test]
    fn a_straight_chain_glides_further_along_than_across() {
        let mut state = [0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0];
        for _ in 0..10_000 {
            advance(&mut state, [0.0; 2], WATER, 1e-4);
        }
        assert!((state[5] - (-1.0_f64).exp()).abs() < 1e-4 && (state[6] - (-6.0_f64).exp()).abs() < 1e-5, "{state:?}");
        assert!(state[2..5].iter().all(|angle| angle.abs() < 1e-12));
    }

    #[test]
    fn a_wave_towards_the_tail_swims_forwards_and_one_towards_the_nose_backwards() {
        let (there, sum) = swim(wave);
        // The same chain seen from its other end.
        let (back, _) = swim(|time| {
            let [first, second] = wave(time);
            [second, first]
        });
        assert!(there[0] > 3.0, "{there:?}");
        assert!((there[0] + back[0]).abs() < 1e-9 && (there[2] + back[4]).abs() < 1e-9, "{there:?} {back:?}");
        // Metres over the time of a step, less two squares of efforts in each step at most.
        let cost = there[0] / 0.04 - sum;
        assert!(cost > 0.0 && cost <= 2.0 * 1e-4 * 1_000.0, "{sum}");
    }

    #[test]
    fn the_mirror_image_of_a_gait_swims_the_mirror_image_of_its_way() {
        let (path, _) = swim(wave);
        let (mirrored, _) = swim(|time| wave(time).map(|effort| -effort));
        let signs = [1.0, -1.0, -1.0, -1.0, -1.0, 1.0, -1.0, -1.0, -1.0, -1.0];
        for ((a, b), sign) in path.iter().zip(&mirrored).zip(signs) {
            assert!((a - sign * b).abs() < 1e-9, "{path:?} {mirrored:?}");
        }
    }

    /// Purcell's scallop: a stroke that reads the same backwards in time goes nowhere, but for what inertia gives.
    #[test]
    fn opening_and_closing_alike_hardly_swims() {
        let (path, _) = swim(|time| [wave(time)[0], -wave(time)[0]]);
        assert!(path[0].hypot(path[1]) < 0.5, "{path:?}");
    }

    #[test]
    fn any_torques_for_an_episode_leave_it_whole() {
        let mut generator = Generator::new(5, 10);
        for held in [1, 3, 10, 30, 1_000] {
            let mut random = EpisodeRandom::new(1, 0, 0, 0);
            let mut state = [0.0; 10];
            let mut action = [0.0; 2];
            Swimmer.reset(&mut random, &mut state);
            for step in 0..1_000 {
                if step % held == 0 {
                    action = [0; 2].map(|_| 100.0 * f64::from(generator.normal()));
                }
                Swimmer.step(&mut state, &action, &mut random);
                let joints = [state[3] - state[2], state[4] - state[3]];
                assert!(joints.iter().all(|joint| joint.abs() < JOINT_LIMIT + 0.6), "{state:?}");
                assert!(state[5..7].iter().all(|speed| speed.abs() < 6.0), "{state:?}");
                assert!(state[7..].iter().all(|spin| spin.abs() < 40.0), "{state:?}");
            }
        }
    }
}
