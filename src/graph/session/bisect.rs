//! Twins up to a dispatch, kernels after it: how a wrong kernel is found by halving.

use std::ops::Range;
use std::sync::Arc;

use fourfold_shaders::{Comparison, Data, Element};

use super::{Session, SessionError, TwinSession, Values};
use crate::gpu::Gpu;
use crate::graph::plan::{Plan, Region};

/// A dispatch whose kernel differs from its twin by more than its tolerance.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Suspect {
    /// The index in [`Plan::dispatches`].
    pub dispatch: usize,
    /// The kernel by name.
    pub kernel: String,
    /// The operation and the line that asked for it.
    pub label: String,
    /// The binding with the largest error.
    pub binding: &'static str,
    /// Its worst element against the twin's.
    pub comparison: Comparison,
}

/// One step of a plan, computed by the twins before dispatch `switch` and by the kernels from it on: the outputs and
/// states by name (an output's where both have one name). With a switch of 0 only kernels run, with one of
/// `plan.dispatches.len()` or more only twins.
///
/// `values` begin inputs and states, as in [`Session::new`]. Submits, and waits for the GPU.
///
/// # Errors
/// As [`Session::new`] and [`Session::submit`].
pub fn run_mixed(
    gpu: &Gpu,
    plan: impl Into<Arc<Plan>>,
    values: &Values,
    switch: usize,
) -> Result<Values, SessionError> {
    let plan = plan.into();
    let mut kernels = Session::new(gpu, plan.clone(), values)?;
    mixed(&mut kernels, &plan, values, switch)
}

fn mixed(kernels: &mut Session, plan: &Arc<Plan>, values: &Values, switch: usize) -> Result<Values, SessionError> {
    let last = plan.dispatches.len();
    let switch = switch.min(last);
    let mut twins = TwinSession::new(plan.clone(), values)?;
    twins.run_range(0..switch);
    let words = continued(kernels, &twins, switch..last)?;
    let named = plan.states.iter().chain(&plan.outputs);
    Ok(named.map(|(name, binding)| (name.clone(), cut(&words, binding.region, binding.element))).collect())
}

/// The words of all buffers after the kernels of a range have run on what the twins hold.
fn continued(kernels: &mut Session, twins: &TwinSession, range: Range<usize>) -> Result<Vec<Data>, SessionError> {
    kernels.restore(&twins.buffers)?;
    kernels.submit_range(range)?;
    kernels.snapshot()
}

/// The elements of a region.
fn cut(words: &[Data], region: Region, element: Element) -> Data {
    let words = &words[region.buffer].u32()[region.offset..][..region.length];
    Data::from_bytes(element, bytemuck::cast_slice(words))
}

/// Finds the first kernel of a plan that is wrong on this adapter, if there is one, by halving: a step that switches
/// from twins to kernels behind the wrong one comes out right, and one that switches before it does not.
///
/// `agree` judges the named outputs and states of such a step against those of the twins alone. A kernel whose mistake
/// does not reach them is not found by halving; if all agree, every dispatch is judged by itself.
///
/// # Errors
/// As [`Session::new`] and [`Session::submit`].
pub fn find_wrong_kernel(
    gpu: &Gpu,
    plan: impl Into<Arc<Plan>>,
    values: &Values,
    agree: impl Fn(&str, &Data, &Data) -> bool,
) -> Result<Option<Suspect>, SessionError> {
    let plan = plan.into();
    let mut truth = TwinSession::new(plan.clone(), values)?;
    truth.run(1);
    let mut kernels = Session::new(gpu, plan.clone(), values)?;
    let mut right = |switch: usize| -> Result<bool, SessionError> {
        for (name, got) in &mixed(&mut kernels, &plan, values, switch)? {
            if !agree(name, &truth.read(name)?, got) {
                return Ok(false);
            }
        }
        Ok(true)
    };
    let mut twins = TwinSession::new(plan.clone(), values)?;
    if !right(0)? {
        // Right at `high`, wrong at `low`.
        let (mut low, mut high) = (0, plan.dispatches.len());
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if right(middle)? { high = middle } else { low = middle }
        }
        twins.run_range(0..low);
        return Ok(Some(judge(&plan, &mut kernels, &mut twins, low)?));
    }
    for dispatch in 0..plan.dispatches.len() {
        let suspect = judge(&plan, &mut kernels, &mut twins, dispatch)?;
        if !suspect.comparison.passed() {
            return Ok(Some(suspect));
        }
    }
    Ok(None)
}

/// Runs one dispatch by its kernel and by its twin, which moves on behind it, on what the twins before it computed.
fn judge(plan: &Plan, kernels: &mut Session, twins: &mut TwinSession, index: usize) -> Result<Suspect, SessionError> {
    let dispatch = &plan.dispatches[index];
    let kernel = &dispatch.call.kernel;
    let before = twins.operands(index);
    let words = continued(kernels, twins, index..index + 1)?;
    twins.run_range(index..index + 1);
    let expected = twins.operands(index);
    let judged = kernel.outputs().map(|output| {
        let got = cut(&words, dispatch.operands[output], kernel.bindings[output].element);
        let tolerance = (kernel.tolerance)(&dispatch.call, &before, output);
        (kernel.bindings[output].name, tolerance.compare(&expected[output], &got))
    });
    let worst = judged.max_by(|(_, a), (_, b)| a.worst.total_cmp(&b.worst));
    let (binding, comparison) = worst.expect("every kernel writes something");
    let (kernel, label) = (kernel.name.to_string(), dispatch.label.clone());
    Ok(Suspect { dispatch: index, kernel, label, binding, comparison })
}
