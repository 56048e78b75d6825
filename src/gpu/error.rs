//! Errors of the GPU floor, as values.

use std::fmt;

/// An error of the GPU floor. Its text is one sentence: what was expected, what came, and what to do about it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Error {
    /// No adapter answers, or none of the name that was asked for.
    NoAdapter {
        /// The adapters found and the name asked for, in words.
        message: String,
    },
    /// The adapter refused to open a device.
    NoDevice {
        /// The adapter by name.
        adapter: String,
        /// The driver's own words.
        message: String,
    },
    /// The device was lost: nothing on it can be used again.
    DeviceLost {
        /// The reason, as wgpu names it.
        reason: String,
        /// The driver's own words.
        message: String,
    },
    /// A buffer of `bytes` bytes could not be had.
    OutOfMemory {
        /// The buffer by name.
        label: String,
        /// Bytes asked for.
        bytes: u64,
    },
    /// A buffer is longer than the device allows at all.
    BufferTooLarge {
        /// The buffer by name.
        label: String,
        /// Bytes asked for.
        bytes: u64,
        /// Bytes of the largest buffer.
        limit: u64,
    },
    /// The kernel needs subgroups of sizes that the device does not have.
    MissingSubgroups {
        /// The kernel by name.
        kernel: String,
        /// The sizes needed and there, in words.
        reason: String,
    },
    /// The kernel needs more than a limit of the device allows.
    LimitExceeded {
        /// The kernel by name.
        kernel: String,
        /// The limit, as wgpu names it.
        limit: &'static str,
        /// The value that the kernel needs.
        needed: u64,
        /// The value that the device allows.
        allowed: u64,
    },
    /// The number of buffer views differs from the kernel's bindings.
    WrongArity {
        /// The kernel by name.
        kernel: String,
        /// Names of the bindings, in order.
        bindings: Vec<&'static str>,
        /// Views given.
        got: usize,
    },
    /// A problem that no kernel computes.
    Problem(fourfold_shaders::Error),
    /// A view that the kernel cannot take.
    Binding {
        /// The kernel by name.
        kernel: String,
        /// The binding by name.
        binding: String,
        /// Its shape in words.
        shape: String,
        /// The reason.
        problem: BindingProblem,
    },
    /// Two views that one dispatch cannot hold together.
    Aliasing {
        /// The kernel by name.
        kernel: String,
        /// The first binding by name.
        first: &'static str,
        /// The second binding by name.
        second: &'static str,
        /// The reason.
        problem: AliasingProblem,
    },
    /// The driver refused a pipeline, or the shader is invalid.
    Pipeline {
        /// The kernel by name.
        kernel: String,
        /// The driver's own words.
        message: String,
    },
    /// The WGSL of a user's kernel is invalid, or differs from its description.
    Wgsl {
        /// The WGSL file.
        file: String,
        /// The line in it, from 1, where known.
        line: Option<u32>,
        /// The function by name.
        function: String,
        /// The mistake, in one sentence.
        message: String,
    },
    /// A loop of a call is longer than the driver runs: it would leave it early, without an error.
    LoopPasses {
        /// The kernel by name.
        kernel: String,
        /// Passes through all loops that an invocation may make.
        passes: u64,
        /// Passes that the driver runs.
        limit: u64,
    },
    /// A tuning is damaged, or was measured on something else.
    Tuning {
        /// The expectation and what came, in one sentence.
        message: String,
    },
    /// The uniform block of a call has another size than the kernel's (in bytes).
    Uniform {
        /// The kernel by name.
        kernel: String,
        /// Bytes that the kernel takes.
        expected: usize,
        /// Bytes of the call.
        got: usize,
    },
    /// A step of a sequence names an operand that is not there.
    MissingOperand {
        /// The kernel by name.
        kernel: String,
        /// The operand that the step names.
        asked: String,
        /// Operands that there are.
        have: usize,
    },
    /// A range that was to be read back does not lie in its buffer, or is not of whole elements.
    Readback {
        /// The range and its buffer, in one sentence.
        message: String,
    },
    /// A buffer lacks a usage that an operation takes.
    Usage {
        /// The operation and what it concerns, in words.
        operation: String,
        /// The usage that it takes.
        expected: wgpu::BufferUsages,
        /// The usages of the buffer.
        got: wgpu::BufferUsages,
    },
    /// The ticket was waited for before its encoder was submitted.
    NotSubmitted,
    /// The driver refused an operation that had passed our own checks.
    Validation {
        /// The operation in words.
        operation: String,
        /// The driver's own words.
        message: String,
    },
}

/// The reason for which a view does not fit its binding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum BindingProblem {
    /// The buffer was created without `wgpu::BufferUsages::STORAGE`.
    Usage {
        /// The usages that the buffer has.
        usage: wgpu::BufferUsages,
    },
    /// The offset, in bytes, is not a multiple of the device's `min_storage_buffer_offset_alignment`.
    Alignment {
        /// The offset of the view.
        offset: u64,
        /// The alignment that the device asks for.
        alignment: u64,
    },
    /// The view is shorter than the call needs (in bytes).
    TooShort {
        /// Bytes that the call needs.
        needed: u64,
        /// Bytes of the view.
        size: u64,
    },
    /// The view reaches past the end of its buffer (in bytes).
    OutOfBuffer {
        /// The byte behind the view.
        end: u64,
        /// Bytes of the buffer.
        buffer: u64,
    },
    /// The call needs more bytes than the device binds at once.
    TooLarge {
        /// Bytes that the call needs.
        needed: u64,
        /// Bytes that the device binds at once.
        limit: u64,
    },
}

/// The reason for which two views of one dispatch exclude each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum AliasingProblem {
    /// One buffer is bound read-only and writable: WebGPU tracks whole buffers, so even disjoint ranges are refused.
    ReadAndWrite,
    /// Two writable ranges overlap.
    OverlappingWrites,
}

impl fmt::Display for BindingProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BindingProblem::Usage { usage } => {
                write!(f, "the buffer must have the usage STORAGE but has {usage:?}: add STORAGE where it is created")
            }
            BindingProblem::Alignment { offset, alignment } => write!(
                f,
                "the view's offset must be a multiple of {alignment} bytes but is {offset}: move the tensor, or give it a \
                 buffer of its own"
            ),
            BindingProblem::TooShort { needed, size } => {
                write!(f, "the call needs {needed} bytes but the view has {size}: pass a longer view")
            }
            BindingProblem::OutOfBuffer { end, buffer } => {
                write!(
                    f,
                    "the view ends at byte {end} but its buffer has {buffer}: shorten the view or grow the buffer"
                )
            }
            BindingProblem::TooLarge { needed, limit } => write!(
                f,
                "the call needs {needed} bytes but the device binds at most {limit}: split the tensor, or open the device \
                 with a larger `max_storage_buffer_binding_size` (see `Gpu::requirements`)"
            ),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::NoAdapter { message } => f.write_str(message),
            Error::NoDevice { adapter, message } => {
                write!(f, "the adapter \"{adapter}\" cannot open a device: {message}")
            }
            Error::DeviceLost { reason, message } => write!(
                f,
                "the GPU device was lost ({reason}): {message}; open a new one, and split long dispatches if a watchdog \
                 ended it"
            ),
            Error::OutOfMemory { label, bytes } => write!(
                f,
                "out of GPU memory: `{label}` of {bytes} bytes could not be allocated; free buffers or use a smaller batch"
            ),
            Error::BufferTooLarge { label, bytes, limit } => write!(
                f,
                "`{label}` of {bytes} bytes is longer than the device's largest buffer of {limit} bytes: split it, or open \
                 the device with a larger `max_buffer_size` (see `Gpu::requirements`)"
            ),
            Error::MissingSubgroups { kernel, reason } => {
                write!(f, "kernel `{kernel}` {reason}: use the variant that `Gpu::target` leads to")
            }
            Error::LimitExceeded { kernel, limit, needed, allowed } => write!(
                f,
                "kernel `{kernel}` needs {needed} of `{limit}` but the device allows {allowed}: split the problem, or open \
                 the device with a larger limit (see `Gpu::requirements`)"
            ),
            Error::WrongArity { kernel, bindings, got } => write!(
                f,
                "kernel `{kernel}` takes {} buffer views ({}) but got {got}",
                bindings.len(),
                bindings.join(", ")
            ),
            Error::Problem(error) => error.fmt(f),
            Error::Binding { kernel, binding, shape, problem } => {
                write!(f, "kernel `{kernel}`, binding `{binding}` of shape {shape}: {problem}")
            }
            Error::Aliasing { kernel, first, second, problem } => {
                write!(f, "kernel `{kernel}`, bindings `{first}` and `{second}`: ")?;
                match problem {
                    AliasingProblem::ReadAndWrite => write!(
                        f,
                        "one buffer is bound read-only and writable in one dispatch, which WebGPU refuses even for \
                         disjoint ranges: use two buffers"
                    ),
                    AliasingProblem::OverlappingWrites => {
                        write!(f, "two writable views of one buffer overlap: make them disjoint")
                    }
                }
            }
            Error::Pipeline { kernel, message } => {
                write!(f, "kernel `{kernel}` does not compile on this device: {message}")
            }
            Error::Wgsl { file, line, function, message } => {
                let line = line.map_or(String::new(), |line| format!(":{line}"));
                write!(f, "{file}{line}, function `{function}`: {message}")
            }
            Error::LoopPasses { kernel, passes, limit } => {
                write!(
                    f,
                    "kernel `{kernel}`: an invocation passes {passes} times through loops, but software drivers silently \
                     stop after {limit}: cut the work into more calls, or run it on a GPU"
                )
            }
            Error::Uniform { kernel, expected, got } => {
                write!(f, "kernel `{kernel}` takes a uniform block of {expected} bytes but the call has {got}")
            }
            Error::MissingOperand { kernel, asked, have } => {
                write!(f, "a step `{kernel}` of the sequence takes {asked} but there are {have}: pass every operand")
            }
            Error::Readback { message } | Error::Tuning { message } => f.write_str(message),
            Error::Usage { operation, expected, got } => write!(
                f,
                "{operation} takes a buffer with the usage {expected:?} but it has {got:?}: add {expected:?} where the \
                 buffer is created"
            ),
            Error::NotSubmitted => f.write_str(
                "a readback was waited for before it was submitted: submit the encoder that recorded it, then wait",
            ),
            Error::Validation { operation, message } => write!(f, "the driver refused {operation}: {message}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        if let Error::Problem(error) = self { Some(error) } else { None }
    }
}

impl From<fourfold_shaders::Error> for Error {
    fn from(error: fourfold_shaders::Error) -> Self {
        Error::Problem(error)
    }
}
