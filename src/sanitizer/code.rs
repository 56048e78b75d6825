//! The flat code that a kernel is compiled to.
//!
//! WGSL has no recursion, so every function has one place for its arguments, variables and values: a **slot** is a word
//! at a fixed place in the memory of an invocation. Constants and private variables lie there too.

use naga::{AtomicFunction, Barrier, BuiltIn, CollectiveOperation, SubgroupOperation};

/// A word of an invocation's memory, by its place.
pub(super) type Slot = u32;

/// The index of an instruction in [`Program::code`].
pub(super) type Label = u32;

/// An operation on several words of an invocation's memory that does not loop over components.
pub(super) type Block = fn(memory: &mut [u32], to: usize, arguments: [usize; 3], shape: [u8; 2]);

/// The number of elements of an array.
#[derive(Debug, Clone, Copy)]
pub(super) enum Length {
    Fixed(u32),
    /// As many of `stride` words as the binding of the variable holds behind `offset` words.
    Bound {
        global: u32,
        offset: u32,
        stride: u32,
    },
}

/// An instruction. `count` is in words; an address is the word in the slot `at`, and `plus`.
#[derive(Debug, Clone, Copy)]
pub(super) enum Op {
    Copy { to: Slot, from: Slot, count: u32 },
    Unary { function: fn(u32) -> u32, to: Slot, from: Slot, count: u32 },
    Binary { function: fn(u32, u32) -> u32, to: Slot, from: [Slot; 2], steps: [u8; 2], count: u8 },
    Ternary { function: fn(u32, u32, u32) -> u32, to: Slot, from: [Slot; 3], steps: [u8; 3], count: u8 },
    Block { function: Block, to: Slot, from: [Slot; 3], shape: [u8; 2] },
    Index { to: Slot, base: Slot, plus: u32, index: Slot, signed: bool, stride: u32, length: Length },
    ArrayLength { to: Slot, length: Length },
    LoadOwn { to: Slot, at: Slot, plus: u32, count: u32 },
    StoreOwn { from: Slot, at: Slot, plus: u32, count: u32 },
    Load { to: Slot, global: u32, at: Slot, plus: u32, count: u32, atomic: bool },
    Store { from: Slot, global: u32, at: Slot, plus: u32, count: u32, atomic: bool },
    Atomic { to: Slot, global: u32, at: Slot, plus: u32, update: Update, value: Slot, compare: Slot },
    Jump { to: Label },
    JumpUnless { condition: Slot, to: Label },
    Switch { selector: Slot, table: u32 },
    LoopEnter,
    LoopPass,
    LoopExit,
    Call { to: Label },
    Return,
    Barrier { flags: Barrier },
    Subgroup { to: Slot, from: Slot, lane: Slot, count: u8, kind: Exchange },
}

/// The function of an atomic operation.
#[derive(Debug, Clone, Copy)]
pub(super) struct Update {
    pub function: AtomicFunction,
    /// The exchange has a value to compare with.
    pub compares: bool,
    pub signed: bool,
}

/// The scalar type of a subgroup operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Number {
    F32,
    I32,
    U32,
}

/// A function of the lanes of a subgroup together.
#[derive(Debug, Clone, Copy)]
pub(super) enum Exchange {
    Ballot,
    First,
    /// Take the value of the lane in the instruction's slot `lane`.
    Lane,
    Down,
    Up,
    Xor,
    /// Lane `n` of each four.
    Quad,
    /// Exchange within four, by a mask of the lane's number.
    QuadSwap(u32),
    Collect(SubgroupOperation, CollectiveOperation, Number),
}

/// The source of an instruction.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Origin {
    /// Bytes of the source.
    pub start: u32,
    pub end: u32,
    /// The variable that the instruction touches, in [`Program::variables`].
    pub variable: u32,
}

/// The memory that a global variable lies in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Uniform,
    Storage { binding: u32 },
    Workgroup,
}

/// A global variable that invocations share.
#[derive(Debug, Clone)]
pub(super) struct Global {
    pub name: String,
    pub place: Place,
    /// Words of its type; 0 for an array whose length its binding gives.
    pub words: u32,
}

/// A compiled entry point.
#[derive(Debug)]
pub(super) struct Program {
    pub code: Vec<Op>,
    /// One for each instruction.
    pub origins: Vec<Origin>,
    pub variables: Vec<String>,
    pub globals: Vec<Global>,
    /// The values of each switch with their labels, then the default.
    pub switches: Vec<(Vec<(u32, Label)>, Label)>,
    /// The memory of an invocation as it starts: constants and private variables.
    pub memory: Vec<u32>,
    pub entry: Label,
    pub builtins: Vec<(BuiltIn, Slot)>,
    pub workgroup_size: [u32; 3],
}
