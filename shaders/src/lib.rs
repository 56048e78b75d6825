//! WGSL compute kernels, each beside its CPU twin.
//!
//! One kernel is two files of one name: `softmax.wgsl` is plain WGSL that any tool reads as it stands, `softmax.rs`
//! holds what a caller must know to launch it (bindings, uniform block, grid, constants), the **twin** that computes
//! the same thing on slices in the plainest way, the **tolerance rule** that says how far the two may differ and why,
//! and the **generator of cases** that the tests and the `fourfold verify` command draw from. [`kernels`] lists all.
//!
//! Four kinds of kernels are put together from several plain files, and [`Kernel::source`] has the whole, which any tool
//! reads: those that draw random numbers are `random.wgsl` before their own file, so that Threefry stands once; an
//! [`unroll`] is made of an environment, a policy and what lies between them, and a [`step`] of an environment alone; and
//! the kernels of [`inner_problem`] of a problem and what says where its parameters come from. The functions of
//! `random.wgsl`, `mathematics.wgsl`, `unroll/*.wgsl` and `inner_problem/*.wgsl` have their twins where they are used: in
//! [`threefry`], in the environments, policies and problems, and in the unrolls' own.
//!
//! This crate calls no GPU API. A [`Call`] is plain data: the `fourfold` crate records it into a `wgpu` compute pass,
//! and anyone else can take the WGSL, the bindings and the grid from it and launch it with the API of their choice.
//!
//! Conventions that every kernel keeps:
//! * group 0 holds the operands, binding `i` for operand `i`; group 1, binding 0 holds the uniform block;
//! * tensors are dense and row-major; `f32` or `u32`;
//! * a grid of more than 65,535 workgroups folds into y (see [`grid`]);
//! * nothing beyond WebGPU's default limits and features, unless [`Kernel::needs_subgroups`] says so.

mod activation;
mod call;
mod case;
mod flat;
mod kernel;
mod operand;
mod row;
mod target;
mod tolerance;

pub mod adamw;
pub mod advance_step;
pub mod argmax;
pub mod attention;
pub mod attention_backward;
pub mod centred_ranks;
pub mod clip;
pub mod copy;
pub mod cross_entropy;
pub mod dropout;
pub mod elementwise;
pub mod environments;
pub mod evolution_gradient;
pub mod fitness;
pub mod gather;
pub mod global_norm;
pub mod inner_problem;
pub mod layer_norm;
pub mod layer_norm_backward;
pub mod layer_norm_parameters;
pub mod masked_softmax;
pub mod matmul;
pub mod matmul_direct;
pub mod matmul_layout;
pub mod matmul_reduce;
pub mod matmul_subgroup;
pub mod matmul_tile;
pub mod matmul_vector;
pub mod mean_squared_error;
pub mod pad;
pub mod pair_shares;
pub mod persistent_gradient;
pub mod perturb;
pub mod pgpe_deviation;
pub mod pgpe_gradient;
pub mod policies;
pub mod problems;
pub mod reduce;
pub mod returns_to_go;
pub mod ring;
pub mod sam_ascent;
pub mod scatter_add;
pub mod sgd;
pub mod sgd_plain;
pub mod sign_ascent;
pub mod softmax;
pub mod softmax_backward;
pub mod step;
pub mod threefry;
pub mod unroll;
pub mod windows;

pub use activation::Activation;
pub use call::{Call, MAX_WORKGROUPS, Scratch, Sequence, Slot, Step, grid};
pub use case::{Case, Generator};
pub use kernel::{Access, Binding, Element, Kernel, KernelRef};
pub use operand::{Data, Operand};
pub use target::Target;
pub use tolerance::{Comparison, Tolerance};

/// Every hand-written kernel of this crate, and a sample of the generated ones: the one list that drives the tests,
/// the `verify` and `bench` commands and the documentation.
pub fn kernels() -> Vec<KernelRef> {
    let listed = [
        adamw::KERNELS,
        advance_step::KERNELS,
        argmax::KERNELS,
        attention::KERNELS,
        attention_backward::KERNELS,
        centred_ranks::KERNELS,
        clip::KERNELS,
        copy::KERNELS,
        cross_entropy::KERNELS,
        dropout::KERNELS,
        evolution_gradient::KERNELS,
        fitness::KERNELS,
        gather::KERNELS,
        global_norm::KERNELS,
        layer_norm::KERNELS,
        layer_norm_backward::KERNELS,
        layer_norm_parameters::KERNELS,
        masked_softmax::KERNELS,
        matmul::KERNELS,
        mean_squared_error::KERNELS,
        pad::KERNELS,
        pair_shares::KERNELS,
        persistent_gradient::KERNELS,
        perturb::KERNELS,
        pgpe_deviation::KERNELS,
        pgpe_gradient::KERNELS,
        reduce::KERNELS,
        returns_to_go::KERNELS,
        ring::KERNELS,
        sam_ascent::KERNELS,
        scatter_add::KERNELS,
        sgd::KERNELS,
        sgd_plain::KERNELS,
        sign_ascent::KERNELS,
        softmax::KERNELS,
        softmax_backward::KERNELS,
        threefry::KERNELS,
        windows::KERNELS,
    ];
    let listed = listed.into_iter().flatten().map(|&kernel| KernelRef::from(kernel));
    listed
        .chain(elementwise::kernels())
        .chain(unroll::kernels())
        .chain(step::kernels())
        .chain(inner_problem::kernels())
        .collect()
}
