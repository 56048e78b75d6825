//! Plots and drawings as PNG images, made without any font or display of the system.

pub mod bitmap;
pub(crate) mod canvas;
pub mod column_plot;
pub mod heat_map;
pub mod plot;
