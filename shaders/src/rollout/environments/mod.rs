//! Worlds whose WGSL and twin lie side by side.

mod acrobot;
pub mod car_racing;
mod cart_pole;
mod cart_pole_swing_up;
mod key_to_door;
mod mountain_car_continuous;
mod pendulum;
mod pong;
mod swimmer;

pub use acrobot::Acrobot;
pub use car_racing::CarRacing;
pub use cart_pole::CartPole;
pub use cart_pole_swing_up::CartPoleSwingUp;
pub use key_to_door::KeyToDoor;
pub use mountain_car_continuous::MountainCarContinuous;
pub use pendulum::Pendulum;
pub use pong::{Machine as PongMachine, POINT, Pong, Teacher as PongTeacher, USEFUL_ACTIONS};
pub use swimmer::Swimmer;
