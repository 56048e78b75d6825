//! One invocation, which runs until it must wait for others.

use super::code::{Op, Program, Slot};
use super::finding::Fault;
use super::log::{Log, Visit};
use super::memory::Memory;
use super::passes::{Passes, mix};

/// The reason for which an invocation stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// It can go on.
    Ready,
    /// It waits at a barrier, behind which its next instruction lies.
    Barrier,
    /// It waits at a subgroup operation.
    Subgroup,
    Ended,
    /// A fault from which it cannot go on.
    Failed,
}

#[derive(Debug, Clone, Copy)]
struct Frame {
    back: Slot,
    loops: usize,
    context: u64,
}

#[derive(Debug, Clone, Copy)]
struct Loop {
    /// The context outside of the loop.
    outside: u64,
    /// The context of the loop itself, for all invocations that enter it together.
    entered: u64,
    passes: u64,
}

/// An invocation.
#[derive(Debug)]
pub(super) struct Invocation {
    pub memory: Vec<u32>,
    pub next: Slot,
    pub who: u32,
    pub state: State,
    /// A number for the calls and passes of loops in which the invocation is: equal where control flow is uniform.
    pub context: u64,
    /// Passes through all loops.
    pub passes: u64,
    /// Instructions executed.
    pub executed: u64,
    frames: Vec<Frame>,
    loops: Vec<Loop>,
}

impl Invocation {
    pub fn new(program: &Program) -> Self {
        let memory = program.memory.clone();
        let (frames, loops) = (Vec::new(), Vec::new());
        let (state, next) = (State::Ended, program.entry);
        Self { memory, next, who: 0, state, context: 0, passes: 0, executed: 0, frames, loops }
    }

    /// Begins again as the invocation of this number.
    pub fn begin(&mut self, program: &Program, who: u32) {
        self.memory.copy_from_slice(&program.memory);
        (self.next, self.who, self.state) = (program.entry, who, State::Ready);
        (self.context, self.passes, self.executed) = (0, 0, 0);
        self.frames.clear();
        self.loops.clear();
    }

    fn at(&self, at: Slot, plus: u32) -> u32 {
        self.memory[at as usize] + plus
    }

    fn copy(&mut self, to: Slot, from: u32, count: u32) {
        if count == 1 {
            self.memory[to as usize] = self.memory[from as usize];
        } else {
            self.memory.copy_within(from as usize..(from + count) as usize, to as usize);
        }
    }

    /// Runs at most `turn` instructions.
    pub fn run(&mut self, program: &Program, shared: &mut Memory, log: &mut Log<'_>, passes: &mut Passes, turn: u64) {
        for step in 0..turn {
            let at = self.next;
            let visit = Visit { who: self.who, at };
            self.next += 1;
            match program.code[at as usize] {
                Op::Copy { to, from, count } => self.copy(to, from, count),
                Op::Unary { function, to, from, count } => {
                    for i in 0..count as usize {
                        self.memory[to as usize + i] = function(self.memory[from as usize + i]);
                    }
                }
                Op::Binary { function, to, from: [a, b], steps, count } => {
                    let [step_a, step_b] = steps.map(usize::from);
                    for i in 0..usize::from(count) {
                        let value =
                            function(self.memory[a as usize + i * step_a], self.memory[b as usize + i * step_b]);
                        self.memory[to as usize + i] = value;
                    }
                }
                Op::Ternary { function, to, from, steps, count } => {
                    for i in 0..usize::from(count) {
                        let word =
                            |argument: usize| self.memory[from[argument] as usize + i * usize::from(steps[argument])];
                        let value = function(word(0), word(1), word(2));
                        self.memory[to as usize + i] = value;
                    }
                }
                Op::Block { function, to, from, shape } => {
                    function(&mut self.memory, to as usize, from.map(|slot| slot as usize), shape);
                }
                Op::Index { to, base, plus, index, signed, stride, length } => {
                    let index = self.memory[index as usize];
                    let length = shared.length(length);
                    if index >= length {
                        let index = if signed { i64::from(index as i32) } else { i64::from(index) };
                        let variable = log.variable(at);
                        log.add(visit, None, |_| Fault::OutOfBounds { variable, index, length });
                        self.state = State::Failed;
                        return;
                    }
                    self.memory[to as usize] = self.at(base, plus) + index * stride;
                }
                Op::ArrayLength { to, length } => self.memory[to as usize] = shared.length(length),
                Op::LoadOwn { to, at, plus, count } => self.copy(to, self.at(at, plus), count),
                Op::StoreOwn { from, at, plus, count } => self.copy(self.at(at, plus), from, count),
                Op::Load { to, global, at, plus, count, atomic } => {
                    let address = self.at(at, plus);
                    let to = &mut self.memory[to as usize..(to + count) as usize];
                    shared.load(log, visit, global, address, to, atomic);
                }
                Op::Store { from, global, at, plus, count, atomic } => {
                    let address = self.at(at, plus);
                    let from = &self.memory[from as usize..(from + count) as usize];
                    shared.store(log, visit, global, address, from, atomic);
                }
                Op::Atomic { to, global, at, plus, update, value, compare } => {
                    let values = [value, compare].map(|slot| self.memory[slot as usize]);
                    let old = shared.atomic(log, visit, (global, self.at(at, plus)), update, values);
                    self.memory[to as usize..][..2].copy_from_slice(&old);
                }
                Op::Jump { to } => self.next = to,
                Op::JumpUnless { condition, to } => {
                    if self.memory[condition as usize] == 0 {
                        self.next = to;
                    }
                }
                Op::Switch { selector, table } => {
                    let selector = self.memory[selector as usize];
                    let (cases, default) = &program.switches[table as usize];
                    self.next = cases.iter().find(|(value, _)| *value == selector).map_or(*default, |(_, to)| *to);
                }
                Op::LoopEnter => {
                    let entered = mix(self.context, at.into());
                    self.loops.push(Loop { outside: self.context, entered, passes: 0 });
                }
                Op::LoopPass => {
                    let Some(current) = self.loops.last_mut() else { unreachable!("a loop is entered before a pass") };
                    current.passes += 1;
                    self.passes += 1;
                    self.context = mix(current.entered, current.passes);
                }
                Op::LoopExit => self.leave(self.loops.len() - 1, passes),
                Op::Call { to } => {
                    self.frames.push(Frame { back: self.next, loops: self.loops.len(), context: self.context });
                    self.context = mix(self.context, at.into());
                    self.next = to;
                }
                Op::Return => match self.frames.pop() {
                    Some(frame) => {
                        self.leave(frame.loops, passes);
                        (self.context, self.next) = (frame.context, frame.back);
                    }
                    None => {
                        self.leave(0, passes);
                        self.state = State::Ended;
                    }
                },
                Op::Barrier { .. } => self.state = State::Barrier,
                Op::Subgroup { .. } => self.state = State::Subgroup,
            }
            if self.state != State::Ready {
                self.executed += step + 1;
                return;
            }
        }
        self.executed += turn;
    }

    /// Leaves loops until so many are left.
    fn leave(&mut self, left: usize, passes: &mut Passes) {
        while self.loops.len() > left {
            let Some(inner) = self.loops.pop() else { return };
            passes.add(inner.entered, inner.passes);
            self.context = inner.outside;
        }
    }
}
