//! Worlds whose WGSL and twin lie side by side.

mod cart_pole_swing_up;

pub use cart_pole_swing_up::CartPoleSwingUp;
