//! Fourfold: GPU compute kernels with CPU twins, and a differentiable tensor graph, on wgpu.

pub mod data;
pub mod gpu;
pub mod graph;
pub mod models;
pub mod nn;
pub mod optim;
pub mod verify;

pub use fourfold_shaders as shaders;
pub use wgpu;

pub use gpu::{BufferView, Error, Gpu, Launch, Recording};
