//! The twin, the tolerance and the cases of a kernel, which are left out without the feature `twins`.
//!
//! A kernel holds its twin, its tolerance rule and its generator of cases as pointers. Whoever only runs kernels pays for the
//! code behind them, half of a page's module. Each pointer goes through a function of this file, which points it at a panic
//! instead, so that the linker drops the code.

use crate::{Call, Case, Cases, Data, Generator, Operand, Tolerance};

const IS_JUDGED: bool = cfg!(feature = "twins");

/// The twin, where kernels are judged.
pub(crate) const fn twin(twin: fn(&Call, &mut [Operand<'_>])) -> fn(&Call, &mut [Operand<'_>]) {
    if IS_JUDGED { twin } else { |_, _| left_out() }
}

/// The tolerance rule, where kernels are judged.
pub(crate) const fn tolerance(
    tolerance: fn(&Call, &[Data], usize) -> Tolerance,
) -> fn(&Call, &[Data], usize) -> Tolerance {
    if IS_JUDGED { tolerance } else { |_, _, _| left_out() }
}

/// The cases that a function draws, where kernels are judged.
pub(crate) const fn case(case: fn(&mut Generator) -> Case) -> Cases {
    Cases::Drawn(if IS_JUDGED { case } else { |_| left_out() })
}

fn left_out() -> ! {
    panic!("fourfold-shaders was compiled without the feature `twins`, so no kernel can be judged")
}
