//! Counter-based random numbers, and dropout, which draws from them.

pub mod dropout;
pub mod threefry;
