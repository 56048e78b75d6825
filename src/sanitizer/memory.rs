//! The memory that invocations share, and who touched each word of it when.

use fourfold_shaders::{Access, Case, Data};
use naga::{AtomicFunction, Barrier};

use super::code::{Length, Place, Program, Update};
use super::finding::{Fault, Touch};
use super::log::{Log, Visit};

/// Bits of a NaN that nobody computes: the content of uninitialised memory.
const UNWRITTEN: u32 = 0x7FC5_C396;

/// One access to a word.
#[derive(Debug, Clone, Copy)]
struct Record {
    who: u32,
    at: u32,
    /// The epoch of the access: barriers end epochs. None is 0.
    epoch: u32,
    atomic: bool,
}

impl Record {
    const NONE: Record = Record { who: 0, at: 0, epoch: 0, atomic: false };

    fn visit(self) -> Visit {
        Visit { who: self.who, at: self.at }
    }
}

/// The accesses to a word that a later one may race with.
#[derive(Debug, Clone, Copy)]
struct Shadow {
    write: Record,
    /// Reads of the latest epoch by two invocations.
    reads: [Record; 2],
    /// A read by an earlier workgroup.
    foreign: Record,
}

impl Shadow {
    const NONE: Shadow = Shadow { write: Record::NONE, reads: [Record::NONE; 2], foreign: Record::NONE };
}

/// The epochs of one kind of memory. They count up through the whole run.
#[derive(Debug, Clone, Copy)]
struct Clock {
    now: u32,
    /// The first epoch of the current workgroup.
    start: u32,
}

impl Clock {
    fn orders(self, earlier: Record, who: u32, shared_by_all: bool) -> bool {
        let same_epoch = earlier.epoch == self.now;
        let other_workgroup = shared_by_all && earlier.epoch < self.start;
        earlier.epoch == 0 || earlier.who == who || !(same_epoch || other_workgroup)
    }
}

#[derive(Debug)]
struct Region {
    words: Vec<u32>,
    /// One for each word; none where the kernel only reads.
    shadows: Vec<Shadow>,
    /// All words have a value before the run.
    initialised: bool,
    /// Index of its clock: storage or workgroup memory.
    clock: usize,
}

const STORAGE: usize = 0;
const WORKGROUP: usize = 1;

/// Buffers, the uniform block and workgroup memory.
pub(super) struct Memory {
    regions: Vec<Region>,
    /// The region of each global variable.
    places: Vec<usize>,
    clocks: [Clock; 2],
}

impl Memory {
    /// Memory with the operands of a case; an error says what does not fit.
    pub fn new(program: &Program, case: &Case) -> Result<Self, String> {
        let bindings = &case.call.kernel.bindings;
        if bindings.len() != case.operands.len() {
            return Err(format!("{} operands for {} bindings", case.operands.len(), bindings.len()));
        }
        let operand = |(operand, binding): (&Data, &fourfold_shaders::Binding)| {
            let words: Vec<u32> = bytemuck::pod_collect_to_vec(operand.bytes());
            let shadows = if binding.access.writes() { vec![Shadow::NONE; words.len()] } else { Vec::new() };
            Region { words, shadows, initialised: binding.access != Access::Write, clock: STORAGE }
        };
        let mut regions: Vec<_> = case.operands.iter().zip(bindings.iter()).map(operand).collect();
        let mut places = Vec::new();
        for global in &program.globals {
            let needed = global.words as usize;
            let place = match global.place {
                Place::Storage { binding } if (binding as usize) < bindings.len() => binding as usize,
                Place::Storage { .. } => return Err(format!("`{}` has no binding", global.name)),
                Place::Uniform => {
                    let mut words: Vec<u32> = bytemuck::pod_collect_to_vec(&case.call.uniform);
                    // Uniform blocks are padded to 16 bytes.
                    words.resize(words.len().next_multiple_of(4), 0);
                    regions.push(Region { words, shadows: Vec::new(), initialised: true, clock: STORAGE });
                    regions.len() - 1
                }
                Place::Workgroup => {
                    let (words, shadows) = (vec![UNWRITTEN; needed], vec![Shadow::NONE; needed]);
                    regions.push(Region { words, shadows, initialised: false, clock: WORKGROUP });
                    regions.len() - 1
                }
            };
            let held = regions[place].words.len();
            if held < needed {
                return Err(format!("`{}` needs {needed} words, and its binding has {held}", global.name));
            }
            places.push(place);
        }
        Ok(Self { regions, places, clocks: [Clock { now: 0, start: 0 }; 2] })
    }

    /// Begins a workgroup: workgroup memory is uninitialised.
    pub fn begin(&mut self) {
        for clock in &mut self.clocks {
            clock.now += 1;
            clock.start = clock.now;
        }
        for region in self.regions.iter_mut().filter(|region| region.clock == WORKGROUP) {
            region.words.fill(UNWRITTEN);
        }
    }

    /// Ends an epoch of the memory that a barrier orders.
    pub fn pass(&mut self, barrier: Barrier) {
        for (flag, clock) in [(Barrier::STORAGE, STORAGE), (Barrier::WORK_GROUP, WORKGROUP)] {
            self.clocks[clock].now += u32::from(barrier.contains(flag));
        }
    }

    /// Elements of an array.
    pub fn length(&self, length: Length) -> u32 {
        match length {
            Length::Fixed(length) => length,
            Length::Bound { global, offset, stride } => {
                let words = self.regions[self.places[global as usize]].words.len() as u32;
                words.saturating_sub(offset) / stride.max(1)
            }
        }
    }

    pub fn load(&mut self, log: &mut Log<'_>, visit: Visit, global: u32, address: u32, to: &mut [u32], atomic: bool) {
        let place = self.places[global as usize];
        let region = &mut self.regions[place];
        let start = address as usize;
        to.copy_from_slice(&region.words[start..start + to.len()]);
        if !region.shadows.is_empty() {
            let clock = self.clocks[region.clock];
            for word in start..start + to.len() {
                region.read(log, clock, visit, word, atomic);
            }
        }
    }

    pub fn store(&mut self, log: &mut Log<'_>, visit: Visit, global: u32, address: u32, from: &[u32], atomic: bool) {
        let region = &mut self.regions[self.places[global as usize]];
        let start = address as usize;
        region.words[start..start + from.len()].copy_from_slice(from);
        let clock = self.clocks[region.clock];
        for word in start..start + from.len() {
            region.write(log, clock, visit, word, atomic);
        }
    }

    /// Updates a word and returns what it held, with 1 if an exchange took place.
    pub fn atomic(
        &mut self,
        log: &mut Log<'_>,
        visit: Visit,
        (global, address): (u32, u32),
        update: Update,
        [value, compare]: [u32; 2],
    ) -> [u32; 2] {
        let mut old = [0];
        self.load(log, visit, global, address, &mut old, true);
        let [old] = old;
        let exchanged = !update.compares || old == compare;
        let signed = |function: fn(i32, i32) -> i32| function(old as i32, value as i32) as u32;
        let new = match update.function {
            AtomicFunction::Add => old.wrapping_add(value),
            AtomicFunction::Subtract => old.wrapping_sub(value),
            AtomicFunction::And => old & value,
            AtomicFunction::ExclusiveOr => old ^ value,
            AtomicFunction::InclusiveOr => old | value,
            AtomicFunction::Min if update.signed => signed(i32::min),
            AtomicFunction::Max if update.signed => signed(i32::max),
            AtomicFunction::Min => old.min(value),
            AtomicFunction::Max => old.max(value),
            AtomicFunction::Exchange { .. } if exchanged => value,
            AtomicFunction::Exchange { .. } => old,
        };
        self.store(log, visit, global, address, &[new], true);
        [old, u32::from(exchanged)]
    }

    /// The operands after the run, and findings of elements that a kernel should have written.
    pub fn outputs(&self, log: &mut Log<'_>, case: &Case, completed: bool) -> Vec<Data> {
        let mut outputs = Vec::new();
        for (region, (binding, operand)) in
            self.regions.iter().zip(case.call.kernel.bindings.iter().zip(&case.operands))
        {
            let unwritten = region.shadows.iter().position(|shadow| shadow.write.epoch == 0);
            if let (Some(element), true, Access::Write) = (unwritten, completed, binding.access) {
                log.add_operand(Fault::Unwritten { variable: binding.name.to_string(), element });
            }
            outputs.push(Data::from_bytes(operand.element(), bytemuck::cast_slice(&region.words)));
        }
        outputs
    }
}

impl Region {
    fn read(&mut self, log: &mut Log<'_>, clock: Clock, visit: Visit, word: usize, atomic: bool) {
        let shadow = &mut self.shadows[word];
        let earlier = shadow.write;
        let absent = earlier.epoch == 0 || (self.clock == WORKGROUP && earlier.epoch < clock.start);
        if absent && !self.initialised {
            log.add(visit, None, |log| Fault::Uninitialised { variable: log.variable(visit.at), word: word as u32 });
        }
        let global = self.clock == STORAGE;
        if !(clock.orders(earlier, visit.who, global) || (atomic && earlier.atomic)) {
            race(log, visit, Touch::Read, (earlier, Touch::Write), word);
        }
        let record = Record { who: visit.who, at: visit.at, epoch: clock.now, atomic };
        let [first, second] = &mut shadow.reads;
        if first.epoch == clock.now {
            if first.who != record.who {
                *second = record;
            } else if first.atomic {
                *first = record;
            }
        } else {
            if first.epoch < clock.start && first.epoch > 0 {
                shadow.foreign = *first;
            }
            shadow.reads = [record, Record::NONE];
        }
    }

    fn write(&mut self, log: &mut Log<'_>, clock: Clock, visit: Visit, word: usize, atomic: bool) {
        let Some(shadow) = self.shadows.get_mut(word) else { return };
        let global = self.clock == STORAGE;
        let Shadow { write, reads: [first, second], foreign } = *shadow;
        let earlier = [(write, Touch::Write), (first, Touch::Read), (second, Touch::Read), (foreign, Touch::Read)];
        for (earlier, touch) in earlier {
            if !(clock.orders(earlier, visit.who, global) || (atomic && earlier.atomic)) {
                race(log, visit, Touch::Write, (earlier, touch), word);
            }
        }
        shadow.write = Record { who: visit.who, at: visit.at, epoch: clock.now, atomic };
    }
}

#[cold]
fn race(log: &mut Log<'_>, visit: Visit, touch: Touch, (earlier, other): (Record, Touch), word: usize) {
    log.add(visit, Some(earlier.visit()), |log| Fault::Race {
        variable: log.variable(visit.at),
        word: word as u32,
        touch,
        other,
        at: log.site(earlier.visit()),
    });
}
