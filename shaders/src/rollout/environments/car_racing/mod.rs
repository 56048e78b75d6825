//! Car racing: a car of one rigid body on a track of its own, as Gymnasium's `CarRacing` without its physics engine.

pub mod track;
