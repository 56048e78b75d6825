//! A step in parts: between them a host reads what a dispatch wrote, and puts other values in its place.
//!
//! Several graphs that run side by side exchange numbers in the middle of a step so, as synchronised batch norm does. The place is
//! an [operation](crate::graph::Operation) of the host's own, whose kernel copies: what it wrote is the tensor of this graph until
//! the host replaces it.

use std::ops::Range;

use fourfold_shaders::Data;

use super::{Session, SessionError};
use crate::gpu::Ticket;
use crate::graph::plan::{Dispatch, Region};

impl Session {
    /// Returns the dispatches of the kernel of this name, in their order.
    pub fn dispatches_of(&self, kernel: &str) -> Vec<usize> {
        let dispatches = self.plan().dispatches.iter().enumerate();
        dispatches.filter(|(_, dispatch)| dispatch.call.kernel.name == kernel).map(|(index, _)| index).collect()
    }

    /// Submits the dispatches of a range, a part of a step, and waits for nothing.
    ///
    /// # Errors
    /// The device is lost.
    ///
    /// # Panics
    /// If the range reaches past the last dispatch of the plan.
    pub fn submit_range(&mut self, range: Range<usize>) -> Result<(), SessionError> {
        self.submit_pass(|recording, pass| recording.record_range(pass, range))
    }

    /// Submits a copy of what a dispatch wrote, its first output; the ticket has it when the GPU is done.
    ///
    /// # Errors
    /// No memory for the copy; the device is lost.
    ///
    /// # Panics
    /// If the plan has no such dispatch.
    pub fn submit_readback_of(&mut self, dispatch: usize) -> Result<Ticket, SessionError> {
        let (region, output) = written(&self.plan().dispatches[dispatch]);
        let element = self.plan().dispatches[dispatch].call.kernel.bindings[output].element;
        self.copy_back(&[(self.view(region), element)])
    }

    /// Replaces what a dispatch wrote, its first output, before the next submission.
    ///
    /// # Errors
    /// Values of another type or number; the device is lost.
    ///
    /// # Panics
    /// If the plan has no such dispatch.
    pub fn replace(&mut self, dispatch: usize, data: &Data) -> Result<(), SessionError> {
        let planned = &self.plan().dispatches[dispatch];
        let (region, output) = written(planned);
        let element = planned.call.kernel.bindings[output].element;
        if data.element() != element || data.len() != region.length {
            return Err(SessionError::WrongValues {
                name: planned.label.clone(),
                expected: format!("{} {element:?} values", region.length),
                got: format!("{} {:?} values", data.len(), data.element()),
            });
        }
        let label = planned.label.clone();
        self.overwrite(&label, region, data)
    }
}

/// The first output of a dispatch: its region, and its place among the operands.
fn written(dispatch: &Dispatch) -> (Region, usize) {
    let output = dispatch.call.kernel.outputs().next().unwrap_or_default();
    (dispatch.operands[output], output)
}
