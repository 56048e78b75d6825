//! Twins up to a dispatch, kernels after it: how a wrong kernel is found by halving.

use std::sync::Arc;

use fourfold_shaders::{Comparison, Data};

use super::{Session, SessionError, TwinSession, Values};
use crate::gpu::Gpu;
use crate::graph::plan::Plan;

/// A dispatch whose kernel differs from its twin by more than its tolerance.
#[derive(Debug, Clone)]
pub struct Suspect {
    /// The index in [`Plan::dispatches`].
    pub dispatch: usize,
    pub kernel: String,
    /// The operation and the line that asked for it.
    pub label: String,
    /// The binding with the largest error.
    pub binding: &'static str,
    pub comparison: Comparison,
}

/// One step of a plan, computed by twins before dispatch `switch` and by kernels from it on; the words of all buffers.
#[cfg(not(target_arch = "wasm32"))]
pub fn run_mixed(gpu: &Gpu, plan: &Arc<Plan>, values: &Values, switch: usize) -> Result<Vec<Data>, SessionError> {
    let mut twins = TwinSession::new(plan.clone(), values)?;
    twins.run_range(0..switch);
    let mut kernels = Session::new(gpu, plan.clone(), values)?;
    kernels.restore(&twins.buffers);
    let mut encoder = gpu.device().create_command_encoder(&Default::default());
    {
        let mut pass = encoder.begin_compute_pass(&Default::default());
        kernels.record_range(&mut pass, switch..plan.dispatches.len());
    }
    gpu.queue().submit([encoder.finish()]);
    kernels.snapshot()
}

/// Finds the first kernel of a plan that is wrong on this adapter, if there is one, by halving: a step that switches
/// from twins to kernels behind the wrong one comes out right, and one that switches before it does not.
///
/// `agree` judges the named outputs and states of such a step against those of the twins alone. A kernel whose mistake
/// does not reach them is not found; then every dispatch is judged by itself.
#[cfg(not(target_arch = "wasm32"))]
pub fn find_wrong_kernel(
    gpu: &Gpu,
    plan: impl Into<Arc<Plan>>,
    values: &Values,
    agree: impl Fn(&str, &Data, &Data) -> bool,
) -> Result<Option<Suspect>, SessionError> {
    let plan = plan.into();
    let mut truth = TwinSession::new(plan.clone(), values)?;
    truth.run(1);
    let right = |switch: usize| -> Result<bool, SessionError> {
        let words = run_mixed(gpu, &plan, values, switch)?;
        for (name, binding) in plan.outputs.iter().chain(&plan.states) {
            let region = binding.region;
            let got = &words[region.buffer].u32()[region.offset..][..region.length];
            let got = Data::from_bytes(binding.element, bytemuck::cast_slice(got));
            if !agree(name, &truth.read(name)?, &got) {
                return Ok(false);
            }
        }
        Ok(true)
    };
    if !right(0)? {
        // Right at `high`, wrong at `low`.
        let (mut low, mut high) = (0, plan.dispatches.len());
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if right(middle)? { high = middle } else { low = middle }
        }
        return judge(gpu, &plan, values, low).map(|(suspect, _)| Some(suspect));
    }
    for dispatch in 0..plan.dispatches.len() {
        let (suspect, passed) = judge(gpu, &plan, values, dispatch)?;
        if !passed {
            return Ok(Some(suspect));
        }
    }
    Ok(None)
}

/// Runs one dispatch by its kernel on operands that the twins computed.
#[cfg(not(target_arch = "wasm32"))]
fn judge(gpu: &Gpu, plan: &Arc<Plan>, values: &Values, index: usize) -> Result<(Suspect, bool), SessionError> {
    let dispatch = &plan.dispatches[index];
    let kernel = &dispatch.call.kernel;
    let mut twins = TwinSession::new(plan.clone(), values)?;
    twins.run_range(0..index);
    let before = twins.operands(index);
    let mut kernels = Session::new(gpu, plan.clone(), values)?;
    kernels.restore(&twins.buffers);
    let mut encoder = gpu.device().create_command_encoder(&Default::default());
    {
        let mut pass = encoder.begin_compute_pass(&Default::default());
        kernels.record_range(&mut pass, index..index + 1);
    }
    gpu.queue().submit([encoder.finish()]);
    let words = kernels.snapshot()?;
    twins.run_range(index..index + 1);
    let expected = twins.operands(index);
    let judged = kernel.outputs().map(|output| {
        let region = dispatch.operands[output];
        let got = &words[region.buffer].u32()[region.offset..][..region.length];
        let got = Data::from_bytes(kernel.bindings[output].element, bytemuck::cast_slice(got));
        let tolerance = (kernel.tolerance)(&dispatch.call, &before, output);
        (kernel.bindings[output].name, tolerance.compare(&expected[output], &got))
    });
    let worst = judged.max_by(|(_, a), (_, b)| a.worst.total_cmp(&b.worst));
    let (binding, comparison) = worst.expect("every kernel writes something");
    let passed = comparison.passed();
    let label = dispatch.label.clone();
    Ok((Suspect { dispatch: index, kernel: kernel.name.to_string(), label, binding, comparison }, passed))
}
