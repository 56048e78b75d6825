//! The list of findings, with places in words.

use std::collections::HashSet;
use std::mem::{Discriminant, discriminant};

use fourfold_shaders::Call;

use super::code::{Program, Slot};
use super::finding::{Fault, Finding, Site};

/// An invocation at an instruction.
#[derive(Debug, Clone, Copy)]
pub(super) struct Visit {
    /// Number of the workgroup in the order of the run, times the invocations of one, and the local index.
    pub who: u32,
    /// The instruction.
    pub at: Slot,
}

/// Findings of a run; those of the same kind at the same lines count once.
pub(super) struct Log<'p> {
    program: &'p Program,
    kernel: &'p str,
    source: &'p str,
    grid: [u32; 3],
    reversed: bool,
    seen: HashSet<(Discriminant<Fault>, u32, u32)>,
    pub findings: Vec<Finding>,
}

impl<'p> Log<'p> {
    pub fn new(program: &'p Program, call: &'p Call, reversed: bool) -> Self {
        let (kernel, source) = (&*call.kernel.name, &*call.kernel.source);
        Self { program, kernel, source, grid: call.grid, reversed, seen: HashSet::new(), findings: Vec::new() }
    }

    /// The place in the grid of the workgroup of this number in the order of the run.
    pub fn workgroup(&self, number: u32) -> [u32; 3] {
        let [x, y, z] = self.grid;
        let flat = if self.reversed { x * y * z - 1 - number } else { number };
        [flat % x, flat / x % y, flat / (x * y)]
    }

    pub fn site(&self, visit: Visit) -> Site {
        let origin = self.program.origins[visit.at as usize];
        let size: u32 = self.program.workgroup_size.iter().product();
        let text = self.source.get(origin.start as usize..origin.end as usize).unwrap_or_default();
        let mut lines = text.lines();
        let first = lines.next().unwrap_or_default().trim_end();
        let text = if lines.next().is_some() { format!("{first} ...") } else { first.to_string() };
        let workgroup = self.workgroup(visit.who / size);
        let line = super::compile::line(self.source, origin.start);
        Site { line, text, workgroup, invocation: visit.who % size }
    }

    /// The variable that an instruction touches.
    pub fn variable(&self, at: Slot) -> String {
        self.program.variables[self.program.origins[at as usize].variable as usize].clone()
    }

    /// Adds a fault at a place, and for a race the place of the earlier access.
    pub fn add(&mut self, visit: Visit, other: Option<Visit>, fault: impl FnOnce(&Self) -> Fault) {
        let start = |visit: Visit| self.program.origins[visit.at as usize].start;
        let fault = fault(self);
        if self.seen.insert((discriminant(&fault), start(visit), other.map_or(0, start))) {
            let site = Some(self.site(visit));
            self.findings.push(Finding { kernel: self.kernel.to_string(), fault, site });
        }
    }

    /// Adds a fault of a whole operand.
    pub fn add_operand(&mut self, fault: Fault) {
        self.findings.push(Finding { kernel: self.kernel.to_string(), fault, site: None });
    }
}
