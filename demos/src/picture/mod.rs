//! Plots and drawings as PNG images, made without any font or display of the system.

pub mod axis;
pub mod bar_plot;
pub mod bitmap;
pub(crate) mod canvas;
pub(crate) mod chart;
pub mod colour;
pub mod film;
pub mod heat_map;
pub mod plot;
