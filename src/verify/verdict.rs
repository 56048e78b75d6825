//! The judgement of one case.

use std::fmt;

use super::WrongElements;

/// The judgement of one case.
#[must_use]
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Verdict {
    /// The kernel's name.
    pub kernel: String,
    /// The problem in words.
    pub label: String,
    /// The largest error over all written bindings, in units of the bound: at most 1 where the kernel is right.
    pub worst: f64,
    /// The absolute bound at the element of the largest error; 0 where the bits must be equal.
    pub bound: f64,
    /// The binding with the largest error.
    pub binding: &'static str,
    /// The element with the largest error.
    pub index: usize,
    /// The twin's value there.
    pub expected: f64,
    /// The kernel's value there.
    pub got: f64,
    /// The elements of that binding beyond their bounds.
    pub wrong: WrongElements,
    /// The first word outside a binding that the kernel changed.
    pub stray: Option<Stray>,
    /// The first element that differs between two runs on the same operands.
    pub unstable: Option<Unstable>,
}

/// A store outside a binding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stray {
    /// The binding that the store was meant for.
    pub binding: &'static str,
    /// The element that was written, counted from the tensor's first: negative before it, past its length after it.
    pub index: isize,
}

/// An element with other bits in a second run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unstable {
    /// The binding that holds it.
    pub binding: &'static str,
    /// The element.
    pub index: usize,
    /// Its bits in the first run and in the second.
    pub bits: [u32; 2],
}

impl Verdict {
    /// A verdict on a case of which nothing has been compared yet.
    pub(super) fn new(kernel: &str, label: &str) -> Self {
        Self {
            kernel: kernel.to_owned(),
            label: label.to_owned(),
            worst: 0.0,
            bound: 0.0,
            binding: "",
            index: 0,
            expected: 0.0,
            got: 0.0,
            wrong: WrongElements::default(),
            stray: None,
            unstable: None,
        }
    }

    /// Returns true if every element is within its bound, nothing outside the bindings was written, and a second run gave
    /// the same bits.
    pub fn passed(&self) -> bool {
        self.worst <= 1.0 && self.stray.is_none() && self.unstable.is_none()
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kernel, label, worst, bound, binding, index, expected, got, wrong, stray, unstable } = self;
        let verdict = if self.passed() { "ok" } else { "WRONG" };
        write!(f, "{kernel}: {verdict}: {binding}[{index}] is {got:e}, its twin {expected:e}, ")?;
        write!(f, "{worst:.3} of the bound {bound:.3e}")?;
        if wrong.count > 0 {
            write!(f, "; {wrong}")?;
        }
        if let Some(Stray { binding, index }) = stray {
            write!(f, "; wrote outside its binding, at {binding}[{index}]")?;
        }
        if let Some(Unstable { binding, index, bits: [once, again] }) = unstable {
            write!(f, "; two runs differ, at {binding}[{index}] by bits {once:#010x} and {again:#010x}")?;
        }
        write!(f, "; {label}")
    }
}
