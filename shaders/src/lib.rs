//! WGSL compute kernels, each beside its CPU twin.
//!
//! One kernel is two files of one name: `softmax.wgsl` is plain WGSL that any tool reads as it stands, `softmax.rs`
//! holds what a caller must know to launch it (bindings, uniform block, grid, constants), the **twin** that computes
//! the same thing on slices in the plainest way, the **tolerance rule** that says how far the two may differ and why,
//! and the **generator of cases** that the tests and the `fourfold verify` command draw from. [`kernels`] lists all.
//!
//! Some kernels are put together from several plain files, and [`Kernel::source`] has the whole, which any tool reads:
//! functions of `library/` that several kernels share stand before the kernel's own file; an [`rollout::unroll`] is made
//! of an environment, a policy and the code between them, a [`rollout::step`] of an environment alone, and the kernels
//! of [`inner_problem`] of a problem and the source of its parameters.
//!
//! This crate calls no GPU API. A [`Call`] is plain data: the `fourfold` crate records it into a `wgpu` compute pass,
//! and anyone else can take the WGSL, the bindings and the grid from it and launch it with the API of their choice.
//!
//! Conventions that every kernel keeps:
//! * group 0 holds the operands, binding `i` for operand `i`; group 1, binding 0 holds the uniform block;
//! * tensors are dense and row-major; `f32` or `u32`;
//! * a grid of more than 65,535 workgroups folds into y (see [`grid`]);
//! * nothing beyond WebGPU's default limits and features, unless [`Kernel::subgroup_sizes`] says so.

#![warn(missing_docs)]

#[macro_use]
mod description;

pub mod attention;
pub mod convolution;
pub mod elementwise;
pub mod evolution;
pub mod inner_problem;
pub mod layout;
mod library;
pub mod loss;
pub mod matmul;
pub mod normalisation;
pub mod optimiser;
pub mod pooling;
pub mod random;
pub mod reduction;
pub mod rollout;
pub mod trajectories;
pub mod vision;

pub use description::{
    Access, Binding, Call, CallParts, Case, Cases, Choice, Choices, Comparison, Data, Element, Error, Family,
    Generator, Kernel, KernelRef, Listed, MAX_ELEMENTS, MAX_WORKGROUPS, Module, Operand, RuntimeChecks, Scratch,
    Sequence, Shapes, Slot, Step, Target, Tolerance, grid, packed,
};
pub(crate) use description::{Sizes, product, sum};
pub use elementwise::Activation;

/// Every hand-written kernel of this crate, and a sample of the generated ones: the one list that drives the tests,
/// the `verify` and `bench` commands and the documentation.
pub fn kernels() -> Vec<KernelRef> {
    let listed = [
        attention::kernels(),
        convolution::KERNELS.to_vec(),
        evolution::kernels(),
        layout::kernels(),
        library::KERNELS.to_vec(),
        loss::kernels(),
        matmul::KERNELS.to_vec(),
        normalisation::kernels(),
        optimiser::kernels(),
        pooling::kernels(),
        random::kernels(),
        reduction::kernels(),
        trajectories::kernels(),
    ];
    let listed = listed.into_iter().flatten().map(KernelRef::from);
    let listed = listed.chain(elementwise::kernels()).chain(rollout::kernels()).chain(inner_problem::kernels());
    listed.chain(vision::case::kernels()).collect()
}
