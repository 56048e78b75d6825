//! The faults that a run finds, and the errors that keep it from running.

use std::fmt;

/// A place in a kernel's source and the invocation that was there.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Site {
    /// Line of the WGSL source, from 1.
    pub line: u32,
    /// The source text of the expression or statement, cut after its first line.
    pub text: String,
    /// The workgroup's place in the grid.
    pub workgroup: [u32; 3],
    /// `local_invocation_index` of the invocation.
    pub invocation: u32,
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, text, workgroup: [x, y, z], invocation } = self;
        write!(f, "line {line} `{text}` (workgroup {x}, {y}, {z}, invocation {invocation})")
    }
}

/// One access of a race.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Touch {
    /// A read.
    Read,
    /// A write, also of the value that was there.
    Write,
}

impl fmt::Display for Touch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Touch::Read => "read",
            Touch::Write => "write",
        })
    }
}

/// A kind of fault.
#[derive(Debug, Clone, PartialEq)]
pub enum Fault {
    /// An index at or past the length of an array, or before its first element.
    OutOfBounds {
        /// The variable that holds the array.
        variable: String,
        /// The index.
        index: i64,
        /// Elements of the array.
        length: u32,
    },
    /// A read of uninitialised memory.
    Uninitialised {
        /// The variable.
        variable: String,
        /// The word of the variable, from 0.
        word: u32,
    },
    /// Two invocations touch one word, at least one writes, and no barrier orders them.
    Race {
        /// The variable.
        variable: String,
        /// The word of the variable, from 0.
        word: u32,
        /// The later access, at the finding's own site.
        touch: Touch,
        /// The earlier access.
        other: Touch,
        /// The place of the earlier access.
        at: Site,
    },
    /// A barrier or subgroup operation that other invocations do not reach.
    Divergence {
        /// The place of an invocation that is elsewhere; none if that invocation has ended.
        elsewhere: Option<Site>,
        /// The other invocation.
        invocation: u32,
    },
    /// A lane that a subgroup operation reads but that does not take part in it.
    Lane {
        /// The lane.
        lane: u32,
    },
    /// More instructions than [`Options::instructions`](super::Options::instructions).
    Endless,
    /// An element of a written operand that no invocation wrote.
    Unwritten {
        /// The binding.
        variable: String,
        /// The element.
        element: usize,
    },
    /// An element further from the CPU twin than the kernel's tolerance.
    Wrong {
        /// The binding.
        variable: String,
        /// The element.
        element: usize,
        /// Its value by the CPU twin.
        expected: f64,
        /// Its value by the interpreter.
        got: f64,
    },
}

/// One fault, with its kernel and place.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Finding {
    /// The kernel's name.
    pub kernel: String,
    /// The fault.
    pub fault: Fault,
    /// The place; none for [`Fault::Unwritten`] and [`Fault::Wrong`].
    pub site: Option<Site>,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.kernel)?;
        if let Some(site) = &self.site {
            write!(f, "{site}: ")?;
        }
        match &self.fault {
            Fault::OutOfBounds { variable, index, length } => {
                write!(f, "index {index} is out of bounds of `{variable}`, which has {length} elements")
            }
            Fault::Uninitialised { variable, word } => {
                write!(f, "reads word {word} of `{variable}`, which was never written")
            }
            Fault::Race { variable, word, touch, other, at } => {
                write!(f, "this {touch} of word {word} of `{variable}` races with the {other} at {at}")
            }
            Fault::Divergence { elsewhere: Some(site), .. } => {
                write!(f, "not all invocations reach this together: another waits at {site}")
            }
            Fault::Divergence { elsewhere: None, invocation } => {
                write!(f, "not all invocations reach this: invocation {invocation} has ended")
            }
            Fault::Lane { lane } => write!(f, "reads lane {lane}, which does not take part"),
            Fault::Endless => write!(f, "the invocation does not end"),
            Fault::Unwritten { variable, element } => write!(f, "element {element} of `{variable}` was never written"),
            Fault::Wrong { variable, element, expected, got } => {
                write!(f, "element {element} of `{variable}` is {got:e}, its twin {expected:e}")
            }
        }
    }
}

/// A call that cannot be interpreted.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The source does not compile, or a constant or an operand does not fit it.
    Invalid {
        /// The kernel's name.
        kernel: String,
        /// The reason.
        reason: String,
    },
    /// The source uses a part of WGSL that the interpreter lacks.
    Unsupported {
        /// The kernel's name.
        kernel: String,
        /// Line of the WGSL source, from 1.
        line: u32,
        /// The part.
        part: String,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Invalid { kernel, reason } => write!(f, "{kernel}: {reason}"),
            Error::Unsupported { kernel, line, part } => {
                write!(f, "{kernel}: line {line}: the sanitizer does not support {part}")
            }
        }
    }
}

impl std::error::Error for Error {}
