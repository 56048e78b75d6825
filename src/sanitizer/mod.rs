//! Finds races, accesses out of bounds and reads of uninitialised memory in a kernel, without a GPU.
//!
//! [`run`] interprets the WGSL of a [`Case`]'s call as naga's front end understands it, one workgroup after another.
//! Between two barriers the invocations of a workgroup run in an [`Order`] that no kernel may depend on. The
//! interpreter checks
//! * every index against the length of what it indexes, in operands, workgroup memory and an invocation's own;
//! * every read of workgroup memory, which our pipelines do not clear, and of operands that are only written;
//! * every two accesses of different invocations to one word, at least one of which writes: a barrier must lie between
//!   them, and between workgroups nothing orders them. Writing the same value twice is a race as well;
//! * that all invocations of a workgroup reach each barrier together.
//!
//! Since any two accesses without order are reported, a kernel without findings gives the same result in every order.
//! Driver compilers are not part of this: [`crate::verify`] judges them.
//!
//! ```
//! use fourfold::sanitizer::{Options, check};
//! use fourfold::shaders::{Generator, kernels};
//!
//! let kernel = kernels().into_iter().find(|kernel| kernel.name == "softmax.softmax").expect("a kernel of the list");
//! let case = kernel.case.draw(&mut Generator::new(7, 10));
//! let report = check(&case, &Options::default())?;
//! assert!(report.passed(), "{}", report.findings[0]);
//! assert!(report.passes <= report.lockstep_passes);
//! # Ok::<(), fourfold::sanitizer::Error>(())
//! ```

mod arithmetic;
mod code;
mod compile;
mod finding;
mod judge;
mod layout;
mod log;
mod machine;
mod mathematics;
mod memory;
mod options;
mod passes;
mod schedule;
mod subgroup;

use fourfold_shaders::Case;

pub use finding::{Error, Fault, Finding, Site, Touch};
pub use judge::{DRAWS, Draw, Judged, JudgedPasses, judge};
pub use options::{Options, Order, Report};

use log::Log;
use memory::Memory;
use schedule::Dispatch;

/// Interprets the call of a case on its operands.
///
/// # Errors
/// [`Error::Invalid`] if the source does not compile or the operands do not fit it, [`Error::Unsupported`] if the
/// source uses what the interpreter lacks. Faults of the kernel are not errors but [`Report::findings`].
pub fn run(case: &Case, options: &Options) -> Result<Report, Error> {
    let call = &case.call;
    let program = compile::compile(call)?;
    let invalid = |reason: String| Error::Invalid { kernel: call.kernel.name.to_string(), reason };
    let sizes = call.grid.iter().chain(&program.workgroup_size);
    if sizes.copied().try_fold(1, u32::checked_mul).is_none() {
        return Err(invalid(format!("the grid {:?} has more than 2^32 invocations", call.grid)));
    }
    let mut memory = Memory::new(&program, case).map_err(invalid)?;
    let mut log = Log::new(&program, call, options.order == Order::Reverse);
    let dispatch = Dispatch { program: &program, memory: &mut memory, log: &mut log, options, grid: call.grid }.run();
    let outputs = memory.outputs(&mut log, case, dispatch.completed);
    let schedule::Counts { completed, passes, lockstep_passes, instructions } = dispatch;
    Ok(Report { findings: log.findings, completed, passes, lockstep_passes, instructions, outputs })
}

/// Interprets the call of a case and compares its outputs with the CPU twin, within the kernel's tolerance: an element
/// beyond it is a [`Fault::Wrong`].
///
/// # Errors
/// As [`run`].
pub fn check(case: &Case, options: &Options) -> Result<Report, Error> {
    let mut report = run(case, options)?;
    if !report.completed {
        return Ok(report);
    }
    let kernel = &*case.call.kernel;
    let expected = case.expected();
    for index in kernel.outputs() {
        let tolerance = (kernel.tolerance)(&case.call, &case.operands, index);
        let comparison = tolerance.compare(&expected[index], &report.outputs[index]);
        if !comparison.passed() {
            let fault = Fault::Wrong {
                variable: kernel.bindings[index].name.to_string(),
                element: comparison.index,
                expected: comparison.expected,
                got: comparison.got,
            };
            report.findings.push(Finding { kernel: kernel.name.to_string(), fault, site: None });
        }
    }
    Ok(report)
}
