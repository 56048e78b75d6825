//! Errors of running a plan.

use std::fmt;

use crate::gpu;

/// An error of a session.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum SessionError {
    /// The plan has no tensor of this name.
    UnknownName {
        /// The name that was asked for.
        name: String,
        /// The names that there are.
        known: Vec<String>,
    },
    /// The values differ from the tensor in element type or length.
    WrongValues {
        /// The tensor by name.
        name: String,
        /// Its type and length.
        expected: String,
        /// Type and length of the values.
        got: String,
    },
    /// The tensor lies within the buffer of others, so it cannot lie in one that is given.
    SharedBuffer {
        /// The tensor by name.
        name: String,
    },
    /// The tensor is a constant that no step writes, so it cannot lie in a buffer that is given.
    ConstantTensor {
        /// The tensor by name.
        name: String,
    },
    /// The buffer that was given for the tensor is too short (in bytes).
    ShortBuffer {
        /// The tensor by name.
        name: String,
        /// Bytes of the tensor.
        bytes: u64,
        /// Bytes of the buffer.
        got: u64,
    },
    /// The buffer that was given for the tensor cannot be bound.
    GivenBuffer {
        /// The tensor by name.
        name: String,
        /// The reason.
        problem: gpu::BindingProblem,
    },
    /// Buffers that were given for two tensors overlap, or two were given for one tensor of two names.
    SameBytes {
        /// The first tensor by name.
        first: String,
        /// The second tensor by name.
        second: String,
    },
    /// Two tensors lie in one given buffer, and a dispatch reads one and writes the other.
    OneBuffer {
        /// The first tensor by name.
        first: String,
        /// The second tensor by name.
        second: String,
    },
    /// Values were given for a tensor that lies in a given buffer.
    GivenValue {
        /// The tensor by name.
        name: String,
    },
    /// The buffer that was given for the tensor lacks a usage that the request takes.
    Usage {
        /// The tensor by name.
        name: String,
        /// The usage that the request takes.
        expected: wgpu::BufferUsages,
        /// The usages of the buffer.
        got: wgpu::BufferUsages,
    },
    /// The GPU floor failed.
    Gpu(gpu::Error),
}

impl fmt::Display for SessionError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SessionError::UnknownName { name, known } => {
                write!(formatter, "the plan has no tensor `{name}`; it has {}", known.join(", "))
            }
            SessionError::WrongValues { name, expected, got } => {
                write!(formatter, "tensor `{name}` takes {expected}, got {got}")
            }
            SessionError::SharedBuffer { name } => {
                write!(
                    formatter,
                    "tensor `{name}` shares its buffer with others, so no other buffer can take its place"
                )
            }
            SessionError::ConstantTensor { name } => {
                write!(formatter, "tensor `{name}` is a constant, which no step writes to a given buffer")
            }
            SessionError::ShortBuffer { name, bytes, got } => {
                write!(formatter, "tensor `{name}` takes a buffer of {bytes} bytes, got one of {got}")
            }
            SessionError::GivenBuffer { name, problem } => {
                write!(formatter, "the buffer that is given for tensor `{name}`: {problem}")
            }
            SessionError::SameBytes { first, second } => {
                write!(formatter, "tensors `{first}` and `{second}` are given overlapping buffers: make them disjoint")
            }
            SessionError::OneBuffer { first, second } => write!(
                formatter,
                "tensors `{first}` and `{second}` lie in one given buffer, and a dispatch reads one and writes the other, \
                 which WebGPU refuses even for disjoint ranges: use two buffers"
            ),
            SessionError::GivenValue { name } => write!(
                formatter,
                "tensor `{name}` lies in a given buffer and has values too: write them into the buffer, or give none"
            ),
            SessionError::Usage { name, expected, got } => {
                write!(
                    formatter,
                    "tensor `{name}` takes a buffer with the usage {expected:?}, got one with {got:?}: add it where the \
                     buffer is created"
                )
            }
            SessionError::Gpu(error) => error.fmt(formatter),
        }
    }
}

impl std::error::Error for SessionError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            SessionError::Gpu(error) => Some(error),
            _ => None,
        }
    }
}

impl From<gpu::Error> for SessionError {
    fn from(error: gpu::Error) -> Self {
        SessionError::Gpu(error)
    }
}
