//! NaN, infinities and the ends of the range of f32: the kernels, their twins and the f64 reference give what numpy and
//! PyTorch give.

mod elementwise;
mod harness;
mod operations;
mod range;
mod rows;
