//! A session on the CPU twins: slow, plain, and needing no adapter.

use std::ops::Range;
use std::sync::Arc;

use fourfold_shaders::{Data, Element};

use super::{SessionError, Values};
use crate::graph::plan::{Plan, Region};

/// A plan with its buffers on the CPU, computed by the twins of its kernels.
#[derive(Debug, Clone)]
pub struct TwinSession {
    plan: Arc<Plan>,
    /// The words of each buffer; the elements of a tensor are read from their bits.
    pub(super) buffers: Vec<Vec<u32>>,
}

impl TwinSession {
    /// A session whose inputs and states begin as `values`, or as zeros where no value is given.
    ///
    /// # Errors
    /// A value for a name that the plan lacks, or of another type.
    pub fn new(plan: impl Into<Arc<Plan>>, values: &Values) -> Result<Self, SessionError> {
        let plan = plan.into();
        // Elements that no step has written are NaN, so that reading them shows.
        let mut buffers: Vec<Vec<u32>> =
            plan.buffers.iter().map(|buffer| vec![buffer.fill.unwrap_or(f32::NAN).to_bits(); buffer.words]).collect();
        for binding in plan.inputs.values().chain(plan.states.values()) {
            buffers[binding.region.buffer].fill(0);
        }
        let mut session = Self { plan, buffers };
        for (name, data) in values {
            session.write(name, data)?;
        }
        Ok(session)
    }

    /// Returns the plan that the session runs.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Sets an input or a state.
    ///
    /// # Errors
    /// The plan has no input or state of this name, or one of another type.
    pub fn write(&mut self, name: &str, data: &Data) -> Result<(), SessionError> {
        let region = self.plan.writable(name, data)?.region;
        self.store(region, data);
        Ok(())
    }

    /// The values of an output, a state or an input.
    ///
    /// # Errors
    /// The plan has no tensor of this name.
    pub fn read(&self, name: &str) -> Result<Data, SessionError> {
        let binding = self.plan.readable(name)?;
        Ok(self.load(binding.region, binding.element))
    }

    /// Runs whole steps.
    pub fn run(&mut self, steps: usize) {
        for _ in 0..steps {
            self.run_range(0..self.plan.dispatches.len());
        }
    }

    /// Runs the dispatches of a range.
    ///
    /// # Panics
    /// If the range reaches past the plan's dispatches.
    pub fn run_range(&mut self, range: Range<usize>) {
        let plan = self.plan.clone();
        for index in range {
            let dispatch = &plan.dispatches[index];
            let mut operands = self.operands(index);
            dispatch.call.run_twin(&mut operands.iter_mut().map(Data::operand).collect::<Vec<_>>());
            for output in dispatch.call.kernel.outputs() {
                self.store(dispatch.operands[output], &operands[output]);
            }
        }
    }

    /// The operands of a dispatch as they are now.
    pub(super) fn operands(&self, dispatch: usize) -> Vec<Data> {
        let dispatch = &self.plan.dispatches[dispatch];
        let typed = dispatch.operands.iter().zip(dispatch.call.kernel.bindings.iter());
        typed.map(|(region, binding)| self.load(*region, binding.element)).collect()
    }

    fn load(&self, region: Region, element: Element) -> Data {
        let words = &self.buffers[region.buffer][region.offset..][..region.length];
        Data::from_bytes(element, bytemuck::cast_slice(words))
    }

    fn store(&mut self, region: Region, data: &Data) {
        self.buffers[region.buffer][region.offset..][..region.length]
            .copy_from_slice(bytemuck::cast_slice(data.bytes()));
    }
}
