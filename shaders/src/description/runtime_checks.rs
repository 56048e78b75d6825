//! The switch that says if the WGSL of an environment, policy or inner problem runs with the shader's runtime checks.

use std::any::{Any, TypeId};

/// Says whether the WGSL of a type runs with runtime checks (clamped indices, bounded loops, zeroed workgroup memory), as
/// all WGSL does that is not this crate's own. See [`Call`](crate::Call).
///
/// It names the type for which it was made and counts for no other: a type that wraps another one and returns that
/// one's answer runs with checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RuntimeChecks {
    off: Option<TypeId>,
}

impl RuntimeChecks {
    /// The WGSL runs with checks.
    pub const ON: Self = Self { off: None };

    /// The WGSL of `T` runs without checks, at the speed of this crate's own.
    ///
    /// # Safety
    /// For every value of `T` the WGSL must index within its arrays and the sizes that `T` states, read no variable that
    /// it has not written, and leave every loop, whatever state, weights, actions and random numbers it is given, NaN
    /// included. Otherwise the behaviour is undefined: on a software driver it reads and writes the memory of this
    /// process.
    #[expect(unsafe_code, reason = "the caller promises that the WGSL needs no checks")]
    pub unsafe fn off<T: ?Sized + 'static>() -> Self {
        Self::own::<T>()
    }

    /// The WGSL of `T` is this crate's own, which the tests run checked.
    pub(crate) fn own<T: ?Sized + 'static>() -> Self {
        Self { off: Some(TypeId::of::<T>()) }
    }

    /// True if this was made for the type of `value` and turns its checks off.
    pub(crate) fn are_off(self, value: &dyn Any) -> bool {
        self.off == Some(value.type_id())
    }
}

/// The methods of an environment or a policy that say which file its WGSL is: one of this crate's, beside the caller's.
macro_rules! own_wgsl {
    ($file:literal) => {
        fn file(&self) -> &str {
            $file
        }

        fn source(&self) -> &str {
            wgsl!($file)
        }

        fn runtime_checks(&self) -> $crate::RuntimeChecks {
            $crate::RuntimeChecks::own::<Self>()
        }
    };
}

/// The same of an inner problem, with the file of its derivative where there is one.
macro_rules! own_problem {
    ($file:literal $(, $tangent:literal)?) => {
        fn file(&self) -> &str {
            $file
        }

        fn source(&self) -> std::borrow::Cow<'static, str> {
            wgsl!($file).into()
        }

        $(fn tangent_source(&self) -> Option<std::borrow::Cow<'static, str>> {
            Some(wgsl!($tangent).into())
        })?

        fn runtime_checks(&self) -> $crate::RuntimeChecks {
            $crate::RuntimeChecks::own::<Self>()
        }
    };
}

pub(crate) use {own_problem, own_wgsl};
